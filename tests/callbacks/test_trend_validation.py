import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from trainer_parts import SERIES

from trendtrain.callbacks import ReseedGenerators, TrendValidation
from trendtrain.data import PivotDataModule, Walk
from trendtrain.data.windows import StreamBatches
from trendtrain.errors import InputError
from trendtrain.market import Bars, label_bars, random_walk
from trendtrain.models import TrendModule
from trendtrain.replay import Draw
from trendtrain.validation import Predictions

Make = Callable[..., Any]
labels_with_flat = partial(label_bars, max_gap=12, flat_band=0.001)


def walk(make_trainer: Make, module: TrendModule, datamodule: PivotDataModule, **options: Any) -> TrendValidation:
    """Train to the end with nothing but the callback, and return it."""
    validation = TrendValidation()
    make_trainer(validation, ReseedGenerators(0), **options).fit(module, datamodule)
    return validation


def all_predictions(run: SimpleNamespace) -> Predictions:
    return Predictions.join([step.predictions for step in run.recorder.steps])


def whole_windows(bars: Bars, window: int = 12, max_gap: int = 12) -> np.ndarray:
    """Say of each bar whether the bars of its window lie at most `max_gap` missing bars apart."""
    is_joined = np.diff(bars.open_time, prepend=bars.open_time[0]) <= (max_gap + 1) * bars.timeframe
    return np.array([t >= window - 1 and is_joined[t - window + 2 : t + 1].all() for t in range(len(bars))])


def test_every_row_of_the_stream_is_predicted_once(finished: SimpleNamespace) -> None:
    feed = finished.datamodule.stream.feed
    is_after = finished.labels.close_time > feed.start
    has_window = np.concatenate([whole_windows(bars) for bars in SERIES.values()])
    assert len(finished.recorder.steps) == feed.n_steps > 8
    assert sorted(finished.at(all_predictions(finished).row)) == np.flatnonzero(is_after & has_window).tolist()


def test_counts_conserve_after_every_step(finished: SimpleNamespace) -> None:
    n_made = n_judged = 0
    for step in finished.recorder.steps:
        n_made += len(step.predictions)
        n_judged += len(step.verdicts)
        assert step.stats.total == n_made == step.stats.validated + step.stats.pending + step.stats.void
        assert step.stats.pending == n_made - n_judged
        for name in ("total", "validated", "correct", "void", "pending"):
            assert sum(getattr(s, name) for s in step.series_stats.values()) == getattr(step.stats, name)


def test_all_outcomes_occur_in_this_run(finished: SimpleNamespace) -> None:
    stats = finished.validation.buffer.stats
    assert min(stats.correct, stats.validated - stats.correct, stats.void, stats.pending) > 0


def test_statistics_equal_a_slow_count(finished: SimpleNamespace) -> None:
    labels, now = finished.labels, finished.datamodule.stream.now
    counts = dict.fromkeys(("validated", "correct", "void", "pending"), 0)
    predictions = all_predictions(finished)
    for row, direction in zip(finished.at(predictions.row), predictions.direction, strict=True):
        known_at, truth = labels.known_at[row], labels.direction[row]
        if known_at < 0 or labels.close_time[known_at] > now:
            counts["pending"] += 1
        elif truth in (0, 1):
            counts["validated"] += 1
            counts["correct"] += truth == direction
        else:
            counts["void"] += 1
    assert counts == {name: getattr(finished.validation.buffer.stats, name) for name in counts}


def test_a_verdict_comes_in_the_step_in_which_its_label_is_known(finished: SimpleNamespace) -> None:
    labels, before = finished.labels, finished.datamodule.stream.feed.start
    for step in finished.recorder.steps:
        known_time = labels.close_time[finished.at(step.verdicts.known_at)]
        np.testing.assert_array_equal(known_time, step.verdicts.known_time)
        assert (known_time > before).all()
        assert (known_time <= step.now).all()
        before = step.now


