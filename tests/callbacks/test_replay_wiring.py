"""What training tells the replay, what the replay tells the charts, and who hears of a change."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from sqlalchemy import text
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from trainer_parts import SERIES

from trendtrain.callbacks import LedgerWriter, TrendValidation, WalkStep
from trendtrain.market import label_bars
from trendtrain.models import TrendModule
from trendtrain.replay import make_sampler, weigh, weigh_by_gradient
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.validation import Predictions

Make = Callable[..., Any]

TAGS = {"wrong_in_memory", "wrong_in_draws", "effective_size", "age_events", "alarms", "events", "bars"}


class Watcher(pl.Callback):
    """Follow what the model answers on each training batch, and what it hears of steps and changes."""

    def __init__(self) -> None:
        self.weight: dict[int, np.float16] = {}  # 1 where a row is not in it
        self.drawn: set[int] = set()
        self.heard: list[tuple[str, int]] = []
        self.kept: list[tuple[int, int]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        chance = torch.softmax(outputs["logits"].double(), dim=1) if "logits" in outputs else None
        for i, (row, label) in enumerate(zip(batch["row"].tolist(), batch["label"].tolist(), strict=True)):
            self.drawn.add(row)
            if chance is not None:
                self.weight[row] = np.float16(0.1 + 1.0 - chance[i, label].item())

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.heard.append(("step", step.index))
        verdicts = step.verdicts
        rows = zip(verdicts.row, verdicts.truth, verdicts.is_validated, verdicts.predictions.probability, strict=True)
        for row, truth, is_validated, chance in rows:
            self.weight[row] = np.float16(0.1 + 1.0 - (chance[truth] if is_validated else 0.5))

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.heard.append(("change", step.index))
        assert step.change is not None
        self.kept.append((step.change, trainer.datamodule.replay.memory.n_events))


def close_step(datamodule: Any) -> None:
    """Predict every row of the step alike, and close it."""
    row = datamodule.stream.open().row
    datamodule.stream.close(Predictions(row, np.tile([0.4, 0.6], (len(row), 1))))


class Silent(TrendModule):
    """A module whose training step returns its loss alone."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch, batch_idx)["loss"]


class AlarmAt:
    """A detector that alarms once, at the third step, and keeps five events."""

    def __init__(self) -> None:
        self.n_steps = 0

    def update(self, accuracy: np.ndarray) -> int | None:
        self.n_steps += 1
        return 5 if self.n_steps == 3 else None

    def state_dict(self) -> dict[str, int]:
        return {"n_steps": self.n_steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.n_steps = state["n_steps"]


def by_gradient(**options: Any) -> Any:
    return partial(make_sampler, batch_size=32, n_batches=2, weigh=weigh_by_gradient, half_life=40.0, **options)


def test_weights_are_the_latest_answers_of_the_model(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    datamodule = make_datamodule(replay=by_gradient())
    datamodule.setup()
    watcher = Watcher()
    make_trainer(TrendValidation(), watcher).fit(make_module(), datamodule)
    memory = datamodule.replay.memory
    assert len(watcher.drawn) > 200
    # duplicates in a batch have one answer; float32 batches differ in the last digits by their row's place
    expected = [float(watcher.weight.get(row, np.float16(1.0))) for row in memory.rows.tolist()]
    np.testing.assert_allclose(memory.weight.astype(float), expected, rtol=2e-3)


def test_a_module_that_returns_its_loss_alone_leaves_the_verdicts(
    make_datamodule: Make, make_trainer: Make, recorder: Any
) -> None:
    torch.manual_seed(0)
    datamodule = make_datamodule()
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12 * 8, 2))
    make_trainer(TrendValidation(), recorder).fit(Silent(net), datamodule)
    wrong = [step.verdicts.row[step.verdicts.is_validated & ~step.verdicts.is_correct] for step in recorder.steps]
    memory = datamodule.replay.memory
    expected = np.where(np.isin(memory.rows, np.concatenate(wrong)), 3.0, 1.0)
    np.testing.assert_array_equal(memory.weight, expected)
    assert np.isnan(recorder.steps[-1].replay["wrong_in_draws"])


def test_answers_on_rows_not_known_yet_are_not_used(make_datamodule: Make) -> None:
    datamodule = make_datamodule()
    datamodule.setup()
    row = datamodule.stream.open().row
    datamodule.replay.refresh(row, np.tile([0.0, 1.0], (len(row), 1)))
    assert (datamodule.replay.memory.weight == 1.0).all()


