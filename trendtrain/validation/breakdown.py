"""Scores of groups of predictions: by confidence, direction, kind of line, delay, series and hour."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.market.directions import CLASS_WORDS
from trendtrain.market.labels import Labels
from trendtrain.market.lines import KIND_NAMES
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.score import (
    N_CALIBRATION_BINS,
    SHARES,
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
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ScoredPredictions:
    """Predictions found correct or wrong, 9 bytes each; their labels know the rest.

    Attributes:
        row: The bar of each prediction, int32, shape (n,); the predictions of an event lie together.
        direction: The predicted class, int8, shape (n,).
        confidence: The probability of that class, float32, shape (n,).
        labels: The labels of all rows.
    """

    row: IntArray
    direction: IntArray
    confidence: Float32Array
    labels: Labels

    @staticmethod
    def of(verdicts: Verdicts, labels: Labels) -> "ScoredPredictions":
        """Keep of validated verdicts what the labels do not know."""
        confidence = verdicts.predictions.confidence.astype(np.float32)
        return ScoredPredictions(verdicts.row.astype(np.int32), verdicts.predictions.direction, confidence, labels)

    @staticmethod
    def join(parts: list["ScoredPredictions"], labels: Labels) -> "ScoredPredictions":
        """Return all parts as one, in their order."""
        empty = ScoredPredictions(np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0, np.float32), labels)
        names = ("row", "direction", "confidence")
        arrays = (np.concatenate([getattr(part, name) for part in parts or [empty]]) for name in names)
        row, direction, confidence = arrays
        return ScoredPredictions(row, direction, confidence, labels)

    def of_series(self, series: int) -> "ScoredPredictions":
        """Return the predictions of one series, given by its number."""
        part = self.labels.series_index[self.row] == series
        return ScoredPredictions(self.row[part], self.direction[part], self.confidence[part], self.labels)

    @cached_property
    def truth(self) -> IntArray:
        """The label of each, shape (n,)."""
        truth: IntArray = self.labels.direction[self.row]
        return truth

    @cached_property
    def is_correct(self) -> BoolArray:
        """Whether each is correct, shape (n,)."""
        is_correct: BoolArray = self.direction == self.truth
        return is_correct

    @cached_property
    def delay(self) -> IntArray:
        """Bars from each prediction to its verdict, shape (n,)."""
        return self.labels.known_at[self.row] - self.row

    @cached_property
    def event(self) -> IntArray:
        """The event that judged each, numbered from 0 in order of appearance, shape (n,)."""
        return self._events.inverse

    @cached_property
    def weight(self) -> FloatArray:
        """One over the number of predictions of its event, so that events count alike, shape (n,)."""
        return (1.0 / self._events.counts)[self.event]

    @cached_property
    def block(self) -> IntArray:
        """The calendar block of each event, shape (n_events,)."""
        first = self.row[self._events.first]
        known_time = self.labels.close_time[self.labels.known_at[first]]
        return calendar_blocks(known_time, self.labels.series_index[first])

    @cached_property
    def _events(self) -> Groups:
        return group(self.labels.event[self.row])

    def breakdown(self) -> Breakdown:
        """Return what `Scoreboard.breakdown` describes."""
        return {
            "confidence": {name: self._score(np.flatnonzero(self.is_top(share))) for name, share in TOP_SHARES.items()},
            "direction": self._by(self.direction, CLASS_WORDS),
            "kind": self._by_kind(),
            "delay_bars": self._by(np.searchsorted(DELAY_EDGES, self.delay), _DELAY_NAMES),
            "symbol": self._by_name([series.symbol for series in self.labels.series]),
            "timeframe": self._by_name([series.timeframe for series in self.labels.series]),
            "hour": self._by(self._hour(), tuple(map(str, range(24)))),
            "reliability": self.reliability(),
            "confusion": self.confusion(),
        }

    def is_top(self, share: float) -> BoolArray:
        """Return which predictions are the most confident share, with all as confident as the last of them."""
        confidence = self.confidence
        if not len(confidence):
            return np.zeros(0, dtype=bool)
        place = len(confidence) - int(np.ceil(share * len(confidence)))
        is_top: BoolArray = confidence >= np.partition(confidence, place)[place]
        return is_top

    def reliability(self) -> dict[str, list[float]]:
        """Return the accuracy of each of 15 equal bins of confidence; NaN for an empty one."""
        confidence, is_correct, weight = self.confidence, self.is_correct, self.weight
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
        """Return the share of events by label (rows) and by prediction (columns)."""
        n_classes = max(2, int(self.direction.max(initial=0)) + 1, int(self.truth.max(initial=0)) + 1)
        index = self.truth.astype(np.int64) * n_classes + self.direction
        total = np.bincount(index, self.weight, n_classes**2).reshape(n_classes, n_classes)
        share = total / max(total.sum(), 1e-300)
        return {"classes": list(CLASS_WORDS[:n_classes]), "share": share.tolist()}

    def _hour(self) -> IntArray:
        time = self.labels.close_time[self.row].astype("datetime64[h]").astype(np.int64)
        hour: IntArray = time % 24
        return hour

    def _by_kind(self) -> Breakdown:
        if not len(self.labels.lines):  # a user's own labels
            return {}
        return self._by(self.labels.lines.kind[self.labels.event[self.row]], KIND_NAMES)

    def _by_name(self, names: list[str]) -> Breakdown:
        unique = sorted(set(names))
        code = np.array([unique.index(name) for name in names])
        groups = self._by(code[self.labels.series_index[self.row]], tuple(unique))
        return {name: scores for name, scores in groups.items() if name}

    def _by(self, code: IntArray, names: tuple[str, ...]) -> Breakdown:
        parts = zip(names, _parts(code, len(names)), strict=True)
        return {name: self._score(part) for name, part in parts if len(part)}

    def _score(self, part: IntArray) -> dict[str, Any]:
        event, is_correct = self.event[part], self.is_correct[part]
        counts = np.bincount(event, minlength=len(self.block))
        held = np.flatnonzero(counts)
        share = np.bincount(event, is_correct, len(self.block))[held] / counts[held]
        found = estimate(share, self.block[held], SHARES)
        return {
            "event_accuracy": found.mean,
            "n_events": found.n_events,
            "accuracy_se": found.se,
            "accuracy_ci95": list(found.ci95),
            "n_predictions": len(event),
            "accuracy": float(is_correct.mean()) if len(event) else float("nan"),
        }


def _parts(code: IntArray, n_codes: int) -> list[IntArray]:
    """Return the positions of each of the codes 0, 1, ...; one sort is many times as fast as a mask for each."""
    order = np.argsort(code.astype(np.uint8), kind="stable")
    edges = np.cumsum(np.bincount(code, minlength=n_codes))
    return np.split(order, edges[:-1])
