"""Scores of groups of predictions: by confidence, direction, kind of line, delay, series and hour."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np

from trendtrain.market.bars import AnyArray, BoolArray, FloatArray, IntArray, Series
from trendtrain.market.directions import CLASS_WORDS
from trendtrain.market.lines import KIND_NAMES
from trendtrain.validation.kernel import FINE, N_CALIBRATION_BINS, N_FINE, N_HOURS, score_verdicts
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.score import SHARES, block_error, calendar_blocks, estimate, negative_log_likelihood

TOP_SHARES: Final = {"all": 1.0, "top_20": 0.2, "top_5": 0.05}
_DELAY_NAMES: Final = ("1-8", "9-16", "17-32", "33-64", "65-128", "129+")  # by `DELAY_EDGES`
_SHAPE: Final = (len(CLASS_WORDS), len(_DELAY_NAMES), N_HOURS, N_FINE)

Breakdown = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ScoredEvents:
    """Events that judged predictions, in order of arrival, and cells of these predictions.

    A cell is the number of an event's predictions that share the predicted direction, the group of delays, the UTC
    hour and the confidence to within 1/960. An event takes 34 bytes, 8 more for each baseline, and 8 for each cell; it
    has no more cells than predictions.

    Attributes:
        known_time: When each event was known, ms, shape (n_events,).
        series: The number of its series, int32.
        kind: The kind of its line, int8; -1 for none.
        truth: The direction of all its predictions' labels, int8.
        values: Of its predictions, the share that was correct, the mean nll, and the share for which each baseline was
            right, shape (n_events, 2 + n_rules).
        n_cells: How many cells it has, int32.
        cell: What the predictions of each cell share, as one code, int32, shape (n_cells,).
        count: How many predictions a cell has, int32, shape (n_cells,).
    """

    known_time: IntArray
    series: IntArray
    kind: IntArray
    truth: IntArray
    values: FloatArray
    n_cells: IntArray
    cell: IntArray
    count: IntArray

    def __len__(self) -> int:
        return len(self.truth)

    @staticmethod
    def of(verdicts: Verdicts, sums: tuple[IntArray, IntArray, FloatArray, FloatArray]) -> "ScoredEvents":
        """Return the events of verdicts, those of an event one after another, and add the verdicts to sums."""
        made, n = verdicts.predictions, len(verdicts)
        truth = np.clip(verdicts.truth, 0, made.probability.shape[1] - 1)  # void ones have no score
        surprise = negative_log_likelihood(made.probability, truth)
        close_time = made.close_time.astype("datetime64[ms]").view(np.int64)
        values, cells = np.zeros((n, 2 + made.baselines.shape[1])), np.empty((4, n), np.int32)
        n_events, n_cells = score_verdicts(
            np.stack([verdicts.event, verdicts.known_at - verdicts.row, made.series, close_time]),
            np.vstack([verdicts.outcome, verdicts.truth, made.baselines.T]),
            np.vstack([surprise, made.probability.T]),
            *sums,
            values,
            cells,
        )
        first, sizes, code, count = cells
        first = first[:n_events]
        return ScoredEvents(
            verdicts.known_time[first].astype("datetime64[ms]").view(np.int64),
            made.series[first].astype(np.int32),
            np.append(verdicts.lines.kind, np.int8(-1))[verdicts.line[first]],
            verdicts.truth[first],
            values[:n_events],
            sizes[:n_events],
            code[:n_cells],
            count[:n_cells],
        )

    @staticmethod
    def none(n_values: int) -> "ScoredEvents":
        """Return no event, of so many values."""
        ints, codes = np.zeros(0, np.int32), np.zeros(0, np.int8)
        return ScoredEvents(np.zeros(0, np.int64), ints, codes, codes, np.zeros((0, n_values)), ints, ints, ints)

    @staticmethod
    def join(parts: list["ScoredEvents"]) -> "ScoredEvents":
        """Return all parts, at least one, in their order."""
        if len(parts) == 1:
            return parts[0]
        return ScoredEvents(*map(np.concatenate, zip(*(part.columns().values() for part in parts), strict=True)))

    def of_series(self, series: int) -> "ScoredEvents":
        """Return the events of one series, given by its number."""
        part = self.series == series
        held = {name: part[self.event] if name in ("cell", "count") else part for name in self.columns()}
        return ScoredEvents(**{name: column[held[name]] for name, column in self.columns().items()})

    def columns(self) -> dict[str, AnyArray]:
        """Return the arrays by name."""
        return {column.name: getattr(self, column.name) for column in fields(self)}

    @cached_property
    def block(self) -> IntArray:
        """The calendar block of each event, shape (n_events,)."""
        return calendar_blocks(self.known_time.view("datetime64[ms]"), self.series)

    @cached_property
    def event(self) -> IntArray:
        """The event of each cell, shape (n_cells,)."""
        return np.repeat(np.arange(len(self)), self.n_cells)

    @cached_property
    def is_correct(self) -> BoolArray:
        """Whether the predictions of each cell are, shape (n_cells,)."""
        return np.equal(self._groups[0], self.truth[self.event])

    @cached_property
    def weight(self) -> FloatArray:
        """The share of its event's predictions that each cell holds, so that events count alike, shape (n_cells,)."""
        total = np.bincount(self.event, self.count, len(self))
        return np.divide(self.count, total[self.event])

    @cached_property
    def _groups(self) -> tuple[IntArray, ...]:
        """The direction, group of delays, hour and bin of confidence of each cell."""
        return np.unravel_index(self.cell, _SHAPE)

    def breakdown(self, series: Sequence[Series], bins: FloatArray) -> Breakdown:
        """Return what `Scoreboard.breakdown` describes.

        Args:
            series: The name of each series.
            bins: Sums over the 15 bins of confidence, from `calibration_bins`.
        """
        direction, delay, hour, _ = self._groups
        return {
            "confidence": {name: self._score(self._top(share)) for name, share in TOP_SHARES.items()},
            "direction": self._by(direction, CLASS_WORDS),
            "kind": self._by(self.kind[self.event], KIND_NAMES),
            "delay_bars": self._by(delay, _DELAY_NAMES),
            "symbol": self._by_name([one.symbol for one in series]),
            "timeframe": self._by_name([one.timeframe for one in series]),
            "hour": self._by(hour, tuple(map(str, range(N_HOURS)))),
            "reliability": self._reliability(bins),
            "confusion": self._confusion(),
        }

    def _top(self, share: float) -> IntArray:
        """Return the cells in the most confident share, with all predictions in the bin of the last of them."""
        confidence = self._groups[3]
        n_above = np.cumsum(np.bincount(confidence, self.count, N_FINE)[::-1])[::-1]  # in each bin or above it
        return np.flatnonzero(confidence >= np.flatnonzero(n_above >= np.ceil(share * n_above[0]))[-1])

    def _reliability(self, bins: FloatArray) -> dict[str, list[float]]:
        """Return the accuracy of each of 15 equal bins of confidence; NaN for an empty one."""
        total = np.where(bins[:, 0] > 0, bins[:, 0], np.nan)
        accuracy, edges = bins[:, 2] / total, np.linspace(0.0, 1.0, N_CALIBRATION_BINS + 1)
        index = self._groups[3] // FINE
        residual = self.weight * (self.is_correct - accuracy[index])
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

    def _confusion(self) -> dict[str, Any]:
        """Return the share of events by label (rows) and by prediction (columns)."""
        direction = self._groups[0]
        n_classes = max(2, int(direction.max(initial=0)) + 1, int(self.truth.max(initial=0)) + 1)
        index = self.truth.astype(np.int64)[self.event] * n_classes + direction
        total = np.bincount(index, self.weight, n_classes**2).reshape(n_classes, n_classes)
        share = total / max(total.sum(), 1e-300)
        return {"classes": list(CLASS_WORDS[:n_classes]), "share": share.tolist()}

    def _by_name(self, names: list[str]) -> Breakdown:
        unique = sorted(set(names))
        code = np.array([unique.index(name) for name in names])
        groups = self._by(code[self.series[self.event]], tuple(unique))
        return {name: scores for name, scores in groups.items() if name}

    def _by(self, code: IntArray, names: tuple[str, ...]) -> Breakdown:
        parts = zip(names, _parts(code, len(names)), strict=True)
        return {name: self._score(part) for name, part in parts if len(part)}

    def _score(self, part: IntArray) -> dict[str, Any]:
        event, count = self.event[part], self.count[part]
        n_correct = count * self.is_correct[part]
        n_of_event = np.bincount(event, count, len(self))
        held = np.flatnonzero(n_of_event)
        share = np.bincount(event, n_correct, len(self))[held] / n_of_event[held]
        found, n = estimate(share, self.block[held], SHARES), int(count.sum())
        return {
            "event_accuracy": found.mean,
            "n_events": found.n_events,
            "accuracy_se": found.se,
            "accuracy_ci95": list(found.ci95),
            "n_predictions": n,
            "accuracy": int(n_correct.sum()) / n if n else float("nan"),
        }


def _parts(code: IntArray, n_codes: int) -> Sequence[IntArray]:
    """Return the positions of each of the codes 0, 1, ...; one sort is many times as fast as a mask for each."""
    key = code.astype(np.uint16)  # -1, for none, comes last
    edges = np.cumsum(np.bincount(key, minlength=n_codes)[:n_codes])
    return np.split(np.argsort(key, kind="stable"), edges)[:-1]