class Silent(TrendModule):
    """Say nothing in training that would replace a verdict."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return super().training_step(batch, batch_idx)["loss"]


def test_verdicts_weigh_in_the_replay(
    make_trainer: Make, make_module: Make, make_datamodule: Make, recorder: Any
) -> None:
    datamodule = make_datamodule()
    make_trainer(TrendValidation(), recorder).fit(Silent(make_module().net), datamodule)
    n_wrong = 0
    for step in recorder.steps:
        is_wrong = step.verdicts.is_validated & ~step.verdicts.is_correct
        memory = datamodule.replay.memory
        slot = memory.find(step.verdicts.row)
        expected = np.where(is_wrong, 3.0, 1.0)[slot >= 0]  # all but FLAT ones
        np.testing.assert_array_equal(memory.weight[slot[slot >= 0] - memory.first_slot], expected)
        n_wrong += is_wrong.sum()
    assert 0 < n_wrong < sum(len(step.verdicts) for step in recorder.steps)


def test_training_stops_at_the_end_of_the_stream(finished: SimpleNamespace) -> None:
    assert finished.datamodule.stream.is_done
    assert finished.trainer.current_epoch == finished.datamodule.stream.feed.n_steps


def test_steps_are_told_in_order(finished: SimpleNamespace) -> None:
    steps = finished.recorder.steps
    assert [step.index for step in steps] == list(range(len(steps)))
    assert {step.n_steps for step in steps} == {len(steps)}
    assert not any(step.is_partial for step in steps)


def test_monitors_get_the_running_scores(finished: SimpleNamespace) -> None:
    for logged, step in zip(finished.recorder.logged, finished.recorder.steps, strict=True):
        expected = {**step.metrics, "accuracy": step.stats.accuracy, "pending": step.stats.pending}
        for name, value in expected.items():
            assert logged[f"trend/{name}"] == pytest.approx(value, rel=1e-5, nan_ok=True)


def test_there_is_no_accuracy_before_the_first_verdict(make_trainer: Make, make_module: Make) -> None:
    validation = TrendValidation(labels=label_bars(random_walk(50, seed=0)))
    validation.setup(make_trainer(), make_module(), "fit")
    summary = validation.summary()
    assert math.isnan(summary["stats"]["accuracy"])
    assert math.isnan(summary["event_accuracy"])
    assert summary["n_events"] == 0


def test_a_sanity_check_leaves_no_trace(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    summaries = [walk(make_trainer, make_module(), make_datamodule(), num_sanity_val_steps=n).summary() for n in (0, 2)]
    np.testing.assert_equal(*summaries)


def test_same_seed_same_summary(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    summaries = [walk(make_trainer, make_module(), make_datamodule()).summary() for _ in range(2)]
    np.testing.assert_equal(*summaries)


def test_half_precision_predicts_all_the_same(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    stats = walk(make_trainer, make_module(), make_datamodule(), precision="bf16-mixed").buffer.stats
    assert stats.total == 1291


class OwnLoader(PivotDataModule):
    """Takes other rows of the last batch of each step."""

    taken: slice | list[int]

    def val_dataloader(self) -> DataLoader:
        taken = self.taken

        class Batches(StreamBatches):
            def __iter__(self) -> Any:
                for draw in super().__iter__():
                    is_last = draw.row[-1] == self.stream.open().row[-1]
                    yield Draw(draw.row[taken], draw.weight[taken]) if is_last else draw

        return DataLoader(super().val_dataloader().dataset, sampler=Batches(self.stream, 32), batch_size=None)


@pytest.mark.parametrize(("taken", "n_rows"), [(slice(-1), 119), ([*range(24), 23], 121)], ids=["fewer", "repeated"])
def test_a_step_that_predicts_other_rows_is_an_error(
    taken: slice | list[int], n_rows: int, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    whole = make_datamodule()
    options = {name: getattr(whole, name) for name in ("labeler", "max_gap", "window", "walk")}
    datamodule = OwnLoader(SERIES, **options, replay=whole.make_replay)
    datamodule.taken = taken
    with pytest.raises(RuntimeError, match=f"must predict each of its rows once: {n_rows} predictions for 120 rows"):
        make_trainer(TrendValidation()).fit(make_module(), datamodule)


class Diverges(TrendModule):
    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        return {"logits": super().validation_step(batch, batch_idx)["logits"] * float("nan")}


def test_a_model_that_diverges_is_named(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    with pytest.raises(InputError, match=r"`direction` must give finite numbers, got NaN or infinity"):
        walk(make_trainer, Diverges(make_module().net), make_datamodule())


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("limit_val_batches", 2, r"`trainer.limit_val_batches` must be 1\.0: every bar of the stream .*, got 2"),
        ("limit_val_batches", 0.5, r"`trainer.limit_val_batches` must be 1\.0: .*, got 0\.5"),
        ("limit_val_batches", 0, r"`trainer.limit_val_batches` must be 1\.0: .*, got 0"),
        ("overfit_batches", 1, r"`trainer.overfit_batches` must be 0\.0: .*, got 1"),
        ("check_val_every_n_epoch", 2, r"`trainer.check_val_every_n_epoch` must be 1: .*, got 2"),
        ("max_steps", 5, r"`trainer.max_steps` must be -1: .*, got 5"),
        ("reload_dataloaders_every_n_epochs", 1, r"`trainer.reload_dataloaders_every_n_epochs` must be 0: .*, got 1"),
    ],
)
def test_a_cut_of_the_stream_is_refused(
    option: str, value: float, message: str, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    with pytest.raises(InputError, match=message):
        walk(make_trainer, make_module(), make_datamodule(), **{option: value})


def test_more_than_one_device_is_refused(make_trainer: Make, make_module: Make) -> None:
    trainer = make_trainer(devices=2, strategy="ddp")
    with pytest.raises(InputError, match=r"`trainer.devices` must be 1, got 2 processes"):
        TrendValidation().setup(trainer, make_module(), "fit")


def test_a_trial_run_is_partial(make_module: Make, make_datamodule: Make, recorder: Any) -> None:
    trainer = pl.Trainer(
        fast_dev_run=True,
        callbacks=[TrendValidation(), recorder],
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(make_module(), make_datamodule())
    (step,) = recorder.steps
    assert step.is_partial
    assert len(step.predictions) == step.stats.total == 32  # of 120 rows


def test_labels_are_asked_for_where_no_datamodule_has_them(make_trainer: Make, make_module: Make) -> None:
    with pytest.raises(InputError, match=r"`labels` must be given where the datamodule has none: label_bars\(bars\)"):
        make_trainer(TrendValidation()).fit(make_module(), [], [])


def series_total(summary: dict[str, Any]) -> int:
    return sum(scores["stats"]["total_predictions"] for by in summary["series"].values() for scores in by.values())


def test_a_validation_before_the_fit_is_a_step_of_it(
    make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    validation, datamodule, module = TrendValidation(), make_datamodule(), make_module()
    trainer = make_trainer(validation)
    trainer.validate(module, datamodule, verbose=False)
    trainer.fit(module, datamodule)
    summary = validation.summary()
    assert summary["stats"]["total_predictions"] == series_total(summary) == 1291


def test_a_validation_after_the_end_changes_nothing(
    make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    validation, datamodule, module = TrendValidation(), make_datamodule(), make_module()
    trainer = make_trainer(validation)
    trainer.fit(module, datamodule)
    before = validation.summary()
    trainer.validate(module, datamodule, verbose=False)
    np.testing.assert_equal(validation.summary(), before)


def test_another_stream_starts_its_own_counts(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    validation = TrendValidation()
    for _ in range(2):
        make_trainer(validation).fit(make_module(), make_datamodule())
        summary = validation.summary()
        assert summary["stats"]["total_predictions"] == series_total(summary) == 1291


def test_its_state_holds_plain_types(finished: SimpleNamespace) -> None:
    def check(value: Any) -> None:
        if isinstance(value, dict):
            value = [*value.keys(), *value.values()]
        if isinstance(value, (list, tuple)):
            for item in value:
                check(item)
        else:
            assert value is None or isinstance(value, (int, float, str, torch.Tensor))

    check(finished.validation.state_dict())


def test_a_model_of_other_classes_is_refused(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    with pytest.raises(InputError, match="`n_classes` must be what the model tells apart, got 3 and a model of 2"):
        make_trainer(TrendValidation()).fit(make_module(), make_datamodule(n_classes=3, labeler=labels_with_flat))


def test_labels_beside_a_stream_are_refused(make_trainer: Make, make_module: Make, make_datamodule: Make) -> None:
    datamodule = make_datamodule()
    datamodule.setup()
    with pytest.raises(InputError, match="`labels` must be left out where the datamodule has its own, got both"):
        make_trainer(TrendValidation(labels=label_bars(random_walk(50, seed=0)))).fit(make_module(), datamodule)


@pytest.mark.parametrize("cut", [{"limit_val_batches": 1}, {"val_check_interval": 1}, {"val_check_interval": 0.5}])
def test_one_batch_is_not_taken_for_all_of_them(
    cut: dict[str, float], make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    with pytest.raises(InputError, match=f"`trainer.{next(iter(cut))}` must be 1.0"):
        make_trainer(TrendValidation(), **cut).fit(make_module(), make_datamodule())


def test_in_the_warm_up_nothing_is_judged_and_no_step_counts(
    make_trainer: Make, make_module: Make, make_datamodule: Make, finished: SimpleNamespace, recorder: Any
) -> None:
    datamodule = make_datamodule(walk=Walk(start=0.3, step="90bars", batch_size=32, warmup=2))
    make_trainer(TrendValidation(), recorder).fit(make_module(), datamodule)
    n_warmup = datamodule.n_warmup
    assert recorder.warmups == [(done, n_warmup) for done in range(1, n_warmup + 1)] != []
    assert [step.index for step in recorder.steps] == list(range(datamodule.stream.feed.n_steps))
    for step, plain in zip(recorder.steps, finished.recorder.steps, strict=True):
        np.testing.assert_array_equal(step.predictions.row, plain.predictions.row)
        assert step.now == plain.now
    for logged in recorder.logged[:n_warmup]:
        assert np.isnan(logged["trend/accuracy"])
        assert logged["trend/pending"] == 0.0
    assert recorder.logged[n_warmup]["trend/pending"] > 0.0


def test_the_first_step_tells_of_its_own_draws(
    make_trainer: Make, make_module: Make, make_datamodule: Make, recorder: Any
) -> None:
    datamodule = make_datamodule(walk=Walk(start=0.3, step="90bars", steps=2, warmup=2))
    datamodule.setup()
    drawn: list[float] = []
    add = datamodule.replay._stats.add_draw
    datamodule.replay._stats.add_draw = lambda weight, age: (drawn.append(age.mean()), add(weight, age))
    make_trainer(TrendValidation(), recorder).fit(make_module(), datamodule)
    assert recorder.steps[0].replay["age_events"] == pytest.approx(np.mean(drawn[-4:-2]))


def test_a_fast_dev_run_shows_a_step_whatever_the_warm_up(
    make_trainer: Make, make_module: Make, make_datamodule: Make, recorder: Any
) -> None:
    datamodule = make_datamodule(walk=Walk(start=0.3, step="90bars", warmup=2))
    make_trainer(TrendValidation(), recorder, fast_dev_run=True).fit(make_module(), datamodule)
    assert [len(step.predictions) > 0 for step in recorder.steps] == [True]
