"""Show numbers as tables in the terminal."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from trendtrain.label_report import LabelReport
from trendtrain.storage.importers.quality import ImportReport
from trendtrain.storage.ledger_stats import LedgerStats
from trendtrain.summary import Summary


def show(content: RenderableType) -> None:
    """Print to the terminal; into a file or a pipe wide enough for every table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(content)


def summary_table(summary: Summary) -> RenderableType:
    """Return the end of a run: what was predicted, how good it was, beside the rules to beat."""
    values = summary.values
    title = f"trend predictions, {values['status']} after {values['steps']} steps"
    table = Table(title=title, title_justify="left", show_header=False)
    series = [f"{symbol} {timeframe}" for symbol, timeframes in values["series"].items() for timeframe in timeframes]
    table.add_row("series", ", ".join(series))
    for name, value in values["stats"].items():
        table.add_row(name.replace("_", " "), _number(value))
    table.add_section()
    low, high = values["accuracy_ci95"]
    interval = "too few events for an interval" if math.isnan(low) else f"95 % interval {low:.4f} to {high:.4f}"
    table.add_row("event accuracy", f"{_number(values['event_accuracy'])}  {interval}, {values['n_events']:,} events")
    for name, scores in values["baselines"].items():
        table.add_row(f"  {name}", f"{_number(scores['event_accuracy'])}  {_difference(scores)}")
    table.add_section()
    table.add_row("label delay", _delay(values["label_delay_bars"]))
    folder = _from_here(summary.folder)
    return Group(table, f"summary: {folder / 'summary.json'}\ncharts:  tensorboard --logdir {folder}")


def stats_table(rows: list[LedgerStats]) -> RenderableType:
    """Return the six numbers of each model and series, a table a run."""
    tables = []
    for run in dict.fromkeys(row.run for row in rows):
        names = ("model", "symbol", "timeframe", "total", "validated", "correct", "accuracy", "pending", "void")
        table = Table(*names, title=f"run {run}", title_justify="left", box=SIMPLE, pad_edge=False)
        for row in rows:
            if row.run == run:
                table.add_row(row.model, row.symbol, row.timeframe, *map(_number, row.stats.as_dict().values()))
        tables.append(table)
    return Group(*tables)


def import_table(reports: list[ImportReport]) -> Table:
    """Return what each file held and what of it was new."""
    names = ("series", "bars", "new or changed", "first", "last", "missing", "longest hole", "flat", "zero volume")
    table = Table(*names, box=SIMPLE, pad_edge=False)
    for report in reports:
        quality = report.quality
        volume = "not supplied" if quality.zero_volume is None else f"{quality.zero_volume:.1%}"
        span = (np.datetime_as_string(time, unit="m").replace("T", " ") for time in (quality.first, quality.last))
        numbers = (quality.n_missing, quality.longest_hole, quality.n_flat)
        row = (
            " ".join(report.series),
            _number(quality.n_bars),
            _number(report.n_changed),
            *span,
            *map(_number, numbers),
        )
        table.add_row(*row, volume)
    return table


def labels_table(reports: Sequence[LabelReport], written: Sequence[Path]) -> RenderableType:
    """Return what the labels of each series are like, and the files written."""
    levels = [f"L{level} highs+lows" for level in range(1, len(reports[0].n_pivots) + 1)]
    names = ("series", "bars", *levels, "lines", "labelled", "up", "down", "flat", "delay p50", "p95", "events")
    table = Table(*names, box=SIMPLE, pad_edge=False)
    for report in reports:
        shares = (report.labelled, report.up, report.down, report.flat)
        table.add_row(
            escape(" ".join(report.series)),
            _number(report.n_bars),
            *(f"{highs:,}+{lows:,}" for highs, lows in report.n_pivots),
            _number(report.n_lines),
            *("none yet" if math.isnan(share) else f"{share:.1%}" for share in shares),
            *("none yet" if math.isnan(delay) else f"{delay:.0f}" for delay in (report.delay_p50, report.delay_p95)),
            _number(report.n_events),
        )
    paths = "\n".join(f"written: {path}" for path in written)
    return Group(table, Text(paths, no_wrap=True, overflow="ignore"))


def _from_here(folder: Path) -> Path:
    """Return a folder as a user would type it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _number(value: float) -> str:
    if isinstance(value, float):
        return "none yet" if math.isnan(value) else f"{value:.4f}"
    return f"{value:,}"


def _delay(delay: dict[str, float]) -> str:
    if math.isnan(delay["p50"]):
        return "none yet"
    return f"{delay['p50']:.0f} bars (median), {delay['p95']:.0f} bars (95 %)"


def _difference(scores: dict[str, Any]) -> str:
    if math.isnan(scores["difference"]):
        return ""
    error = "" if math.isnan(scores["difference_se"]) else f" +- {scores['difference_se']:.4f}"
    return f"model {scores['difference']:+.4f}{error}"
