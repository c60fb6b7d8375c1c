"""What the process that predicts does with the one that trains, and what that one judges and publishes."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from sqlalchemy import text

from trendtrain.callbacks import LedgerWriter, PredictOnly, TrendValidation
from trendtrain.callbacks.ledger_writer import n_optimizer_steps
from trendtrain.data.datamodule import Live
from trendtrain.errors import InputError
from trendtrain.live import trainer_process as module
from trendtrain.live.handover import PARAMETERS_FILE, TRAINER_FOLDER, Handover, publish
from trendtrain.live.log import LOG
from trendtrain.live.trainer_process import TrainerProcess
from trendtrain.storage import Ledger, open_database

Make = Callable[..., Any]
N_STEPS = 12


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Ledger(engine)
    engine.dispose()


def published_number(folder: Path) -> int:
    found: int = torch.load(folder / PARAMETERS_FILE, weights_only=True)["number"]
    return found


class AtStep(pl.Callback):
    """Call a function after each step."""

    def __init__(self, function: Callable[[int, pl.Trainer], None]) -> None:
        self.function = function

    def on_walk_step(self, trainer: pl.Trainer, step: Any) -> None:
        self.function(step.index, trainer)


@pytest.fixture
def predict(tmp_path: Path, ledger: Ledger, make_trainer: Make, make_module: Make, make_datamodule: Make) -> Make:
    """Walk with a process that trains, which is a given program; call a function after each step."""

    def run(program: str, at_step: Callable[[int, pl.Trainer], None]) -> SimpleNamespace:
        config = {"callbacks": {"ledger": {"model": None}}, "trainer": {}, "data": {}}
        process = TrainerProcess(tmp_path, "run-1", ledger, config)
        writer = LedgerWriter(ledger, "run-1", commits=True)
        trainer = make_trainer(TrendValidation(), writer, PredictOnly(), AtStep(at_step), process)
        datamodule, lightning_module = make_datamodule(live=Live(max_batches=0)), make_module()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.sys, "executable", program)
            trainer.fit(lightning_module, datamodule)
        return SimpleNamespace(process=process, datamodule=datamodule, module=lightning_module)

    return run


@pytest.fixture
def program(tmp_path: Path) -> Make:
    """Return where a script lies."""

    def write(script: str) -> str:
        path = tmp_path / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.mark.parametrize(("name", "told"), [("program", "has ended with 1"), ("nowhere", "could not start")])
def test_a_process_that_ends_again_and_again_stops_no_prediction_and_is_told(
    name: str,
    told: str,
    tmp_path: Path,
    predict: Make,
    program: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    program("read task; exit 1")
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    found: list[dict[str, Any]] = []

    def go_on(index: int, trainer: pl.Trainer) -> None:
        time.sleep(0.05)  # for the process to end
        clock[0] += 1.0
        process = next(one for one in trainer.callbacks if isinstance(one, TrainerProcess))  # type: ignore[attr-defined]
        found.append(process.as_dict(trainer.datamodule.stream.now))  # type: ignore[attr-defined]

    with caplog.at_level(logging.INFO, LOG):
        run = predict(str(tmp_path / name), go_on)
    assert run.datamodule.stream.step == N_STEPS
    entries = [record for record in caplog.records if record.name == LOG and record.levelno == logging.ERROR]
    assert told in entries[0].getMessage()
    assert [entry.args[1] for entry in entries[:3]] == [1.0, 2.0, 4.0]  # type: ignore[index]
    assert found[-1] == {"pid": None, "lag_seconds": None}


def test_the_process_is_there_during_the_run_and_ends_with_it(predict: Make, program: Make) -> None:
    pids: set[int] = set()

    def see(index: int, trainer: pl.Trainer) -> None:
        process = next(one for one in trainer.callbacks if isinstance(one, TrainerProcess))  # type: ignore[attr-defined]
        pids.add(process.as_dict(trainer.datamodule.stream.now)["pid"])  # type: ignore[attr-defined]

    run = predict(program("read task; exec sleep 600"), see)
    (pid,) = pids
    assert run.process._task["config"]["trainer"]["max_epochs"] == -1  # it ends with this process
    assert not Path(f"/proc/{pid}").exists()
    assert run.process.as_dict(run.datamodule.stream.now)["pid"] is None


def test_a_mistake_in_the_configuration_is_tried_again_only_after_the_longest_pause(
    predict: Make, program: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, LOG):
        predict(program("read task; exit 2"), lambda index, trainer: time.sleep(0.05))
    first, second = [record.getMessage() for record in caplog.records if record.name == LOG]
    assert "random weights predict" in first  # once
    assert second == "the process that trains has ended with 2; predictions go on, and it starts again in 60 s"


def test_parameters_that_know_more_than_was_predicted_are_refused(
    predict: Make, program: Make, ledger: Ledger, tmp_path: Path
) -> None:
    run = predict(program("read task; exec sleep 600"), lambda index, trainer: None)
    stream, path = run.datamodule.stream, tmp_path / TRAINER_FOLDER / PARAMETERS_FILE
    state = run.module.state_dict()
    publish(path, 5, stream.now, state)
    predict(program("read task; exec sleep 600"), lambda index, trainer: None)  # their predictions are there
    publish(path, 5, stream.now + stream.feed.length, state)
    with pytest.raises(InputError, match=r"`db.url` must hold the predictions of run-1 until .*, got sqlite:///.*"):
        predict(program("read task; exec sleep 600"), lambda index, trainer: None)


def test_published_parameters_predict_from_the_next_step_on_and_older_ones_never(
    predict: Make, ledger: Ledger, tmp_path: Path
) -> None:
    path = tmp_path / TRAINER_FOLDER / PARAMETERS_FILE

    def hand_over(index: int, trainer: pl.Trainer) -> None:
        module_, now = trainer.lightning_module, trainer.datamodule.stream.now  # type: ignore[attr-defined]
        if (number := {2: 100, 5: 70, 7: 130}.get(index)) is not None:
            state = {name: torch.full_like(one, number / 1e4) for name, one in module_.state_dict().items()}
            publish(path, number, now - np.timedelta64(1, "h"), state)
        if index > 2:
            assert n_optimizer_steps(trainer) == (100 if index <= 7 else 130)
            for name, one in module_.state_dict().items():
                assert torch.all(one == (1.0 if name == "temperature" else n_optimizer_steps(trainer) / 1e4)), name

    run = predict("/bin/cat", hand_over)
    with ledger.engine.connect() as connection:
        rows = connection.execute(text("SELECT DISTINCT step, parameters FROM prediction_rows ORDER BY step")).all()
    assert [number for _, number in rows] == [0] * 3 + [100] * 5 + [130] * 4
    facts = run.process.as_dict(run.datamodule.stream.now)
    assert facts["lag_seconds"] > 3600
    numbers: list[int] = []
    again = predict("/bin/cat", lambda index, trainer: numbers.append(n_optimizer_steps(trainer)))
    assert numbers == [130] * N_STEPS  # from the start
    with ledger.engine.connect() as connection:
        assert connection.execute(text("SELECT count(DISTINCT step) FROM prediction_rows")).scalar() == N_STEPS
    assert again.process.as_dict(again.datamodule.stream.now)["lag_seconds"] is not None


def test_the_process_that_trains_judges_stored_predictions_and_publishes_after_each_step(
    predict: Make, ledger: Ledger, tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    predict("/bin/cat", lambda index, trainer: None)
    with ledger.engine.begin() as connection:  # the opposite of what any net would say, and one left out
        connection.execute(text("UPDATE prediction_rows SET direction = 1 - direction, confidence = 0.75"))
        connection.execute(text("DELETE FROM verdict_rows"))
        last = "(SELECT max(open_time) FROM prediction_rows)"
        n_left = connection.execute(text(f"DELETE FROM prediction_rows WHERE open_time = {last}")).rowcount
        n_stored = connection.execute(text("SELECT count(*) FROM prediction_rows")).scalar()
    numbers, nows, validation = [], [], TrendValidation()
    handover = Handover(tmp_path, "run-1", ledger, "CnnNet")

    def see(index: int, trainer: pl.Trainer) -> None:
        published = torch.load(tmp_path / PARAMETERS_FILE, weights_only=True)
        numbers.append(published["number"])
        stream = trainer.datamodule.stream  # type: ignore[attr-defined]
        before = nows[-1] if nows else stream.feed.start  # its batches were drawn before the step brought new bars
        assert published["known_by"] == before.astype("datetime64[ms]").astype(int)
        nows.append(stream.now)
        for name, one in trainer.lightning_module.state_dict().items():
            assert torch.equal(one, published["state_dict"][name])

    trainer = make_trainer(validation, handover, AtStep(see))
    datamodule = make_datamodule()
    judged: list[Any] = []
    validation.on_verdicts = judged.append
    trainer.fit(make_module(), datamodule)
    assert numbers == [2 * (index + 1) for index in range(N_STEPS)]
    assert n_left >= 1
    publish(tmp_path / PARAMETERS_FILE, 7, nows[-1], {})  # this process is killed, and begins again from before
    numbers.clear()
    again = Handover(tmp_path, "run-1", ledger, "CnnNet")
    trainer = make_trainer(TrendValidation(), again, AtStep(lambda *_: numbers.append(published_number(tmp_path))))
    trainer.fit(make_module(), make_datamodule())
    assert numbers == [7] * 3 + [8 + 2 * n for n in range(N_STEPS - 3)]
    assert validation.buffer.stats.total == n_stored
    made = [verdicts.predictions for verdicts in judged]
    assert {round(float(one), 12) for part in made for one in part.confidence} == {0.75}
