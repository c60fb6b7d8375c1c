from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from sqlalchemy import Engine, text
from trainer_parts import SERIES

from trendtrain.callbacks import LedgerWriter, ReseedGenerators, TrendValidation, WalkCheckpoint
from trendtrain.callbacks.ledger_writer import model_class
from trendtrain.errors import StorageError
from trendtrain.market import Series
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.stream.walk_step import WalkStep

Make = Callable[..., Any]

PREDICTIONS = """
SELECT s.symbol, s.timeframe, p.open_time, p.step, p.direction, p.confidence
FROM predictions p JOIN series s ON s.id = p.series_id WHERE p.run_id = :run ORDER BY 1, 2, 3
"""
VERDICTS = """
SELECT s.symbol, s.timeframe, v.open_time, v.step, v.outcome, v.truth, v.known_at, v.kind, v.first_time, v.last_time
FROM verdicts v JOIN series s ON s.id = v.series_id WHERE v.run_id = :run ORDER BY 1, 2, 3
"""


def rows(engine: Engine, query: str, run: str = "run-1") -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), {"run": run})]


def milliseconds(times: np.ndarray) -> list[int]:
    return times.astype("datetime64[ms]").astype(np.int64).tolist()


def test_the_ledger_counts_what_the_callback_counts(finished: SimpleNamespace) -> None:
    counted = {Series(row.symbol, row.timeframe): row.stats for row in finished.ledger.stats()}
    validation = finished.validation
    assert counted == validation.board.stats(validation.buffer.pending)
    assert {row.model for row in finished.ledger.stats()} == {"CnnNet"}


def test_every_prediction_is_written_with_its_step(finished: SimpleNamespace) -> None:
    labels, bars = finished.labels, list(SERIES.values())
    expected = []
    for step in finished.recorder.steps:
        made = step.predictions
        for row, direction, confidence in zip(finished.at(made.row), made.direction, made.confidence, strict=True):
            i = labels.series_index[row]
            open_time = bars[i].open_time[row - labels.offset[i]]
            expected.append((*labels.series[i], *milliseconds(open_time[None]), step.index, direction, confidence))
    assert rows(finished.engine, PREDICTIONS) == sorted(expected)


def test_every_verdict_is_written_with_the_line_that_judged(finished: SimpleNamespace) -> None:
    labels, bars = finished.labels, list(SERIES.values())
    expected = []
    for step in finished.recorder.steps:
        verdicts = step.verdicts
        rows_at, known_at_rows = finished.at(verdicts.row), finished.at(verdicts.known_at)
        columns = (rows_at, verdicts.outcome, verdicts.truth, labels.event[rows_at], known_at_rows)
        for row, outcome, truth, event, known_at in zip(*columns, strict=True):
            i = labels.series_index[row]
            open_times, offset, lines = bars[i].open_time, labels.offset[i], labels.lines
            pivots = (None, None, None)
            if event >= 0:
                ends = open_times[[lines.first_bar[event] - offset, lines.last_bar[event] - offset]]
                pivots = (("L2H", "L2L")[lines.kind[event]], *milliseconds(ends))
            times = milliseconds(np.array([open_times[row - offset], labels.close_time[known_at]]))
            expected.append((*labels.series[i], times[0], step.index, outcome, truth, times[1], *pivots))
    assert rows(finished.engine, VERDICTS) == sorted(expected)


def test_no_verdict_is_known_before_its_line_and_its_bar(finished: SimpleNamespace) -> None:
    for _, _, open_time, _, outcome, _, known_at, _, first, last in rows(finished.engine, VERDICTS):
        if outcome != 3:
            assert open_time < first < last < known_at


