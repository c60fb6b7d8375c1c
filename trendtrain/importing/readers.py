"""Read a file of any supported format into a table as it stands."""

import csv
import gzip
import io
import json
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import pandas as pd
import pyarrow as pa

from trendtrain.errors import InputError
from trendtrain.importing.headers import UNNAMED, Header, flatten, join_rows
from trendtrain.importing.table import SYMBOLS, Table, plain_name
from trendtrain.market.bars import BarsError

_HEAD: Final = 65_536  # bytes looked at before reading; more than any two lines of bars
_PREVIEW: Final = 100  # rows that show which layout a file without a header has
_DELIMITERS: Final = ",;\t|"
_VALUE: Final = re.compile(r"[-+]?\d[\d.:/ eETZ+-]*|true|false", re.IGNORECASE)  # no name of a column
_RAGGED: Final = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_UNREADABLE: Final = (
    OSError,
    ValueError,
    EOFError,
    RecursionError,
    zlib.error,
    zipfile.BadZipFile,
    NotImplementedError,  # a zip packed in a way that Python cannot unpack
    RuntimeError,  # a zip with a password
    KeyError,  # a damaged description of columns
    TypeError,  # likewise
    pa.ArrowException,
)


class NoTableError(ValueError):
    """A file that can be read, but holds no rows and columns."""


