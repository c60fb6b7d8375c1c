"""Bring files of bars into the database."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import PRICES, Bars, BarsError, FloatArray, Series, TimeArray
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.storage.bars import BarStore
from trendtrain.storage.importers.columns import find_columns, only_symbol, read_numbers
from trendtrain.storage.importers.file_names import NameParts, split_name
from trendtrain.storage.importers.quality import ImportReport, describe
from trendtrain.storage.importers.readers import is_supported, read_table
from trendtrain.storage.importers.spacing import infer_timeframe, is_even
from trendtrain.storage.importers.times import read_times
from trendtrain.storage.series import name_series


def import_files(
    store: BarStore, files: Sequence[Path], symbol: str | None = None, timeframe: str | None = None
) -> list[ImportReport]:
    """Write the bars of files; every file is read before any is written.

    Args:
        store: Where to write.
        files: As `find_files` gives them. Files of the same series merge; the later one wins.
        symbol: Symbol of all files; None to take each file's own.
        timeframe: Timeframe of all files; None to tell it from each file.

    Returns:
        A report on each file, in order.

    Raises:
        InputError: If a file breaks a rule, or its bars do not fit those stored.
    """
    contents = [read_bars(file, symbol, timeframe) for file in files]
    return [
        ImportReport(series, file, describe(series, bars), store.write(*series, bars))
        for file, (series, bars) in zip(files, contents, strict=True)
    ]


def import_path(
    store: BarStore, path: str | Path, symbol: str | None = None, timeframe: str | None = None
) -> list[ImportReport]:
    """Write the bars of a file, or of all files of a folder; see `import_files`."""
    return import_files(store, find_files(path), symbol, timeframe)


def find_files(path: str | Path) -> list[Path]:
    """Return a file, or the supported files of a folder (not of folders in it) by name.

    Raises:
        InputError: If nothing is there, or the folder has no supported file.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"`path` must name a file or folder that exists, got {path}.")
    files = sorted(file for file in path.iterdir() if file.is_file() and is_supported(file))
    if not files:
        raise InputError(f"`path` must hold CSV, Parquet, Feather or JSON files, got the folder {path} without any.")
    return files


def read_bars(path: str | Path, symbol: str | None = None, timeframe: str | None = None) -> tuple[Series, Bars]:
    """Read the bars of one CSV, Parquet, Feather or JSON file.

    Args:
        path: The file; a name like `SYMBOL_TIMEFRAME.csv` tells both.
        symbol: Its symbol; None to take it from the name, a `symbol` column, or the name's stem.
        timeframe: Its timeframe; None to take the smallest difference of its times.

    Raises:
        InputError: If the file cannot be read or its bars break a rule; in one line, with file and data row (from 1).
    """
    path = Path(path)
    given = None if timeframe is None else parse_timeframe(timeframe)
    table, name = read_table(path), split_name(path)
    try:
        columns = find_columns(table)
        times = read_times(columns["time"])
        first, high, low, last = (read_numbers(columns[price]) for price in PRICES)
        volume = read_numbers(columns["volume"], may_be_missing=True) if "volume" in columns else _none(times)
        length = _timeframe(times, name, given)
        own = only_symbol(columns["symbol"]) if "symbol" in columns else name.stem
        bars = Bars(times, first, high, low, last, volume, length)
    except BarsError as error:
        raise InputError(_locate(path, error)) from error
    return name_series(name.symbol or own if symbol is None else symbol, format_timeframe(length)), bars


def _none(times: TimeArray) -> FloatArray:
    return np.full(len(times), np.nan)


def _timeframe(times: TimeArray, name: NameParts, given: np.timedelta64 | None) -> np.timedelta64:
    """Return the timeframe that the times tell, or the one given where they tell none; all sources must agree."""
    length = given if given is not None and not is_even(times) else infer_timeframe(times)
    for source, claimed in (("the name says", name.timeframe), ("`--timeframe` is", given)):
        if claimed not in (None, length):
            raise BarsError(f"{source} {format_timeframe(claimed)}, but the bars are {format_timeframe(length)}.")
    return length


def _locate(path: Path, error: BarsError) -> str:
    """Return the message with the file, and with the row counted from 1."""
    if error.row is None:
        return f"{path}: {error}"
    message = str(error).removesuffix(f" at row {error.row}.").removesuffix(".")
    return f"{path}, data row {error.row + 1}: {message}."
