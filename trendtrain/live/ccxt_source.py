"""Bring the closed bars of an exchange through ccxt: websocket for speed, REST for what it lacks."""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NoReturn

import numpy as np

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.live.ccxt_client import find_market, find_timeframe, import_ccxt, new_client
from trendtrain.live.closed_bars import ClosedBars, Row
from trendtrain.live.inbox import FromInbox, Inbox, bars_of_rows
from trendtrain.live.source import Revision, name_all
from trendtrain.market.bars import Series
from trendtrain.market.timeframe import parse_timeframe

_LOG: Final = logging.getLogger("trendtrain.live")
_PAGE: Final = 1000  # bars of a REST request
_FIRST_WAIT: Final = 0.1  # seconds until REST is asked again for a bar that it does not have yet; doubles
_LONGEST_GOODBYE: Final = 2.0  # seconds that the end of a connection may take
_LONGEST_WAIT: Final = 30.0  # seconds between two tries of a request that fails


class CcxtSource(FromInbox):
    """Brings the closed bars of some series of an exchange, from a thread of its own.

    Args:
        exchange: Name of the exchange in ccxt, such as `binance`.
        symbols: Markets, as ccxt writes them (`BTC/USDT`) or as the exchange does (`BTCUSDT`); bars are stored under
            the name that is given here.
        timeframes: Lengths of bars, such as `1m`; each symbol has a series of each.
        history: How many bars to fetch of a series that has none stored.
        grace: Seconds after the end of a timeframe without a bar until REST is asked.
        reconcile: Seconds between two comparisons with REST of the newest bars of each series.
        look_back: How many stored bars each comparison sees again; a change becomes a revision.
        recycle: Seconds in which REST brings bars of a series, and its stream none, until the client is made anew.
        max_skew: Seconds by which the clock of this machine may differ from that of the exchange.
        keep_alive: Seconds between two pings; a peer that misses two is frozen.
        timeout: Seconds that a request may take.
        settings: More settings of the ccxt class, such as `urls` and `options`. No secrets: public bars need none.

    Attributes:
        series: The series there are.
    """

    def __init__(
        self,
        exchange: str,
        symbols: str | Sequence[str],
        timeframes: str | Sequence[str],
        history: int = 1000,
        grace: float = 5.0,
        reconcile: float = 600.0,
        look_back: int = 10,
        recycle: float = 60.0,
        max_skew: float = 2.0,
        keep_alive: float = 3.0,
        timeout: float = 10.0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        check_at_least("history", history, 1)
        check_at_least("look_back", look_back, 1)
        seconds = {"grace": grace, "reconcile": reconcile, "recycle": recycle, "max_skew": max_skew}
        for name, value in {**seconds, "keep_alive": keep_alive, "timeout": timeout}.items():
            check_number(name, value, 0.0)
        self.exchange = exchange
        self.series = name_all(symbols, timeframes)
        self.history, self.look_back = history, look_back
        self.grace, self.reconcile, self.recycle, self.max_skew = grace, reconcile, recycle, max_skew
        self.keep_alive, self.timeout, self.settings = keep_alive, timeout, settings or {}
        self._inbox = Inbox()
        self._run: _Run | None = None

    def start(self, after: Mapping[Series, np.datetime64 | None]) -> None:
        """Begin to bring bars that open after these times, in a thread; a second call begins anew."""
        self.close()
        import_ccxt()
        self._inbox = Inbox()
        self._run = _Run(self, after, self._inbox)

    def clock(self) -> np.datetime64:
        """Return the time of the exchange as this machine knows it."""
        return np.datetime64(int(1000 * time.time()) + (self._run.skew if self._run else 0), "ms")

    def close(self) -> None:
        """End the thread, its sockets and timers."""
        if self._run is not None:
            self._run.close()
            self._run = None


class _Recycle(Exception):  # noqa: N818 # no error: a reason
    """Why the client is made anew."""


class _Watched:
    """One series: its bars, and what is known of its stream."""

    def __init__(self, series: Series, after: np.datetime64 | None) -> None:
        self.series = series
        self.timeframe = parse_timeframe(series.timeframe)
        length = int(self.timeframe.astype(np.int64))
        newest = None if after is None else int(after.astype("datetime64[ms]").astype(np.int64))
        self.bars = ClosedBars(length, newest)
        self.symbol = self.interval = ""  # as ccxt names them
        self.wake = asyncio.Event()
        self.heard = 0  # open time of the newest row of the stream, ms
        self.session = 0  # of that row
        self.is_due = False  # to be compared with REST
        self.unheard_since: float | None = None  # since when REST brings bars and the stream none
        self.is_heard = False  # whether the stream of this client has brought a row
        self.trouble = ""

    @property
    def needs(self) -> set[str]:
        """Why REST must be asked now; empty where it need not."""
        return {name for name, is_so in (("due", self.is_due), ("missing", self.bars.is_missing)) if is_so}


class _Run:
    """One start of a source: a thread with one event loop."""

    def __init__(self, source: CcxtSource, after: Mapping[Series, np.datetime64 | None], inbox: Inbox) -> None:
        import stamina

        self.source, self.inbox = source, inbox
        self.skew = 0  # what the exchange's clock shows more than this machine's, ms
        self.state = "starting"
        self._after = after
        stamina.instrumentation.set_on_retry_hooks(())  # `_tell_state` tells it once
        self._session = 0
        self._refused_until = self._began = 0.0
        self._n_recycled = 0
        self._by_market: dict[tuple[str, str], _Watched] = {}
        self._broken = asyncio.Event()
        self._is_closed = False
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._loop.set_exception_handler(self._on_loop_error)
        self._client: Any = None
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, name=f"trendtrain-{source.exchange}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cancel all tasks, and wait for the end of the thread."""
        with suppress(RuntimeError):  # the thread has ended, and closed its loop
            self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def _stop(self) -> None:
        self._is_closed = True
        if self._task is not None:
            self._task.cancel()

    def _work(self) -> None:
        with self._runner:
            try:
                self._runner.run(self._main())
            except asyncio.CancelledError:
                pass  # `close` ended it
            except Exception as error:  # the thread that takes the bars raises it
                while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
                    (error,) = error.exceptions
                self.inbox.fail(error)

    async def _main(self) -> None:
        self._task = asyncio.current_task()
        self._watched = [_Watched(series, self._after.get(series)) for series in self.source.series]
        markets = None
        while not self._is_closed:
            self._began = self._loop.time()
            self._broken.clear()
            self._client = new_client(
                self.source.exchange, self._settings(), self._next_session, self._on_row, self._on_refusal
            )
            try:
                if markets is not None:
                    self._client.set_markets_from_exchange(markets)
                await self._prepare(is_first=markets is None)
                markets = self._client
                async with asyncio.TaskGroup() as group:
                    for one in self._watched:
                        one.unheard_since, one.is_heard = None, False
                        if self._client.has.get("watchOHLCV"):
                            group.create_task(self._watch(one))
                        group.create_task(self._fill(one))
                    group.create_task(self._measure_skew())
                    group.create_task(self._recycle_when_broken())
            except* _Recycle as reasons:
                _LOG.warning("client made anew: %s", reasons.exceptions[0], extra={"event": "recycled"})
            finally:
                await self._end_client()
            # An exchange that stays silent, or sends what ccxt cannot read, is called less and less often.
            self._n_recycled = 0 if self._was_healthy() else min(self._n_recycled + 1, 8)
            await asyncio.sleep(_FIRST_WAIT * 2**self._n_recycled)

    async def _end_client(self) -> None:
        try:
            await self._end(self._client.close)
        finally:  # also where this is cancelled
            if self._client.session is not None:
                await self._end(self._client.session.close)

    async def _end(self, call: Callable[[], Awaitable[Any]]) -> None:
        """End a connection; one that does not end, such as that of a frozen peer, holds up no new one."""
        try:
            async with asyncio.timeout(_LONGEST_GOODBYE):
                await call()
        except Exception as error:
            _LOG.warning("%s: a connection did not end: %r", self.source.exchange, error, extra={"event": "not ended"})

    def _settings(self) -> dict[str, Any]:
        source = self.source
        given = dict(source.settings)
        given["options"] = {"OHLCVLimit": 100, **given.get("options", {})}
        streaming = {"keepAlive": int(1000 * source.keep_alive), **given.get("streaming", {})}
        return {"timeout": int(1000 * source.timeout), "enableRateLimit": True, **given, "streaming": streaming}

    async def _prepare(self, is_first: bool) -> None:
        """Load the markets, find the series among them, and compare the clocks."""
        try:
            await self._ask_rest(self._client.load_markets)
        except import_ccxt().BaseError as error:
            raise InputError(f"`exchange` must give its markets, got {self.source.exchange}: {error}.") from error
        self._by_market = {}
        for one in self._watched:
            market = find_market(self._client, one.series.symbol)
            one.symbol, one.interval = market["symbol"], find_timeframe(self._client, one.series.timeframe)
            self._by_market[market["id"], self._client.timeframes[one.interval]] = one
        await self._look_at_clock()
        if is_first and self._is_skewed:
            limit, got = f"{self.source.max_skew:g} s", f"{self.skew / 1000:.1f} s"
            raise InputError(
                f"`max_skew` must cover what the clock of {self.source.exchange} is ahead of this machine's, "
                f"at most {limit}, got {got}: set this machine's clock."
            )
        self._tell_skew()

    # The stream

    async def _watch(self, one: _Watched) -> NoReturn:
        """Keep the subscription of a series, and take its rows where none tells whether it is final."""
        ccxt = import_ccxt()
        while True:
            try:
                rows = await self._client.watch_ohlcv(one.symbol, one.interval)
            except (ccxt.NetworkError, OSError) as error:  # the next call connects anew; ccxt itself backs off
                self._tell_state(error)
                await asyncio.sleep(_FIRST_WAIT)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                await asyncio.sleep(_FIRST_WAIT)  # ccxt cancels the waits on a connection that it closes
            except Exception as error:  # whatever it is, the other series go on
                self._tell_trouble(one, error)
                await asyncio.sleep(min(self._patience(one), _LONGEST_WAIT))
            else:
                if not self._client.tells_final:
                    for row in rows:
                        self._take_row(one, Row.of(row), None)

    def _next_session(self) -> int:
        """Return when a connection begins on the exchange's clock, ms; each has another."""
        self._session = max(self._now(), self._session + 1)
        return self._session

    def _on_row(self, market: str, interval: str, row: Row, is_final: bool) -> None:
        one = self._by_market.get((market, interval))
        if one is not None:
            self._take_row(one, row, is_final)

    def _take_row(self, one: _Watched, row: Row, is_final: bool | None) -> None:
        session, needs = self._client.connected_at, one.needs
        one.is_due |= one.session not in (0, session)  # after each reconnect
        one.session, one.heard, one.unheard_since = session, max(one.heard, row.time), None
        one.is_heard = True
        one.bars.stream(row, is_final, session)
        self._publish(one)
        if one.needs - needs:  # a new one: REST may have been asked for the others just now
            one.wake.set()

    # REST

    async def _fill(self, one: _Watched) -> NoReturn:
        """Ask REST for what is missing: at the start, when a bar is late or missing, and now and then."""
        wait = _FIRST_WAIT
        while True:
            before = one.bars.newest
            try:
                await self._ask_pages(one)
            except Exception as error:  # whatever it is, the other series go on
                self._tell_trouble(one, error)
                await self._wait_for_new_need(one, min(self._patience(one), _LONGEST_WAIT))
                continue
            if one.trouble:
                one.trouble = ""
                _LOG.warning("%s %s is back", *one.series, extra={"event": "back"})
            self._look_at_stream(one, before)
            if one.bars.is_missing:  # REST does not have it yet
                longest = min(self._patience(one), _LONGEST_WAIT)
                wait = _FIRST_WAIT if one.bars.newest != before else min(2 * wait, longest)
                await self._wait_for_new_need(one, wait)
                continue
            wait = _FIRST_WAIT
            await self._wait_for_need(one, self._loop.time() + self.source.reconcile)

    async def _wait_for_need(self, one: _Watched, until: float) -> None:
        """Wait until a bar is missing or late, or a time has come."""
        while not one.needs and self._loop.time() < until:
            one.wake.clear()  # each time: waiting for an event that is set gives way to no other task
            newest = one.bars.newest
            late = self._loop.time() + self._patience(one)
            try:
                async with asyncio.timeout_at(min(late, until)):
                    await one.wake.wait()
            except TimeoutError:
                if one.bars.newest == newest:
                    return

    async def _wait_for_new_need(self, one: _Watched, seconds: float) -> None:
        """Wait so long, or until REST is needed for something else too."""
        one.wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await one.wake.wait()

    def _patience(self, one: _Watched) -> float:
        return float(one.timeframe / np.timedelta64(1, "s")) + self.source.grace

    async def _ask_pages(self, one: _Watched) -> None:
        """Ask for all bars from the newest ones, or the earliest in doubt, until now."""
        bars, length, one.is_due = one.bars, one.bars.timeframe, False
        if bars.newest is None:
            first = (self._now() // length - self.source.history) * length
        else:
            first = bars.newest - (self.source.look_back - 1) * length
        if bars.doubted is not None:
            first = min(first, bars.doubted)
        at = first
        while True:
            values = await self._ask_rest(self._client.fetch_ohlcv, one.symbol, one.interval, at, _PAGE)
            rows = [row for row in map(Row.of, values) if row.time >= at]
            bars.page(rows, since=first)
            self._publish(one)
            last = max((row.time for row in rows), default=at)
            if last > at:
                at = last
            elif self._now() - at > _PAGE * length and await self._has_later(one, at):
                at += _PAGE * length  # a hole as long as a page
            else:
                return
            if at + length > self._now():
                return

    async def _has_later(self, one: _Watched, at: int) -> bool:
        newest = await self._ask_rest(self._client.fetch_ohlcv, one.symbol, one.interval, None, 2)
        return any(values[0] > at for values in newest)

    async def _ask_rest(self, call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        """Call until it succeeds: after trouble with the network later and later, and never before Retry-After."""
        import stamina

        def is_passing(error: Exception) -> bool:
            is_network = isinstance(error, (import_ccxt().OperationFailed, OSError))
            if is_network:
                self._tell_state(error)
            return is_network

        attempts = stamina.retry_context(
            on=is_passing, attempts=None, timeout=None, wait_initial=0.2, wait_max=_LONGEST_WAIT, wait_jitter=0.2
        )
        async for attempt in attempts:
            with attempt:
                while (wait := self._refused_until - self._loop.time()) > 0:
                    await asyncio.sleep(wait)
                result = await call(*arguments)
        if self.state != "open":
            _LOG.info("%s answers", self.source.exchange, extra={"event": "open", "was": self.state})
            self.state = "open"
        return result

    def _on_refusal(self, status: int, seconds: float) -> None:
        self._refused_until = max(self._refused_until, self._loop.time() + seconds)

    # Health

    def _look_at_stream(self, one: _Watched, before: int | None) -> None:
        """Ask for a new client where REST brings bars, time and again, and the stream none."""
        newest = one.bars.newest
        if not self._client.has.get("watchOHLCV") or newest is None or newest == before or newest <= one.heard:
            return
        now = self._loop.time()
        one.unheard_since = now if one.unheard_since is None else one.unheard_since
        if now - one.unheard_since > self.source.recycle * 2 ** (0 if self._was_healthy() else self._n_recycled):
            raise _Recycle(f"no row of {' '.join(one.series)} for {now - one.unheard_since:.0f} s, but REST has bars")

    def _was_healthy(self) -> bool:
        """Return whether all streams of this client brought their rows for a while, before any trouble."""
        unheard = {one: one.unheard_since for one in self._watched if one.unheard_since is not None}
        until = min(unheard.values(), default=self._loop.time())
        return all(one.is_heard for one in unheard) and until - self._began > self.source.recycle

    async def _recycle_when_broken(self) -> NoReturn:
        await self._broken.wait()
        raise _Recycle("it failed inside")

    def _on_loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of ccxt that fails, such as on half a message, ends its reading without a word."""
        _LOG.warning("%s: %s", context["message"], context.get("exception"), extra={"event": "client failed"})
        if "handle" in context:
            self._broken.set()

    async def _measure_skew(self) -> NoReturn:
        while True:
            await asyncio.sleep(self.source.reconcile)
            await self._look_at_clock()
            self._tell_skew()

    @property
    def _is_skewed(self) -> bool:
        return abs(self.skew) > 1000 * self.source.max_skew

    def _tell_skew(self) -> None:
        if self._is_skewed:
            text = "the clock of %s is %.1f s ahead of this machine's"
            _LOG.error(text, self.source.exchange, self.skew / 1000, extra={"event": "skew"})

    async def _look_at_clock(self) -> None:
        """Measure the skew, where the exchange tells its time; what the request may have taken is no skew."""
        if not self._client.has.get("fetchTime"):
            return
        sent = time.time()
        try:
            there = await self._ask_rest(self._client.fetch_time)
        except Exception as error:  # whatever it is, bars come without it
            there, why = None, str(error)
        else:
            why = "no time in the answer"
        got = time.time()
        if there is None:
            text = "the clock of %s was not read: %s"
            _LOG.warning(text, self.source.exchange, why, extra={"event": "no time"})
            return
        self.skew = int(there - 1000 * min(max(sent, there / 1000), got))

    def _now(self) -> int:
        return int(1000 * time.time()) + self.skew

    def _tell_state(self, error: Exception) -> None:
        ccxt = import_ccxt()
        if isinstance(error, (ccxt.DDoSProtection, ccxt.RateLimitExceeded)):
            wait = max(0.0, self._refused_until - self._loop.time())
            state, text = "limited", f"limits the rate, asked again in {wait:.0f} s"
        elif isinstance(error, ccxt.OnMaintenance):
            state, text = "maintenance", "is under maintenance"
        else:
            state, text = "unreachable", f"is unreachable: {error}"
        if state != self.state:
            self.state = state
            _LOG.warning("%s %s", self.source.exchange, text, extra={"event": state})

    def _tell_trouble(self, one: _Watched, error: Exception) -> None:
        if str(error) != one.trouble:
            one.trouble = str(error)
            _LOG.error("%s %s: %s", *one.series, error, extra={"event": "trouble"})

    def _publish(self, one: _Watched) -> None:
        """Hand over what has closed, was corrected, or is missing for ever."""
        if rows := one.bars.take():
            self.inbox.put(one.series, bars_of_rows(rows, one.timeframe))
        for row in one.bars.revisions():
            arrived = np.datetime64(self._now(), "ms")
            self.inbox.put_revision(Revision(one.series, bars_of_rows([row], one.timeframe), arrived))
        for first, last in one.bars.gaps():
            times = np.array([first, last], "datetime64[ms]")
            _LOG.warning("%s %s has no bars from %s to %s", *one.series, *times, extra={"event": "gap"})
