"""Read files of bars, in whatever layout."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from trendtrain.errors import InputError, near_file
from trendtrain.importing.cleaning import Findings, clean, note_off_grid
from trendtrain.importing.file_names import kind_of_price, split_name, with_kind
from trendtrain.importing.layouts import Layout, choose_layout
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.readers import NoTableError, is_supported, read_table
from trendtrain.importing.table import REQUIRED, Table
from trendtrain.market.bars import Bars, BarsError, Series, TimeArray, name_series
from trendtrain.market.timeframe import format_timeframe, is_off_grid, shortest_step

# Files with dirt have few bad rows in thousands; files read by the wrong columns have nearly all. Single rows decide no
# small file.
_MOST_BAD_SHARE: Final = 0.05
_FEW_BAD: Final = 10
_DAY: Final = np.timedelta64(1, "D")
_SECOND: Final = np.timedelta64(1, "s")
_CLOCK_CHANGE: Final = np.timedelta64(1, "h")
_BETWEEN_CHANGES: Final = np.timedelta64(150, "D")  # less than half a year, of clocks that go forward once


@dataclass(frozen=True)
class FileBars:
    """The bars of a file, and how they were read.

    Attributes:
        path: The file.
        series: Whose bars they are.
        bars: In order, each time once.
        layout: Name of the layout.
        time_rule: How the times became UTC.
        volume_rule: What the volume counts, empty where it is the volume column.
        findings: What was done to the rows.
        kind: The kind of price, None for what is traded on the spot, or where nothing says another.
    """

    path: Path
    series: Series
    bars: Bars
    layout: str
    time_rule: str
    volume_rule: str
    findings: Findings
    kind: str | None = None

    def refuse_faults(self) -> None:
        """Refuse the file if rows had to be sorted in, or left out for a reason other than being equal.

        Raises:
            InputError: If there was such a row.
        """
        if self.findings.first_fault is not None:
            raise InputError(self.findings.first_fault.located(self.path, "data row"))


def find_files(path: str | Path, layout: str | None = None) -> list[Path]:
    """Return a file, or the files of bars of a folder (not of folders in it) by name.

    A file of a folder whose columns are not those of bars is left out, and a line on standard error says so.

    Args:
        path: A file, taken as it is, or a folder.
        layout: The layout of all files, where it is given: none is left out then, since it decides what columns mean.

    Raises:
        InputError: If nothing is there, or the folder has no supported file, or none with bars.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"`path` must name a file or folder that exists, got {path}{near_file(path)}")
    files = sorted(file for file in path.iterdir() if file.is_file() and is_supported(file))
    if not files:
        raise InputError(f"`path` must hold CSV, Parquet, Feather or JSON files, got the folder {path} without any.")
    left_out = {file: reason for file in files if (reason := _why_no_bars(file, layout))}
    if len(left_out) == len(files):
        got = f"{files[0].name}, which {left_out[files[0]]}"
        raise InputError(f"`path` must hold files of bars, got the folder {path} with {len(files)} of none, as {got}.")
    for file, reason in left_out.items():
        sys.stderr.write(f"left out {file}: it {reason}\n")
    return [file for file in files if file not in left_out]


def read_bars(
    path: str | Path,
    symbol: str | None = None,
    timeframe: str | None = None,
    layout: str | None = None,
    timezone: str | None = None,
) -> tuple[Series, Bars]:
    """Read the bars of one file of which nothing has to be left out.

    Rows the newest first are reversed, and rows that come twice with the same values count once.

    Args:
        path: The file; a name like `SYMBOL_TIMEFRAME.csv` tells both.
        symbol: Its symbol; None to take it from the name, a `symbol` column, or the name's stem.
        timeframe: Its timeframe; None to take the smallest difference of its times.
        layout: Its layout, one of `layouts.NAMES`; None to detect it.
        timezone: The zone of times without one; None for what the layout says, mostly UTC.

    Raises:
        InputError: If the file cannot be read or its bars break a rule; in one line, with file and data row (from 1).
    """
    file = read_file(Path(path), ReadOptions(symbol, timeframe, layout, timezone))
    file.refuse_faults()
    return file.series, file.bars


def read_file(path: Path, options: ReadOptions, content: bytes | None = None) -> FileBars:
    """Read the bars of one file, and what had to be done to its rows.

    Args:
        path: The file.
        options: How to read it.
        content: What to read in place of what the file holds, such as a part of it; None for all.

    Raises:
        InputError: If the file cannot be read, or no rows are left.
    """
    try:
        table = read_table(path, content=content)
        kind = kind_of_price(path, table.name)
        if kind == "funding":
            raise BarsError("a file must hold bars, got funding rates by its name.")
        layout = choose_layout(table, options.layout)
        inner, outer = split_name(table.name), split_name(table.path.name)  # of the one file in a zip, and of the zip
        name = outer if inner.timeframe is None and outer.symbol is not None else inner
        raw, bars, findings = read_rows(table, layout, options, name.timeframe)
    except BarsError as error:
        raise InputError(error.located(path, "data row")) from error
    own = raw.symbol or name.symbol or raw.symbol_column or name.stem
    symbol = with_kind(own, kind) if options.symbol is None else options.symbol
    series = name_series(symbol, format_timeframe(bars.timeframe))
    return FileBars(path, series, bars, layout.name, raw.time_rule, raw.volume_rule, findings, kind)


