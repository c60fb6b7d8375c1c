"""Keep annotations in a folder, beside the database that holds their bars."""

from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.small_form import format_annotation, parse_annotation
from trendtrain.errors import InputError, check_at_least
from trendtrain.market.bars import Bars, name_series
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.whole_file import whole_file

# How many times the wanted context to load, since a series may have holes; at last everything.
_REACHES: Final = (1, 16, None)
_ENDING: Final = ".json"
_LONGEST: Final = 200  # bytes of a file name, which most disks end at 255; a file under way has a longer one


class AnnotationStore:
    """A folder of small JSON files, one an annotation, and the database that holds their bars.

    Args:
        folder: Where the files are; made by the first `save`.
        bar_store: Where the bars are.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from trendtrain.storage import open_database
        >>> engine, folder = open_database("sqlite://"), tempfile.TemporaryDirectory()
        >>> store = AnnotationStore(Path(folder.name), BarStore(engine))
        >>> entry, exit = np.datetime64("2024-01-01T10:00"), np.datetime64("2024-01-01T15:00")
        >>> store.save(Annotation("BTC/1", "BTCUSDT", "1h", 1, entry, exit, 42_000.0, 43_000.0))
        >>> store.ids(), store.load("BTC/1").exit_price
        (['BTC/1'], 43000.0)
        >>> engine.dispose(); folder.cleanup()
    """

    def __init__(self, folder: Path, bar_store: BarStore) -> None:
        self.folder = folder
        self.bar_store = bar_store

    def ids(self) -> list[str]:
        """Return the ids of all annotations, sorted.

        Raises:
            InputError: If there is no such folder.
        """
        if not self.folder.is_dir():
            raise InputError(f"`folder` must be a folder of annotations that exists, got {self.folder}.")
        return sorted(unquote(file.name[: -len(_ENDING)]) for file in self.folder.glob(f"*{_ENDING}"))

    def load(self, annotation_id: str) -> Annotation:
        """Return an annotation, without its bars: one small file is read.

        Raises:
            InputError: If there is none of that id, or its file breaks a rule.
        """
        path = self.path(annotation_id)
        try:
            annotation = parse_annotation(path.read_bytes())
        except OSError as error:
            rule = f"`annotation_id` must name an annotation in {self.folder}"
            raise InputError(f"{rule}, got {annotation_id!r}: {error.strerror}.") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if annotation.annotation_id != annotation_id:
            rule = f"`annotation_id` must be that of the file's name, {annotation_id!r}"
            raise InputError(f"{path}: {rule}, got {annotation.annotation_id!r}.")
        return annotation

    def load_all(self) -> list[Annotation]:
        """Return all annotations, sorted by id."""
        return [self.load(annotation_id) for annotation_id in self.ids()]

    def save(self, annotation: Annotation) -> None:
        """Write an annotation, whole or not at all; an older one of its id is replaced.

        Raises:
            InputError: If it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            got = f"{self.folder}: {error.strerror}"
            raise InputError(f"`folder` must be a folder that can be made, got {got}.") from error
        with whole_file(self.path(annotation.annotation_id), "annotation") as file:
            file.write(format_annotation(annotation).encode())

    def bars(self, annotation: Annotation, timeframe: str | None = None, before: int = 0, after: int = 0) -> Bars:
        """Load the bars of a trade, from the one it was entered in to the one it was left in, both included.

        Args:
            annotation: The trade.
            timeframe: Any timeframe the database has of its symbol; None for the annotation's own.
            before: Bars of context before the entry; fewer where the series begins later.
            after: Bars of context after the exit; fewer where the series ends earlier.

        Raises:
            InputError: If the database lacks bars of the trade, or a count is negative.
        """
        check_at_least("before", before, 0)
        check_at_least("after", after, 0)
        timeframe = timeframe or annotation.timeframe
        length, left = parse_timeframe(timeframe), annotation.exit_timestamp
        for reach in _REACHES:
            start = None if reach is None else annotation.entry_timestamp - (2 + reach * before) * length
            end = None if reach is None or left is None else left + (1 + reach * after) * length
            bars = load_range(self.bar_store, annotation, timeframe, start, end)
            first = find_bar(bars, annotation.entry_timestamp, annotation)
            last = len(bars) - 1 if left is None else find_bar(bars, left, annotation)
            if first >= before and (left is None or last + after < len(bars)):
                break
        return bars[max(0, first - before) : last + after + 1]

    def path(self, annotation_id: str) -> Path:
        """Return the file of an id; what is no letter, digit or one of `_.-~` is written as %XX.

        Raises:
            InputError: If the id is too long for a file name, or no text.
        """
        try:
            name = quote(annotation_id, safe="")
        except UnicodeEncodeError as error:
            raise InputError(f"`annotation_id` must be text, got {annotation_id!r}.") from error
        if len(name) > _LONGEST:
            raise InputError(f"`annotation_id` must fit a file name of {_LONGEST} bytes, got {annotation_id!r}.")
        return self.folder / f"{name}{_ENDING}"


def find_bar(bars: Bars, time: np.datetime64, annotation: Annotation) -> int:
    """Return the position of the bar that was under way at a time; where that one is missing, of the one before it.

    A trade's snapshot often ends with the last bar that had closed, so that the bar under way is not stored.

    Raises:
        InputError: If both are missing; the line names the annotation, the series and the trade's times.
    """
    bar = int(np.searchsorted(bars.open_time, time, side="right")) - 1
    if bar < 0 or time - bars.open_time[bar] >= 2 * bars.timeframe:
        raise InputError(f"{_rule(annotation, format_timeframe(bars.timeframe))}, got none at {time}.")
    return bar


def load_range(
    store: BarStore, annotation: Annotation, timeframe: str, start: np.datetime64 | None, end: np.datetime64 | None
) -> Bars:
    """Load bars of an annotation's symbol, as `BarStore.load` does.

    Raises:
        InputError: If there are none; the line names the annotation, the series and the trade's times.
    """
    try:
        return store.load(annotation.symbol, timeframe, start, end)
    except InputError as error:
        raise InputError(f"{_rule(annotation, timeframe)}: {error}") from error


def _rule(annotation: Annotation, timeframe: str) -> str:
    series = " ".join(name_series(annotation.symbol, timeframe))
    span = f"{annotation.entry_timestamp} to {annotation.exit_timestamp or 'the last stored'}"
    return f"annotation {annotation.annotation_id!r} must find its bars in the database, {series} from {span}"
