"""Read a file of any supported format into a table as it stands."""

import gzip
import json
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import pandas as pd
import pyarrow as pa

from trendtrain.errors import InputError

_UNREADABLE: Final = (
    OSError,
    ValueError,
    EOFError,
    RecursionError,
    zlib.error,
    pd.errors.ParserWarning,
    pa.ArrowException,
)


def read_table(path: Path) -> pd.DataFrame:
    """Return the table in a file, nothing renamed or converted; an index that means something becomes a column.

    Raises:
        InputError: If there is no such file, its extension is unknown, it is empty, or it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"`path` must name a file that exists, got {path}.")
    reader = _READERS[extension(path)]
    if path.stat().st_size == 0:
        raise InputError(f"{path}: a file must hold bars, got 0 bytes.")
    try:
        with path.open("rb") as file:
            table = reader(file)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: a file must hold bars, got no columns.") from error
    except _UNREADABLE as error:
        raise InputError(f"{path}: {_why(path, error)}.") from error
    return table if _is_counter(table.index) else table.reset_index(names=_index_names(table), allow_duplicates=True)


def extension(path: Path) -> str:
    """Return the supported extension of a path, lower case.

    Raises:
        InputError: If it has none.

    Example:
        >>> extension(Path("BTCUSDT_1m.CSV.gz"))
        '.csv.gz'
    """
    for known in _READERS:
        if path.name.lower().endswith(known):
            return known
    raise InputError(f"`path` must end in one of {', '.join(_READERS)}, got {path}.")


def is_supported(path: Path) -> bool:
    """Say whether a path has a supported extension, and is not hidden."""
    return path.name.lower().endswith(tuple(_READERS)) and not path.name.startswith(".")


def _read_csv(file: BinaryIO) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(file, index_col=False, low_memory=False, skipinitialspace=True)


def _read_csv_gz(file: BinaryIO) -> pd.DataFrame:
    with gzip.open(file) as text:
        return _read_csv(text)  # type: ignore[arg-type]  # typeshed: a GzipFile is no BinaryIO, though it reads like one


def _read_parquet(file: BinaryIO) -> pd.DataFrame:
    return pd.read_parquet(file, engine="pyarrow")


def _read_json(file: BinaryIO) -> pd.DataFrame:
    # Not `pd.read_json`: it guesses dates and epoch units column by column.
    content = json.loads(file.read().decode("utf-8-sig"))
    if isinstance(content, dict) and {"columns", "data"} <= content.keys():
        return pd.DataFrame(content["data"], content.get("index"), content["columns"])
    if not isinstance(content, (dict, list)) or not _holds_columns(content):
        raise ValueError("JSON must hold records or columns with names")
    return pd.DataFrame(content)


def _holds_columns(content: dict[str, object] | list[object]) -> bool:
    if isinstance(content, dict):
        return all(isinstance(column, (dict, list)) for column in content.values())
    return all(isinstance(record, dict) for record in content)


_READERS: Final[dict[str, Callable[[BinaryIO], pd.DataFrame]]] = {
    ".csv": _read_csv,
    ".csv.gz": _read_csv_gz,
    ".parquet": _read_parquet,
    ".feather": pd.read_feather,
    ".json": _read_json,
}


def _is_counter(index: pd.Index) -> bool:
    return isinstance(index, pd.RangeIndex) or list(map(str, index[:3])) == ["0", "1", "2"][: len(index)]


def _index_names(table: pd.DataFrame) -> list[str]:
    return [str(name or "unnamed index") for name in table.index.names]


def _why(path: Path, error: BaseException) -> str:
    """Say in one line why a file cannot be read; name the row where the reader names the line."""
    ragged = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if ragged:
        rule = f"a row must have {ragged[1]} fields like the header, got {ragged[3]}"
        return f"data row {int(ragged[2]) - 1}: {rule}"
    if isinstance(error, pd.errors.ParserWarning):
        return "data row 1: a row must have as many fields as the header, got more"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"a {extension(path)} file must be readable, got {reason}"
