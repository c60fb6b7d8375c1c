"""Show how a live run is, as tables in the terminal."""

import time
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from trendtrain.market.timeframe import format_minute

_SECONDS = (("d", 86_400), ("h", 3600), ("min", 60))


def status_table(facts: dict[str, Any]) -> RenderableType:
    """Return what a live run said of itself, what its ledger holds, and what is not well."""
    return Group(_head(facts), _series(facts), _pending(facts), _verdicts(facts), *map(_problem, facts["problems"]))


def _head(facts: dict[str, Any]) -> Text:
    health = "not healthy" if facts["problems"] else "healthy"
    learned = facts["parameters"]["learned_at"]
    age = "as at the start" if learned is None else f"learned {duration(time.time() - learned)} ago"
    accuracy = _share(facts["event_accuracy"])
    if facts["accuracy_ci95"][0] is not None:
        low, high = facts["accuracy_ci95"]
        accuracy += f" ({low:.4f} to {high:.4f})"
    lags = facts["lag_seconds"]
    late = "" if lags["p50"] is None else f", stored {lags['p50']:.3f} s after the close (99 %: {lags['p99']:.3f} s)"
    text = Text(f"{facts['run']}  {facts['state']}, ")
    text.append(health, "red" if facts["problems"] else "green")
    text.append(f"\n{facts['n_steps']:,} steps{late}")
    text.append(f"\nevent accuracy {accuracy} over {facts['n_events']:,} events, alarms {facts['n_alarms']}")
    text.append(f"\nparameters after {facts['parameters']['number']:,} batches, {age}{_trainer(facts['trainer'])}")
    text.append(f"\nlog: {facts['n_warnings']} warnings, {facts['n_errors']} errors")
    if (entry := facts["last_entry"]) is not None:
        text.append(f"; the last {duration(time.time() - entry['at'])} ago: {entry['message']}")
    return text


def _trainer(trainer: dict[str, Any] | None) -> str:
    if trainer is None:
        return ""
    where = "no process" if trainer["pid"] is None else f"process {trainer['pid']}"
    lag = "" if trainer["lag_seconds"] is None else f", {duration(trainer['lag_seconds'])} of the market behind"
    return f", trained by {where}{lag}"


def _series(facts: dict[str, Any]) -> Table:
    names = ("series", "newest bar", "age", "bars", "missing", "lag", "pending", "judged", "accuracy")
    table = _table(*names)
    for part in facts["series"]:
        stats = part["stats"]
        table.add_row(
            _name(part),
            "none yet" if part["newest"] is None else _when(part["newest"], part),
            duration((facts["clock"] - part["newest"]) / 1000) if part["newest"] and facts["clock"] else "",
            f"{part['n_bars']:,}",
            f"{part['n_missing']:,}",
            "" if part["lag_seconds"] is None else f"{part['lag_seconds']:.3f} s",
            *(f"{stats.get(name, 0):,}" for name in ("pending_validations", "validated_predictions")),
            _share(stats.get("accuracy")),
        )
    return table


def _pending(facts: dict[str, Any]) -> RenderableType:
    table = _table("pending", "number", "first", "last", "waits for")
    for part in facts["series"]:
        for group in part["pending"]:
            times = (_when(group["first"], part), _when(group["last"], part))
            table.add_row(_name(part), f"{group['n']:,}", *times, group["waits_for"])
    return table if table.row_count else Text("nothing is pending\n")


def _verdicts(facts: dict[str, Any]) -> RenderableType:
    table = _table("last verdicts", "bar", "known at", "predicted", "truth", "outcome", "by")
    for one in facts["verdicts"]:
        times = (_when(one["open_time"], one), _when(one["known_at"], one))
        table.add_row(_name(one), *times, one["direction"], one["truth"], one["outcome"], one["kind"] or "no line")
    return table if table.row_count else Text("no verdict yet\n")


def _problem(text: str) -> Text:
    return Text(text, "red")


def _table(*names: str) -> Table:
    return Table(*names, box=SIMPLE, pad_edge=False)


def _name(part: dict[str, Any]) -> str:
    return escape(f"{part['symbol']} {part['timeframe']}")


def _when(time: int, part: dict[str, Any]) -> str:
    """Return a time to the minute, of bars that are shorter to the second.

    Example:
        >>> _when(1_704_067_261_000, {"timeframe": "1s"}), _when(1_704_067_261_000, {"timeframe": "1m"})
        ('2024-01-01 00:01:01', '2024-01-01 00:01')
    """
    seconds = str(np.datetime64(time, "ms"))[16:19] if part["timeframe"].endswith("s") else ""
    return format_minute(time) + seconds


def _share(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.4f}"


def duration(seconds: float) -> str:
    """Return a length of time in its largest unit.

    Example:
        >>> duration(0.4), duration(90), duration(7300), duration(200_000)
        ('0 s', '2 min', '2 h', '2 d')
    """
    for unit, length in _SECONDS:
        if seconds >= length:
            return f"{np.round(seconds / length):.0f} {unit}"
    return f"{seconds:.0f} s"
