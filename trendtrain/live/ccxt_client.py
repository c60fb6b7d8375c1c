"""A ccxt client that tells its connections apart, reads the closed flag of rows, and tells how long it is refused."""

import time
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any, Final

from trendtrain.errors import InputError
from trendtrain.live.closed_bars import Row
from trendtrain.market.timeframe import format_timeframe, parse_timeframe

OnRow = Callable[
    [str, str, Row, bool], None
]  # market id, the exchange's name of the timeframe, row, whether it is final
_REFUSALS: Final = (403, 418, 429, 503)
_SECRETS: Final = ("apiKey", "secret", "password", "privateKey", "walletAddress", "token", "login", "uid", "twofa")


def new_client(
    exchange: str,
    settings: Mapping[str, Any],
    next_session: Callable[[], int],
    on_row: OnRow,
    on_refusal: Callable[[int, float], None],
) -> Any:
    """Return a client of an exchange, inside a running event loop.

    Args:
        exchange: Name of the exchange in ccxt, such as `binance`.
        settings: More settings of the ccxt class.
        next_session: Gives each connection when it began, ms, its `connected_at`.
        on_row: Called with each row of a stream that tells whether it is final, where the client `tells_final`.
        on_refusal: Called with the status and the seconds of Retry-After (0 where there is none) of a refused request.

    Raises:
        InputError: If ccxt is not installed, or does not know the exchange, or the settings hold a secret.
    """
    ccxt = import_ccxt()
    base = getattr(ccxt, exchange, None)
    if exchange not in ccxt.exchanges or base is None:
        raise InputError(f"`exchange` must be one that ccxt streams ({', '.join(ccxt.exchanges)}), got {exchange!r}.")
    for name in _SECRETS:
        if name in settings:
            raise InputError(f"`settings` must hold no secret, since they are stored with the run, got `{name}`.")
    read_flags = _READERS.get(next((name for name in _READERS if issubclass(base, getattr(ccxt, name))), ""))

    class Client(base):  # type: ignore[misc, valid-type]
        connected_at = 0
        tells_final = read_flags is not None

        def on_connected(self, client: Any, message: Any = None) -> None:
            """Begin a session; what an earlier one left in the cache may have a stale close."""
            self.connected_at = next_session()
            self.ohlcvs: dict[str, Any] = {}
            super().on_connected(client, message)

        def handle_ohlcv(self, client: Any, message: Any) -> None:
            super().handle_ohlcv(client, message)
            for row in read_flags(message) if read_flags else ():
                on_row(*row)

        def on_rest_response(self, code: int, reason: str, url: str, method: str, headers: Any, *rest: Any) -> Any:
            if code in _REFUSALS:
                on_refusal(code, seconds_of(headers.get("Retry-After"), time.time()))
            return super().on_rest_response(code, reason, url, method, headers, *rest)

    Client.__name__ = base.__name__
    return Client(dict(settings))


def import_ccxt() -> Any:
    """Return `ccxt.pro`.

    Raises:
        InputError: If ccxt is not installed.
    """
    try:
        return import_module("ccxt.pro")
    except ImportError as error:
        raise InputError("`feed=ccxt` needs the package ccxt: pip install trendtrain[live].") from error


def find_market(client: Any, symbol: str) -> Any:
    """Return the market of a symbol, written as ccxt does (`BTC/USDT`) or as the exchange does (`BTCUSDT`).

    Raises:
        InputError: If the exchange has none.
    """
    market = client.markets.get(symbol) or next(iter(client.markets_by_id.get(symbol, ())), None)
    if market is None:
        some = ", ".join(sorted(client.markets)[:5])
        raise InputError(f"`symbols` must name markets of {client.id} (such as {some}), got {symbol!r}.")
    return market


def find_timeframe(client: Any, timeframe: str) -> str:
    """Return ccxt's name of a timeframe.

    Raises:
        InputError: If the exchange has no bars of this length.
    """
    names: dict[str, str] = {
        format_timeframe(parse_timeframe(name)): name for name in client.timeframes if name[-1] in "smhdw"
    }
    if timeframe not in names:
        raise InputError(f"`timeframes` must be some of {client.id}'s ({', '.join(names)}), got {timeframe!r}.")
    return names[timeframe]


def seconds_of(retry_after: str | None, now: float) -> float:
    """Return for how many seconds a Retry-After header asks: a number of them, or a date.

    Example:
        >>> seconds_of("7", 0.0), seconds_of(None, 0.0), seconds_of("Thu, 01 Jan 1970 00:01:00 GMT", 50.0)
        (7.0, 0.0, 10.0)
        >>> seconds_of("soon", 0.0)
        0.0
    """
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(str(retry_after)).timestamp() - now)
    except ValueError:
        return 0.0


def _of_binance(message: Any) -> Iterator[tuple[str, str, Row, bool]]:
    kline = message["k"]
    row = Row.of([kline["t"], *(kline[name] for name in "ohlcv")])
    yield kline.get("s") or message["ps"], kline["i"], row, bool(kline["x"])


def _of_bybit(message: Any) -> Iterator[tuple[str, str, Row, bool]]:
    _, interval, market = message["topic"].split(".", 2)
    for part in message["data"]:
        row = Row.of([part[name] for name in ("start", "open", "high", "low", "close", "volume")])
        yield market, interval, row, bool(part["confirm"])


# Exchanges that say whether a bar is final; ccxt's own rows drop it. Others: the next bar proves it.
_READERS: Final = {"binance": _of_binance, "bybit": _of_bybit}
