"""What brings the closed bars of some series: an exchange, growing files, a database, or stored bars again."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

from trendtrain.market.bars import Bars, Series


class Revision(NamedTuple):
    """A bar that was corrected after it had been taken in.

    Attributes:
        series: Whose bar.
        bar: As it is now, one bar.
        arrived: When the correction came, `datetime64[ms]`.
    """

    series: Series
    bar: Bars
    arrived: np.datetime64


class BarSource(Protocol):
    """Brings the closed bars of some series: each once, and in order within its series.

    Attributes:
        series: The series there are.
    """

    series: tuple[Series, ...]

    def start(self, after: Mapping[Series, np.datetime64 | None]) -> None:
        """Begin to bring bars: first what is missing, then what closes. A second call begins anew.

        Args:
            after: By series, the open time of the newest bar that is there already; None: from where the source begins.
        """

    def take(self, timeout: float) -> dict[Series, Bars]:
        """Return what has closed since the last call; {} where nothing comes within `timeout` seconds."""

    def revisions(self) -> list[Revision]:
        """Return the corrections that came since the last call."""

    def clock(self) -> np.datetime64:
        """Return what time it is in the market, `datetime64[ms]`: the exchange's where the source knows it."""

    @property
    def has_bars(self) -> bool:
        """Whether `take` would return at once. Any thread may ask, often: training asks between two batches."""

    @property
    def is_done(self) -> bool:
        """Whether no bar will ever come (stored bars that ended); a source that is live never says so."""

    def close(self) -> None:
        """End threads, sockets and timers; a second call does nothing."""
