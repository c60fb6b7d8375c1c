"""Migrate annotations in the old form: their bars into the database, the rest into small files."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.old_form import read_old_annotation
from trendtrain.annotations.small_form import format_annotation, parse_json
from trendtrain.annotations.snapshots import Snapshot, check_grid, merge_snapshots, usual_grid
from trendtrain.annotations.store import AnnotationStore
from trendtrain.errors import DamagedDataError, InputError, NotStoredError
from trendtrain.market.bars import BoolArray, IntArray, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.columns import BarColumns, bars_of, columns_of, is_changed, join
from trendtrain.storage.bars.store import BarStore, BarTransaction

_MS = np.timedelta64(1, "ms")


@dataclass(frozen=True)
class SeriesReport:
    """What happened to the bars of a series.

    Attributes:
        series: The series.
        n_embedded: Bars in all annotations, each time one came.
        n_bars: How many different times they have.
        n_changed: How many were new or changed in the database.
        n_overwritten: How many of those the database had with other values.
        conflicts: Open times at which annotations disagree, `datetime64[ms]`; the one seen later was taken.
    """

    series: Series
    n_embedded: int
    n_bars: int
    n_changed: int
    n_overwritten: int
    conflicts: tuple[np.datetime64, ...]


@dataclass(frozen=True)
class MigrationReport:
    """What a migration did.

    Attributes:
        n_files: Files with at least one sound annotation.
        n_written: Annotations written as small files.
        n_kept: Annotations that were there already, and stay as they are.
        n_differing: How many of those say something else than their source.
        n_open: Trades of either kind that are still open: they are no training examples yet.
        bytes_before: Size of those files.
        bytes_after: Size of the small files of their annotations.
        series: What happened to the bars of each series.
        problems: One line for each annotation, file or series that was not migrated.
    """

    n_files: int
    n_written: int
    n_kept: int
    n_differing: int
    n_open: int
    bytes_before: int
    bytes_after: int
    series: tuple[SeriesReport, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """An annotation in the old form, taken apart."""

    path: Path
    place: str
    annotation: Annotation
    snapshots: list[Snapshot]

    @property
    def id(self) -> str:
        return self.annotation.annotation_id


@dataclass
class _Plan:
    """What to migrate: sound annotations, those of them that stay as they were migrated before, and problems."""

    sources: dict[str, list[_Source]] = field(default_factory=dict)
    kept: dict[str, Annotation] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def migrate(sources: Sequence[Path], store: AnnotationStore) -> MigrationReport:
    """Migrate all sound annotations; for each of the others, report in one line why it is left out.

    Bars come first, and an annotation is written when all of its own have been read back: a migration that was killed
    is completed by the next. What is migrated already is left as it is, but for a trade that was open then and is
    closed now; bars the database has lost since come back. All embedded bars are in memory at once, 48 bytes each.

    Args:
        sources: Files and folders with annotations in the old form; they stay untouched.
        store: Where the annotations and their bars go.

    Raises:
        InputError: If a source does not exist, or an annotation cannot be written.
        RuntimeError: If what is read back is not what was written.
    """
    plan = _make_plan([part for path in _find_files(sources, store.folder) for part in _read_file(path)], store)
    reports = _store_bars(plan, store.bar_store)
    stored = {report.series for report in reports}
    first = [twins[0] for twins in plan.sources.values()]
    ready = [source.annotation for source in first if stored.issuperset(part.series for part in source.snapshots)]
    new = [annotation for annotation in ready if annotation.annotation_id not in plan.kept]
    for annotation in new:
        store.save(annotation)
        if not _is_same(store.load(annotation.annotation_id), annotation):
            raise RuntimeError(f"{store.path(annotation.annotation_id)} does not hold what was written.")
    files = {source.path for twins in plan.sources.values() for source in twins}
    return MigrationReport(
        n_files=len(files),
        n_written=len(new),
        n_kept=len(plan.kept),
        n_differing=sum(not _is_same(kept, plan.sources[name][0].annotation) for name, kept in plan.kept.items()),
        n_open=sum(annotation.is_open for annotation in ready),
        bytes_before=sum(path.stat().st_size for path in files),
        bytes_after=sum(store.path(annotation.annotation_id).stat().st_size for annotation in ready),
        series=tuple(reports),
        problems=tuple(plan.problems),
    )


def _find_files(sources: Sequence[Path], out: Path) -> list[Path]:
    """Return files, and the `.json` files of folders and of the folders in them, each once, in order."""
    files: dict[Path, Path] = {}
    for source in sources:
        if not source.exists():
            raise InputError(f"`src` must name a file or folder that exists, got {source}.")
        found = [source] if source.is_file() else sorted(source.rglob("*.json"))
        found = [path for path in found if path.is_file() and (path == source or not path.name.startswith("."))]
        if not found:
            raise InputError(f"`src` must hold .json files, got the folder {source} without any.")
        inside = source if source.is_dir() else source.parent
        if (out.resolve().is_relative_to(inside.resolve()) and source.is_dir()) or out.resolve() == inside.resolve():
            raise InputError(f"`--out` must lie apart from the sources, got {out} for {source}.")
        for path in found:
            files.setdefault(path.resolve(), path)
    return list(files.values())


def _read_file(path: Path) -> Iterator[_Source | str]:
    """Yield each annotation of a file, or the problem with it."""
    try:
        content = parse_json(path.read_bytes())
        if isinstance(content, dict) and "annotations" in content:
            content = content["annotations"]
            if not isinstance(content, list):
                raise InputError(f"`annotations` must be a list, got {content!r:.60}.")
    except OSError as error:
        yield f"{path}: a file must be readable, got {error.strerror}."
        return
    except InputError as error:
        yield f"{path}: {error}"
        return
    for number, record in enumerate(content if isinstance(content, list) else [content], 1):
        place = f"{path}, annotation {number}" if isinstance(content, list) else str(path)
        try:
            yield _Source(path, place, *read_old_annotation(record))
        except InputError as error:
            yield f"{place}: {error}"


def _make_plan(parts: Sequence[_Source | str], store: AnnotationStore) -> _Plan:
    """Return the sound annotations; where bars of a series lie too close, those off its usual grid are not sound."""
    plan = _Plan()
    snapshots = _by_series([part for part in parts if isinstance(part, _Source)])
    grids = {series: usual_grid([snapshot for _, snapshot in pairs]) for series, pairs in snapshots.items()}
    for part in parts:
        if isinstance(part, str):
            plan.problems.append(part)
            continue
        try:
            _check(part, plan, grids, store)
        except InputError as error:
            plan.problems.append(f"{part.place}: {error}")
        else:
            plan.sources.setdefault(part.id, []).append(part)
    return plan


def _check(source: _Source, plan: _Plan, grids: dict[Series, IntArray | None], store: AnnotationStore) -> None:
    """Refuse an annotation that does not fit the others, and look whether it is migrated already."""
    for twin in plan.sources.get(source.id, [])[:1]:
        if not _is_same(twin.annotation, source.annotation):
            raise InputError(f"`annotation_id` must come once, got {source.id!r} again after {twin.place}.")
    for snapshot in source.snapshots:
        if (grid := grids[snapshot.series]) is not None:
            check_grid(snapshot.bars, grid)
    kept = store.load(source.id) if store.path(source.id).exists() else None
    if kept is not None and (source.annotation.is_open or not kept.is_open):
        plan.kept[source.id] = kept


def _by_series(sources: Sequence[_Source]) -> dict[Series, list[tuple[_Source, Snapshot]]]:
    found = defaultdict(list)
    for source in sources:
        for snapshot in source.snapshots:
            found[snapshot.series].append((source, snapshot))
    return dict(sorted(found.items()))


def _store_bars(plan: _Plan, store: BarStore) -> list[SeriesReport]:
    """Store the bars of each series in one transaction; a series whose bars cannot be stored is a problem.

    Bars of annotations that are migrated already are written where the database has none: it may have better ones now.
    """
    reports = []
    for series, pairs in _by_series([source for twins in plan.sources.values() for source in twins]).items():
        is_new = np.array([source.id not in plan.kept for source, _ in pairs])
        try:
            with store.transaction(series) as transaction:
                reports.append(_merge_into(transaction, series, [snapshot for _, snapshot in pairs], is_new))
        except (InputError, DamagedDataError) as error:
            names = list(dict.fromkeys(source.id for source, _ in pairs))
            who = f"{len(names)} annotations such as {names[0]!r}"
            plan.problems.append(f"{' '.join(series)} of {who}: {error}")
    return reports


def _merge_into(
    transaction: BarTransaction, series: Series, snapshots: Sequence[Snapshot], is_new: BoolArray
) -> SeriesReport:
    merged, timeframe = merge_snapshots(snapshots), parse_timeframe(series.timeframe)
    bars_of(merged.columns, timeframe)  # refuses bars that do not fit each other
    stored = _load(transaction, series, merged.columns)
    written = merged.columns.take(is_new[merged.part] | ~np.isin(merged.columns.time, stored.time))
    change = transaction.write(*series, bars_of(written, timeframe))
    stored = _load(transaction, series, merged.columns)
    n_lost = int(is_changed(stored, written).sum() + (~np.isin(merged.columns.time, stored.time)).sum())
    if n_lost:
        raise RuntimeError(f"{n_lost} bars of {' '.join(series)} were written, but are not in the database.")
    return SeriesReport(
        series=series,
        n_embedded=sum(len(snapshot.bars) for snapshot in snapshots),
        n_bars=len(merged.columns.time),
        n_changed=change.n_changed,
        n_overwritten=len(change.replaced),
        conflicts=tuple(merged.conflicts),
    )


def _load(transaction: BarTransaction, series: Series, columns: BarColumns) -> BarColumns:
    """Return the bars that the database has over the time that `columns` span."""
    first, last = columns.time[[0, -1]].astype("datetime64[ms]")
    try:
        return columns_of(transaction.load(*series, first, last + _MS))
    except NotStoredError:
        return join([])


def _is_same(first: Annotation, second: Annotation) -> bool:
    """Compare as text: a NaN among the other fields equals itself there."""
    return format_annotation(first) == format_annotation(second)
