"""Bring files of bars into the database."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import insert

from trendtrain.errors import InputError
from trendtrain.importing.files import FileBars, find_files, read_file, refuse_faults
from trendtrain.importing.quality import ImportReport, describe
from trendtrain.importing.raw_bars import ReadOptions
from trendtrain.market.bars import IntArray, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.merge import is_changed, merge
from trendtrain.storage.bars.payload import BarColumns, columns_of, join
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.schema import import_reports
from trendtrain.storage.series import find_series

EVERYTHING_FROM_THE_FILE: Final = ReadOptions()


def import_files(
    store: BarStore,
    files: Sequence[Path],
    options: ReadOptions = EVERYTHING_FROM_THE_FILE,
    strict: bool = True,
    may_replace: bool = True,
) -> list[ImportReport]:
    """Write the bars of files; every file is read before any is written.

    Args:
        store: Where to write.
        files: As `find_files` gives them. Files of the same series merge; the later one wins.
        options: What the user says about the files.
        strict: Whether to refuse a file with rows out of order, in conflict, or that break a price rule; otherwise they
            are sorted in, or left out, and the report says how many.
        may_replace: Whether a bar may take the place of one with other values, stored before or of an earlier file.

    Returns:
        A report on each file, in order; the database keeps it too.

    Raises:
        InputError: If a file breaks a rule, or its bars do not fit those stored.
    """
    contents = [read_file(file, options) for file in files]
    return import_contents(store, contents, strict, may_replace)


def import_contents(
    store: BarStore, contents: Sequence[FileBars], strict: bool = True, may_replace: bool = True
) -> list[ImportReport]:
    """Write the bars of files that are read already; see `import_files`."""
    if strict:
        for content in contents:
            refuse_faults(content)
    n_replaced = _count_replaced(store, contents, may_replace)
    return [_import(store, content, n) for content, n in zip(contents, n_replaced, strict=True)]


def import_path(
    store: BarStore, path: str | Path, options: ReadOptions = EVERYTHING_FROM_THE_FILE, strict: bool = True
) -> list[ImportReport]:
    """Write the bars of a file, or of all files of a folder; see `import_files`."""
    return import_files(store, find_files(path, options.layout), options, strict)


def _import(store: BarStore, content: FileBars, n_replaced: int) -> ImportReport:
    quality = describe(content.series, content.bars)
    n_changed = store.write(*content.series, content.bars)
    report = ImportReport(
        content.series,
        content.path,
        quality,
        n_changed,
        n_replaced,
        content.layout,
        content.time_rule,
        content.volume_rule,
        content.findings,
    )
    _keep(store, report)
    return report


def _keep(store: BarStore, report: ImportReport) -> None:
    now = int(np.datetime64("now", "ms").astype(np.int64))
    row = {"imported_at": now, "file": str(report.path), "report": report.as_json()}
    with store.engine.begin() as connection:
        series_id = find_series(connection, report.series)
        connection.execute(insert(import_reports), row | {"series_id": series_id})


def _count_replaced(store: BarStore, contents: Sequence[FileBars], may_replace: bool) -> list[int]:
    """Return how many bars of each file replace another with their time; refuse them where they may not."""
    n_files = Counter(content.series for content in contents)
    there: dict[Series, BarColumns] = {}
    counts = []
    for content in contents:
        old = there.get(content.series) or _stored(store, contents, content.series)
        if len(old.time) == 0 and n_files[content.series] == 1:
            counts.append(0)
            continue
        new = columns_of(content.bars)
        _check_apart(content, old.time)
        times = _replaced_times(old, new)
        if len(times) and not may_replace:
            _refuse_replacing(content, times)
        if n_files[content.series] > 1:
            there[content.series] = merge(old, new)
        counts.append(len(times))
    return counts


def _check_apart(content: FileBars, there: IntArray) -> None:
    """Refuse a file with bars between those of its series: now, before anything of the other files is stored."""
    times = np.sort(np.concatenate([there, content.bars.open_time.astype(np.int64)]), kind="stable")
    steps = np.diff(times)
    is_close = (steps > 0) & (steps < int(content.bars.timeframe.astype(np.int64)))
    if is_close.any():
        pair = " and ".join(map(str, times[np.argmax(is_close) :][:2].astype("datetime64[ms]")))
        rule = f"lie at least {content.series.timeframe} from those of {content.series.symbol} that are stored"
        raise InputError(f"{content.path}: bars must {rule} or come from an earlier file, got {pair}.")


def _replaced_times(old: BarColumns, new: BarColumns) -> IntArray:
    """Return the times at which both have a bar and the values differ."""
    times = new.time[is_changed(old, new)]
    before = np.searchsorted(old.time, times)
    return times[before < np.searchsorted(old.time, times, side="right")]


def _stored(store: BarStore, contents: Sequence[FileBars], series: Series) -> BarColumns:
    """Return what is stored over the time that the files of a series span, and for a bar more on both sides."""
    if series not in store.series():
        return join([])
    length = parse_timeframe(series.timeframe)
    spans = [content.bars.open_time[[0, -1]] for content in contents if content.series == series]
    start, end = min(span[0] for span in spans) - length, max(span[1] for span in spans) + length
    try:
        return columns_of(store.load(*series, start=start, end=end))
    except InputError:
        return join([])


def _refuse_replacing(content: FileBars, times: IntArray) -> None:
    rule = f"agree with the bars of {' '.join(content.series)} that are stored or come from an earlier file"
    got = f"other values at {times[0].astype('datetime64[ms]')} ({len(times):,} in all)"
    raise InputError(f"{content.path}: bars must {rule}, got {got}.")
