"""Scores of groups of predictions: by confidence, direction, kind of line, delay, series and hour."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np

from trendtrain.market.bars import AnyArray, BoolArray, FloatArray, IntArray, Series, TimeArray
from trendtrain.market.directions import CLASS_WORDS
from trendtrain.market.lines import KIND_NAMES
from trendtrain.validation.predictions import Verdicts
from trendtrain.validation.score import (
    N_CALIBRATION_BINS,
    SHARES,
    Groups,
    block_error,
    calendar_blocks,
    calibration_index,
    estimate,
)

TOP_SHARES: Final = {"all": 1.0, "top_20": 0.2, "top_5": 0.05}
DELAY_EDGES: Final = (8, 16, 32, 64, 128)  # bars; the last bar of each group of delays
_DELAY_NAMES: Final = ("1-8", "9-16", "17-32", "33-64", "65-128", "129+")
_DELAY_GROUP: Final = np.searchsorted(DELAY_EDGES, np.arange(DELAY_EDGES[-1] + 2))
_FINE: Final = 64  # bins of confidence in each of the 15; a power of two, so that rounding agrees with theirs
_SHAPE: Final = (len(CLASS_WORDS), len(_DELAY_NAMES), 24, _FINE * N_CALIBRATION_BINS)
_N_CODES: Final = int(np.prod(_SHAPE))

Breakdown = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ScoredEvents:
    """Events that judged predictions, in order of arrival, and cells of these predictions.

    A cell is the number of an event's predictions that share the predicted direction, the group of delays, the UTC
    hour and the confidence to within 1/960. An event takes 34 bytes, 8 more for each baseline, and 8 for each cell; it
    has no more cells than predictions.

    Attributes:
        known_time: When each event was known, `datetime64[ms]`, shape (n_events,).
        series: The number of its series, int32.
        kind: The kind of its line, int8; -1 for none.
        truth: The direction of all its predictions' labels, int8.
        values: Of its predictions, the share that was correct, the mean nll, and the share for which each baseline was
            right, shape (n_events, 2 + n_rules).
        n_cells: How many cells it has, int32.
        cell: What the predictions of each cell share, as one code, int32, shape (n_cells,).
        count: How many predictions a cell has, int32, shape (n_cells,).
    """

    known_time: TimeArray
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
    def of(verdicts: Verdicts, events: Groups, values: FloatArray) -> "ScoredEvents":
        """Return the events of validated verdicts, given how they group and the `values` of each event."""
        key = np.sort(events.inverse * _N_CODES + _codes(verdicts), kind="stable")  # fast where it nearly is already
        start = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
        event = key[start] // _N_CODES  # `divmod` and `%` take several times as long
        cell = key[start] - _N_CODES * event
        first = events.first
        return ScoredEvents(
            verdicts.known_time[first],
            verdicts.predictions.series[first].astype(np.int32),
            np.append(verdicts.lines.kind, np.int8(-1))[verdicts.line[first]].astype(np.int8),
            verdicts.truth[first].astype(np.int8),
            values,
            np.bincount(event, minlength=len(first)).astype(np.int32),
            cell.astype(np.int32),
            np.diff(start, append=len(key)).astype(np.int32),
        )

    @staticmethod
    def none(n_values: int) -> "ScoredEvents":
        """Return no event, of so many values."""
        ints, codes = np.zeros(0, np.int32), np.zeros(0, np.int8)
        return ScoredEvents(
            np.zeros(0, "datetime64[ms]"), ints, codes, codes, np.zeros((0, n_values)), ints, ints, ints
        )

    @staticmethod
    def join(parts: list["ScoredEvents"]) -> "ScoredEvents":
        """Return all parts, at least one, in their order."""
        if len(parts) == 1:
            return parts[0]
        columns = (np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(ScoredEvents))
        return ScoredEvents(*columns)

    def of_series(self, series: int) -> "ScoredEvents":
        """Return the events of one series, given by its number."""
        part = self.series == series
        held = part[self.event]
        arrays = {column.name: getattr(self, column.name) for column in fields(self)}
        return ScoredEvents(
            **{name: array[held if name in ("cell", "count") else part] for name, array in arrays.items()}
        )

    def state_dict(self) -> dict[str, AnyArray]:
        """Return the columns as arrays; times are milliseconds."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return {**columns, "known_time": self.known_time.astype(np.int64)}

    @staticmethod
    def from_state(state: dict[str, AnyArray]) -> "ScoredEvents":
        """Return what `state_dict()` returned as events."""
        return ScoredEvents(**{**state, "known_time": state["known_time"].astype("datetime64[ms]")})

    @cached_property
    def block(self) -> IntArray:
        """The calendar block of each event, shape (n_events,)."""
        return calendar_blocks(self.known_time, self.series)

    @cached_property
    def event(self) -> IntArray:
        """The event of each cell, shape (n_cells,)."""
        return np.repeat(np.arange(len(self)), self.n_cells)

    @cached_property
    def is_correct(self) -> BoolArray:
        """Whether the predictions of each cell are, shape (n_cells,)."""
        is_correct: BoolArray = self._groups[0] == self.truth[self.event]
        return is_correct

    @cached_property
    def weight(self) -> FloatArray:
        """The share of its event's predictions that each cell holds, so that events count alike, shape (n_cells,)."""
        total = np.bincount(self.event, self.count, len(self))
        weight: FloatArray = self.count / total[self.event]
        return weight

    @cached_property
    def _groups(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """The direction, group of delays, hour and bin of confidence of each cell."""
        direction, delay, hour, confidence = np.unravel_index(self.cell, _SHAPE)
        return direction, delay, hour, confidence

    def breakdown(self, series: Sequence[Series], bins: FloatArray) -> Breakdown:
        """Return what `Scoreboard.breakdown` describes.

        Args:
            series: The name of each series.
            bins: Sums over the 15 bins of confidence, from `calibration_bins`.
        """
        direction, delay, hour, _ = self._groups
        top = {name: np.flatnonzero(self._is_top(share)) for name, share in TOP_SHARES.items()}
        return {
            "confidence": {name: self._score(part) for name, part in top.items()},
            "direction": self._by(direction, CLASS_WORDS),
            "kind": self._by(self.kind[self.event], KIND_NAMES),
            "delay_bars": self._by(delay, _DELAY_NAMES),
            "symbol": self._by_name([one.symbol for one in series]),
            "timeframe": self._by_name([one.timeframe for one in series]),
            "hour": self._by(hour, tuple(map(str, range(24)))),
            "reliability": self._reliability(bins),
            "confusion": self._confusion(),
        }

    def _is_top(self, share: float) -> BoolArray:
        """Return which cells are in the most confident share, with all predictions in the bin of the last of them."""
        confidence = self._groups[3]
        n_above = np.cumsum(np.bincount(confidence, self.count, _SHAPE[3])[::-1])[::-1]  # in each bin or above it
        is_top: BoolArray = confidence >= np.flatnonzero(n_above >= np.ceil(share * n_above[0]))[-1]
        return is_top

    def _reliability(self, bins: FloatArray) -> dict[str, list[float]]:
        """Return the accuracy of each of 15 equal bins of confidence; NaN for an empty one."""
        total = np.where(bins[:, 0] > 0, bins[:, 0], np.nan)
        accuracy, edges = bins[:, 2] / total, np.linspace(0.0, 1.0, N_CALIBRATION_BINS + 1)
        index = self._groups[3] // _FINE
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


def _codes(verdicts: Verdicts) -> IntArray:
    """Return the code of the cell of each verdict."""
    made = verdicts.predictions
    hours = made.close_time.astype("datetime64[ms]").view(np.int64) // 3_600_000
    hour = hours - 24 * (hours // 24)
    delay = _DELAY_GROUP[np.minimum(verdicts.known_at - verdicts.row, len(_DELAY_GROUP) - 1)]
    code: IntArray = made.direction.astype(np.int64)
    for group, size in ((delay, _SHAPE[1]), (hour, _SHAPE[2])):
        code = code * size + group
    return code * _SHAPE[3] + calibration_index(made.confidence.astype(np.float32), _SHAPE[3])


def _parts(code: IntArray, n_codes: int) -> list[IntArray]:
    """Return the positions of each of the codes 0, 1, ...; one sort is many times as fast as a mask for each."""
    here = np.flatnonzero(code >= 0)
    order = here[np.argsort(code[here].astype(np.uint8), kind="stable")]
    edges = np.cumsum(np.bincount(code[here], minlength=n_codes))
    return np.split(order, edges[:-1])
