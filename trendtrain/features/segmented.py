"""Features that start anew after each hole in the bars, whoever wrote them."""

from collections.abc import Callable, Hashable
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np

from trendtrain.errors import InputError
from trendtrain.features.bar import BarFeatures, bar_features
from trendtrain.features.lookback import CallCost, FeatureFunction, Lookback
from trendtrain.features.skill import SkillFeatures, skill_features
from trendtrain.market.bars import Bars, FloatArray, segments

_FIX = "if a row needs only the last bars, say how many with trendtrain.features.Lookback, or write a tracker"
_LARGEST = float(np.finfo(np.float32).max)  # nets see features in single precision


class FeatureTracker(Protocol):
    """Features of bars that come in chunks. The rows are the same for chunks of any size, one bar included."""

    def update(self, bars: Bars) -> FloatArray:
        """Return a row for each of the next bars, shape (n_bars, K) or (n_bars,)."""

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on, in arrays and plain types."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""


Features = FeatureFunction | Callable[[], FeatureTracker]

_TRACKERS: dict[Any, type[FeatureTracker]] = {bar_features: BarFeatures, skill_features: SkillFeatures}  # of functions


class SegmentedFeatures:
    """Features of one series that start anew after each hole of more than `max_gap` missing bars; itself a tracker.

    Args:
        features: A function `Bars -> (n_bars, K)`; or a class of `FeatureTracker` (or a `partial` of one, such as
            `partial(Lookback, function, 20)`) that makes a tracker for each segment. A function keeps no state: each
            update calls it on all bars of the segment so far.
        max_gap: Most missing bars inside a segment; None for any hole.
        name: What an error calls them.
    """

    def __init__(self, features: Features, max_gap: int | None = None, name: str = "data.features") -> None:
        self.features = features
        self.max_gap = max_gap
        self.name = name
        self._cost = CallCost(name, _FIX)
        self._tracker: FeatureTracker | None = None
        self._last_open: np.datetime64 | None = None

    def update(self, bars: Bars) -> FloatArray:
        """Return a row for each of the next bars, shape (n_bars, K) or (n_bars,).

        Raises:
            InputError: If there is not one row a bar, of numbers that are finite in single precision.
        """
        rows = []
        for start, end in pairwise([0, *self._later_starts(bars), len(bars)]):
            if start or self._tracker is None or self._is_apart(bars):
                self._tracker = _new_tracker(self.features, self.name)
            is_costly = isinstance(self._tracker, Lookback) and self._tracker.is_costly
            with self._cost.counted() if is_costly else nullcontext():
                made = np.asarray(self._tracker.update(bars if end - start == len(bars) else bars[start:end]))
            rows.append(made if end - start == len(bars) else made.copy())  # it may fill the same array again
        result = np.concatenate(rows) if len(rows) > 1 else rows[0]
        _check(result, len(bars), self.name)
        self._last_open = bars.open_time[-1] if len(bars) else self._last_open
        return result

    def state_dict(self) -> dict[str, Any]:
        """Return what later updates depend on, in arrays and plain types."""
        last_open = None if self._last_open is None else int(self._last_open.astype(np.int64))
        return {"last_open": last_open, "tracker": None if self._tracker is None else self._tracker.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        last_open, state = state_dict["last_open"], state_dict["tracker"]
        self._last_open = None if last_open is None else np.datetime64(last_open, "ms")
        self._tracker = None if state is None else _new_tracker(self.features, self.name)
        if self._tracker is not None:
            self._tracker.load_state_dict(state)

    def _later_starts(self, bars: Bars) -> list[int]:
        """Return the positions of the bars but for the first that start a segment."""
        if self.max_gap is None or len(bars) < 2:
            return []
        starts: list[int] = (
            np.flatnonzero(np.diff(segments(bars.open_time, bars.timeframe, self.max_gap))) + 1
        ).tolist()
        return starts

    def _is_apart(self, bars: Bars) -> bool:
        """Return whether a hole lies between the bars of earlier updates and these, or raise if these are no later."""
        if self._last_open is None or not len(bars):
            return False
        first = bars.open_time[0]
        if first <= self._last_open:
            raise InputError(f"`bars` must start after the last bar {self._last_open}, got {first}.")
        return self.max_gap is not None and bool(first - self._last_open > (self.max_gap + 1) * bars.timeframe)


def _check(rows: FloatArray, n_bars: int, name: str) -> None:
    """Raise an `InputError` if there is not one row of numbers a bar, each finite also in single precision."""
    rule = f"`{name}` must give a finite row for each of {n_bars} bars"
    if rows.shape[:1] != (n_bars,) or rows.ndim > 2 or 0 in rows.shape[1:] or rows.dtype.kind not in "biuf":
        raise InputError(f"{rule}, shape ({n_bars}, K) or ({n_bars},), got {rows.dtype} of shape {rows.shape}.")
    if not rows.size or (rows.min() >= -_LARGEST and rows.max() <= _LARGEST):  # false for NaN
        return
    table = rows.reshape(n_bars, -1)
    row, column = np.argwhere(~(np.abs(table) <= _LARGEST))[0]
    raise InputError(f"{rule}, got {table[row, column]} at bar {row}, column {column}.")


def by_segment(features: Features, bars: Bars, max_gap: int | None, name: str = "data.features") -> FloatArray:
    """Return the features of all bars of a series: one update of `SegmentedFeatures`."""
    return SegmentedFeatures(features, max_gap, name).update(bars)


def _new_tracker(features: Features, name: str) -> FeatureTracker:
    made = features.func if isinstance(features, partial) else features
    is_tracker = hasattr(made, "update") and not isinstance(made, type)
    if is_tracker or not callable(made):
        rule = "a function of bars, or a class (or `partial` of one) that makes trackers (`_partial_: true` in YAML)"
        raise InputError(f"`{name}` must be {rule}, got {'one tracker: ' * is_tracker}{type(made).__name__}.")
    if isinstance(made, Hashable) and made in _TRACKERS:  # a callable object need not be hashable
        return _TRACKERS[made]()
    if isinstance(made, type):
        return cast(Callable[[], FeatureTracker], features)()
    return Lookback(cast(FeatureFunction, features), None)