def test_the_name_of_a_model_can_be_given(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    writer = LedgerWriter(Ledger(engine), "run-1", model="mine")
    make_trainer(TrendValidation(), writer, max_epochs=1).fit(make_module(), make_datamodule())
    assert {row.model for row in Ledger(engine).stats()} == {"mine"}
    engine.dispose()


def test_a_module_without_a_net_has_its_own_name() -> None:
    assert model_class(pl.LightningModule()) is pl.LightningModule


RUN = "SELECT status, step, n_steps, total_predictions, validated_predictions, correct_predictions FROM runs"
LINES = """
SELECT s.symbol, l.kind, l.first_time, l.last_time, l.direction, l.known_at, l.first_price, l.last_price, l.slope
FROM lines l JOIN series s ON s.id = l.series_id WHERE l.run_id = :run ORDER BY 1, 2, 3, 4
"""


def test_a_run_that_ended_says_so_and_has_the_counts_of_the_callback(finished: SimpleNamespace) -> None:
    last, stats = finished.recorder.steps[-1], finished.validation.buffer.stats
    counts = (stats.total, stats.validated, stats.correct)
    assert rows(finished.engine, RUN) == [("finished", last.index, last.n_steps, *counts)]


def test_the_model_is_named_with_its_class(finished: SimpleNamespace) -> None:
    models = rows(finished.engine, "SELECT * FROM models")
    assert models == [("run-1", "CnnNet", "CnnNet", "trendtrain.models.cnn.CnnNet")]


def test_every_line_that_judged_is_written_once(finished: SimpleNamespace) -> None:
    labels = finished.labels
    judged = finished.at(np.concatenate([step.verdicts.row for step in finished.recorder.steps]))
    events = np.unique(labels.event[judged])
    lines = labels.lines[events[events >= 0]]
    expected = zip(
        (labels.series[i].symbol for i in labels.series_index[lines.first_bar]),
        (("L2H", "L2L")[kind] for kind in lines.kind),
        milliseconds(lines.start_time),
        milliseconds(lines.end_time),
        lines.direction.tolist(),
        milliseconds(labels.close_time[lines.known_at]),
        lines.first_price.tolist(),
        lines.last_price.tolist(),
        lines.slope.tolist(),
        strict=True,
    )
    assert rows(finished.engine, LINES) == sorted(expected)


def test_the_ledger_finds_the_event_accuracy_of_the_callback(finished: SimpleNamespace) -> None:
    counted = {row.symbol: (row.event_accuracy, row.n_events) for row in finished.ledger.stats()}
    scores = finished.validation.summary()["series"]
    assert set(counted) == set(scores)
    for symbol, (score,) in ((symbol, by.values()) for symbol, by in scores.items()):
        assert counted[symbol] == (pytest.approx(score["event_accuracy"]), score["n_events"])


def test_every_verdict_is_in_a_training_event_of_its_step(finished: SimpleNamespace) -> None:
    of_events = rows(
        finished.engine, "SELECT series_id, step, n_high, n_normal, n_void FROM training_events ORDER BY 1, 2"
    )
    of_verdicts = """
    SELECT series_id, step, sum(CASE WHEN priority = 'high' THEN 1 ELSE 0 END),
        sum(CASE WHEN priority = 'normal' THEN 1 ELSE 0 END), sum(CASE WHEN priority IS NULL THEN 1 ELSE 0 END)
    FROM verdicts GROUP BY series_id, step ORDER BY 1, 2
    """
    assert of_events == rows(finished.engine, of_verdicts) != []


class Crash(pl.Callback):
    """Fail at the end of a step, when it has been written, and before its checkpoint."""

    def __init__(self, at: int, error: BaseException | None = None) -> None:
        self.at = at
        self.error = error or RuntimeError("power cut")

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        if step.index == self.at:
            raise self.error


@pytest.fixture
def crashed(tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make) -> Any:
    """A run that stopped at step 6 with step 5 in its checkpoint, and a way to start it again."""
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")

    def start(*more: pl.Callback, ckpt_path: Path | None = None) -> TrendValidation:
        validation, writer = TrendValidation(), LedgerWriter(Ledger(engine), "run-1", config="{}")
        checkpoint = WalkCheckpoint(tmp_path, every_n_steps=2)
        trainer = make_trainer(validation, writer, checkpoint, ReseedGenerators(0), *more)
        trainer.fit(make_module(), make_datamodule(), ckpt_path=ckpt_path, weights_only=True)
        return validation

    with pytest.raises(RuntimeError, match="power cut"):
        start(Crash(at=6))
    yield SimpleNamespace(engine=engine, start=start, path=tmp_path / "last.ckpt")
    engine.dispose()


def last_step(engine: Engine) -> int:
    return max(row[3] for row in rows(engine, PREDICTIONS))


class Written(pl.Callback):
    """Note the last step in the ledger after each step, and after each checkpoint what it knows of."""

    def __init__(self, engine: Engine, checkpoint: WalkCheckpoint) -> None:
        self.engine, self.checkpoint = engine, checkpoint
        self.after_step: list[int] = []
        self.after_checkpoint: dict[int, int] = {}

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.after_step.append(last_step(self.engine))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.checkpoint.path.exists():
            callbacks = torch.load(self.checkpoint.path, weights_only=True)["callbacks"]
            self.after_checkpoint.setdefault(callbacks["LedgerWriter"]["last_step"], last_step(self.engine))


def test_steps_are_written_together_each_second_before_a_checkpoint_and_at_the_end(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    checkpoint = WalkCheckpoint(tmp_path, every_n_steps=6)
    writer, written = LedgerWriter(Ledger(engine), "run-1"), Written(engine, checkpoint)
    clock = SimpleNamespace(monotonic=lambda: 0.4 * len(written.after_step))  # a step takes 0.4 s
    monkeypatch.setattr("trendtrain.callbacks.ledger_writer.time", clock)
    trainer = make_trainer(TrendValidation(), writer, written, checkpoint, ReseedGenerators(0))
    trainer.fit(make_module(), make_datamodule())
    # the last step is not full: a checkpoint is written before it, too
    assert written.after_step == [0, 0, 0, 3, 3, 3, 5, 5, 5, 9, 9, 10]
    assert written.after_checkpoint[5] == 5
    assert all(known <= there for known, there in written.after_checkpoint.items())
    assert last_step(engine) == 11
    engine.dispose()


class Look(pl.Callback):
    """Note the last step in the ledger when training starts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen = -1
        self.status = ""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.seen < 0:
            self.seen = last_step(self.engine)
            self.status = rows(self.engine, "SELECT status FROM runs")[0][0]


def test_a_run_that_broke_off_has_failed_until_it_is_resumed_and_finished(crashed: SimpleNamespace) -> None:
    assert rows(crashed.engine, "SELECT status, step FROM runs") == [("failed", 6)]
    look = Look(crashed.engine)
    crashed.start(look, ckpt_path=crashed.path)
    assert look.status == "running"
    assert rows(crashed.engine, "SELECT status FROM runs") == [("finished",)]


@pytest.mark.parametrize("signal", [KeyboardInterrupt, SIGTERMException])
def test_a_run_that_was_stopped_from_outside_was_interrupted(crashed: SimpleNamespace, signal: type) -> None:
    with pytest.raises((SystemExit, SIGTERMException)):
        crashed.start(Crash(at=7, error=signal()), ckpt_path=crashed.path)
    assert rows(crashed.engine, "SELECT status, step FROM runs") == [("interrupted", 7)]


class Ends(pl.Callback):
    """Notes how a run ended, behind the ledger as `Monitor` is."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.error = exception


@pytest.mark.parametrize("n_failures", [1, 99])
def test_a_database_that_fails_ends_the_run_in_every_callback_and_loses_no_step_that_can_be_written(
    crashed: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, n_failures: int
) -> None:
    failures, record_steps, end = iter(range(n_failures)), Ledger.record_steps, Ledger.end

    def failing(write: Any) -> Any:
        def call(ledger: Ledger, *arguments: Any) -> None:
            if next(failures, None) is not None:
                raise StorageError("The database is locked.")
            write(ledger, *arguments)

        return call

    monkeypatch.setattr(Ledger, "record_steps", failing(record_steps))
    monkeypatch.setattr(Ledger, "end", failing(end))
    monkeypatch.setattr("trendtrain.callbacks.ledger_writer._SECONDS_BETWEEN", 0.0)
    ends = Ends()
    with pytest.raises(StorageError, match="is locked"):
        crashed.start(ends, ckpt_path=crashed.path)
    assert isinstance(ends.error, StorageError)
    is_back = n_failures == 1
    assert ("the ledger was not told how the run ended: The database is locked." in caplog.text) == (not is_back)
    assert rows(crashed.engine, "SELECT status, step FROM runs") == [("failed", 6) if is_back else ("running", 5)]


def test_a_resumed_run_forgets_what_came_after_its_checkpoint(crashed: SimpleNamespace) -> None:
    assert last_step(crashed.engine) == 6
    look = Look(crashed.engine)
    crashed.start(look, ckpt_path=crashed.path)
    assert look.seen == 5


def test_a_resumed_run_leaves_the_ledger_of_one_that_never_stopped(
    crashed: SimpleNamespace, finished: SimpleNamespace
) -> None:
    crashed.start(ckpt_path=crashed.path)
    for query in (PREDICTIONS, VERDICTS):
        assert rows(crashed.engine, query) == rows(finished.engine, query)


def test_a_resumed_run_ends_with_the_numbers_of_one_that_never_stopped(
    crashed: SimpleNamespace, finished: SimpleNamespace
) -> None:
    np.testing.assert_equal(crashed.start(ckpt_path=crashed.path).summary(), finished.validation.summary())


def test_a_run_started_again_replaces_itself(crashed: SimpleNamespace, finished: SimpleNamespace) -> None:
    crashed.start()
    assert rows(crashed.engine, PREDICTIONS) == rows(finished.engine, PREDICTIONS)


def test_another_run_is_left_alone(crashed: SimpleNamespace) -> None:
    ledger = Ledger(crashed.engine)
    ledger.begin("other", "{}", "2020-01-01")
    before = rows(crashed.engine, PREDICTIONS, "run-1")
    ledger.rewind("other", -1)
    assert rows(crashed.engine, PREDICTIONS, "run-1") == before
