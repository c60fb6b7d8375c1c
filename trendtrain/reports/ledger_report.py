"""Show the content of a database as tables in the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from trendtrain.market.timeframe import format_minute
from trendtrain.reports.terminal import Fitting, compared, number
from trendtrain.storage.database_info import DatabaseInfo, RunInfo, SeriesInfo
from trendtrain.storage.ledger.compare import Comparison, Pair
from trendtrain.storage.ledger.stats import LedgerStats

_MOST_DIFFERENCES: Final = 12
_COUNTS: Final = ("total", "validated", "correct", "accuracy", "pending", "void")
_OF_SERIES: Final = ("symbol", "timeframe", "bars", "first", "last", "blocks", "bytes", "bytes a bar")
_OF_RUNS: Final = ("run", "status", "steps", "started", "last write", "predictions")
_TIMES: Final = ("first", "last", "started", "last write")

_Row = Mapping[str, str]  # the text of each column


def stats_table(rows: Sequence[LedgerStats]) -> RenderableType:
    """Return the event accuracy and the six numbers of each model and series, a table for each run."""
    tables = []
    for run in dict.fromkeys(row.run for row in rows):
        texts = [_stats_row(row) for row in rows if row.run == run]
        names = ("model", "symbol", "timeframe", "events", "event accuracy", "+-", *_COUNTS, "expected")
        narrow = Group(*_stats_by_model(run, texts))
        tables.append(Fitting(_wide(names, texts, f"run {escape(run)}"), narrow))
    return Group(*tables)


def _stats_row(row: LedgerStats) -> _Row:
    counts = zip(_COUNTS, map(number, row.stats.as_dict().values()), strict=True)
    return {
        "model": escape(row.model),
        **_series_names(row.symbol, row.timeframe),
        "events": number(row.n_events),
        "event accuracy": number(row.event_accuracy),
        "+-": _share(row.accuracy_se),
        **dict(counts),
        "expected": _share(row.expected_accuracy),
    }


def _stats_by_model(run: str, rows: Sequence[_Row]) -> list[Table]:
    names = ("series", "events", "event accuracy", *_COUNTS)
    models = dict.fromkeys(row["model"] for row in rows)
    return [
        _narrow(names, [row for row in rows if row["model"] == model], f"run {escape(run)}, model {model}")
        for model in models
    ]


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return runs side by side, and the result of each pair on the events of both."""
    first, *_ = comparison.contestants
    rows = [
        {
            "run": escape(one.run),
            "model": escape(one.model),
            "events": number(one.n_events),
            "event accuracy": number(one.event_accuracy),
            "+-": _share(one.accuracy_se),
        }
        for one in comparison.contestants
    ]
    title = Text(f"compared with {first.run} {first.model}, on the events of both, an event one observation")
    pairs = Fitting(_pairs_table(comparison.pairs, padding=(0, 1)), _pairs_table(comparison.pairs, padding=0))
    return Group(_wide(tuple(rows[0]), rows), title, pairs, _differences(comparison.differences))


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
        parts.append(Fitting(_wide(_OF_SERIES, rows), _narrow(("series", *_OF_SERIES[2:-1]), rows)))
    if rows := [_run_row(run) for run in info.runs]:
        narrow = [name for name in _OF_RUNS if name != "started"]
        parts.append(Fitting(_wide(_OF_RUNS, rows), _narrow(narrow, rows)))
    return Group(*parts, Text(f"rows: {', '.join(f'{name} {n_rows:,}' for name, n_rows in info.n_rows.items())}"))


def _series_row(one: SeriesInfo) -> _Row:
    return {
        **_series_names(one.symbol, one.timeframe),
        "bars": number(one.n_bars),
        "first": format_minute(one.first),
        "last": format_minute(one.last),
        "blocks": number(one.n_blocks),
        "bytes": number(one.n_bytes),
        "bytes a bar": f"{one.n_bytes / one.n_bars:.1f}",
    }


def _run_row(run: RunInfo) -> _Row:
    return {
        "run": escape(run.id),
        "status": run.status,
        "steps": f"{run.step + 1:,}" + (f" of {run.n_steps:,}" if run.n_steps is not None else ""),
        "started": format_minute(run.started_at),
        "last write": format_minute(run.updated_at),
        "predictions": "unknown" if run.total_predictions is None else number(run.total_predictions),
    }


def _series_names(symbol: str, timeframe: str) -> _Row:
    return {"symbol": escape(symbol), "timeframe": timeframe, "series": escape(f"{symbol} {timeframe}")}


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4f}"


def _wide(names: Sequence[str], rows: Sequence[_Row], title: str | None = None) -> Table:
    table = Table(*names, title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*(row[name] for name in names))
    return table


def _narrow(names: Sequence[str], rows: Sequence[_Row], title: str | None = None) -> Table:
    """Return a table that wraps its first column and never cuts a number; times are dates."""
    # A heading of two words may take two lines; numbers and dates hold no space.
    columns = (Column(name, justify="right", min_width=max(map(len, name.split()))) for name in names[1:])
    first = Column(names[0], overflow="fold")
    table = Table(first, *columns, title=title, title_justify="left", box=SIMPLE, show_edge=False, padding=0)
    for row in rows:
        table.add_row(*(row[name][:10] if name in _TIMES else row[name] for name in names))
    return table
