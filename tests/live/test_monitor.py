import gc
import json
import logging
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from trainer_parts import SERIES

from trendtrain.callbacks import TrendValidation, WalkStep
from trendtrain.errors import InputError
from trendtrain.live import monitor as module
from trendtrain.live.facts import SeriesFacts
from trendtrain.live.log import LOG
from trendtrain.live.monitor import Monitor
from trendtrain.live.run_parts import clock_of, pivot_rules_of, stream_of
from trendtrain.storage import Ledger, open_database
from trendtrain.stream.feed import HistoryFeed

Make = Callable[..., Any]
_LATE = np.timedelta64(250, "ms")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Ledger(engine)
    engine.dispose()


@pytest.fixture(name="always")
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beat at each step, and let the clock of the market be a quarter second behind each step."""
    monkeypatch.setattr(module, "_SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(HistoryFeed, "clock", lambda feed: feed._end(feed._slot) + _LATE)


class Watcher(pl.Callback):
    """Call a function after each step, and keep the steps."""

    def __init__(self, look: Callable[[], Any] = lambda: None) -> None:
        self.look = look
        self.seen: list[Any] = []
        self.steps: list[WalkStep] = []

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.steps.append(step)
        self.seen.append(self.look())


def scraped(port: int) -> dict[tuple[str, ...], float]:
    """The value of each metric, by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