def read_table(path: Path, is_preview: bool = False, content: bytes | None = None) -> Table:
    """Return what a file holds, nothing renamed or converted; an index becomes a column unless it counts rows.

    Args:
        path: The file.
        is_preview: Whether to read no more of a text file than shows its columns.
        content: What to read in place of what the file holds, such as a part of it; None for all.

    Raises:
        InputError: If there is no such file, its extension is unknown, it is empty, or it cannot be read.
        BarsError: If a row does not fit the others.
    """
    if not path.is_file():
        raise InputError(f"`path` must name a file that exists, got {path}.")
    ending = extension(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: a file must hold bars, got 0 bytes.")
    try:
        with path.open("rb") if content is None else io.BytesIO(content) as file:
            return _read(path, path.name, ending, file, is_preview)
    except pd.errors.EmptyDataError as error:
        raise InputError(f"{path}: a file must hold bars, got no columns.") from error
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: {_why(ending, error)}.") from error


def extension(path: Path) -> str:
    """Return the supported extension of a path, lower case.

    Raises:
        InputError: If it has none.

    Example:
        >>> extension(Path("BTCUSDT_1m.CSV.gz"))
        '.csv.gz'
    """
    for known in ENDINGS:
        if path.name.lower().endswith(known):
            return known
    raise InputError(f"`path` must end in one of {', '.join(ENDINGS)}, got {path}.")


def is_supported(path: Path) -> bool:
    """Return whether a path has a supported extension, and is not hidden."""
    return path.name.lower().endswith(ENDINGS) and not path.name.startswith(".")


def _read(path: Path, name: str, ending: str, file: BinaryIO, is_preview: bool) -> Table:
    if ending == ".zip":
        return _read_zip(path, file, is_preview)
    if ending.endswith(".gz"):
        with gzip.open(file) as unpacked:
            # typeshed: a GzipFile is no BinaryIO, though it reads like one
            return _read(path, name, ending.removesuffix(".gz"), unpacked, is_preview)  # type: ignore[arg-type]
    if ending in (".csv", ".txt"):
        return Table(path, name, *_read_text(file, is_preview))
    return Table(path, name, with_index(_READERS[ending](file)))


def _read_zip(path: Path, file: BinaryIO, is_preview: bool) -> Table:
    with zipfile.ZipFile(file) as archive:
        members = [name for name in archive.namelist() if not name.startswith("__MACOSX/") and name[-1] != "/"]
        if len(members) != 1:
            names = f" ({', '.join(members[:3])}{', ...' if len(members) > 3 else ''})" if members else ""
            raise InputError(f"{path}: a zip must hold one file of bars, got {len(members) or 'none'}{names}.")
        member = Path(members[0])
        if not is_supported(member) or extension(member) == ".zip":
            raise InputError(f"{path}: a zip must hold a CSV, Parquet, Feather or JSON file, got {member.name}.")
        with archive.open(members[0]) as unpacked:
            return _read(path, member.name, extension(member), unpacked, is_preview)  # type: ignore[arg-type]


class _Head(NamedTuple):
    """What the first lines of a CSV-like file say."""

    encoding: str
    banner: str
    delimiter: str
    fields: list[str]
    header: Header | None

    @property
    def has_names(self) -> bool:
        """Whether the first row holds more than numbers and times."""
        return not all(map(_VALUE.fullmatch, self.fields))

    @property
    def n_rows(self) -> int:
        """How many rows the header fills, and the banner above it."""
        return bool(self.banner) + (self.header.n_rows if self.header else int(self.has_names))


def _read_head(file: BinaryIO) -> _Head:
    head = file.read(_HEAD)
    file.seek(0)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    # A character may be cut in two at the end of the head.
    lines = [line for line in head.decode(encoding, errors="ignore").splitlines() if line.strip()]
    banner = lines[0].strip() if lines and "://" in lines[0] else ""
    first = lines[1] if banner and len(lines) > 1 else "".join(lines[:1])
    delimiter = max(_DELIMITERS, key=first.count)
    fields = [field.strip(' "') for field in first.rstrip("\r\n,;").split(delimiter)]
    rows = csv.reader(lines[bool(banner) :][:3], delimiter=delimiter)
    return _Head(encoding, banner, delimiter, fields, join_rows([[field.strip() for field in row] for row in rows]))


def _read_text(file: BinaryIO, is_preview: bool = False) -> tuple[pd.DataFrame, str]:
    """Return the table of a CSV-like file, and its banner: a first line with a web address.

    A file whose first line holds numbers and times alone has no header: its columns are numbered from 0.
    """
    head = _read_head(file)
    is_plain = head.has_names and head.header is None
    options: dict[str, Any] = {
        "sep": head.delimiter,
        "header": 0 if is_plain else None,
        "skiprows": head.n_rows - int(is_plain),
        "encoding": head.encoding,
        "index_col": False,
        "low_memory": False,
        "skipinitialspace": True,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if is_preview else "error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(file, **options, nrows=None if not is_preview else 0 if is_plain else _PREVIEW)
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise _ragged(error, head.n_rows) from error
    if head.header is not None:
        return table.set_axis(head.header.names, axis=1).assign(symbol=head.header.symbol), head.banner
    if not head.has_names:
        table.columns = pd.RangeIndex(len(table.columns))
    symbols = [name for name in table.columns if plain_name(name) in SYMBOLS]
    if symbols and not is_preview:  # text exactly as written: 0700, TRUE and NA are no number, truth or gap here
        file.seek(0)
        table[symbols] = pd.read_csv(
            file, **options, usecols=symbols, dtype="str", keep_default_na=False, na_values=[""]
        )
    return _with_written_names(table, head.fields if is_plain else [], is_preview), head.banner


def _with_written_names(table: pd.DataFrame, names: list[str], is_preview: bool) -> pd.DataFrame:
    """Undo what pandas does to the second of two equal names, and to an index that `to_csv` wrote without a name."""
    written = [name or old for name, old in zip(names, table.columns, strict=False)]
    if len(set(written)) < len(written):
        table.columns = [*written, *table.columns[len(written) :]]
    if names and not names[0] and (is_preview or not _is_counter(table.iloc[:, 0])):
        table.columns = [UNNAMED, *table.columns[1:]]
    return table


def _ragged(error: Exception, n_above: int) -> Exception:
    """Return the error as a rule on a row, which stands below `n_above` lines; as it is where it is another."""
    if isinstance(error, pd.errors.ParserWarning):
        return BarsError("a row must have as many fields as the header, got more.", 0)
    found = _RAGGED.search(str(error))
    if found is None:
        return error
    return BarsError(f"a row must have {found[1]} fields like the header, got {found[3]}.", int(found[2]) - 1 - n_above)


def _read_json(file: BinaryIO) -> pd.DataFrame:
    # Not `pd.read_json`: it guesses dates and epoch units column by column.
    content = json.loads(file.read().decode("utf-8-sig"))
    if isinstance(content, dict) and {"columns", "data"} <= content.keys():
        return pd.DataFrame(content["data"], content.get("index"), _as_columns(content["columns"]))
    if isinstance(content, list) and content and all(isinstance(candle, list) for candle in content):
        return _from_candles(content)
    if not isinstance(content, (dict, list)) or not _holds_columns(content):
        raise NoTableError("JSON must hold records or columns with names, or a list of candles")
    return pd.DataFrame(content)


def _as_columns(names: list[object]) -> pd.Index:
    return pd.Index([tuple(name) if isinstance(name, list) else name for name in names])


def _from_candles(candles: list[list[object]]) -> pd.DataFrame:
    lengths = list(map(len, candles))
    if min(lengths) != max(lengths):
        row = next(i for i, length in enumerate(lengths) if length != lengths[0])
        raise BarsError(f"a candle must have {lengths[0]} values like the first, got {lengths[row]}.", row)
    return pd.DataFrame(candles)


def _holds_columns(content: dict[str, object] | list[object]) -> bool:
    if isinstance(content, dict):
        return all(isinstance(column, (dict, list)) for column in content.values())
    return all(isinstance(record, dict) for record in content)


_READERS: Final[dict[str, Callable[[BinaryIO], pd.DataFrame]]] = {
    ".parquet": lambda file: pd.read_parquet(file, engine="pyarrow"),
    ".feather": pd.read_feather,
    ".json": _read_json,
}
ENDINGS: Final = (".csv", ".csv.gz", ".txt", ".parquet", ".feather", ".json", ".json.gz", ".zip")


def with_index(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its index as a column, unless that counts the rows, and with one row of column names."""
    table = flatten(table) if table.columns.nlevels > 1 else table
    index = table.index
    if isinstance(index, pd.RangeIndex) or _is_counter(index):
        return table
    return table.reset_index(names=[str(name or UNNAMED) for name in index.names], allow_duplicates=True)


def _is_counter(values: pd.Index | pd.Series) -> bool:
    return list(map(str, values[:3])) == ["0", "1", "2"][: len(values)]


def _why(ending: str, error: BaseException) -> str:
    """Return in one line why a file cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"a {ending} file must be UTF-8 text, or UTF-16 with its mark, got byte {error.object[error.start]:#04x}"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return f"a {ending} file must be readable, got {reason}"
