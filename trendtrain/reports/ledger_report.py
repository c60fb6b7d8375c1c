"""Show the content of a database as tables in the terminal."""

import math
from collections.abc import Sequence
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from trendtrain.market.timeframe import format_minute
from trendtrain.reports.terminal import Fitting, Records, compared, number
from trendtrain.storage.database_info import DatabaseInfo, RunInfo, SeriesInfo
from trendtrain.storage.ledger.compare import Comparison, Pair
from trendtrain.storage.ledger.stats import LedgerStats

_MOST_DIFFERENCES: Final = 12
_COUNTS: Final = ("total", "validated", "correct", "accuracy", "pending", "void")
_OF_SERIES: Final = ("series", "bars", "first", "last", "blocks", "bytes", "bytes a bar")
_OF_RUNS: Final = ("run", "status", "steps", "started", "last write", "predictions")


def stats_table(rows: Sequence[LedgerStats]) -> RenderableType:
    """Return the event accuracy and the six numbers of each model and series, a table for each run."""
    names = ("series", "model", "events", "event accuracy", "+-", *_COUNTS, "expected")
    tables = []
    for run in dict.fromkeys(row.run for row in rows):
        texts = [_stats_row(row) for row in rows if row.run == run]
        tables.append(Records(names, texts, title=f"run {run}"))
    return Group(*tables)


def _stats_row(row: LedgerStats) -> list[str]:
    scores = [number(row.n_events), number(row.event_accuracy), _share(row.accuracy_se)]
    counts = map(number, row.stats.as_dict().values())
    return [f"{row.symbol} {row.timeframe}", row.model, *scores, *counts, _share(row.expected_accuracy)]


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return runs side by side, and the result of each pair on the events of both."""
    first, *_ = comparison.contestants
    rows = [
        [one.run, one.model, number(one.n_events), number(one.event_accuracy), _share(one.accuracy_se)]
        for one in comparison.contestants
    ]
    runs = Records(("run", "model", "events", "event accuracy", "+-"), rows)
    title = Text(f"compared with {first.run} {first.model}, on the events of both, an event one observation")
    pairs = Fitting(_pairs_table(comparison.pairs, padding=(0, 1)), _pairs_table(comparison.pairs, padding=0))
    return Group(runs, title, pairs, _differences(comparison.differences))


def _pairs_table(pairs: Sequence[Pair], padding: int | tuple[int, int]) -> Table:
    """Return a row for each pair; in a narrow terminal the result takes several lines, names and numbers one."""
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


def info_table(url: str, version: str, info: DatabaseInfo) -> RenderableType:
    """Return where a database is, its schema version, its series, its runs, and how many rows its tables have."""
    parts: list[RenderableType] = [Text(f"{url}, schema version {version}")]
    if rows := [_series_row(one) for one in info.series]:
        parts.append(Records(_OF_SERIES, rows))
    if rows := [_run_row(run) for run in info.runs]:
        parts.append(Records(_OF_RUNS, rows))
    return Group(*parts, Text(f"rows: {', '.join(f'{name} {n_rows:,}' for name, n_rows in info.n_rows.items())}"))


def _series_row(one: SeriesInfo) -> list[str]:
    span = [format_minute(one.first), format_minute(one.last)]
    sizes = [number(one.n_blocks), number(one.n_bytes), f"{one.n_bytes / one.n_bars:.1f}"]
    return [f"{one.symbol} {one.timeframe}", number(one.n_bars), *span, *sizes]


def _run_row(run: RunInfo) -> list[str]:
    steps = f"{run.step + 1:,}" + (f" of {run.n_steps:,}" if run.n_steps is not None else "")
    times = [format_minute(run.started_at), format_minute(run.updated_at)]
    n_predictions = "unknown" if run.total_predictions is None else number(run.total_predictions)
    return [run.id, run.status, steps, *times, n_predictions]


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"
