"""Read delimited text: find its encoding, its delimiter, its banner, and whether it names its columns."""

import re
import warnings
from typing import BinaryIO, Final

import pandas as pd

from trendtrain.market.bars import BarsError

_HEAD: Final = 65_536  # bytes looked at before reading; more than any two lines of bars
_PREVIEW: Final = 100  # rows that show which layout a file without a header has
_DELIMITERS: Final = ",;\t|"
_VALUE: Final = re.compile(r"[-+]?\d[\d.:/ eETZ+-]*|true|false", re.IGNORECASE)  # no name of a column
_RAGGED: Final = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")


def read_text(file: BinaryIO, is_preview: bool = False) -> tuple[pd.DataFrame, str]:
    """Return the table of a CSV-like file, and its banner: a first line with a web address.

    A file whose first line holds numbers and times alone has no header: its columns are numbered from 0.

    Args:
        file: What to read.
        is_preview: Whether to read the header alone, or some first rows where there is none.

    Raises:
        BarsError: If a row has more fields than the first line.
        ValueError: If the bytes are no text.
    """
    head = file.read(_HEAD)
    file.seek(0)
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    # A character may be cut in two at the end of the head.
    lines = [line for line in head.decode(encoding, errors="ignore").splitlines() if line.strip()]
    banner = lines[0].strip() if lines and "://" in lines[0] else ""
    first = lines[1] if banner and len(lines) > 1 else "".join(lines[:1])
    delimiter = max(_DELIMITERS, key=first.count)
    has_names = not all(_VALUE.fullmatch(field.strip(' "')) for field in first.rstrip("\r\n,;").split(delimiter))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if is_preview else "error", pd.errors.ParserWarning)
        try:
            table = pd.read_csv(
                file,
                sep=delimiter,
                header=0 if has_names else None,
                skiprows=1 if banner else 0,
                encoding=encoding,
                index_col=False,
                low_memory=False,
                skipinitialspace=True,
                nrows=None if not is_preview else 0 if has_names else _PREVIEW,
            )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            raise _ragged(error, bool(banner) + has_names) from error
    if not has_names:
        table.columns = pd.RangeIndex(len(table.columns))
    return table, banner


def _ragged(error: Exception, n_above: int) -> Exception:
    """Return the error as a rule on a row, which stands below `n_above` lines; as it is where it is another."""
    if isinstance(error, pd.errors.ParserWarning):
        return BarsError("a row must have as many fields as the header, got more.", 0)
    found = _RAGGED.search(str(error))
    if found is None:
        return error
    return BarsError(f"a row must have {found[1]} fields like the header, got {found[3]}.", int(found[2]) - 1 - n_above)
