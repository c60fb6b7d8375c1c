"""Show numbers as tables in the terminal."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from trendtrain.charts.run_text import headline
from trendtrain.importing.cleaning import Findings
from trendtrain.importing.quality import ImportReport
from trendtrain.market.bars import BarsError
from trendtrain.market.timeframe import format_minute
from trendtrain.reports.label_report import LabelReport
from trendtrain.reports.skill import skill_of
from trendtrain.reports.summary import Summary
from trendtrain.reports.terminal import Records, charts_line, from_here, number

_MOST_PARAGRAPHS = 5
_MOST_SERIES = 12


def summary_table(summary: Summary, here: Path | None = None) -> RenderableType:
    """Return the end of a run: what was predicted, how good it was, beside the rules to beat.

    Args:
        summary: The results.
        here: The folder from which the user reads paths; None for the current one.
    """
    values = summary.values
    title = f"trend predictions, {values['status']} after {values['steps']} steps"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for rows in (_run_rows(values), _accuracy_rows(values), _skill_rows(values)):
        for name, text in rows:
            table.add_row(name, Text(text))
        table.add_section()
    folder = from_here(summary.folder, here or Path.cwd())
    report = f"\nreport:  {folder / 'report.html'}" if (summary.folder / "report.html").exists() else ""
    return Group(table, f"summary: {folder / 'summary.json'}{report}{charts_line(summary.folder, folder)}")


def _run_rows(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "run", values["name"]
    for name, value in headline(values["config"]).items():
        if name != "lr":
            yield name, str(value)
    yield "predicted", " to ".join(format_minute(np.datetime64(time)) for time in values["walked"])
    for name, value in values["stats"].items():
        yield name.replace("_", " "), number(value)
    shown = [
        (f"{symbol} {timeframe}", one)
        for symbol, frames in values["series"].items()
        for timeframe, one in frames.items()
        if one["stats"]["total_predictions"]
    ]
    for i, (series, one) in enumerate(shown[:_MOST_SERIES]):
        score = (
            f"{one['n_events']:,} events, event accuracy {number(one['event_accuracy'])}{_error(one['accuracy_se'])}"
        )
        yield "" if i else "series", f"{series}: {score}"
    if len(shown) > _MOST_SERIES:
        yield "", f"and {len(shown) - _MOST_SERIES} more: trendtrain stats shows all"
    if alarms := values["alarms"]:
        n_cuts = sum(alarm["is_cut"] for alarm in alarms)
        cut = f", {n_cuts} of them cut the replay's memory" if n_cuts else ""
        last = format_minute(np.datetime64(alarms[-1]["time"]))
        yield "changes", f"{_count(len(alarms), 'change')} of the market noticed{cut}, the last at {last}"


def _accuracy_rows(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = values["accuracy_ci95"]
    interval = "too few events for an interval" if math.isnan(low) else f"95 % interval {low:.4f} to {high:.4f}"
    yield "event accuracy", f"{number(values['event_accuracy'])}  {interval}, {values['n_events']:,} events"
    top = values["breakdown"]["confidence"]["top_20"]
    if top["n_events"]:
        score = f"{number(top['event_accuracy'])}{_error(top['accuracy_se'])}"
        yield "  most confident 20 %", f"{score}, {top['n_predictions']:,} predictions in {top['n_events']:,} events"
    for name, scores in values["baselines"].items():
        yield f"  {name}", f"{number(scores['event_accuracy'])}  {_difference(scores)}"


def _skill_rows(values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "skill", skill_of(values)
    expected, n_pending = values["expected_accuracy"], values["stats"]["pending_validations"]
    if not math.isnan(expected["judged"]):
        real = number(values["event_accuracy"])
        yield "calibration", f"mean confidence {expected['judged']:.4f}, event accuracy {real}"
    if n_pending:
        yield "pending", f"{n_pending:,} predictions, mean confidence {number(expected['pending'])}"
    yield "label delay", _delay(values["label_delay_bars"])


def import_table(reports: Sequence[ImportReport]) -> RenderableType:
    """Return what each file held and what of it was new: a paragraph a file, or a line where there are many."""
    if len(reports) > _MOST_PARAGRAPHS:
        return _import_lines(reports)
    return Group(*(_import_paragraph(report) for report in reports))


def _import_paragraph(report: ImportReport) -> RenderableType:
    quality, found = report.quality, report.findings
    n_same = quality.n_bars - report.n_changed
    first, last = (format_minute(time) for time in (quality.first, quality.last))
    volume = "not supplied" if quality.zero_volume is None else f"0 in {quality.zero_volume:.1%}"
    holes = f" in {_count(quality.n_holes, 'hole')}, the longest {quality.longest_hole:,}"
    often = f" ({quality.n_longest:,} times)" if quality.n_longest > 1 else ""
    facts = {
        "file": str(report.path),
        "layout": f"{report.layout}{', newest first' if found.is_newest_first else ''}",
        "times": report.time_rule,
        "bars": f"{quality.n_bars:,}: {report.n_changed - report.n_replaced:,} new,"
        f" {report.n_replaced:,} replaced{' (the newer counts)' if report.n_replaced else ''}, {n_same:,} as stored",
        "span": f"{first} to {last}",
        "missing": f"{_count(quality.n_missing, 'bar')}{holes + often if quality.n_missing else ''}",
        "rows": _rows(found),
        "volume": f"{volume}{f', {report.volume_rule}' if report.volume_rule else ''}",
        "prices": f"{_count(quality.n_flat, 'flat bar')}, {_share(quality.equal_highs)} ties (high as before),"
        f" {_count(quality.n_jumps, 'jump')}",
    }
    if found.first_off_grid is not None:
        facts["off the grid"] = f"{_count(found.n_off_grid, 'bar')}, {_located(found.first_off_grid)}"
    if found.first_fault not in (None, found.first_off_grid):
        facts["first fault"] = _located(found.first_fault)
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(f"  {name}", Text(fact))
    return Group(Text(" ".join(report.series), style="bold"), table, "")


def _located(fault: BarsError) -> str:
    return f"data row {(fault.row or 0) + 1}: {fault}"


def _rows(found: Findings) -> str:
    """Return what is wrong with rows, and what was done about it, in words."""
    facts = (
        (found.n_duplicates, _count(found.n_duplicates, "duplicate"), "counted once"),
        (found.n_conflicts, _count(found.n_conflicts, "conflict"), "the last row counts"),
        (found.n_broken, f"{found.n_broken:,} with broken prices", "left out"),
        (found.n_unordered, f"{found.n_unordered:,} out of order", "sorted in"),
    )
    return ", ".join(f"{text} ({done})" if count else text for count, text, done in facts)


def _import_lines(reports: Sequence[ImportReport]) -> RenderableType:
    rows = [
        [
            " ".join(report.series),
            *map(number, (report.quality.n_bars, report.n_changed - report.n_replaced, report.quality.n_missing)),
            report.path.name,
            _remarks(report),
        ]
        for report in reports
    ]
    table = Records(("series", "bars", "new", "missing", "file", "remarks"), rows)
    rules = Counter((report.layout, report.time_rule) for report in reports)
    read = (f"{_count(count, 'file')} read as {layout}, times {rule}" for (layout, rule), count in rules.items())
    return Group(table, Text("\n".join([*read, "The table import_reports keeps the whole report on each file."])))


def _remarks(report: ImportReport) -> str:
    found = report.findings
    facts = (
        (report.n_replaced, "replaced"),
        (found.n_duplicates + found.n_conflicts + found.n_broken, "left out"),
        (found.n_unordered, "sorted in"),
        (found.n_off_grid, "off the grid"),
        (report.quality.n_jumps, "jump" if report.quality.n_jumps == 1 else "jumps"),
    )
    return ", ".join(f"{count:,} {name}" for count, name in facts if count)


def _count(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def _share(share: float) -> str:
    return "no" if math.isnan(share) else f"{share:.1%}"


def labels_table(reports: Sequence[LabelReport], written: Sequence[Path]) -> RenderableType:
    """Return what the labels of each series are like, and the files written."""
    levels = [f"L{level} highs+lows" for level in range(1, len(reports[0].n_pivots) + 1)]
    names = ("series", "bars", *levels, "lines", "labelled", "up", "down", "flat", "delay p50", "delay p95", "events")
    rows = [
        [
            " ".join(report.series),
            number(report.n_bars),
            *(f"{highs:,}+{lows:,}" for highs, lows in report.n_pivots),
            number(report.n_lines),
            *map(_percent, (report.labelled, report.up, report.down, report.flat)),
            *("none yet" if math.isnan(delay) else f"{delay:.0f}" for delay in (report.delay_p50, report.delay_p95)),
            number(report.n_events),
        ]
        for report in reports
    ]
    paths = "\n".join(f"written: {path}" for path in written)
    return Group(Records(names, rows), Text(paths, overflow="fold"))


def _percent(share: float) -> str:
    return "none yet" if math.isnan(share) else f"{share:.1%}"


def _delay(delay: dict[str, float]) -> str:
    if math.isnan(delay["p50"]):
        return "none yet"
    return f"{delay['p50']:.0f} bars (median), {delay['p95']:.0f} bars (95 %)"


def _difference(scores: dict[str, Any]) -> str:
    if math.isnan(scores["difference"]):
        return ""
    return f"model {scores['difference']:+.4f}{_error(scores['difference_se'])}"


def _error(se: float) -> str:
    return "" if math.isnan(se) else f" +- {se:.4f}"
