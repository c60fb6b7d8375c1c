"""How well a walk through a stream went: scores beside the uniform replay's on the same events, and what flips cost."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from calibration import calibration_error
from learning_scenarios import FLIP_EVERY, Stream

from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.validation.score import calendar_blocks, estimate, group

CURVE_BIN, CURVE_BINS = 50, 40  # events after a flip
BEFORE = 1000  # events before it

Row = dict[str, Any]


@dataclass
class Run:
    """What a walk leaves behind.

    Attributes:
        up: The chance given to UP at each bar, NaN where it does not count.
        alarms: The bars at which a change was noticed.
    """

    up: FloatArray
    alarms: list[int] = field(default_factory=list)


def scored(stream: Stream, run: Run) -> tuple[IntArray, FloatArray]:
    """Return the bars that count, and of each the correctness and the negative log-likelihood, shape (n, 2)."""
    rows = np.flatnonzero((stream.event >= 0) & np.isfinite(run.up))
    up, label = run.up[rows], stream.label[rows]
    nll = -np.log(np.maximum(np.where(label == 1, up, 1.0 - up), 1e-7))
    return rows, np.stack([(up > 0.5) == (label == 1), nll], axis=1)


def result(stream: Stream, run: Run, uniform: list[float] | None) -> Row:
    """Return the scores of a run beside the accuracy that the uniform one had on each event; None: it is that one."""
    rows, values = scored(stream, run)
    events = group(stream.event[rows])
    accuracy, nll = events.means(values).T
    known_at = stream.bars.close_time[stream.known_at[rows[events.first]]]
    block = calendar_blocks(known_at, np.zeros(len(known_at), dtype=np.int64))
    paired, alone = estimate(accuracy - (accuracy if uniform is None else uniform), block), estimate(accuracy, block)
    confidence = np.maximum(run.up, 1.0 - run.up)[rows]
    weight = 1.0 / events.counts[events.inverse]
    row: Row = {
        "n_events": len(accuracy),
        "event_accuracy": 100.0 * alone.mean,
        "accuracy_se": 100.0 * alone.se,
        "difference": 100.0 * paired.mean,
        "difference_se": 100.0 * paired.se,
        "nll": float(nll.mean()),
        "ece": calibration_error(confidence, values[:, 0], weight),
        "n_alarms": len(run.alarms),
        "alarms": run.alarms,
    }
    if stream.is_rare is not None:
        row["rare_accuracy"] = 100.0 * float(values[stream.is_rare[rows], 0].mean())
    if uniform is None:
        row |= {"by_event": accuracy.tolist(), "first_bar": int(np.argmax(np.isfinite(run.up)))}
    return row


def recovery(stream: Stream, run: Run) -> Row:
    """Return the mean accuracy by events after a flip, in bins of 50, that before it, and the events to each alarm."""
    rows, values = scored(stream, run)
    events = group(stream.event[rows])
    accuracy, first = events.means(values)[:, 0], rows[events.first]
    curves, before, delays = [], [], []
    for flip in range(FLIP_EVERY, len(stream.label), FLIP_EVERY):
        start = int(np.searchsorted(first, flip))
        curve = accuracy[start : start + CURVE_BIN * CURVE_BINS]
        if len(curve) < CURVE_BIN * CURVE_BINS or start < BEFORE:
            continue
        curves.append(curve.reshape(CURVE_BINS, CURVE_BIN).mean(axis=1))
        before.append(accuracy[start - BEFORE : start].mean())
        late = [alarm for alarm in run.alarms if flip < alarm <= flip + FLIP_EVERY]
        delays.append(int((stream.known_at[first[start:]] <= late[0]).sum()) if late else None)
    if not curves:
        return {}
    return {"curve": np.mean(curves, axis=0).tolist(), "before": float(np.mean(before)), "alarm_delays": delays}


def pooled(rows: list[Row]) -> Row:
    """Return the mean over seeds of one strategy in one scenario, with the errors of the means.

    Every seed of a scenario is a market of its own. Real bars (`bars` 0) are the same for all seeds, so that more seeds
    leave the error as it is.
    """
    n_markets = 1 if all(row.get("bars") == 0 for row in rows) else len(rows)
    mean = {
        name: float(np.mean([row[name] for row in rows])) for name in ("event_accuracy", "difference", "nll", "ece")
    }
    errors = ("accuracy_se", "difference_se")
    mean |= {name: math.sqrt(np.mean([row[name] ** 2 for row in rows]) / n_markets) for name in errors}
    mean["alarms"] = float(np.mean([row["n_alarms"] for row in rows]))
    if "rare_accuracy" in rows[0]:
        mean["rare"] = float(np.mean([row["rare_accuracy"] for row in rows]))
    return mean | regained([row for row in rows if "curve" in row])


def regained(rows: list[Row]) -> Row:
    """Return after how many events 90 and 95 % of the edge before a flip were back, and the slowest alarm."""
    if not rows:
        return {}
    curve, edge = np.mean([row["curve"] for row in rows], axis=0) - 0.5, np.mean([row["before"] for row in rows]) - 0.5
    smooth = np.convolve(curve, np.ones(3) / 3, mode="same")
    back = {f"regained_{share}": smooth >= share / 100.0 * edge for share in (90, 95)}
    found: Row = {
        name: float(np.argmax(is_back) * CURVE_BIN) if is_back.any() else None for name, is_back in back.items()
    }
    delays = [delay for row in rows for delay in row["alarm_delays"]]
    if any(delay is not None for delay in delays):
        found["slowest_alarm"] = None if None in delays else max(delays)
        found["missed_alarms"] = sum(delay is None for delay in delays)
    return found
