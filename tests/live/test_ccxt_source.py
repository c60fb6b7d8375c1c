"""The real ccxt client on a local exchange: after each fault, the bars are those of the exchange."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from followed import Followed, followed
from local_exchange import SECOND, LocalExchange, message

from trendtrain.errors import InputError
from trendtrain.live.ccxt_source import CcxtSource
from trendtrain.market.bars import Series

pytest.importorskip("ccxt", reason="ccxt is not installed")
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
FIRST = Series("BTCUSDT", "1s")


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalExchange]:
    with LocalExchange(SYMBOLS, history=4000) as exchange:
        yield exchange


@pytest.fixture
def exchange(shared: LocalExchange, caplog: pytest.LogCaptureFixture) -> LocalExchange:
    caplog.set_level("INFO", "trendtrain.live")
    shared.heal()
    return shared


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.event for record in caplog.records if record.name == "trendtrain.live"]


def wait(seconds: float, one: Followed) -> None:
    """Take bars for some time."""
    end = time.monotonic() + seconds
    one.until(lambda: time.monotonic() > end)


def test_bars_come_as_they_close(exchange: LocalExchange) -> None:
    with followed(exchange, history=300) as one:
        one.more()
        one.check()
        assert len(one.rows[FIRST]) >= 300
        assert not one.source.is_done


def test_it_goes_on_after_the_newest_stored_bar(exchange: LocalExchange) -> None:
    newest = exchange.now() // SECOND * SECOND - 3700 * SECOND  # more than an hour, in four pages
    after = np.datetime64(newest, "ms")
    with followed(exchange, {Series(symbol, "1s"): after for symbol in SYMBOLS}) as one:
        one.more()
        one.check(first=newest + SECOND)


def test_a_server_that_is_killed_and_started_again(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.kill()
        wait(0.5, one)
        exchange.start()
        one.more()
        one.check()
    assert "unreachable" in events(caplog)


def test_a_connection_that_is_cut(exchange: LocalExchange) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.control(cut=True)
        one.more()
        one.check()


def test_a_frozen_peer(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    with followed(exchange, keep_alive=0.2, timeout=0.5) as one:
        one.more(2)
        exchange.kill(signal.SIGSTOP)
        one.until(lambda: "unreachable" in events(caplog))
        exchange.kill(signal.SIGCONT)
        one.more()
        one.check()


def source_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("trendtrain-")]


def test_a_source_of_a_frozen_peer_can_be_closed(exchange: LocalExchange) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.kill(signal.SIGSTOP)
        start = time.monotonic()
        one.source.close()
        exchange.kill(signal.SIGCONT)
        assert time.monotonic() - start < 5
    assert not source_threads()


@pytest.mark.parametrize("line", ['{"e": "kline", "s": "BTC', '{"e": "kline", "s": "BTCUSDT", "k": {}}'])
def test_half_a_message(exchange: LocalExchange, caplog: pytest.LogCaptureFixture, line: str) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.control(send=(line,))
        one.until(lambda: "recycled" in events(caplog))
        one.more()
        one.check()


def test_half_a_frame(exchange: LocalExchange) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.control(tear=True)
        one.more()
        one.check()


@pytest.mark.parametrize("fault", ["disorder", "repeat", "no_final"])
def test_rows_in_wrong_order_or_twice_or_never(exchange: LocalExchange, fault: str) -> None:
    exchange.control(**{fault: True})
    with followed(exchange, grace=100.0) as one:  # REST is asked at once for a bar that is missing
        one.more(8)
        one.check()


def test_a_need_of_rest_that_passes_stops_nothing(exchange: LocalExchange) -> None:
    with followed(exchange, symbols=["BTCUSDT"]) as one:
        one.more(2)
        run = one.source._run
        assert run is not None
        run._loop.call_soon_threadsafe(run._watched[0].wake.set)  # what was missing came before REST was asked
        one.more(4)
        one.check()


def revise(exchange: LocalExchange, age: int) -> dict[str, Any]:
    """Correct a bar of the first symbol."""
    time = exchange.now() // SECOND * SECOND - age * SECOND
    row = exchange.market.row("BTCUSDT", time)
    revised = {f"BTCUSDT {time}": [*row[:5], row[5] + 1]}
    exchange.control(revised=revised)
    return revised


def test_a_bar_that_the_stream_corrects(exchange: LocalExchange) -> None:
    with followed(exchange, history=200) as one:
        one.more(2)
        revised = revise(exchange, age=50)
        (row,) = revised.values()
        exchange.control(send=(message("BTCUSDT", row, True),))
        one.until(lambda: bool(one.revised[FIRST]))
        one.more()
        assert one.revised[FIRST] == {row[0]: row}
        one.check()


def test_a_bar_that_is_corrected_without_a_word(exchange: LocalExchange) -> None:
    with followed(exchange, reconcile=0.5, look_back=100) as one:
        one.more(2)
        revised = revise(exchange, age=10)
        ((time, *_),) = revised.values()
        one.until(lambda: time in one.revised[FIRST])
        one.more()
        one.check()


def test_a_stale_close_after_an_outage(exchange: LocalExchange) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.kill()
        wait(0.3, one)
        exchange.start()
        exchange.control(stale=True)
        one.more()
        exchange.control(cut=True)
        one.more()
        one.check()


def test_an_hour_without_bars(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    with followed(exchange) as one:
        one.more(2)
        first = (exchange.now() // SECOND + 1) * SECOND
        missing = [first, first + 3599 * SECOND]
        exchange.control(missing=[missing])
        exchange.set_clock(ahead=3600 * SECOND)
        one.more()
        one.check()
    gaps = [
        record.getMessage() for record in caplog.records if record.name == "trendtrain.live" and record.event == "gap"
    ]
    first, last = (str(np.datetime64(time, "ms")) for time in missing)
    assert sorted(gaps) == [f"{symbol} 1s has no bars from {first} to {last}" for symbol in SYMBOLS]


def test_an_hour_without_the_exchange(exchange: LocalExchange) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.kill()
        exchange.start()
        exchange.set_clock(ahead=3600 * SECOND)
        one.more()
        one.check()


@pytest.mark.parametrize("status", [429, pytest.param(418, marks=pytest.mark.full)])
def test_a_limit_of_the_rate(exchange: LocalExchange, caplog: pytest.LogCaptureFixture, status: int) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.control(status=status, retry_after=1, cut=True)
        one.until(lambda: "limited" in events(caplog))
        exchange.control(status=0, retry_after=None)
        one.more()
        one.check()
    requests = [request for request in exchange.control()["requests"] if request[1] == "/api/v3/klines"]
    refused = [time for time, _, code in requests if code == status]
    later = [time for time, _, _ in requests if time > refused[-1]]
    assert later[0] - refused[-1] > 0.95  # Retry-After is honoured, by every series
    assert len(refused) <= len(SYMBOLS)
    assert events(caplog).count("limited") == 1
    assert events(caplog)[-1] == "open"


@pytest.mark.parametrize(
    ("status", "body", "event"),
    [
        (503, "{}", "unreachable"),
        pytest.param(503, "<html>down</html>", "unreachable", marks=pytest.mark.full),
        (400, '{"code":1,"msg":"System is under maintenance."}', "maintenance"),
    ],
)
def test_an_exchange_that_does_not_serve(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture, status: int, body: str, event: str
) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.control(status=status, body=body, cut=True)
        one.until(lambda: event in events(caplog))
        exchange.heal()
        one.more()
        one.check()
    assert events(caplog)[-1] == "open"


def test_an_exchange_that_does_not_serve_at_the_start(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.control(status=503)
    with followed(exchange) as one:
        one.until(lambda: "unreachable" in events(caplog))
        exchange.heal()
        one.more()
        one.check()


def test_a_request_that_hangs(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    with followed(exchange, timeout=0.3) as one:
        one.more(2)
        exchange.control(hang=True, cut=True)
        one.until(lambda: "unreachable" in events(caplog))
        exchange.heal()
        one.more()
        one.check()


def test_a_subscription_that_is_abandoned(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    with followed(exchange, recycle=0.5, grace=0.0) as one:
        one.more(2)
        before = exchange.control(mute=["BTCUSDT"])["n_connections"]
        one.until(lambda: "recycled" in events(caplog))
        exchange.heal()
        one.until(lambda: bool(exchange.control()["subscribed"]))
        one.more()
        one.check()
        known = exchange.control()
    assert known["n_connections"] == before + 1
    assert known["n_streams"] == 1  # the old one is closed


@pytest.mark.full
def test_trouble_in_one_series_leaves_the_others_running(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture
) -> None:
    with followed(exchange) as one:
        one.more(2)
        exchange.control(mute=["BTCUSDT"], unlisted=["BTCUSDT"])
        one.until(lambda: "trouble" in events(caplog))
        one.more(4, "BTCUSDT")
        exchange.heal()
        one.more()
        one.check()
    assert events(caplog).count("trouble") == 1


def test_an_exchange_without_a_stream_is_asked_by_rest(exchange: LocalExchange) -> None:
    settings = {"has": {**exchange.settings()["has"], "watchOHLCV": False}}
    with followed(exchange, grace=0.0, settings=settings) as one:
        one.more(4)
        one.check()
    assert exchange.control()["n_streams"] == 0


def test_a_row_without_a_flag_is_closed_by_the_next_one(
    exchange: LocalExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trendtrain.live.ccxt_client._READERS", {})
    with followed(exchange) as one:
        one.more(8)
        n_requests = len(exchange.control()["requests"])
        one.more(8)
        assert len(exchange.control()["requests"]) == n_requests  # the stream alone
        one.check()


def test_a_skewed_clock_is_refused(exchange: LocalExchange) -> None:
    exchange.control(skew=-7000)
    rule = "`max_skew` must cover what the clock of binance is ahead of this machine's, at most 2 s, got -7.0 s: set"
    with followed(exchange, max_skew=2.0) as one, pytest.raises(InputError, match=rule):
        one.more()


def test_a_clock_that_becomes_skewed_is_told(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    exchange.control(skew=500)
    with followed(exchange, max_skew=2.0, reconcile=0.2) as one:
        one.until(lambda: bool(one.rows[FIRST]))
        ahead = one.source.clock() - np.datetime64(int(1000 * time.time()), "ms")
        assert np.timedelta64(300, "ms") < ahead <= np.timedelta64(500, "ms")
        exchange.control(skew=7000)
        one.until(lambda: "skew" in events(caplog))


@pytest.mark.parametrize("answer", [None, "refused", pytest.param("nonsense", marks=pytest.mark.full)])
def test_a_clock_that_is_not_read_ends_no_run(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    import ccxt

    async def fetch_time(_: Any) -> Any:
        if answer is not None:
            raise ccxt.ExchangeError(answer) if answer == "refused" else ValueError(answer)

    change_clients(monkeypatch, fetch_time=fetch_time)
    with followed(exchange, reconcile=0.1) as one:
        one.until(lambda: events(caplog).count("no time") > 2)
        one.more()
        one.check()


def test_a_clock_that_is_skewed_later_on_ends_no_run(exchange: LocalExchange, caplog: pytest.LogCaptureFixture) -> None:
    exchange.control(skew=0)
    with followed(exchange, max_skew=2.0) as one:
        one.until(lambda: bool(one.rows[FIRST]))
        exchange.control(skew=-7000, send=('{"e": "kline", "s": "BTC',))  # no later measurement: that of the new client
        one.until(lambda: "skew" in events(caplog))
        exchange.control(skew=0)
        one.until(lambda: exchange.control()["n_streams"] == 1)
        one.take()
    assert events(caplog).count("recycled") == 1


def test_a_client_that_does_not_end_well_is_made_anew(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close(_: Any) -> None:
        raise RuntimeError("it does not end")

    change_clients(monkeypatch, close=close)
    with followed(exchange) as one:
        one.more(2)
        exchange.control(send=('{"e": "kline", "s": "BTC',))
        one.until(lambda: "recycled" in events(caplog))
        one.more()
        one.check()
    assert "not ended" in events(caplog)


def test_what_ends_a_run_is_told_by_itself(exchange: LocalExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise ValueError("this is why")

    monkeypatch.setattr("trendtrain.live.ccxt_source._Run._measure_skew", fail)
    with followed(exchange) as one, pytest.raises(ValueError, match="this is why"):
        one.more(1000)


@pytest.mark.parametrize("how", ["in a while", "when there is a new need"])
def test_a_series_in_trouble_does_not_sleep_for_a_whole_timeframe(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how == "in a while":
        monkeypatch.setattr("trendtrain.live.ccxt_source._LONGEST_WAIT", 0.3)
    with followed(exchange, symbols=["BTCUSDT"], grace=1000.0) as one:
        one.more(2)
        exchange.control(unlisted=["BTCUSDT"], cut=True)
        one.until(lambda: "trouble" in events(caplog))
        exchange.control(unlisted=[], cut=how != "in a while")
        one.until(lambda: "back" in events(caplog), seconds=5.0)
        one.more()
        one.check()


def test_rows_of_a_series_in_trouble_ask_rest_no_more_often(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture
) -> None:
    with followed(exchange, symbols=["BTCUSDT"], grace=1000.0) as one:
        one.more(2)
        exchange.control(unlisted=["BTCUSDT"], cut=True)
        one.until(lambda: "trouble" in events(caplog))
        wait(0.2, one)  # what is missing shows with the first rows
        n_requests = len(exchange.control()["requests"])
        wait(1.0, one)  # twenty rows
        assert len(exchange.control()["requests"]) == n_requests


def test_the_first_trouble_after_a_healthy_time_counts_as_the_first(
    exchange: LocalExchange, caplog: pytest.LogCaptureFixture
) -> None:
    with followed(exchange, recycle=0.4, grace=0.0) as one:
        run = one.source._run
        assert run is not None
        run._n_recycled = 8  # a stream that stays silent for 102 s would be a reason
        one.until(lambda: bool(exchange.control()["subscribed"]))
        one.until(run._was_healthy)
        exchange.control(mute=["BTCUSDT"])
        one.until(lambda: run._n_recycled == 0, seconds=10.0)
    assert events(caplog).count("recycled") == 1


def change_clients(monkeypatch: pytest.MonkeyPatch, **methods: Any) -> None:
    """Let each client end well or give its time otherwise."""
    from trendtrain.live import ccxt_source

    make = ccxt_source.new_client

    def changed(*arguments: Any) -> Any:
        client = make(*arguments)
        for name, method in methods.items():
            setattr(client, name, partial(method, client))
        return client

    monkeypatch.setattr(ccxt_source, "new_client", changed)


def n_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_nothing_is_left_behind(exchange: LocalExchange) -> None:
    before = n_files(), threading.active_count()
    with followed(exchange) as one:
        one.more(1)
        for _ in range(3):
            one.source.start({})  # begins anew
            assert one.source.take(10.0)
        assert exchange.control()["n_streams"] <= 1
    assert (n_files(), threading.active_count()) == before
    assert exchange.control()["n_streams"] == 0


def test_a_source_that_is_closed_at_once_ends(exchange: LocalExchange) -> None:
    for _ in range(5):
        with followed(exchange):
            pass
    assert not source_threads()


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"exchange": "mtgox"}, "`exchange` must be one that ccxt streams .*, got 'mtgox'"),
        ({"symbols": ["XYZ"]}, r"`symbols` must name markets of binance \(such as BTC/USDT, ETH/USDT\), got 'XYZ'"),
        ({"timeframes": ["7m"]}, r"`timeframes` must be some of binance's \(1s, 1m, .*\), got '7m'"),
        ({"settings": {"apiKey": "hidden"}}, "`settings` must hold no secret, .*, got `apiKey`.$"),
    ],
)
def test_what_the_exchange_does_not_have_is_refused(
    exchange: LocalExchange, options: dict[str, Any], rule: str
) -> None:
    options["settings"] = exchange.settings() | options.get("settings", {})
    source = CcxtSource(
        **{"exchange": "binance", "symbols": ["BTC/USDT"], "timeframes": ["1s"], "max_skew": 1e9, **options}
    )
    source.start({})
    with pytest.raises(InputError, match=rule) as caught:
        source.take(10.0)
    source.close()
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"symbols": ["A", "A"]}, "`symbols` and `timeframes` must name each series once"),
        ({"symbols": []}, "`symbols` and `timeframes` must name each series once"),
        ({"history": 0}, "`history` must be an integer of at least 1, got 0"),
        ({"grace": -1}, "`grace` must be a number of at least 0.0, got -1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        CcxtSource(**{"exchange": "binance", "symbols": ["A"], "timeframes": ["1m"], **options})


def test_without_ccxt_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ccxt.pro", None)
    source = CcxtSource("binance", ["BTC/USDT"], ["1m"])
    with pytest.raises(InputError, match=r"`feed=ccxt` needs .*: pip install trendtrain\[live\].$"):
        source.start({})