@pytest.mark.usefixtures("always")
def test_the_metrics_are_those_of_the_walk(
    tmp_path: Path, ledger: Ledger, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    monitor = Monitor(tmp_path, "run-1", ledger, metrics_port=0)
    watcher = Watcher(lambda: scraped(monitor.metrics.port) if len(watcher.steps) in (3, 12) else None)
    trainer = make_trainer(TrendValidation(), monitor, watcher)
    trainer.fit(make_module(), make_datamodule())
    third, last = (found for found in watcher.seen if found)
    step = watcher.steps[-1]
    assert (third["trendtrain_steps_total",], last["trendtrain_steps_total",]) == (3, 12)
    assert last["trendtrain_event_accuracy",] == step.metrics["event_accuracy"]
    assert last["trendtrain_events",] == step.board.n_events
    assert last["trendtrain_parameters",] == trainer.global_step
    assert time.time() - 60 < last["trendtrain_parameters_learned_timestamp_seconds",] <= time.time()
    for series, stats in step.series_stats.items():
        found = {name: last[f"trendtrain_{name}", *series] for name in ("pending", "validated_total", "correct_total")}
        expected = {"pending": stats.pending, "validated_total": stats.validated, "correct_total": stats.correct}
        assert found == expected
        n_bars = sum(len(one.bars.get(series, ())) for one in watcher.steps)
        assert last["trendtrain_bars_total", *series] == n_bars > 100
        newest = SERIES[series].close_time[-1].astype("datetime64[ms]").astype(np.int64) / 1000
        assert last["trendtrain_newest_bar_timestamp_seconds", *series] == newest
    assert monitor.metrics is None  # closed at the end


@pytest.mark.usefixtures("always")
def test_the_file_says_how_the_run_is(
    tmp_path: Path, ledger: Ledger, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    watcher = Watcher(lambda: json.loads((tmp_path / "live.json").read_text()))
    make_trainer(TrendValidation(), Monitor(tmp_path, "run-1", ledger), watcher).fit(make_module(), make_datamodule())
    for step, found in zip(watcher.steps, watcher.seen, strict=True):
        assert (found["run"], found["state"], found["pid"]) == ("run-1", "running", os.getpid())
        assert found["n_steps"] == step.index + 1
        pending = sum(one["stats"]["pending_validations"] for one in found["series"])
        assert pending == step.stats.pending == found["stats"]["pending_validations"]
    assert found["rules"]["max_gap"] == 12
    assert found["db"] == f"sqlite:///{tmp_path / 'ledger.db'}"
    after = json.loads((tmp_path / "live.json").read_text())
    assert after["state"] == "finished"


def test_missing_bars_are_counted(make_bars: Make) -> None:
    facts, minute = SeriesFacts(), np.timedelta64(1, "m")
    for minutes in ([0, 1], [2, 5], [6], [10]):
        facts.add(make_bars(minutes), minute)
    assert (facts.n_bars, facts.n_missing) == (6, 5)
    assert facts.newest == np.datetime64("2024-01-01T00:11")


@pytest.mark.usefixtures("always")
def test_the_lag_is_from_the_close_to_the_stored_prediction(
    tmp_path: Path, ledger: Ledger, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    monitor, watcher = Monitor(tmp_path, "run-1", ledger, metrics_port=0), Watcher()
    trainer = make_trainer(TrendValidation(), monitor, watcher, max_epochs=2)
    watcher.look = lambda: scraped(monitor.metrics.port)
    trainer.fit(make_module(), make_datamodule())
    n_predictions = sum(len(step.predictions) for step in watcher.steps)
    assert watcher.seen[-1]["trendtrain_prediction_lag_seconds_count",] == n_predictions
    facts = json.loads((tmp_path / "live.json").read_text())
    step = watcher.steps[-1]
    late = (step.now + _LATE - step.predictions.close_time) / np.timedelta64(1, "s")
    assert [one["lag_seconds"] for one in facts["series"]] == [
        late[step.predictions.series == number][-1] for number in range(2)
    ]
    assert late.min() < facts["lag_seconds"]["p50"] < facts["lag_seconds"]["p99"]


@pytest.mark.usefixtures("always")
def test_a_file_that_cannot_be_written_is_logged_once_and_stops_nothing(
    tmp_path: Path,
    ledger: Ledger,
    make_trainer: Make,
    make_module: Make,
    make_datamodule: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "live.json").mkdir()
    watcher = Watcher()
    with caplog.at_level(logging.ERROR, LOG):
        trainer = make_trainer(TrendValidation(), Monitor(tmp_path, "run-1", ledger), watcher)
        trainer.fit(make_module(), make_datamodule())
    assert len(watcher.steps) == 12
    assert [record.getMessage().count("cannot be written") for record in caplog.records] == [1]


def test_entries_of_the_log_are_counted_and_the_last_is_kept_without_secrets(
    tmp_path: Path, ledger: Ledger, make_trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGE_SECRET", "hidden-value")
    monitor, trainer = Monitor(tmp_path, "run-1", ledger), make_trainer()
    monitor.setup(trainer, trainer.lightning_module, "fit")
    log = logging.getLogger(LOG)
    log.warning("late")
    log.info("not counted")
    log.error("with hidden-value")
    monitor.on_fit_end(trainer, trainer.lightning_module)
    log.error("after the end")
    found = json.loads((tmp_path / "live.json").read_text())
    assert (found["n_warnings"], found["n_errors"]) == (1, 1)
    assert found["last_entry"]["message"] == "with ***"


def test_metrics_without_prometheus_client_are_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(InputError, match=r"`live.metrics_port` must be null where .*trendtrain\[live\]\), got 9108"):
        module.MetricsServer(9108)


def test_a_port_in_use_is_refused_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"`live.metrics_port` must be a port that is free on .*, got {port}"):
            module.MetricsServer(port)


@pytest.fixture(params=["path", "abstract"])
def service_manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket that takes what a service manager would."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@trendtrain-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(name.replace("@", "\0"))
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield channel


@pytest.mark.usefixtures("always")
def test_the_service_manager_is_told_of_start_steps_and_end(
    service_manager: socket.socket,
    tmp_path: Path,
    ledger: Ledger,
    make_trainer: Make,
    make_module: Make,
    make_datamodule: Make,
) -> None:
    told: list[str] = []

    def look() -> None:
        while len(told) < 1 or not told[-1].startswith("WATCHDOG"):
            told.append(service_manager.recv(1000).decode())

    watcher = Watcher(look)
    trainer = make_trainer(TrendValidation(), Monitor(tmp_path, "run-1", ledger), watcher, max_epochs=2)
    trainer.fit(make_module(), make_datamodule())
    while not told[-1].startswith("WATCHDOG") or "stopped" not in told[-1]:
        told.append(service_manager.recv(1000).decode())
    assert told[0] == "READY=1"
    assert told[-2] == "STOPPING=1"
    assert "STATUS=running, 2 steps" in "".join(told)


def test_a_service_manager_that_is_gone_is_logged_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nothing"))
    with caplog.at_level(logging.WARNING, LOG):
        module.notify("READY=1")
    assert "the service manager was not told READY=1" in caplog.text


def test_without_a_stream_there_is_nothing_to_follow(make_trainer: Make) -> None:
    trainer = make_trainer()
    assert stream_of(trainer) is clock_of(trainer) is pivot_rules_of(trainer) is None


@pytest.mark.parametrize("fails", [False, True])
def test_the_garbage_collector_leaves_the_set_up_alone_while_the_run_is_watched(
    fails: bool, tmp_path: Path, ledger: Ledger, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    def count() -> int:
        if fails and len(watcher.steps) == 3:
            raise RuntimeError("the disk is gone")
        return gc.get_freeze_count()

    watcher = Watcher(count)
    trainer = make_trainer(TrendValidation(), Monitor(tmp_path, "run-1", ledger), watcher)
    with pytest.raises(RuntimeError, match="the disk is gone") if fails else nullcontext():
        trainer.fit(make_module(), make_datamodule())
    assert min(watcher.seen) > 10_000
    assert gc.get_freeze_count() == 0
