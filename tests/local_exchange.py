"""An exchange on loopback in the form of Binance: REST and websocket over a seeded market, with faults on demand.

It runs in a process of its own: `LocalExchange` starts, stops, kills and controls it; the truth is computed on both
sides. A second of the market takes 1 / `speed` seconds. Only 1-second bars. `python tests/local_exchange.py` is an
exchange to practise on.
"""

import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import WSMsgType, web

SECOND = 1000
PARTS = 2  # rows of a bar before the last one
Kline = list[Any]


class Market:
    """A walk for each symbol, as bars of one second from `start` on, ms."""

    def __init__(self, symbols: list[str], start: int, n_bars: int) -> None:
        self.start, self.n_bars = start, n_bars
        self._paths = {}
        for seed, symbol in enumerate(symbols):
            random = np.random.default_rng(seed)
            path = np.round(100.0 * np.exp(np.cumsum(1e-3 * random.standard_normal(PARTS * n_bars + 1))), 2)
            self._paths[symbol] = path.tolist(), np.round(random.lognormal(3.0, 0.5, n_bars), 3).tolist()

    def row(self, symbol: str, time: int, part: int = PARTS) -> Kline:
        """Return open time, open, high, low, close and volume of a bar after some of its parts."""
        at = (time - self.start) // SECOND
        path, volume = self._paths[symbol]
        seen = path[PARTS * at : PARTS * at + part + 1]
        return [time, seen[0], max(seen), min(seen), seen[-1], round(volume[at] * (part + 1) / (PARTS + 1), 3)]


@dataclass
class Faults:
    """What goes wrong; `LocalExchange.control` sets it by name."""

    status: int = 0  # HTTP status of every answer; 0 for none
    body: str = "{}"
    retry_after: float | None = None
    hang: bool = False  # REST never answers
    skew: int | None = None  # what the exchange's clock shows more than this machine's, ms; None for the market's time
    mute: list[str] = field(default_factory=list)  # symbols without a row in the stream
    repeat: bool = False
    disorder: bool = False  # the last row of each bar comes after the first row of the next one
    no_final: bool = False  # the last row of each bar never comes
    stale: bool = False  # each connection begins with rows of the past, with a wrong close
    clock: list[float] = field(default_factory=lambda: [0.0, 0.0, 1.0])  # see `market_time`
    missing: list[list[int]] = field(default_factory=list)  # [first, last] open time without bars
    revised: dict[str, Kline] = field(default_factory=dict)  # by "symbol time"
    unlisted: list[str] = field(default_factory=list)  # symbols that REST refuses


def market_time(clock: list[float]) -> int:
    """Return the time of the market, ms: it was `there` when this machine's was `here`, and runs at `speed`."""
    here, there, speed = clock
    return int(there + (time.time() * 1000 - here) * speed)


