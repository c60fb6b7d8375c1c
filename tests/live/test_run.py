"""What a live run is made of; while its set-up waits for labels, it says how it is, and a signal ends it cleanly."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from sqlalchemy import text
from streams import SERIES
from train_runs import RunIn

from trendtrain.cli import main
from trendtrain.live import monitor as module
from trendtrain.live import run
from trendtrain.live.monitor import Monitor
from trendtrain.live.replay import ReplaySource
from trendtrain.live.status import read_facts
from trendtrain.storage import BarStore, open_database
from trendtrain.stream import HeldBars, Walk

# A bar of 5 minutes comes in 3 days, and no label is known before the walk.
WAITS = (
    "data.source.n_bars=420",
    "data.symbols=SYNTH-A",
    "walk.start='2020-01-01T01:00'",
    "feed.speed=0.001",
    "run.name=waits",
)


@pytest.mark.parametrize(("max_bars", "most"), [("40", 40), ("null", 1024)])
def test_no_step_of_late_bars_is_longer_than_the_bars_that_are_kept(max_bars: str, most: int) -> None:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("live", [f"live.max_bars={max_bars}"])
    parts = run._Parts(cfg, Path())
    source = SimpleNamespace(series=tuple(SERIES), clock=lambda: None)
    parts._made = lambda store: (source, HeldBars(SERIES))  # type: ignore[method-assign, assignment, return-value]
    made: dict[str, Any] = parts(SimpleNamespace(compact=list))  # type: ignore[arg-type]
    feed = made["live"].feed(SimpleNamespace(walk=Walk("2024-01-01")))
    assert feed._room == most
    assert made["live"].max_bars == cfg.live.max_bars


@pytest.mark.parametrize(("feed", "named"), [("ccxt", "-cnn-ccxt-"), ("replay", "-cnn-synthetic-")])
def test_a_run_is_named_by_where_its_bars_come_from(feed: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("live", [f"feed={feed}"], return_hydra_config=True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
    assert named in cfg.run.name


def interrupted(by: signal.Signals, waiting: RunIn) -> int:
    """Return the exit code of the command."""
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        return waiting.here(command="live")
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


@pytest.mark.parametrize(("by", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_first_start_that_waits_for_labels_says_so_and_ends_cleanly_by_a_signal(
    by: signal.Signals,
    exit_code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waits, told, closed = Monitor.wait_in_setup, [], []
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_ENTRIES", 0.0)
    monkeypatch.setattr(module, "notify", told.append)
    monkeypatch.setattr(ReplaySource, "close", lambda self: closed.append(self))
    waiting = RunIn(tmp_path, *WAITS)
    healthy: list[int] = []

    def wait_and_end(self: Monitor, *arguments: Any) -> None:
        waits(self, *arguments)
        healthy.append(main(["live", "status", str(tmp_path)]))
        os.kill(os.getpid(), by)

    monkeypatch.setattr(Monitor, "wait_in_setup", wait_and_end)
    assert interrupted(by, waiting) == exit_code
    facts, printed = read_facts(tmp_path), capsys.readouterr()
    assert healthy == [0]
    assert "the first step still waits for bars with known labels; bars so far: SYNTH-A 5m 12" in printed.err
    assert (facts["state"], facts["run"], facts["series"][0]["symbol"]) == ("interrupted", "waits", "SYNTH-A")
    assert told[0].startswith("WATCHDOG=1\nSTATUS=starting")
    assert "STOPPING=1" in told
    assert len(closed) == 1


def test_the_blocks_of_single_live_bars_are_merged_at_the_start(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    store, series = BarStore(engine), next(iter(SERIES))
    bars = SERIES[series][:30]
    for at in range(len(bars)):
        store.write(*series, bars[at : at + 1])
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        parts = run._Parts(compose("live"), tmp_path)
    parts._made = lambda store: (SimpleNamespace(series=(series,)), HeldBars(SERIES))  # type: ignore[method-assign, assignment, return-value]
    parts(store)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM bar_blocks")).scalar() == 1
    np.testing.assert_array_equal(store.load(*series).close, bars.close)
    engine.dispose()
