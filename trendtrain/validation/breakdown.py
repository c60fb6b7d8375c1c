"""Where, when and how sure a model is right: its verdicts, broken down."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.market.directions import CLASS_WORDS
from trendtrain.market.labels import Labels
from trendtrain.market.lines import KIND_NAMES
from trendtrain.validation.answers import Answers
from trendtrain.validation.score import (
    N_CALIBRATION_BINS,
    Groups,
    block_error,
    calendar_blocks,
    calibration_bins,
    calibration_index,
    estimate,
    group,
)

TOP_SHARES: Final = {"all": 1.0, "top_20": 0.2, "top_5": 0.05}
DELAY_EDGES: Final = (8, 16, 32, 64, 128)  # bars; the last bar of each group of delays
_DELAY_NAMES: Final = ("1-8", "9-16", "17-32", "33-64", "65-128", "129+")

Breakdown = dict[str, Any]


@dataclass(frozen=True, eq=False)
class JudgedAnswers:
    """Answers beside what came of them.

    Attributes:
        answers: What was answered; the answers an event judged lie together.
        labels: What judged.
    """

    answers: Answers
    labels: Labels

    @cached_property
    def truth(self) -> IntArray:
        """The direction that came, shape (n,)."""
        truth: IntArray = self.labels.direction[self.answers.row]
        return truth

    @cached_property
    def is_correct(self) -> BoolArray:
        """Whether each is correct, shape (n,)."""
        is_correct: BoolArray = self.answers.direction == self.truth
        return is_correct

    @cached_property
    def delay(self) -> IntArray:
        """Bars from each prediction to its verdict, shape (n,)."""
        return self.labels.known_at[self.answers.row] - self.answers.row

    @cached_property
    def event(self) -> IntArray:
        """The event that judged each, numbered from 0 in order of appearance, shape (n,)."""
        return self._events.inverse

    @cached_property
    def weight(self) -> FloatArray:
        """One over the number of answers its event judged, so that events count alike, shape (n,)."""
        return (1.0 / self._events.counts)[self.event]

    @cached_property
    def block(self) -> IntArray:
        """The calendar block of each event, shape (n_events,)."""
        first = self.answers.row[self._events.first]
        known_time = self.labels.close_time[self.labels.known_at[first]]
        return calendar_blocks(known_time, self.labels.series_index[first])

    @cached_property
    def _events(self) -> Groups:
        return group(self.labels.event[self.answers.row])

    def breakdown(self) -> Breakdown:
        """Return what `Scoreboard.breakdown` describes."""
        return {
            "confidence": {name: self._score(np.flatnonzero(self.is_top(share))) for name, share in TOP_SHARES.items()},
            "direction": self._by(self.answers.direction, CLASS_WORDS),
            "kind": self._by_kind(),
            "delay_bars": self._by(np.searchsorted(DELAY_EDGES, self.delay), _DELAY_NAMES),
            "symbol": self._by_name([series.symbol for series in self.labels.series]),
            "timeframe": self._by_name([series.timeframe for series in self.labels.series]),
            "hour": self._by(self._hour(), tuple(map(str, range(24)))),
            "reliability": self.reliability(),
            "confusion": self.confusion(),
        }

    def is_top(self, share: float) -> BoolArray:
        """Say which answers belong to the most confident share; all those level with the last one do."""
        confidence = self.answers.confidence
        if not len(confidence):
            return np.zeros(0, dtype=bool)
        place = len(confidence) - int(np.ceil(share * len(confidence)))
        is_top: BoolArray = confidence >= np.partition(confidence, place)[place]
        return is_top

    def reliability(self) -> dict[str, list[float]]:
        """Return, for each of 15 equal bins of confidence, how often its answers come true; NaN where it has none."""
        confidence, is_correct, weight = self.answers.confidence, self.is_correct, self.weight
        bins = calibration_bins(confidence, is_correct, weight)
        total = np.where(bins[:, 0] > 0, bins[:, 0], np.nan)
        accuracy, edges = bins[:, 2] / total, np.linspace(0.0, 1.0, N_CALIBRATION_BINS + 1)
        index = calibration_index(confidence)
        residual = weight * (is_correct - accuracy[index])
        block = self.block[self.event]
        errors = [
            block_error(residual[part], block[part], float(bins[one, 0]))
            for one, part in enumerate(_parts(index, N_CALIBRATION_BINS))
        ]
        return {
            "low": edges[:-1].tolist(),
            "high": edges[1:].tolist(),
            "share": (bins[:, 0] / max(bins[:, 0].sum(), 1e-300)).tolist(),
            "confidence": (bins[:, 1] / total).tolist(),
            "accuracy": accuracy.tolist(),
            "accuracy_se": errors,
        }

    def confusion(self) -> dict[str, Any]:
        """Return the share of events by what came (rows) and what was predicted (columns)."""
        n_classes = max(2, int(self.answers.direction.max(initial=0)) + 1, int(self.truth.max(initial=0)) + 1)
        index = self.truth.astype(np.int64) * n_classes + self.answers.direction
        total = np.bincount(index, self.weight, n_classes**2).reshape(n_classes, n_classes)
        share = total / max(total.sum(), 1e-300)
        return {"classes": list(CLASS_WORDS[:n_classes]), "share": share.tolist()}

    def _hour(self) -> IntArray:
        time = self.labels.close_time[self.answers.row].astype("datetime64[h]").astype(np.int64)
        hour: IntArray = time % 24
        return hour

    def _by_kind(self) -> Breakdown:
        if not len(self.labels.lines):  # a user's own labels
            return {}
        return self._by(self.labels.lines.kind[self.labels.event[self.answers.row]], KIND_NAMES)

    def _by_name(self, names: list[str]) -> Breakdown:
        unique = sorted(set(names))
        code = np.array([unique.index(name) for name in names])
        groups = self._by(code[self.labels.series_index[self.answers.row]], tuple(unique))
        return {name: scores for name, scores in groups.items() if name}

    def _by(self, code: IntArray, names: tuple[str, ...]) -> Breakdown:
        parts = zip(names, _parts(code, len(names)), strict=True)
        return {name: self._score(part) for name, part in parts if len(part)}

    def _score(self, part: IntArray) -> dict[str, Any]:
        event, is_correct = self.event[part], self.is_correct[part]
        counts = np.bincount(event, minlength=len(self.block))
        held = np.flatnonzero(counts)
        share = np.bincount(event, is_correct, len(self.block))[held] / counts[held]
        found = estimate(share, self.block[held])
        return {
            "event_accuracy": found.mean,
            "n_events": found.n_events,
            "accuracy_se": found.se,
            "accuracy_ci95": list(found.ci95),
            "n_predictions": len(event),
            "accuracy": float(is_correct.mean()) if len(event) else float("nan"),
        }


def _parts(code: IntArray, n_codes: int) -> list[IntArray]:
    """Return where each of the codes 0, 1, ... stands; one sort is many times as fast as a mask a code."""
    order = np.argsort(code.astype(np.uint8), kind="stable")
    edges = np.cumsum(np.bincount(code, minlength=n_codes))
    return np.split(order, edges[:-1])
