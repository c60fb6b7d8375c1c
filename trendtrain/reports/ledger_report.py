"""Show what the database holds as tables in the terminal."""

import math
from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from trendtrain.market.timeframe import format_minute
from trendtrain.reports.terminal import Fitting, compared, number
from trendtrain.storage.contents import Contents, RunContent, SeriesContent
from trendtrain.storage.ledger.compare import Comparison, Pair
from trendtrain.storage.ledger.stats import LedgerStats

_MOST_DIFFERENCES = 12
_NUMBERS = ("events", "event accuracy", "total", "validated", "correct", "accuracy", "pending", "void")


def stats_table(rows: Sequence[LedgerStats]) -> RenderableType:
    """Return the event accuracy and the six numbers of each model and series, a table a run."""
    runs = {run: [row for row in rows if row.run == run] for run in dict.fromkeys(row.run for row in rows)}
    return Group(*(Fitting(_stats_wide(run, own), _stats_narrow(run, own)) for run, own in runs.items()))


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return runs side by side, and what each pair shows on the lines that judged both."""
    first, *_ = comparison.contestants
    table = Table("run", "model", "events", "event accuracy", "+-", box=SIMPLE, pad_edge=False)
    for one in comparison.contestants:
        scores = (number(one.n_events), number(one.event_accuracy), _error(one.accuracy_se))
        table.add_row(escape(one.run), escape(one.model), *scores)
    name = f"{first.run} {first.model}"
    title = Text(f"against {name}, on the lines that judged both, a line one observation")
    pairs = Fitting(_pairs_table(comparison.pairs, padding=(0, 1)), _pairs_table(comparison.pairs, padding=0))
    return Group(table, title, pairs, _differences(comparison.differences))


def _pairs_table(pairs: Sequence[Pair], padding: int | tuple[int, int]) -> Table:
    """Return a row for each pair; where it is narrow, what is shown takes several lines, and names and numbers none."""
    columns = (Column(name, no_wrap=True) for name in ("run", "model", "events", "it", "the other"))
    table = Table(*columns, "shown", box=SIMPLE, pad_edge=False, padding=padding)
    for pair in pairs:
        shown = compared(pair.difference, pair.difference_ci95, "better", "worse", "no difference shown")
        scores = (number(pair.n_events), number(pair.event_accuracy), number(pair.against_accuracy))
        table.add_row(escape(pair.run), escape(pair.model), *scores, shown)
    return table


def _differences(differences: dict[str, dict[str, Any]]) -> Text:
    """Return a line for each key that differs, the values in the order of the runs."""
    lines = [f"{key}: {', '.join(map(str, of_runs.values()))}" for key, of_runs in differences.items()]
    rest = [f"and {len(lines) - _MOST_DIFFERENCES} more"] if len(lines) > _MOST_DIFFERENCES else []
    return Text("\n".join(["the runs differ in", *lines[:_MOST_DIFFERENCES], *rest]) if lines else "")


def _error(se: float) -> str:
    return "" if math.isnan(se) else f"{se:.4f}"


def _stats_wide(run: str, rows: Sequence[LedgerStats]) -> Table:
    first, second, *rest = _NUMBERS
    table = _table("model", "symbol", "timeframe", first, second, "+-", *rest, "expected", title=escape(f"run {run}"))
    for row in rows:
        n_events, accuracy, *counts = _numbers_of(row)
        scores = (n_events, accuracy, _error(row.accuracy_se), *counts, _expected(row))
        table.add_row(*map(escape, (row.model, row.symbol, row.timeframe)), *scores)
    return table


def _expected(row: LedgerStats) -> str:
    return "" if math.isnan(row.expected_accuracy) else f"{row.expected_accuracy:.4f}"


def _stats_narrow(run: str, rows: Sequence[LedgerStats]) -> RenderableType:
    tables = []
    for model in dict.fromkeys(row.model for row in rows):
        table = _narrow("series", *_NUMBERS, title=escape(f"run {run}, model {model}"))
        for row in rows:
            if row.model == model:
                table.add_row(escape(f"{row.symbol} {row.timeframe}"), *_numbers_of(row))
        tables.append(table)
    return Group(*tables)


def _numbers_of(row: LedgerStats) -> list[str]:
    return [number(value) for value in (row.n_events, row.event_accuracy, *row.stats.as_dict().values())]


def contents_table(url: str, version: str, contents: Contents) -> RenderableType:
    """Return where a database is, its schema version, its series, its runs, and how many rows its tables have."""
    head = Text(f"{url}, schema version {version}")
    rows = ", ".join(f"{name} {n_rows:,}" for name, n_rows in contents.n_rows.items())
    parts: list[RenderableType] = []
    if contents.series:
        parts.append(Fitting(_series_wide(contents.series), _series_narrow(contents.series)))
    if contents.runs:
        parts.append(Fitting(_runs_wide(contents.runs), _runs_narrow(contents.runs)))
    return Group(head, *parts, Text(f"rows: {rows}"))


def _series_wide(series: Sequence[SeriesContent]) -> Table:
    table = _table("symbol", "timeframe", "bars", "first", "last", "blocks", "bytes", "bytes a bar")
    for one in series:
        span, sizes = (format_minute(one.first), format_minute(one.last)), (one.n_blocks, one.n_bytes)
        row = (escape(one.symbol), one.timeframe, number(one.n_bars), *span, *map(number, sizes))
        table.add_row(*row, f"{one.n_bytes / one.n_bars:.1f}")
    return table


def _series_narrow(series: Sequence[SeriesContent]) -> Table:
    table = _narrow("series", "bars", "first", "last", "blocks", "bytes")
    for one in series:
        days = (_day(one.first), _day(one.last))
        name = escape(f"{one.symbol} {one.timeframe}")
        table.add_row(name, number(one.n_bars), *days, number(one.n_blocks), number(one.n_bytes))
    return table


def _runs_wide(runs: Sequence[RunContent]) -> Table:
    table = _table("run", "status", "steps", "started", "last write", "predictions")
    for run in runs:
        times = (format_minute(run.started_at), format_minute(run.updated_at))
        table.add_row(escape(run.id), run.status, _steps(run), *times, _made(run))
    return table


def _runs_narrow(runs: Sequence[RunContent]) -> Table:
    table = _narrow("run", "status", "steps", "last write", "predictions")
    for run in runs:
        table.add_row(escape(run.id), run.status, _steps(run), _day(run.updated_at), _made(run))
    return table


def _steps(run: RunContent) -> str:
    return f"{run.step + 1:,}" + (f" of {run.n_steps:,}" if run.n_steps is not None else "")


def _made(run: RunContent) -> str:
    return "not told" if run.total_predictions is None else number(run.total_predictions)


def _day(milliseconds: int) -> str:
    return format_minute(milliseconds)[:10]


def _table(*names: str, title: str | None = None) -> Table:
    return Table(*names, title=title, title_justify="left", box=SIMPLE, pad_edge=False)


def _narrow(name: str, *numbers: str, title: str | None = None) -> Table:
    """Return a table whose first column gives way, and whose numbers are never cut."""
    first = Column(name, overflow="fold")
    # A heading of two words may take two lines; numbers and dates hold no space.
    columns = (Column(heading, justify="right", min_width=max(map(len, heading.split()))) for heading in numbers)
    return Table(first, *columns, title=title, title_justify="left", box=SIMPLE, show_edge=False, padding=0)
