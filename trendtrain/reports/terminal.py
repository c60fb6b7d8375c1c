"""Print to the terminal, and format numbers for its tables."""

import math
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

_ANY_WIDTH = 10_000


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command line, which ends quietly."""
        raise  # rich calls this while it handles the error


def show(content: RenderableType) -> None:
    """Print to the terminal; into a file or a pipe, wide enough for every table. Text is printed unchanged."""
    console = _Terminal()
    if not console.is_terminal:
        console = _Terminal(width=140)
    is_text = isinstance(content, str)  # a path in it may hold brackets, and must stay in one piece
    console.print(content, markup=False, highlight=False, soft_wrap=is_text)


class Records:
    """Show records as a table, a row for each; where that is too wide, a column for each, in tables that fit.

    Args:
        names: Of the columns; the first names the record.
        rows: The texts of each record, in the order of `names`.
        title: A line above.
    """

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        self.names = list(names)
        self.rows = [list(row) for row in rows]
        self.title = title

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table that fits, or the tables."""
        if self.title:
            yield Text(self.title, overflow="fold")
        table = _table(self.names, self.rows)
        if _fits(table, console, options):
            yield table
            return
        first = 0
        while first < len(self.rows):
            n = 1
            while first + n < len(self.rows) and _fits(self._turned(first, n + 1), console, options):
                n += 1
            yield self._turned(first, n)
            first += n

    def _turned(self, first: int, n: int) -> Table:
        """Return a table with a column for each of `n` records."""
        part = self.rows[first : first + n]
        names, *rows = zip(self.names, *part, strict=True)
        return _table(names, rows)


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    columns = (Column(Text(name), overflow="fold", justify="right" if i else "left") for i, name in enumerate(names))
    table = Table(*columns, box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _fits(content: RenderableType, console: Console, options: ConsoleOptions) -> bool:
    return Measurement.get(console, options.update(width=_ANY_WIDTH), content).maximum <= options.max_width


class Fitting:
    """Show the first of some renderables that fits the terminal's width, or else the last."""

    def __init__(self, *choices: RenderableType) -> None:
        self.choices = choices

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the choice that fits."""
        yield next((choice for choice in self.choices if _fits(choice, console, options)), self.choices[-1])


def number(value: float) -> str:
    """Return a count with commas, a share with four digits; `none yet` for NaN.

    Example:
        >>> number(22534), number(0.62711), number(float("nan"))
        ('22,534', '0.6271', 'none yet')
    """
    if isinstance(value, float):
        return "none yet" if math.isnan(value) else f"{value:.4f}"
    return f"{value:,}"


def compared(difference: float, ci95: Sequence[float], better: str, worse: str, neither: str) -> str:
    """Return what a paired difference shows, in the words of the caller, with its interval.

    Example:
        >>> compared(0.02, (0.01, 0.03), "better", "worse", "no difference shown")
        'better by 0.0200 (95 % interval 0.0100 to 0.0300)'
        >>> compared(-0.02, (-0.03, -0.01), "better", "worse", "no difference shown")
        'worse by 0.0200 (95 % interval 0.0100 to 0.0300)'
        >>> compared(0.02, (-0.01, 0.05), "better", "worse", "no difference shown")
        'no difference shown: +0.0200 (95 % interval -0.0100 to +0.0500)'
    """
    low, high = ci95
    if math.isnan(low):
        return "too few events to tell"
    if low <= 0.0 <= high:
        return f"{neither}: {difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f})"
    word, (least, most) = (better, (low, high)) if low > 0.0 else (worse, (-high, -low))
    return f"{word} by {abs(difference):.4f} (95 % interval {least:.4f} to {most:.4f})"


def from_here(path: Path, here: Path) -> Path:
    """Return a path as a user who is in the folder `here` would type it."""
    return path.relative_to(here) if path.is_relative_to(here) else path


def charts_line(folder: Path, shown: Path) -> str:
    """Return a line that shows how to see the charts in a folder, or nothing where no logger wrote any.

    Args:
        folder: Where event files of TensorBoard may be, at any depth.
        shown: The folder as a user would type it.
    """
    has_charts = any(True for _ in folder.rglob("events.out.tfevents.*"))
    return f"\ncharts:  tensorboard --logdir {shown}" if has_charts else ""