def test_a_change_is_told_after_its_step_and_cuts_the_memory(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    datamodule = make_datamodule(replay=by_gradient(detector=AlarmAt()))
    datamodule.setup()
    watcher = Watcher()
    make_trainer(TrendValidation(), watcher).fit(make_module(), datamodule)
    assert watcher.heard[:5] == [("step", 0), ("step", 1), ("step", 2), ("change", 2), ("step", 3)]
    assert watcher.kept == [(5, 5)]
    assert datamodule.replay.n_alarms == 1


def test_a_change_is_noted_in_the_ledger(
    make_datamodule: Make, make_module: Make, make_trainer: Make, recorder: Any, tmp_path: Path
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    parts = (TrendValidation(), LedgerWriter(Ledger(engine), "run-1"), recorder)
    make_trainer(*parts).fit(make_module(), make_datamodule(replay=by_gradient(detector=AlarmAt())))
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT run_id, model, step, series_id, known_at, kind, cut FROM alarms")).all()
    engine.dispose()
    now = int(recorder.steps[2].now.astype("datetime64[ms]").astype(int))
    assert [tuple(row) for row in rows] == [("run-1", "CnnNet", 2, None, now, "accuracy", '{"events_kept": 5}')]


def test_a_replay_that_forgets_nothing_tells_of_a_change_too(
    make_datamodule: Make, make_module: Make, make_trainer: Make, recorder: Any, tmp_path: Path
) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'ledger.db'}")
    parts = (TrendValidation(), LedgerWriter(Ledger(engine), "run-1"), recorder)
    datamodule = make_datamodule(replay=by_gradient(detector=AlarmAt(), forgets=False))
    make_trainer(*parts).fit(make_module(), datamodule)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT step, cut FROM alarms")).all() == [(2, "{}")]
    engine.dispose()
    assert [step.replay["alarms"] for step in recorder.steps][:4] == [0, 0, 1, 1]
    events = [step.replay["events"] for step in recorder.steps]
    assert events == sorted(events)
    assert (recorder.steps[2].change, recorder.steps[2].is_cut) == (5, False)


def test_each_step_tells_what_was_drawn_in_it(finished: SimpleNamespace) -> None:
    for step in finished.recorder.steps:
        assert set(step.replay) == TAGS
        assert 0.0 <= step.replay["wrong_in_memory"] <= 1.0
        assert 1.0 <= step.replay["effective_size"] <= 32.0
    events = [step.replay["events"] for step in finished.recorder.steps]
    assert events == sorted(events)


def test_the_charts_hold_what_each_step_told(finished: SimpleNamespace) -> None:
    log = EventAccumulator(str(finished.folder / "tb")).Reload()
    for tag in TAGS:
        points = log.Scalars(f"replay/{tag}")
        told = {step.index: step for step in finished.recorder.steps if not np.isnan(step.replay[tag])}
        assert [point.step for point in points] == list(told)
        for point in points:
            assert np.isclose(point.value, told[point.step].replay[tag], rtol=1e-6)
            assert point.wall_time == told[point.step].now.astype("datetime64[ms]").astype(int) / 1000.0


def test_a_datamodule_restored_after_a_cut_goes_on_as_if_never_stopped(make_datamodule: Make) -> None:
    def prepared() -> Any:
        datamodule = make_datamodule(replay=by_gradient(max_bars=400))
        datamodule.setup()
        return datamodule

    original, restored = prepared(), prepared()
    for _ in range(4):
        close_step(original)
    original.replay.memory.cut(9)
    restored.load_state_dict(original.state_dict())
    for datamodule in (original, restored):
        close_step(datamodule)
    assert restored.replay.memory.rows.tolist() == original.replay.memory.rows.tolist()
    assert 0 < original.replay.memory.n_known <= 400
    for ours, theirs in zip(restored.train_dataloader(), original.train_dataloader(), strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_weigh_is_told_the_line_that_judged_a_replayed_row(
    make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    events: set[int] = set()

    def watched(verdicts: Any) -> np.ndarray:
        events.update(verdicts.event.tolist())
        return weigh(verdicts)

    datamodule = make_datamodule(replay=partial(make_sampler, batch_size=32, n_batches=2, weigh=watched))
    make_trainer(TrendValidation()).fit(make_module(), datamodule)
    labels = label_bars(SERIES["AAA", "5m"], max_gap=12)  # of the series with number 0
    before_start = labels.event[labels.known(datamodule.stream.feed.start)]
    assert events & set(before_start.tolist())  # bars without a verdict were weighed once they were replayed
