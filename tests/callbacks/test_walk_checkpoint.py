from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from trendtrain.callbacks import TrendValidation, WalkCheckpoint
from trendtrain.errors import InputError

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
