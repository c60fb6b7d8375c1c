"""Migrate annotations in the old form: their bars into the database, the rest into small files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.move import SeriesReport, move_bars
from trendtrain.annotations.old_files import find_old_files, read_old_file
from trendtrain.annotations.old_form import Snapshot, take_apart
from trendtrain.annotations.pool import BarPool, check_fit, usual_times
from trendtrain.annotations.small_form import format_annotation
from trendtrain.annotations.store import AnnotationStore
from trendtrain.errors import DamagedDataError, InputError
from trendtrain.market.bars import IntArray, Series
from trendtrain.market.timeframe import parse_timeframe


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


@dataclass
class _Harvest:
    """What the sources hold: sound annotations by id, where each stands, and the bars of all of them.

    Where bars of a series lie too close to each other, those off its `usual` times are not sound.
    """

    usual: Mapping[Series, IntArray]
    files: dict[Path, None] = field(default_factory=dict)
    annotations: dict[str, Annotation] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    kept: dict[str, Annotation] = field(default_factory=dict)
    pools: defaultdict[Series, BarPool] = field(default_factory=lambda: defaultdict(BarPool))
    problems: list[str] = field(default_factory=list)


def migrate(sources: Sequence[Path], store: AnnotationStore) -> MigrationReport:
    """Move what is sound; say of the rest, line by line, why it stays behind.

    Bars come first, and an annotation is written when all of its own have been read back: a migration that was killed
    is completed by the next. What is migrated already is left as it is, but for a trade that was open then and is
    closed now; bars the database has lost since come back.

    Args:
        sources: Files and folders with annotations in the old form; they stay untouched.
        store: Where the annotations and their bars go.

    Raises:
        InputError: If a source does not exist, or an annotation cannot be written.
        RuntimeError: If what is read back is not what was written.
    """
    files = find_old_files(sources, store.folder)
    harvest = _read_files(files, store, {})
    usual = _usual_times(harvest)
    if usual:  # so rare that reading twice is better than remembering whose each bar is
        harvest = _read_files(files, store, usual)
    reports, failed = _move_all(store, harvest)
    ready = [annotation for annotation in harvest.annotations.values() if not failed & _series_of(annotation)]
    new = [annotation for annotation in ready if annotation.annotation_id not in harvest.kept]
    for annotation in new:
        _save(store, annotation)
    return MigrationReport(
        n_files=len(harvest.files),
        n_written=len(new),
        n_kept=len(harvest.kept),
        n_differing=sum(not _is_same(kept, harvest.annotations[name]) for name, kept in harvest.kept.items()),
        n_open=sum(annotation.is_open for annotation in ready),
        bytes_before=sum(path.stat().st_size for path in harvest.files),
        bytes_after=sum(store.path(annotation.annotation_id).stat().st_size for annotation in ready),
        series=reports,
        problems=tuple(harvest.problems),
    )


def _read_files(files: Sequence[Path], store: AnnotationStore, usual: Mapping[Series, IntArray]) -> _Harvest:
    harvest = _Harvest(usual=usual)
    for path in files:
        _read_file(path, store, harvest)
    return harvest


def _usual_times(harvest: _Harvest) -> dict[Series, IntArray]:
    """Return the usual times of the series in which annotations do not fit each other."""
    found = {
        series: usual_times(pool.merged(), parse_timeframe(series.timeframe)) for series, pool in harvest.pools.items()
    }
    return {series: times for series, times in found.items() if times is not None}


def _read_file(path: Path, store: AnnotationStore, harvest: _Harvest) -> None:
    try:
        for place, record in read_old_file(path):
            try:
                _take(place, *take_apart(record), store, harvest)
                harvest.files[path] = None
            except InputError as error:
                harvest.problems.append(f"{place}: {error}")
    except InputError as error:
        harvest.problems.append(str(error))


def _take(
    place: str, annotation: Annotation, snapshots: list[Snapshot], store: AnnotationStore, harvest: _Harvest
) -> None:
    """Put an annotation beside the others, unless one of its id came before with something else to say."""
    name = annotation.annotation_id
    twin = harvest.annotations.get(name)
    if twin and not _is_same(twin, annotation):
        raise InputError(f"`annotation_id` must come once, got {name!r} again after {harvest.places[name]}.")
    for timeframe, _, bars in snapshots:
        if (times := harvest.usual.get(Series(annotation.symbol, timeframe))) is not None:
            check_fit(bars, times)
    kept = store.load(name) if store.path(name).exists() else None
    is_new = kept is None or (kept.is_open and not annotation.is_open)
    if kept is not None and not is_new:
        harvest.kept[name] = kept
    harvest.annotations[name] = annotation
    harvest.places.setdefault(name, place)
    for timeframe, seen_at, bars in snapshots:
        harvest.pools[Series(annotation.symbol, timeframe)].add(bars, seen_at, is_new)


def _move_all(store: AnnotationStore, harvest: _Harvest) -> tuple[tuple[SeriesReport, ...], set[Series]]:
    """Return what happened to each series, and those whose bars could not be stored."""
    reports, failed = [], set()
    for series in sorted(harvest.pools):
        try:
            reports.append(move_bars(store.bar_store, series, harvest.pools[series]))
        except (InputError, DamagedDataError) as error:
            failed.add(series)
            waiting = [name for name, annotation in harvest.annotations.items() if series in _series_of(annotation)]
            who = f"{len(waiting)} annotations such as {waiting[0]!r}"
            harvest.problems.append(f"{' '.join(series)} of {who}: {error}")
    return tuple(reports), failed


def _series_of(annotation: Annotation) -> set[Series]:
    return {Series(annotation.symbol, timeframe) for timeframe in annotation.timeframes_available}


def _save(store: AnnotationStore, annotation: Annotation) -> None:
    store.save(annotation)
    if not _is_same(store.load(annotation.annotation_id), annotation):
        raise RuntimeError(f"{store.path(annotation.annotation_id)} does not hold what was written.")


def _is_same(first: Annotation, second: Annotation) -> bool:
    """Compare as text: a NaN among the other fields equals itself there."""
    return format_annotation(first) == format_annotation(second)
