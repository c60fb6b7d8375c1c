"""`trendtrain live` on the local exchange: whatever goes wrong, the ledger is that of an undisturbed run, to the bit.

The short forms of the faults are in tests/live/test_ccxt_source.py; those of a process that is killed and of a database
that fails in test_live_recovery.py.
"""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_runs import predictions
from local_exchange import SECOND, LocalExchange, message
from sqlalchemy import text
from storage_faults import locked_by_another, small_disk
from train_runs import RunIn

from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars.revisions import bars_as_of

pytest.importorskip("ccxt", reason="ccxt is not installed")
pytestmark = pytest.mark.full
SYMBOLS = ["BTCUSDT", "ETHUSDT"]
HOUR = 3600 * SECOND
N_STEPS = 80
COLUMNS = {
    "predictions": "symbol, open_time, direction, confidence",
    "verdicts": "symbol, open_time, outcome, truth, known_at, kind, first_time, last_time",
}
Fault = Callable[[LocalExchange, RunIn], None]


def cut(exchange: LocalExchange, _: RunIn) -> None:
    for _ in range(5):
        exchange.control(cut=True)
        time.sleep(0.2)


def kill(exchange: LocalExchange, _: RunIn) -> None:
    exchange.kill()
    time.sleep(0.5)
    exchange.start()


def freeze(exchange: LocalExchange, _: RunIn) -> None:
    exchange.kill(signal.SIGSTOP)
    time.sleep(3.0)  # two pings
    exchange.kill(signal.SIGCONT)


def half_a_message(exchange: LocalExchange, _: RunIn) -> None:
    exchange.control(send=('{"e": "kline", "s": "BTC',))


def half_a_frame(exchange: LocalExchange, _: RunIn) -> None:
    exchange.control(tear=True)


def wrong_order(exchange: LocalExchange, _: RunIn) -> None:
    odd(exchange, disorder=True)


def repeated(exchange: LocalExchange, _: RunIn) -> None:
    odd(exchange, repeat=True)


def without_end(exchange: LocalExchange, _: RunIn) -> None:
    odd(exchange, no_final=True)


def odd(exchange: LocalExchange, **how: bool) -> None:
    """Let the stream be odd until the end of the run."""
    exchange.control(**how)
    time.sleep(1.0)
    assert exchange.control()["n_odd"] > 0


def revised(exchange: LocalExchange, run: RunIn) -> None:
    """Correct two bars that were predicted: of one the stream tells, of the other REST alone."""
    times = [row[1] for row in rows(run)["predictions"] if row[0] == "BTCUSDT"][-5:-3]
    bars = [[time, *(1.01 * price for price in exchange.market.row("BTCUSDT", time)[1:])] for time in times]
    exchange.control(revised={f"BTCUSDT {bar[0]}": bar for bar in bars})
    exchange.control(send=(message("BTCUSDT", bars[0], True),))


def stale_close(exchange: LocalExchange, run: RunIn) -> None:
    kill(exchange, run)
    exchange.control(stale=True)
    time.sleep(1.0)
    exchange.control(cut=True)


