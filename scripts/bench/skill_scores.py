"""Scores of `skill.py`: means over series of event accuracies, with errors over the blocks of all series."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from calibration import calibration_error
from rows import Row

from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.validation.score import calendar_blocks, group

TOP_SHARE = 0.2


class Mean(NamedTuple):
    """A mean over series and its event-block error."""

    mean: float
    se: float


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What all methods are judged by, row by row, and event by event.

    Attributes:
        truth: UP or DOWN of each row, shape (n_rows,).
        series: Which series each row is of, shape (n_rows,).
        event: Which event judges each row, 0 to n_events - 1, shape (n_rows,).
        event_series, block, is_late: Of each event: series, calendar block, whether it lies in the later half of its
            series' stretch; shape (n_events,).
        names: The series.
    """

    truth: IntArray
    series: IntArray
    event: IntArray
    event_series: IntArray
    block: IntArray
    is_late: BoolArray
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: pd.DataFrame, names: tuple[str, ...]) -> "Verdicts":
        """Sort out the rows of a ledger: columns series, event, known_at, open_time and truth."""
        events = group(rows.event.to_numpy())
        series = rows.series.map(names.index).to_numpy()
        event_series, known_at = series[events.first], rows.known_at.to_numpy()[events.first]
        block = calendar_blocks(known_at.astype("datetime64[ms]"), event_series)
        middle = rows.groupby("series").open_time.agg(lambda time: (time.min() + time.max()) / 2)
        is_late = rows.open_time.to_numpy() > rows.series.map(middle).to_numpy()
        return cls(rows.truth.to_numpy(), series, events.inverse, event_series, block, is_late[events.first], names)

    def accuracies(self, answers: list[FloatArray]) -> FloatArray:
        """Return each event's share of correct answers, mean over seeds, shape (n_events,)."""
        n = np.bincount(self.event)
        correct = np.mean([(up > 0.5) == (self.truth == 1) for up in answers], axis=0)
        accuracies: FloatArray = np.bincount(self.event, correct) / n
        return accuracies

    def over_series(self, values: FloatArray, part: BoolArray | None = None) -> Mean:
        """Return the mean over series of values' means over events, with an error robust to alike blocks.

        An event of series s moves the mean by (a_e - mean_s) / (S N_s); se^2 = B / (B - 1) * sum over blocks of the
        squared sum of these: the event-block error with series, instead of events, weighted equally.
        """
        part = np.ones(len(values), dtype=bool) if part is None else part
        series, values = self.event_series[part], values[part]
        there, place, counts = np.unique(series, return_inverse=True, return_counts=True)
        means = np.bincount(place, values) / counts
        moves = (values - means[place]) / (len(there) * counts[place])
        sums = np.bincount(np.unique(self.block[part], return_inverse=True)[1], moves)
        n = len(sums)
        return Mean(float(means.mean()), float(np.sqrt(n / (n - 1) * (sums**2).sum())))

    def ece(self, answers: list[FloatArray]) -> float:
        """Return the event-weighted calibration error over all rows, mean over seeds."""
        weight = 1.0 / np.bincount(self.event)[self.event]
        return float(np.mean([calibration_error(*_sure(up, self), weight) for up in answers]))

    def top(self, answers: list[FloatArray]) -> float:
        """Return the accuracy of the most confident fifth of each series' answers, mean over series and seeds."""
        found = []
        for up in answers:
            confidence, correct = _sure(up, self)
            for one in range(len(self.names)):
                own = self.series == one
                least = np.quantile(confidence[own], 1.0 - TOP_SHARE)
                found.append(correct[own & (confidence >= least)].mean())
        return float(np.mean(found))


def score_row(job: str, verdicts: Verdicts, answers: dict[str, list[FloatArray]], against: tuple[str, ...]) -> Row:
    """Return the scores of one method, beside others."""
    own = verdicts.accuracies(answers[job])
    seeds = [verdicts.over_series(verdicts.accuracies([up])).mean for up in answers[job]]
    row: Row = {"job": job, "seeds": len(seeds), "least": min(seeds), "most": max(seeds)}
    row |= {"top_20": verdicts.top(answers[job]), "ece": verdicts.ece(answers[job])}
    row |= _named("accuracy", own, verdicts)
    for name in against:
        if name != job:
            row |= _named(f"over {name}", own - verdicts.accuracies(answers[name]), verdicts)
    return row


def _named(name: str, values: FloatArray, verdicts: Verdicts) -> Row:
    whole, late = verdicts.over_series(values), verdicts.over_series(values, verdicts.is_late)
    return {name: whole.mean, f"{name} se": whole.se, f"late {name}": late.mean, f"late {name} se": late.se}


def written(row: Row, against: tuple[str, ...]) -> Row:
    """Return a row of scores as a table shows it: differences with z in brackets."""
    shown: Row = {"job": row["job"], "seeds": row["seeds"]}
    shown["accuracy"] = f"{row['accuracy']:.4f} +- {row['accuracy se']:.4f}"
    shown |= {name: f"{row[name]:.4f}" for name in ("least", "most", "late accuracy", "top_20", "ece")}
    for name in (f"{part}over {other}" for other in against for part in ("", "late ")):
        if name in row:
            value, se = float(row[name]), float(row[f"{name} se"])
            shown[name] = f"{value:+.4f} ({value / se if se else 0.0:.1f})"
    return shown


def series_row(job: str, verdicts: Verdicts, answers: list[FloatArray]) -> Row:
    """Return a method's event accuracy on each series."""
    own = verdicts.accuracies(answers)
    return {"job": job} | {name: float(own[verdicts.event_series == i].mean()) for i, name in enumerate(verdicts.names)}


def _sure(up: FloatArray, verdicts: Verdicts) -> tuple[FloatArray, FloatArray]:
    """Return how sure each answer was, and whether it was right."""
    return np.maximum(up, 1.0 - up), ((up > 0.5) == (verdicts.truth == 1)).astype(np.float64)
