"""Bring the bars of files that grow."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Final

import numpy as np

from trendtrain.errors import InputError
from trendtrain.importing import ReadOptions, find_files
from trendtrain.importing.files import FileBars, read_file
from trendtrain.importing.readers import is_supported
from trendtrain.live.polled import PolledBars
from trendtrain.market.bars import Bars, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.columns import bars_of, columns_of, merge

_LOG: Final = logging.getLogger("trendtrain.live")
_TEXT: Final = (".csv", ".txt")
_HEAD_LINES: Final = 3  # that tell the columns; where they are bars, they are old ones
_KEPT: Final = 20  # bars before those that are asked for
_N_LOOKS: Final = 10  # at the files, between two at the folder
_MARK: Final = 256  # bytes by which a file that grew is told from one that was written anew


def from_folder(
    path: str | Path | None,
    symbols: str | list[str] | None = None,
    timeframes: str | list[str] | None = None,
    layout: str | None = None,
    timezone: str | None = None,
    interval: float = 1.0,
) -> PolledBars:
    """Return what brings the bars of a file, or of the files of a folder, as lines are added to them.

    A line that does not end yet is not read, and a bar has closed once a later one is there. A text file that grows is
    read from where it ended; any other that changes is read anew, and must be replaced at once, by a rename. A file
    that comes later, such as that of the next day, is read too where it is of a series that was there at the start.

    Args:
        path: The file, or the folder.
        symbols: Which symbols; None for all.
        timeframes: Which timeframes; None for all.
        layout: How the files are laid out; None to detect it.
        timezone: The zone of times without one; None for what the layout says, mostly UTC.
        interval: Seconds between two looks.

    Raises:
        InputError: If there are no such files, or they cannot be read.
    """
    if path is None:
        raise InputError("`path` must name a file or folder of bars, got none.")
    wanted = [_listed(symbols), _listed(timeframes)]
    files = _Files(
        Path(path),
        ReadOptions(None, None, layout, timezone),
        lambda series: all(names is None or name in names for name, names in zip(series, wanted, strict=True)),
        _N_LOOKS * interval,
    )
    if not files.series:
        raise InputError(f"`symbols` and `timeframes` must leave files of {path}, got {symbols} and {timeframes}.")
    return PolledBars(files.series, files.load, interval)


class _Files:
    """The files of a path, and those of the same series that come later."""

    def __init__(self, path: Path, options: ReadOptions, is_wanted: Callable[[Series], bool], seconds: float) -> None:
        self._path, self._options, self._seconds = path, options, seconds
        self._looked = time.monotonic()
        old = self._in_folder()
        files = [GrowingFile(file, options) for file in find_files(path, options.layout)]
        self._files = [file for file in files if is_wanted(file.series)]
        self._seen = {*old, *(file.path for file in files)}  # read, or left out for good
        self._tried: dict[Path, tuple[int, int]] = {}  # the others, and their states when they could not be read
        self.series = tuple(dict.fromkeys(file.series for file in self._files))

    def load(self, series: Series, start: np.datetime64 | None) -> Bars:
        """Return the bars of a series that open at a time or later; None for all."""
        if time.monotonic() - self._looked > self._seconds:
            self._looked = time.monotonic()
            self._add_new()
        parts = [columns_of(file.newest(start)) for file in self._files if file.series == series]
        return bars_of(reduce(merge, parts), parse_timeframe(series.timeframe))

    def _in_folder(self) -> list[Path]:
        if not self._path.is_dir():
            return []
        return sorted(file for file in self._path.iterdir() if file.is_file() and is_supported(file))

    def _add_new(self) -> None:
        for path in self._in_folder():
            if path in self._seen or self._tried.get(path) == (state := _state_of(path)):
                continue
            try:
                file = GrowingFile(path, self._options)
                if file.series not in self.series:
                    raise InputError(f"{' '.join(file.series)} was not there at the start; another run can have it.")
            except InputError as error:  # it may hold only a header yet
                if path not in self._tried:
                    _LOG.warning("%s is not read yet: %s", path, error, extra={"event": "new file"})
                self._tried[path] = state
            else:
                _LOG.info("%s is read too", path, extra={"event": "new file"})
                self._files.append(file)
                self._seen.add(path)


class GrowingFile:
    """A file of bars, of which only what was added is read again.

    Args:
        path: The file.
        options: How to read it.

    Attributes:
        series: Whose bars it holds.

    Raises:
        InputError: If it cannot be read.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path = path
        self._is_text = path.name.lower().endswith(_TEXT)
        self._options = options
        self._state = (0, 0)  # its size and time of change when it was read
        self._end = 0  # of the part that was read
        self._head = self._mark = b""  # the first lines, and the last bytes, of that part
        self._is_whole = True  # whether no bar that was read is forgotten
        self._bars = self._read_all()
        self.series = self._last.series
        self._options = replace(options, timeframe=self.series.timeframe, layout=self._last.layout)

    def newest(self, start: np.datetime64 | None) -> Bars:
        """Return the bars that open at a time or later; None for all.

        Raises:
            InputError: If the file cannot be read.
        """
        is_forgotten = not self._is_whole and (start is None or start < self._bars.open_time[0])
        if is_forgotten or _state_of(self.path) != self._state:
            self._bars = self._read_all() if is_forgotten else (self._read_added() or self._read_all())
        first = 0 if start is None else int(np.searchsorted(self._bars.open_time, start))
        bars, self._bars = self._bars[first:], self._bars[max(0, first - _KEPT) :]
        self._is_whole &= first <= _KEPT
        return bars

    def _read_all(self) -> Bars:
        state, content = _state_of(self.path), None
        if self._is_text:
            content = _whole_lines(self.path.read_bytes())
        bars = self._parse(content)
        if content is not None:
            self._end, self._mark = len(content), content[-_MARK:]
            self._head = b"".join(content.splitlines(keepends=True)[:_HEAD_LINES])
        self._state, self._is_whole = state, True
        return bars

    def _read_added(self) -> Bars | None:
        """Return the bars that are held and those that were added; None if the file did not just grow."""
        state = _state_of(self.path)
        with self.path.open("rb") as file:
            file.seek(self._end - len(self._mark))
            if not self._mark or file.read(len(self._mark)) != self._mark:
                return None
            added = _whole_lines(file.read())
        bars = self._bars
        if added:
            columns = merge(columns_of(bars), columns_of(self._parse(self._head + added)))
            whole = bars_of(columns, bars.timeframe)
            bars = whole[int(np.searchsorted(whole.open_time, bars.open_time[0])) :]  # without bars of the head
            self._end, self._mark = self._end + len(added), (self._mark + added)[-_MARK:]
        self._state = state
        return bars

    def _parse(self, content: bytes | None) -> Bars:
        self._last: FileBars = read_file(self.path, self._options, content)
        self._last.refuse_faults()
        return self._last.bars


def _state_of(path: Path) -> tuple[int, int]:
    """Return the size of a file and when it changed."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _listed(names: str | list[str] | None) -> list[str] | None:
    return [names] if isinstance(names, str) else names
