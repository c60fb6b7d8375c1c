"""`report.html`: a run on one page, from its folder and the database."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine

from trendtrain.charts import run_figures
from trendtrain.charts.page import Part, coded, page, safe, section, table
from trendtrain.charts.run_text import flatten, headline, promises, text_of
from trendtrain.market.timeframe import format_minute
from trendtrain.reports.newest_bars import newest_bars
from trendtrain.reports.run_file import RunFile
from trendtrain.reports.run_scores import RunScores
from trendtrain.reports.skill import skill_of
from trendtrain.reports.summary import read_summary
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.storage.whole_file import whole_file
from trendtrain.validation.breakdown import ScoredEvents
from trendtrain.validation.edge import course_of
from trendtrain.validation.score import DIFFERENCES, SHARES, estimate

FILE: Final = "report.html"


def write_report(folder: Path, engine: Engine, out: Path | None = None) -> Path:
    """Write the report of a run, whole or not at all, and return its path.

    Args:
        folder: The run folder.
        engine: The database that holds the run's bars and ledger; it is read only.
        out: The file to write; None for `report.html` in the folder.

    Raises:
        InputError: If the folder is not one of a run that has ended, or the file cannot be written.
    """
    path = folder / FILE if out is None else out
    text = report_page(folder, engine)
    with whole_file(path, "--out") as file:
        file.write(text.encode())
    return path


def report_page(folder: Path, engine: Engine) -> str:
    """Return the report of a run as HTML; the arguments are those of `write_report`."""
    run, values, scores = RunFile.read(folder), read_summary(folder), RunScores.read(folder)
    parts = [
        *_head(run, scores, values),
        *_skill(scores, values),
        *_groups(scores),
        *_confidence(scores, values),
        *_replay(scores),
        *newest_bars(run, Ledger(engine), BarStore(engine)),
        *_terms(run, values),
    ]
    return page(f"{run.name}: report", parts)


def _head(run: RunFile, scores: RunScores, values: Mapping[str, Any]) -> Iterator[Part]:
    stats, told, delay = values["stats"], headline(run.config), values["label_delay_bars"]
    low, high = values["accuracy_ci95"]
    interval = "" if low is None else f", 95 % interval {low:.4f} to {high:.4f}"
    now = scores.history.get("now", np.zeros(0))
    last = format_minute(now[-1].astype("datetime64[ms]")) if len(now) else "unknown"
    start = format_minute(np.datetime64(run.grid["start"])) if run.grid else "unknown"
    facts: dict[str, str] = {
        "event accuracy": f"{_number(values['event_accuracy'])}{interval}",
        "events": f"{values['n_events']:,}",
        "predictions": f"{stats['validated_predictions']:,} judged, {stats['pending_validations']:,} pending,"
        f" {stats['void_predictions']:,} void",
        "predicted": f"{start} to {last} UTC",
        **{name: text_of(told[name]) for name in ("model", "replay", "seed") if name in told},
        "delay of labels": "unknown" if delay["p50"] is None else f"{delay['p50']:.0f} bars (median)",
        "run": f"{values['status']} after {values['steps']:,} steps",
        "version": f"{run.version}{f', commit {run.commit[:10]}' if run.commit else ''}",
    }
    rows = "".join(f"<div><dt>{safe(name)}</dt><dd>{safe(text)}</dd></div>" for name, text in facts.items())
    yield f'<h1>{safe(run.name)}</h1><p class="skill">{safe(skill_of(values))}</p><dl class="facts">{rows}</dl>'


def _skill(scores: RunScores, values: Mapping[str, Any]) -> Iterator[Part]:
    """Yield the model beside each rule, and its lead over the best one in time."""
    board, best = scores.board, values["best_baseline"]
    events = board.events()
    if not len(events) or best is None:
        return
    names = ["model", *board.baselines]
    columns = [events.values[:, 0], *events.values[:, 2:].T]
    time, block = events.known_time.astype("datetime64[ms]"), events.block
    courses = {name: course_of(column, time, block, SHARES) for name, column in zip(names, columns, strict=True)}
    yield section(
        "The model and the simple rules",
        "Event accuracy so far. Every rule predicted at the same bars and was judged by the same lines as the model.",
    )
    yield table(("", "event accuracy", "model minus it", "95 % interval"), _rule_rows(names, values), n_texts=1)
    yield run_figures.draw_rules(courses)
    lead = columns[0] - columns[names.index(best["name"])]
    width = max(8, len(courses["model"]) // 10)
    so_far, recent = (course_of(lead, time, block, DIFFERENCES, one) for one in (None, width))
    yield section(
        f"Lead over {best['name']}, the best simple rule",
        "Event accuracy of the model minus that of the rule, at market time, with its 95 % interval. Skill is an"
        " interval above 0. The rule is the best of the whole run, chosen afterwards, which favours the rules.",
    )
    yield run_figures.draw_edge(so_far, recent, f"newest {width} blocks", scores.history)
    per_series = [
        (f"{symbol} {timeframe}", one)
        for symbol, frames in values["series"].items()
        for timeframe, one in frames.items()
    ]
    if len(per_series) > 1:
        yield "<h3>By series</h3>"
        heads = ("series", "best rule", "events", "event accuracy", "+-", "model minus best rule", "+-")
        yield table(heads, [_series_row(*row) for row in per_series if row[1]["n_events"]], n_texts=2)


def _rule_rows(names: Sequence[str], values: Mapping[str, Any]) -> Iterator[list[str]]:
    for place, name in enumerate(names):
        scores = values["baselines"].get(name)
        swatch = f'<span class="swatch" style="background:{run_figures.colour_of(place)}"></span>{safe(name)}'
        if scores is None:
            yield [swatch, _number(values["event_accuracy"]), "", ""]
            continue
        low, high = scores["difference_ci95"]
        interval = "too few events" if low is None else f"{low:+.4f} to {high:+.4f}"
        yield [swatch, _number(scores["event_accuracy"]), f"{scores['difference']:+.4f}", interval]


def _series_row(name: str, scores: Mapping[str, Any]) -> list[str]:
    best = scores["best_baseline"] or {"name": "", "difference": None, "se": None}
    accuracy = [f"{scores['n_events']:,}", _number(scores["event_accuracy"]), _number(scores["accuracy_se"])]
    lead = "" if best["difference"] is None else f"{best['difference']:+.4f}"
    return [safe(name), safe(best["name"]), *accuracy, lead, _number(best["se"])]


def _groups(scores: RunScores) -> Iterator[Part]:
    """Yield heat maps by series and month, and by series and hour."""
    board = scores.board
    names = {" ".join(one): board.events(i) for i, one in enumerate(board.series)}
    judged = {name: (i, events) for i, (name, events) in enumerate(names.items()) if len(events)}
    if not judged:
        return
    by_month = {name: _by_month(events, board.events()) for name, (_, events) in judged.items()}
    months = sorted({month for groups in by_month.values() for month in groups})
    by_hour = {name: board.breakdown(i)["hour"] for name, (i, _) in judged.items()}
    yield section(
        "Where and when",
        "Event accuracy in percent: blue above one half, orange below. Point at a cell for its error and the number of"
        " its events; a cell of few events says little.",
    )
    yield run_figures.draw_groups(by_month, months, "month in which the line was known (UTC)")
    yield run_figures.draw_groups(by_hour, [str(hour) for hour in range(24)], "hour of the prediction (UTC)")


def _by_month(events: ScoredEvents, every: ScoredEvents) -> dict[str, dict[str, Any]]:
    """Return the scores of the events of one series by month; the blocks are those of all events."""
    month, block = events.known_time.astype("datetime64[ms]").astype("datetime64[M]"), every.block
    if len(events) != len(every):
        block = block[every.series == events.series[0]]
    found = {
        str(one): estimate(events.values[month == one, 0], block[month == one], SHARES) for one in np.unique(month)
    }
    return {
        name: {"event_accuracy": one.mean, "accuracy_se": one.se, "n_events": one.n_events}
        for name, one in found.items()
    }


def _confidence(scores: RunScores, values: Mapping[str, Any]) -> Iterator[Part]:
    board, delay = scores.board, values["label_delay_bars"]
    if not board.n_events:
        return
    about = f"Expected calibration error {_number(values['ece'])}. Points below the diagonal: overconfident."
    yield '<div class="pair"><div>' + section("Reliability", about)
    yield run_figures.draw_reliability(board.breakdown()["reliability"], board.n_events)
    yield "</div><div>" + section("Delay of labels", "How long a prediction waits for the line that judges it.")
    yield run_figures.draw_delays(board.delays(), delay["p50"], delay["p95"])
    yield "</div></div>"


def _replay(scores: RunScores) -> Iterator[Part]:
    if not len(scores.history.get("now", ())):
        return
    yield section(
        "Replay: training against live",
        "The share of wrong predictions: in the memory, in what was drawn from it, and live. Wrong ones are drawn more"
        " often; the loss weight corrects for that. Where the share in the memory is far below the live one, the model"
        " has memorised old bars.",
    )
    yield run_figures.draw_replay(scores.history)


def _terms(run: RunFile, values: Mapping[str, Any]) -> Iterator[Part]:
    told = "".join(f"<li><strong>{coded(title)}</strong> {coded(text)}</li>" for title, text in promises(run.config))
    rows = ([f"<code>{safe(key)}</code>", safe(text_of(value))] for key, value in flatten(run.config))
    yield f"<h2>What this run promises</h2><ul>{told}</ul>"
    settings = table(("key", "value"), rows, n_texts=2)
    yield f"<h2>Configuration</h2><details><summary>every setting</summary>{settings}</details>"
    yield f'<p class="note">{values["wall_seconds"]:.0f} s. Written by trendtrain {safe(run.version)}.</p>'


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"
