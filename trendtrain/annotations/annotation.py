"""An annotated trade without its bars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from sys import float_info
from typing import Any

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import name_series
from trendtrain.market.directions import DOWN, UP


@dataclass(frozen=True)
class Annotation:
    """A trade that someone marked: when it was entered and left, and which way it went.

    Attributes:
        annotation_id: Its name, unique in a folder.
        symbol: Symbol of the bars it was marked on.
        timeframe: Their timeframe, such as `5m`.
        direction: UP or DOWN.
        entry_timestamp: `datetime64[ms]`, UTC.
        exit_timestamp: Likewise, not before the entry; None while the trade is open.
        entry_price: Positive.
        exit_price: Positive; None while the trade is open.
        timeframes_available: Timeframes of the bars it brought into the database.
        more: The other fields of its file, as they came.

    Raises:
        InputError: If a field breaks its rule.

    Example:
        >>> entry, exit = np.datetime64("2024-01-01T10:00"), np.datetime64("2024-01-01T15:00")
        >>> trade = Annotation("a1", "BTCUSDT", "60m", UP, entry, exit, 42_000.0, 43_000.0)
        >>> trade.timeframe, trade.exit_timestamp
        ('1h', np.datetime64('2024-01-01T15:00:00.000'))
    """

    annotation_id: str
    symbol: str
    timeframe: str
    direction: int
    entry_timestamp: np.datetime64
    exit_timestamp: np.datetime64 | None
    entry_price: float
    exit_price: float | None
    timeframes_available: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_name("annotation_id", self.annotation_id)
        _check_name("symbol", self.symbol)
        if not self.symbol.isprintable():  # no database takes a lone surrogate, and PostgreSQL no NUL
            raise InputError(f"`symbol` must be printable, got {self.symbol!r}.")
        object.__setattr__(self, "timeframe", name_series(self.symbol, self.timeframe).timeframe)
        if self.direction not in (UP, DOWN):
            raise InputError(f"`direction` must be {UP} (up) or {DOWN} (down), got {self.direction!r}.")
        object.__setattr__(self, "entry_timestamp", self.entry_timestamp.astype("datetime64[ms]"))
        _check_price("entry_price", self.entry_price)
        self._check_exit()

    @property
    def is_open(self) -> bool:
        """Whether the trade was not left yet, so that its direction is no more than a hope."""
        return self.exit_timestamp is None

    def _check_exit(self) -> None:
        if self.exit_timestamp is None or self.exit_price is None:
            if self.exit_timestamp is not None or self.exit_price is not None:
                got = f"{self.exit_timestamp} and {self.exit_price}"
                raise InputError(f"`exit_timestamp` and `exit_price` must both be given or both be null, got {got}.")
            return
        object.__setattr__(self, "exit_timestamp", self.exit_timestamp.astype("datetime64[ms]"))
        if not self.entry_timestamp <= self.exit_timestamp:
            got = f"{self.exit_timestamp} for an entry at {self.entry_timestamp}"
            raise InputError(f"`exit_timestamp` must not lie before `entry_timestamp`, got {got}.")
        _check_price("exit_price", self.exit_price)


def _check_name(name: str, text: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"`{name}` must be a name, got {text!r}.")


def _check_price(name: str, price: float) -> None:
    is_number = isinstance(price, Real) and not isinstance(price, bool)
    if not is_number or not 0 < price <= float_info.max:  # an integer may be beyond every float
        raise InputError(f"`{name}` must be a positive number, got {price!r:.60}.")