def read_rows(
    table: Table, layout: Layout, options: ReadOptions, named: np.timedelta64 | None
) -> tuple[RawBars, Bars, Findings]:
    """Return the rows that are bars, those bars, and what had to be done to the rows.

    Raises:
        BarsError: If no rows are left, many cannot be bars, or their timeframe is not the one `named` by the file or
            that of the options.
    """
    rows = layout.read(table, options)
    raw, findings = clean(rows)
    _check_share(findings, layout)
    if len(raw.open_time) == 0:
        raise findings.first_fault or BarsError("a file must hold bars, got none.")
    # A row that is left out still tells how far apart bars lie.
    times = np.unique(rows.open_time) if findings.n_broken else raw.open_time
    length = _choose_timeframe(times, rows, named, options.bar_length)
    bars = raw.as_bars(length)
    return raw, bars, note_off_grid(findings, rows, bars)


def infer_timeframe(times: TimeArray, named: np.timedelta64 | None = None) -> np.timedelta64:
    """Return the smallest difference of times, which must be the commonest; a clock change may cut some.

    Args:
        times: Strictly increasing, `datetime64[ms]`, shape (n_bars,).
        named: What the name of the file says; an error advises no other.

    Raises:
        BarsError: If there are fewer than two times, another difference is commoner, or it is no whole second. Where
            one bar alone lies off the grid, `row` is its position.

    Example:
        >>> infer_timeframe(np.array([0, 5, 10, 25], "datetime64[m]"))
        np.timedelta64(300000,'ms')
    """
    if len(times) < 2:
        raise BarsError(f"the timeframe of {len(times)} bar cannot be told; give `--timeframe`.")
    steps, counts = np.unique(np.diff(times.astype("datetime64[ms]")), return_counts=True)
    commonest = min(steps[counts == counts.max()], key=lambda step: (bool(_DAY % step), step))  # a quote's divides none
    if steps[0] != commonest and not _is_cut_by_clocks(times, steps[0], int(counts[0]), commonest):
        raise _uneven(times, steps[0], commonest, named)
    if commonest % _SECOND:
        fix = "; give `--timeframe 1s`" if commonest > _SECOND and named in (None, _SECOND) else ""
        raise BarsError(f"times must lie whole seconds apart, got {_format_step(commonest)}{fix}.")
    return np.timedelta64(commonest, "ms")


def _check_share(findings: Findings, layout: Layout) -> None:
    """Refuse a file of which many rows cannot be bars: its columns were misread."""
    n_bad = findings.n_broken + findings.n_conflicts
    fault = findings.first_fault
    if fault is not None and n_bad > max(_FEW_BAD, _MOST_BAD_SHARE * findings.n_rows):
        share = f"{n_bad:,} of {findings.n_rows:,} rows break a price rule or come again with other values"
        read = f"the columns cannot be those that layout {layout.name} reads ({layout.columns})"
        raise BarsError(f"{str(fault).removesuffix('.')}; {share}, so {read}.", fault.row)


def _why_no_bars(file: Path, layout: str | None) -> str:
    """Return why a file holds no bars; nothing where a layout is given or known, or reading it says more."""
    if kind_of_price(file, file.name) == "funding":
        return "holds funding rates"
    try:
        table = None if layout else read_table(file, is_preview=True)
        missing = table.missing_columns() if table and choose_layout(table, None).name == "generic" else []
    except (InputError, BarsError) as error:
        missing = list(REQUIRED) if isinstance(error.__cause__, NoTableError) else []
    return f"has no column {', '.join(missing)}" if missing else ""


def _choose_timeframe(
    times: TimeArray, rows: RawBars, named: np.timedelta64 | None, given: np.timedelta64 | None
) -> np.timedelta64:
    """Return the timeframe of bars that the layout knows or the times tell, or else the given one; all must agree."""
    length = rows.timeframe
    if length is None:
        try:
            length = infer_timeframe(times, named)
        except BarsError as error:
            if given is None:
                stray = None if error.row is None else np.flatnonzero(rows.open_time == times[error.row])
                raise BarsError(str(error), None if stray is None else int(stray[-1])) from error
            length = given
    for source, claimed in (("the name says", named), ("`--timeframe` is", given)):
        if claimed not in (None, length):
            raise BarsError(f"{source} {format_timeframe(claimed)}, but the bars are {format_timeframe(length)}.")
    return length


def _is_cut_by_clocks(times: TimeArray, smallest: np.timedelta64, count: int, commonest: np.timedelta64) -> bool:
    """Return whether the steps that are too short are one hour so, and as rare as clocks go forward."""
    is_an_hour = commonest > _CLOCK_CHANGE and commonest - smallest == _CLOCK_CHANGE
    return bool(is_an_hour and count <= 1 + (times[-1] - times[0]) // _BETWEEN_CHANGES)


def _uneven(
    times: TimeArray, smallest: np.timedelta64, commonest: np.timedelta64, named: np.timedelta64 | None
) -> BarsError:
    """Return the error of bars that lie too close to each other, with the one bar that does so where it is one.

    It advises a timeframe only where bars of it may lie as close, and the name of the file says no other.
    """
    stray = np.flatnonzero(is_off_grid(times, commonest))
    got = f"got {_format_step(smallest)}, but {_format_step(commonest)} is commoner"
    fixes, row = [], None
    for step in (commonest, smallest):
        if not commonest % step and not step % _SECOND and shortest_step(step) <= smallest and named in (None, step):
            fixes = [f"give `--timeframe {_format_step(step)}`"]  # the smallest that fits
    if len(stray) == 1:
        row = int(stray[0])
        got += f", and {times[row]} alone lies off its grid"
        fixes.append("remove that row")
    fix = f"; {' or '.join(fixes)}" if fixes else ""
    return BarsError(f"the smallest difference of times must be the commonest, {got}{fix}.", row)


def _format_step(step: np.timedelta64) -> str:
    return f"{int(step.astype(np.int64))} ms" if step % _SECOND else format_timeframe(step)
