"""Bring files of bars into the database."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from sqlalchemy import insert

from trendtrain.errors import InputError
from trendtrain.importing.files import FileBars, read_file
from trendtrain.importing.quality import ImportReport, QualityReport, describe
from trendtrain.importing.raw_bars import ReadOptions
from trendtrain.market.bars import Series
from trendtrain.storage.bars.store import BarStore, BarTransaction
from trendtrain.storage.schema import import_reports

_NO_OPTIONS: Final = ReadOptions()


def import_files(
    store: BarStore,
    paths: Sequence[Path],
    options: ReadOptions = _NO_OPTIONS,
    strict: bool = True,
    may_replace: bool = True,
) -> list[ImportReport]:
    """Read files, then store the bars of all of them, or of none.

    Args:
        store: Where to write.
        paths: The files, as `find_files` returns them. Files of the same series merge; the later one wins.
        options: What the user says about the files.
        strict: Whether to refuse a file with rows out of order, in conflict, or that break a price rule; otherwise they
            are sorted in, or left out, and the report says how many.
        may_replace: Whether a bar may take the place of one with other values, stored before or of an earlier file.

    Returns:
        A report on each file, in order; the database keeps it too.

    Raises:
        InputError: If a file breaks a rule, or its bars do not fit those stored.
    """
    return store_files(store, [read_file(path, options) for path in paths], strict, may_replace)


def store_files(
    store: BarStore, files: Sequence[FileBars], strict: bool = True, may_replace: bool = True
) -> list[ImportReport]:
    """Store the bars and reports of files that were read, in one transaction; see `import_files`."""
    if strict:
        for file in files:
            file.refuse_faults()
    _check_kinds(files)
    qualities = [describe(file.series, file.bars) for file in files]
    with store.transaction(*{file.series for file in files}) as transaction:
        return [_store(transaction, *pair, may_replace) for pair in zip(files, qualities, strict=True)]


def _check_kinds(files: Sequence[FileBars]) -> None:
    """Refuse to merge files of two kinds of price, to which one given symbol leads."""
    first: dict[Series, FileBars] = {}
    for file in files:
        other = first.setdefault(file.series, file)
        if file.kind != other.kind:
            got = f"{file.kind or 'traded'} in {file.path} and {other.kind or 'traded'} in {other.path}"
            rule = f"files of one series ({' '.join(file.series)}) must hold one kind of price"
            raise InputError(f"{rule}; import them apart, or without `--symbol`, got {got}.")


def _store(transaction: BarTransaction, file: FileBars, quality: QualityReport, may_replace: bool) -> ImportReport:
    try:
        written = transaction.write(*file.series, file.bars)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from error
    if len(written.replaced) and not may_replace:
        rule = f"agree with the bars of {' '.join(file.series)} that are stored or come from an earlier file"
        got = f"other values at {written.replaced[0]} ({len(written.replaced):,} in all)"
        raise InputError(f"{file.path}: bars must {rule}, got {got}.")
    how = (file.layout, file.time_rule, file.volume_rule, file.findings)
    report = ImportReport(file.series, file.path, quality, written.n_changed, len(written.replaced), *how)
    now, number = int(np.datetime64("now", "ms").astype(np.int64)), transaction.series_ids[file.series]
    row = {"series_id": number, "imported_at": now, "file": str(file.path), "report": report.as_json()}
    transaction.connection.execute(insert(import_reports), row)
    return report
