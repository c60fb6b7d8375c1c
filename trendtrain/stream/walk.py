"""Where a walk starts, how far its steps go, and how many there are."""

import math
import re
from dataclasses import dataclass

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.market.timeframe import parse_timeframe, to_milliseconds


@dataclass(frozen=True)
class Walk:
    """Where the stream starts, how far each step goes, and how many there are.

    Attributes:
        start: A fraction of the time span of all series together, or a date (UTC).
        step: A length in time (`1d`), or in bars of the smallest timeframe (`256bars`).
        steps: How many at most; None for all there are.
        batch_size: Stream rows predicted at once.
        warmup: How often each event that is known at the start is drawn, on average, in training epochs before the
            first step; 0 for no such epochs.

    Raises:
        InputError: If a value is none of these.
    """

    start: float | str = 0.25
    step: str = "256bars"
    steps: int | None = None
    batch_size: int = 1024
    warmup: float = 5.0

    def __post_init__(self) -> None:
        check_at_least("walk.batch_size", self.batch_size, 1)
        check_number("walk.warmup", self.warmup, 0.0)
        if self.steps is not None:
            check_at_least("walk.steps", self.steps, 1)
        self.length(np.timedelta64(1, "s"))
        self.start_time(np.datetime64(0, "ms"), np.datetime64(1, "ms"))

    def start_time(self, first: np.datetime64, last: np.datetime64) -> np.datetime64:
        """Return when the stream starts, between the first open and the last close of all series."""
        if isinstance(self.start, (int, float)) and 0.0 <= self.start < 1.0:
            return first + np.timedelta64(round(float((last - first) / np.timedelta64(1, "ms")) * self.start), "ms")
        try:
            if not isinstance(self.start, str):
                raise ValueError
            return np.datetime64(to_milliseconds("walk.start", self.start), "ms")
        except ValueError:
            rule = "a fraction from 0 to below 1, or a date such as 2024-01-31"
            raise InputError(f"`walk.start` must be {rule}, got {self.start!r}.") from None

    def warmup_epochs(self, n_events: int, n_draws: int) -> int:
        """Return how many epochs of `n_draws` rows draw each of `n_events` `warmup` times on average, rounded up."""
        return math.ceil(self.warmup * n_events / n_draws)

    def length(self, timeframe: np.timedelta64) -> np.timedelta64:
        """Return how long a step is where `timeframe` is the smallest."""
        bars = re.fullmatch(r"([1-9]\d*) ?bars?", str(self.step))
        if bars:
            return int(bars[1]) * timeframe
        try:
            return parse_timeframe(self.step if "M" in str(self.step) else str(self.step).lower())  # 1M may be a month
        except InputError:
            rule = "a length such as 256bars, 6h or 1d"
            raise InputError(f"`walk.step` must be {rule}, got {self.step!r}.") from None
