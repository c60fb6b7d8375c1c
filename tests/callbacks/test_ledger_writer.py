from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
from sqlalchemy import Engine, text

from trendtrain.callbacks import LedgerWriter, ReseedGenerators, TrendValidation, WalkCheckpoint
from trendtrain.callbacks.ledger_writer import model_class
from trendtrain.callbacks.walk_step import WalkStep
from trendtrain.market import Series
from trendtrain.storage import open_database
from trendtrain.storage.ledger import Ledger

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
    labels, bars = finished.datamodule.labels, list(finished.datamodule.series.values())
    expected = []
    for step in finished.recorder.steps:
        made = step.predictions
        for row, direction, confidence in zip(made.row, made.direction, made.confidence, strict=True):
            i = labels.series_index[row]
            open_time = bars[i].open_time[row - labels.offset[i]]
            expected.append((*labels.series[i], *milliseconds(open_time[None]), step.index, direction, confidence))
    assert rows(finished.engine, PREDICTIONS) == sorted(expected)


def test_every_verdict_is_written_with_the_line_that_judged(finished: SimpleNamespace) -> None:
    labels, bars = finished.datamodule.labels, list(finished.datamodule.series.values())
    expected = []
    for step in finished.recorder.steps:
        verdicts = step.verdicts
        columns = (verdicts.row, verdicts.outcome, verdicts.truth, verdicts.event, verdicts.known_at)
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


class Crash(pl.Callback):
    """Fail at the end of a step, when it has been written, and before its checkpoint."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        if step.index == self.at:
            raise RuntimeError("power cut")


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


class Look(pl.Callback):
    """Note the last step in the ledger when training starts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seen = -1

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.seen < 0:
            self.seen = last_step(self.engine)


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
