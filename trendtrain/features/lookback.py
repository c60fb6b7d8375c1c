"""Features by functions of bars, which are called on few earlier bars or on all there are."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from trendtrain.errors import CostWarning, check_at_least
from trendtrain.market.bars import PRICES, Bars, FloatArray, join_bars

FeatureFunction = Callable[[Bars], FloatArray]
"""What a feature function is: bars to one row a bar, shape (n_bars, K) or (n_bars,)."""

_COLUMNS = (*PRICES, "volume")
_MOST_SECONDS = 1.0


class Lookback:
    """Features of a function that needs few earlier bars: it is called on the next bars and on those alone.

    Args:
        function: `Bars -> (n_bars, K)` or `(n_bars,)`, for any number of bars from 1 on.
        lookback: The bars that a row depends on, its own among them: 21 for a return over 20 bars. None for all bars so
            far: the longer the history, the more a call costs.

    Raises:
        InputError: If `lookback` is below 1.

    Example:
        >>> from trendtrain.market import random_walk
        >>> def rise(bars):
        ...     return np.diff(bars.close, prepend=bars.close[0])
        >>> bars, tracker = random_walk(300, seed=0), Lookback(rise, lookback=2)
        >>> rows = [tracker.update(bars[:250]), tracker.update(bars[250:])]
        >>> bool((np.concatenate(rows) == rise(bars)).all())
        True
    """

    def __init__(self, function: FeatureFunction, lookback: int | None) -> None:
        if lookback is not None:
            check_at_least("lookback", lookback, 1)
        self.function = function
        self.lookback = lookback
        self._before: Bars | None = None

    @property
    def is_costly(self) -> bool:
        """Whether the next call also takes all bars of earlier ones."""
        return self.lookback is None and self._before is not None

    def update(self, bars: Bars) -> FloatArray:
        """Return the rows of the next bars."""
        whole = bars if self._before is None else join_bars(self._before, bars)
        rows = np.asarray(self.function(whole))
        n_before = len(whole) - len(bars)
        # Only now: after an error the same bars may come again.
        self._before = whole if self.lookback is None else whole[max(0, len(whole) - self.lookback + 1) :]
        return rows[n_before:] if rows.ndim else rows

    def state_dict(self) -> dict[str, Any]:
        """Return the bars that later rows depend on, in arrays and plain types."""
        if self._before is None:
            return {}
        columns = {name: getattr(self._before, name) for name in _COLUMNS}
        times = {"open_time": self._before.open_time.astype(np.int64)}
        return columns | times | {"timeframe": int(self._before.timeframe.astype(int))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        timeframe = np.timedelta64(state_dict.get("timeframe", 0), "ms")
        self._before = Bars(**state_dict | {"timeframe": timeframe}) if state_dict else None


class CallCost:
    """Count the time of calls on bars that a function had been given before, and warn once, after a second in all.

    Args:
        name: The key of the function.
        fix: What spares these calls.
    """

    def __init__(self, name: str, fix: str) -> None:
        self.name = name
        self.fix = fix
        self._seconds = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time spent inside."""
        started, before = time.perf_counter(), self._seconds
        yield
        self._seconds += time.perf_counter() - started
        if before <= _MOST_SECONDS < self._seconds:
            cost = f"`{self.name}` is called on all bars so far at each step, which has taken a second"
            warnings.warn(f"{cost} and grows with the history; {self.fix}.", CostWarning, stacklevel=3)