class Server:
    """The exchange itself."""

    def __init__(self, symbols: list[str], start: int, n_bars: int) -> None:
        self.symbols = symbols
        self.market = Market(symbols, start, n_bars)
        self.faults = Faults()
        self.streams: dict[web.WebSocketResponse, set[str]] = {}
        self.requests: list[tuple[float, str, int]] = []
        self.n_connections = 0
        self.n_odd = 0  # ends of bars told in the wrong order, twice, or not at all

    def now(self) -> int:
        return market_time(self.faults.clock)

    def kline(self, symbol: str, open_time: int, part: int = PARTS) -> Kline | None:
        if any(first <= open_time <= last for first, last in self.faults.missing):
            return None
        return self.faults.revised.get(f"{symbol} {open_time}") or self.market.row(symbol, open_time, part)

    async def run(self, port: int) -> None:
        app = web.Application(middlewares=[self.fail])
        app.router.add_get("/api/v3/exchangeInfo", self.exchange_info)
        app.router.add_get("/api/v3/klines", self.klines)
        app.router.add_get("/api/v3/time", self.server_time)
        app.router.add_get("/stream/{number}", self.stream)
        app.router.add_post("/control", self.control)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        await self.push()

    @web.middleware
    async def fail(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/control":
            return await handler(request)
        self.requests.append((time.time(), request.path, self.faults.status))
        if self.faults.hang:
            await asyncio.sleep(3600)
        if self.faults.status:
            headers = {} if self.faults.retry_after is None else {"Retry-After": str(self.faults.retry_after)}
            return web.Response(
                status=self.faults.status, text=self.faults.body, headers=headers, content_type="application/json"
            )
        return await handler(request)

    async def exchange_info(self, _: web.Request) -> web.Response:
        filters = [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "100000.0", "tickSize": "0.01"}]
        symbols = [
            {
                "symbol": symbol,
                "status": "TRADING",
                "baseAsset": symbol.removesuffix("USDT"),
                "baseAssetPrecision": 8,
                "quoteAsset": "USDT",
                "quotePrecision": 8,
                "orderTypes": ["LIMIT"],
                "isSpotTradingAllowed": True,
                "isMarginTradingAllowed": False,
                "filters": filters,
                "permissions": ["SPOT"],
            }
            for symbol in self.symbols
        ]
        return web.json_response({"timezone": "UTC", "serverTime": self.now(), "symbols": symbols})

    async def server_time(self, _: web.Request) -> web.Response:
        skew = self.faults.skew
        return web.json_response({"serverTime": self.now() if skew is None else int(time.time() * 1000) + skew})

    async def klines(self, request: web.Request) -> web.Response:
        symbol, limit = request.query["symbol"], min(1000, int(request.query.get("limit", 500)))
        if symbol in self.faults.unlisted:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        now = self.now()
        newest = now // SECOND * SECOND
        first = int(request.query.get("startTime", newest - (limit - 1) * SECOND))
        at, rows = max(self.market.start, -(-first // SECOND) * SECOND), []
        while at <= newest and len(rows) < limit:
            for start, last in self.faults.missing:
                if start <= at <= last:
                    at = last + SECOND
            if at <= newest:
                row = self.kline(symbol, at, PARTS if at < newest else self.part(now))
                rows.append([row[0], *map(repr, row[1:]), at + SECOND - 1])
            at += SECOND
        return web.json_response(rows)

    def part(self, now: int) -> int:
        return min(PARTS - 1, now % SECOND * PARTS // SECOND)

    async def control(self, request: web.Request) -> web.Response:
        order = await request.json()
        for name, value in order.get("faults", {}).items():
            setattr(self.faults, name, value)
        for line in order.get("send", []):
            for stream in self.streams:
                await stream.send_str(line)
        if order.get("cut") or order.get("tear"):
            for stream in list(self.streams):
                transport = stream._req.transport if stream._req else None
                if transport and order.get("tear"):  # the head of a frame of 100 bytes, and one of them
                    transport.write(bytes([0x81, 100, 123]))
                if transport:
                    transport.close() if order.get("tear") else transport.abort()
        known = {"now": self.now(), "n_streams": len(self.streams), "n_connections": self.n_connections}
        known["n_odd"] = self.n_odd
        subscribed = sorted(set().union(*self.streams.values()))
        return web.json_response({**known, "requests": self.requests[-2000:], "subscribed": subscribed})

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        self.streams[stream] = set()
        self.n_connections += 1
        try:
            async for message in stream:
                if message.type == WSMsgType.TEXT:
                    order = json.loads(message.data)
                    if order.get("method") == "SUBSCRIBE":
                        await stream.send_json({"result": None, "id": order["id"]})
                        if self.faults.stale:
                            await self.send_stale(stream, order["params"])
                        self.streams[stream] |= set(order["params"])
        finally:
            self.streams.pop(stream, None)
        return stream

    async def send_stale(self, stream: web.WebSocketResponse, names: list[str]) -> None:
        """Send rows of the last seconds with the close of their first part: one says that it is final."""
        newest = self.now() // SECOND * SECOND
        for name in names:
            symbol = name.split("@")[0].upper()
            for age in (3, 2, 1):
                row = self.market.row(symbol, newest - age * SECOND, 0)
                await stream.send_str(message(symbol, row, is_final=age == 2))

    async def push(self) -> None:
        """Send the rows of each bar, all symbols at once, when their part of the bar is over."""
        step = SECOND // PARTS
        at = self.now() // step + 1
        while True:
            await asyncio.sleep(max(0.0, min((at * step - self.now()) / 1000 / self.faults.clock[2], 0.1)))
            if self.now() < at * step:
                continue
            if self.now() - at * step > 10 * SECOND:  # the clock jumped, or the process was stopped
                at = self.now() // step
            lines = {symbol: self.lines(symbol, at) for symbol in self.symbols if symbol not in self.faults.mute}
            for stream, names in list(self.streams.items()):
                for name in names:
                    for line in lines.get(name.split("@")[0].upper(), ()):
                        if not stream.closed:
                            try:
                                await stream.send_str(line)
                            except ConnectionError:
                                break
            at += 1

    def lines(self, symbol: str, at: int) -> list[str]:
        """Return what a stream says at a step: at the end of a bar its last row, then the first of the next one."""
        open_time, part = at // PARTS * SECOND, at % PARTS
        rows = [(self.kline(symbol, open_time, part), False)]
        if part == 0 and not self.faults.no_final:
            rows.insert(0, (self.kline(symbol, open_time - SECOND), True))
        if self.faults.disorder:
            rows.reverse()
        self.n_odd += part == 0 and (self.faults.no_final or self.faults.disorder or self.faults.repeat)
        lines = [message(symbol, row, is_final) for row, is_final in rows if row is not None]
        return [line for line in lines for _ in range(2 if self.faults.repeat else 1)]


def message(symbol: str, row: Kline, is_final: bool) -> str:
    time, *values = row
    kline = {"t": time, "T": time + SECOND - 1, "s": symbol, "i": "1s", "x": is_final}
    kline |= {name: repr(value) for name, value in zip("ohlcv", values, strict=True)}
    return json.dumps({"e": "kline", "E": time, "s": symbol, "k": kline})


class LocalExchange:
    """The exchange, as a test uses it.

    Args:
        symbols: Such as `["BTCUSDT"]`.
        history: How many bars there are at the start.
        speed: Seconds of the market in a second.
        n_bars: How many bars there will ever be.
    """

    def __init__(self, symbols: list[str], history: int = 100, speed: float = 10.0, n_bars: int = 20_000) -> None:
        self.symbols, self.missing, self.revised = symbols, list[list[int]](), dict[str, Kline]()
        now = int(time.time()) * 1000.0
        self.clock = [now, now, speed]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._arguments = {"symbols": symbols, "start": int(now) - history * SECOND, "n_bars": n_bars}
        self.market = Market(**self._arguments)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = [sys.executable, __file__, json.dumps(self._arguments), str(self.port)]
        self.process = subprocess.Popen(arguments)
        for _ in range(500):
            try:
                self.control(clock=self.clock, missing=self.missing, revised=self.revised)
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("The local exchange did not start.")

    def kill(self, by: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process: SIGKILL ends it, SIGSTOP freezes it, SIGCONT lets it go on."""
        assert self.process is not None
        os.kill(self.process.pid, by)
        if by == signal.SIGKILL:
            self.process.wait()

    def control(
        self, send: tuple[str, ...] = (), cut: bool = False, tear: bool = False, **faults: Any
    ) -> dict[str, Any]:
        """Set faults, send lines to every stream, end every stream; return what the exchange knows."""
        self.missing, self.revised = faults.get("missing", self.missing), faults.get("revised", self.revised)
        order = {"faults": faults, "send": send, "cut": cut, "tear": tear}
        url = f"http://127.0.0.1:{self.port}/control"
        with urllib.request.urlopen(url, data=json.dumps(order).encode(), timeout=10) as answer:
            known: dict[str, Any] = json.load(answer)
        return known

    def heal(self) -> None:
        """Let everything work again; what the bars are stays, and the clock does not go back."""
        faults = vars(Faults())
        self.control(**{name: faults[name] for name in faults if name not in ("clock", "missing", "revised")})

    def set_clock(self, speed: float | None = None, ahead: int = 0) -> None:
        """Let the market's clock run at another speed from now on, or jump ahead by some ms."""
        self.clock = [time.time() * 1000, self.now() + ahead, speed or self.clock[2]]
        self.control(clock=self.clock)

    def now(self) -> int:
        """Return the time of the market, ms."""
        return market_time(self.clock)

    def truth(self, symbol: str, first: int, last: int, is_revised: bool = True) -> list[Kline]:
        """Return the bars that open from `first` to `last`, as they are or as they were before they were corrected."""
        times = [
            time
            for time in range(first, last + SECOND, SECOND)
            if not any(start <= time <= end for start, end in self.missing)
        ]
        revised = self.revised if is_revised else {}
        return [revised.get(f"{symbol} {time}") or self.market.row(symbol, time) for time in times]

    def settings(self) -> dict[str, Any]:
        """Return the settings with which ccxt talks to this exchange."""
        api = {"public": f"http://127.0.0.1:{self.port}/api/v3", "ws": {"spot": f"ws://127.0.0.1:{self.port}/stream"}}
        options = {"fetchMarkets": {"types": ["spot"]}, "ws": {"cost": 1}}
        has = {"fetchCurrencies": False}
        return {"urls": {"api": api}, "options": options, "has": has, "rateLimit": 1, "timeout_on_exit": 0}

    def overrides(self, **options: Any) -> list[str]:
        """Return the overrides by which `trendtrain live` takes its bars from here, and notices trouble soon."""
        fast = {"grace": 0.2, "history": 300, "max_skew": 1e9, "keep_alive": 1.0, "timeout": 1.0, "reconcile": 0.2}
        given = {"symbols": self.symbols, "timeframes": "1s", "settings": self.settings(), **fast, **options}
        return ["feed=ccxt", *(f"feed.{name}={_written(value)}" for name, value in given.items())]

    def __enter__(self) -> "LocalExchange":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _written(value: Any) -> str:
    """Return a value as Hydra's command line takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_written(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


def practise() -> None:
    """Be an exchange until Ctrl-C, and print the command that takes its bars."""
    with LocalExchange(["BTCUSDT", "ETHUSDT"], history=4000, speed=1.0, n_bars=100_000) as exchange:
        feed = ("feed=ccxt", "feed.symbols=[BTC/USDT,ETH/USDT]", "feed.timeframes=1s")
        settings = f"feed.settings={_written(exchange.settings())}"
        sys.stdout.write(shlex.join(["trendtrain", "live", *feed, settings, "run.name=practice"]) + "\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        practise()
    else:
        with suppress(KeyboardInterrupt):  # of whoever practises: both processes hear it
            asyncio.run(Server(**json.loads(sys.argv[1])).run(int(sys.argv[2])))
