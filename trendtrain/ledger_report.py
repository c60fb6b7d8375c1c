"""Show what the database holds as tables in the terminal."""

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from trendtrain.storage.contents import Contents, RunContent, SeriesContent
from trendtrain.storage.ledger_stats import LedgerStats
from trendtrain.terminal import minute, number


def stats_table(rows: Sequence[LedgerStats]) -> RenderableType:
    """Return the event accuracy and the six numbers of each model and series, a table a run."""
    numbers = ("events", "event accuracy", "total", "validated", "correct", "accuracy", "pending", "void")
    tables = []
    for run in dict.fromkeys(row.run for row in rows):
        table = _table("model", "symbol", "timeframe", *numbers, title=f"run {run}")
        for row in rows:
            if row.run == run:
                values = (row.n_events, row.event_accuracy, *row.stats.as_dict().values())
                table.add_row(*map(escape, (row.model, row.symbol, row.timeframe)), *map(number, values))
        tables.append(table)
    return Group(*tables)


def contents_table(url: str, version: str, contents: Contents) -> RenderableType:
    """Return where a database is, its schema version, its series, its runs, and how many rows its tables have."""
    head = Text(f"{url}, schema version {version}")
    parts = [_series_table(contents.series), _runs_table(contents.runs)]
    rows = ", ".join(f"{name} {n_rows:,}" for name, n_rows in contents.n_rows.items())
    return Group(head, *(part for part in parts if part.row_count), Text(f"rows: {rows}"))


def _series_table(series: Sequence[SeriesContent]) -> Table:
    table = _table("symbol", "timeframe", "bars", "first", "last", "blocks", "bytes", "bytes a bar")
    for one in series:
        span, sizes = (minute(one.first), minute(one.last)), (one.n_blocks, one.n_bytes)
        row = (escape(one.symbol), one.timeframe, number(one.n_bars), *span, *map(number, sizes))
        table.add_row(*row, f"{one.n_bytes / one.n_bars:.1f}")
    return table


def _runs_table(runs: Sequence[RunContent]) -> Table:
    table = _table("run", "status", "steps", "started", "last write", "predictions")
    for run in runs:
        steps = f"{run.step + 1:,}" + (f" of {run.n_steps:,}" if run.n_steps is not None else "")
        times = (minute(run.started_at), minute(run.updated_at))
        made = "not told" if run.total_predictions is None else number(run.total_predictions)
        table.add_row(escape(run.id), run.status, steps, *times, made)
    return table


def _table(*names: str, title: str | None = None) -> Table:
    return Table(*names, title=title, title_justify="left", box=SIMPLE, pad_edge=False)
