from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from trendtrain.callbacks import ReseedGenerators, TrendValidation, WalkCheckpoint
from trendtrain.errors import InputError
from trendtrain.stream import FedBars

Make = Callable[..., Any]


def test_the_last_step_is_in_the_checkpoint(finished: SimpleNamespace) -> None:
    state = torch.load(finished.checkpoint.path, weights_only=True)
    assert state["PivotDataModule"]["step"] == finished.datamodule.stream.feed.n_steps
    assert state["callbacks"]["LedgerWriter"] == {"last_step": finished.datamodule.stream.feed.n_steps - 1}


def test_only_the_checkpoints_are_left(finished: SimpleNamespace) -> None:
    assert sorted(path.name for path in finished.checkpoint.folder.iterdir()) == ["full.ckpt", "last.ckpt"]


class Steps(pl.Callback):
    """Note the step in the checkpoint whenever an epoch starts; 0 for none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[int] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        exists = self.path.exists()
        self.seen.append(torch.load(self.path, weights_only=True)["PivotDataModule"]["step"] if exists else 0)


@pytest.mark.parametrize(("every", "seen"), [(1, [0, 1, 2, 3, 4]), (3, [0, 0, 0, 3, 3])])
def test_checkpoints_come_every_so_many_steps(
    every: int, seen: list[int], tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    checkpoint = WalkCheckpoint(tmp_path / "new" / "folder", every)
    steps = Steps(checkpoint.path)
    make_trainer(TrendValidation(), steps, checkpoint, max_epochs=5).fit(make_module(), make_datamodule())
    assert steps.seen == seen
    assert torch.load(checkpoint.path, weights_only=True)["PivotDataModule"]["step"] == 5


class KeepsAHold(pl.Callback):
    """Hold the first checkpoint by a second name, as a reader that has it open does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = path.with_name("held.ckpt")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.path.exists() and not self.held.exists():
            self.held.hardlink_to(self.path)


def test_a_checkpoint_is_never_written_over_in_place(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    checkpoint = WalkCheckpoint(tmp_path, every_n_steps=1)
    hold = KeepsAHold(checkpoint.path)
    make_trainer(TrendValidation(), hold, checkpoint, max_epochs=3).fit(make_module(), make_datamodule())
    steps = [torch.load(path, weights_only=True)["PivotDataModule"]["step"] for path in (hold.held, checkpoint.path)]
    assert steps == [1, 3]


class Unsavable(pl.Callback):
    """Have a state that fails in mid-write from the second checkpoint on."""

    def __init__(self) -> None:
        self.n = 0

    def state_dict(self) -> dict[str, Any]:
        self.n += 1
        return {"n": self.n} if self.n == 1 else {"n": (i for i in ())}  # a generator cannot be pickled


def test_a_failed_write_leaves_the_last_checkpoint_whole(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    checkpoint = WalkCheckpoint(tmp_path, every_n_steps=2)
    with pytest.raises(TypeError, match="cannot pickle"):
        make_trainer(TrendValidation(), Unsavable(), checkpoint).fit(make_module(), make_datamodule())
    assert torch.load(checkpoint.path, weights_only=True)["PivotDataModule"]["step"] == 2


def test_a_trial_run_saves_nothing(tmp_path: Path, make_module: Make, make_datamodule: Make) -> None:
    parts = [TrendValidation(), WalkCheckpoint(tmp_path, every_n_steps=1)]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    pl.Trainer(fast_dev_run=True, callbacks=parts, accelerator="cpu", **quiet).fit(make_module(), make_datamodule())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("every", [0, -1, 1.5, "often"])
def test_a_bad_number_of_steps_is_refused(every: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`every_n_steps` must be an integer of at least 1, got"):
        WalkCheckpoint(tmp_path, every_n_steps=every)


class FailingFeed:
    """A feed that raises when it is asked for a step for the n-th time, once."""

    def __init__(self, feed: Any, at: int) -> None:
        self._feed = feed
        self._left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)

    def next(self) -> Any:
        self._left -= 1
        if not self._left:
            raise OSError("the line is dead")
        return self._feed.next()


def test_a_run_ended_by_its_feed_goes_on_from_the_checkpoint(
    tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make, finished: SimpleNamespace
) -> None:
    def fit(datamodule: Any, ckpt: Path | None = None) -> dict[str, Any]:
        validation, checkpoint = TrendValidation(), WalkCheckpoint(tmp_path, every_n_steps=1)
        trainer = make_trainer(validation, ReseedGenerators(0), checkpoint)
        trainer.fit(make_module(), datamodule, ckpt_path=ckpt, weights_only=True)
        return validation.summary()

    broken = make_datamodule()
    broken.setup()
    broken.stream.feed = FailingFeed(broken.stream.feed, at=5)
    with pytest.raises(OSError, match="the line is dead"):
        fit(broken)
    saved = tmp_path / "last.ckpt"
    assert torch.load(saved, weights_only=True)["PivotDataModule"]["step"] == 4
    assert repr(fit(make_datamodule(), saved)) == repr(finished.validation.summary())


class PausingFeed(FailingFeed):
    """A feed that has no bars when it is asked for a step for the n-th time, once."""

    def next(self) -> FedBars:
        try:
            self._last = super().next()
        except OSError:
            return FedBars(self._last.slot, self._last.now + np.timedelta64(1, "ms"), {})
        return self._last


def test_a_step_without_bars_is_walked_like_another(
    make_trainer: Make, make_module: Make, make_datamodule: Make, recorder: Any
) -> None:
    datamodule = make_datamodule()
    datamodule.setup()
    datamodule.stream.feed = PausingFeed(datamodule.stream.feed, at=5)
    make_trainer(TrendValidation(), recorder).fit(make_module(), datamodule)
    assert [len(step.predictions) > 0 for step in recorder.steps] == [n != 4 for n in range(len(recorder.steps))]
    assert recorder.steps[-1].stats.total == 1291