def hour_without_bars(exchange: LocalExchange, _: RunIn) -> None:
    first = (exchange.now() // SECOND + 1) * SECOND
    exchange.control(missing=[[first, first + HOUR - SECOND]])
    exchange.set_clock(ahead=HOUR)


def hour_without_exchange(exchange: LocalExchange, _: RunIn) -> None:
    exchange.kill()
    exchange.start()
    exchange.set_clock(ahead=HOUR)


def limited(exchange: LocalExchange, _: RunIn) -> None:
    refuse(exchange, status=429, retry_after=1)


def not_serving(exchange: LocalExchange, _: RunIn) -> None:
    refuse(exchange, status=503, body="<html>down</html>")


def maintenance(exchange: LocalExchange, _: RunIn) -> None:
    refuse(exchange, status=400, body='{"code":1,"msg":"System is under maintenance."}')


def refuse(exchange: LocalExchange, **how: Any) -> None:
    exchange.control(**how, cut=True)
    time.sleep(1.0)
    exchange.heal()


def skewed_clock(exchange: LocalExchange, _: RunIn) -> None:
    """Let the exchange's clock go before its bars, then behind them, while it is asked for its time."""
    begun = time.time()
    for ahead in (1500, -1500):
        for _ in range(15):
            exchange.control(skew=exchange.now() - int(1000 * time.time()) + ahead)
            time.sleep(0.1)
    assert [path for at, path, _ in exchange.control()["requests"] if at > begun and path == "/api/v3/time"]
    exchange.heal()


def locked(exchange: LocalExchange, run: RunIn) -> None:
    exchange.set_clock(speed=2.0)
    with locked_by_another(run.folder / "run.db"):
        before = count(run)
        time.sleep(10.0)
        assert count(run) == before


FAULTS: dict[Fault, str | None] = {  # and what the log must say; None: the fault looks itself for a sign of it
    cut: "unreachable",
    kill: "unreachable",
    freeze: "unreachable",
    half_a_message: "recycled",
    half_a_frame: "unreachable",
    wrong_order: None,
    repeated: None,
    without_end: None,
    revised: "revision",
    stale_close: "unreachable",
    hour_without_bars: "gap",
    hour_without_exchange: "unreachable",
    limited: "limited",
    not_serving: "unreachable",
    maintenance: "maintenance",
    skewed_clock: None,
    locked: None,
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_leaves_the_ledger_of_an_undisturbed_run(
    fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with LocalExchange(SYMBOLS, history=400, speed=1.0) as exchange, ThreadPoolExecutor(1) as thread:
        run = disturbed(exchange, tmp_path)
        done = thread.submit(once_it_predicts, exchange, run, fault)
        assert run.live() == 0
        done.result()
        check(exchange, run, is_exact=fault is not stale_close)  # it says that a wrong close is final
    if (kind := FAULTS[fault]) is not None:
        assert f"kind={kind}" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [kill, hour_without_exchange, locked], ids=lambda fault: fault.__name__)
def test_a_fault_leaves_each_bar_predicted_once_where_the_model_learns(fault: Fault, tmp_path: Path) -> None:
    with LocalExchange(SYMBOLS, history=400, speed=1.0) as exchange, ThreadPoolExecutor(1) as thread:
        run = disturbed(exchange, tmp_path, is_trained=True)
        done = thread.submit(once_it_predicts, exchange, run, fault)
        assert run.live() == 0
        done.result()
        check_each_once(exchange, run)


@pytest.mark.parametrize("is_trained", [False, True], ids=["predicting", "training"])
def test_a_process_that_is_killed_again_and_again(is_trained: bool, tmp_path: Path) -> None:
    with LocalExchange(SYMBOLS, history=400, speed=1.0) as exchange:
        run, stored = disturbed(exchange, tmp_path, is_trained), set[tuple[Any, ...]]()
        for n_kills in range(3):
            process = run.start("walk.steps=150", command="live")
            once_it_predicts(exchange, run, nothing if n_kills else revised)
            exchange.set_clock(speed=1.0)
            time.sleep(1.0)
            process.kill()
            process.communicate()
            stored |= set(predictions(run))
        exchange.set_clock(speed=10.0)
        assert run.live("walk.steps=150") == 0
        assert stored <= set(predictions(run))  # none was made again, or replaced
        check_each_once(exchange, run)
        if not is_trained:
            check(exchange, run)


def test_a_disk_that_is_full_ends_the_run_in_one_line_and_loses_nothing(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", megabytes=64) as disk,
        LocalExchange(SYMBOLS, history=400, speed=1.0) as exchange,
    ):
        run = disturbed(exchange, disk / "run")
        process = run.start(command="live")
        once_it_predicts(exchange, run, nothing)
        fill(disk / "filler")
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 1
        assert [line for line in errors.splitlines() if "error: " in line] == errors.splitlines()[-1:]
        assert "database or disk is full" in errors
        stored = rows(run)["predictions"]
        (disk / "filler").unlink()
        assert run.live() == 0
        assert set(stored) <= set(rows(run)["predictions"])
        check(exchange, run, tmp_path / "undisturbed")


def test_a_clock_that_is_skewed_beyond_the_limit_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with LocalExchange(SYMBOLS, history=400, speed=1.0) as exchange:
        exchange.control(skew=7000)
        run = disturbed(exchange, tmp_path, max_skew=2.0)
        assert run.live() == 2
    assert "`max_skew` must cover what the clock of binance is ahead of this machine's" in capsys.readouterr().err
    assert not rows(run)["predictions"]


def disturbed(exchange: LocalExchange, folder: Path, is_trained: bool = False, **options: Any) -> RunIn:
    """Return a run that takes its bars from the exchange."""
    learns = f"live.train={str(is_trained).lower()}"
    overrides = exchange.overrides(look_back=300, **options)
    run = RunIn(folder, *overrides, learns, "live.grace=5", "logger=none", f"walk.steps={N_STEPS}")
    run.overrides = [one for one in run.overrides if not one.startswith("data.source")]
    return run


def once_it_predicts(exchange: LocalExchange, run: RunIn, fault: Fault) -> None:
    """Let the market run fast once there are more predictions, and then something go wrong."""
    before, until = count(run), time.monotonic() + 120.0
    while count(run) < before + 4:
        assert time.monotonic() < until, "it does not predict"
        time.sleep(0.05)
    exchange.set_clock(speed=10.0)
    time.sleep(1.0)
    fault(exchange, run)


def nothing(_: LocalExchange, __: RunIn) -> None:
    pass


def fill(file: Path) -> None:
    """Fill the disk of a file."""
    subprocess.run(["dd", "if=/dev/zero", f"of={file}", "bs=64k"], capture_output=True)


def check_bars(exchange: LocalExchange, run: RunIn) -> dict[str, list[int]]:
    """Compare the stored bars of each symbol with the truth, and return when they open."""
    found, engine = {}, open_database(run.url)
    for symbol in SYMBOLS:
        bars = BarStore(engine).load(symbol, "1s")
        found[symbol] = times = bars.open_time.astype(np.int64).tolist()
        assert bars.close.tolist() == [row[4] for row in exchange.truth(symbol, times[0], times[-1])]
    engine.dispose()
    return found


def check_each_once(exchange: LocalExchange, run: RunIn) -> None:
    """Check that each bar since the start of the run was predicted once, and none was left out."""
    for symbol, times in check_bars(exchange, run).items():
        predicted = [row[1] for row in rows(run)["predictions"] if row[0] == symbol]
        assert len(predicted) >= N_STEPS - 20
        assert predicted == [time for time in times if predicted[0] <= time <= predicted[-1]]


def check(exchange: LocalExchange, run: RunIn, folder: Path | None = None, is_exact: bool = True) -> None:
    """Compare the ledger with that of a run over the same bars, as they first came: exact, or corrected later."""
    found = rows(run)
    undisturbed = RunIn(folder or run.folder / "undisturbed", "feed=replay", "live.train=false", "logger=none")
    engine, other = open_database(run.url), open_database(undisturbed.url)
    store = BarStore(engine)
    for symbol, times in check_bars(exchange, run).items():
        last = max(row[1] for row in found["predictions"] if row[0] == symbol)
        bars = store.load(symbol, "1s", end=np.datetime64(last + SECOND, "ms"))
        first_seen = bars_as_of(bars, store.versions(symbol, "1s"), np.datetime64(0, "ms"))
        if is_exact:
            assert first_seen.close.tolist() == [row[4] for row in exchange.truth(symbol, times[0], last, False)]
        BarStore(other).write(symbol, "1s", first_seen)
    engine.dispose()
    other.dispose()
    start = np.datetime64(min(row[1] for row in found["predictions"]), "ms")
    undisturbed.overrides = [one for one in undisturbed.overrides if not one.startswith("data.source")]
    stored = ("data=database", f"data.symbols=[{','.join(SYMBOLS)}]", f"walk.start={start}")
    assert undisturbed.live(*stored) == 0
    expected = rows(undisturbed)
    for name in COLUMNS:
        assert found[name] == expected[name], name
    assert len(found["predictions"]) >= 2 * N_STEPS - 40  # after a gap, the first bars have no window
    assert len(found["verdicts"]) > 30


def rows(run: RunIn) -> dict[str, list[tuple[Any, ...]]]:
    """Return predictions and verdicts by symbol and time, each as often as it is stored."""
    engine = open_database(run.url)
    with engine.connect() as connection:
        found = {
            name: [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {name} ORDER BY 1, 2"))]
            for name, columns in COLUMNS.items()
        }
    engine.dispose()
    return found


def count(run: RunIn) -> int:
    """Return how many predictions are stored; 0 where there are no tables yet."""
    if not (run.folder / "run.db").exists():
        return 0
    connection = sqlite3.connect(f"file:{run.folder / 'run.db'}?mode=ro", uri=True, timeout=60)
    try:
        return int(connection.execute("SELECT count(*) FROM prediction_rows").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
