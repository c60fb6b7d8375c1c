from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from trendtrain.callbacks import ReseedGenerators, TrendValidation

Make = Callable[..., Any]


class Dice(pl.Callback):
    """Note a number from torch's global generator in each epoch."""

    def __init__(self) -> None:
        self.thrown: list[float] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 0:
            self.thrown.append(float(torch.rand(())))


@pytest.fixture
def throw(make_trainer: Make, make_module: Make, make_datamodule: Make) -> Callable[[int], list[float]]:
    def run(seed: int) -> list[float]:
        dice = Dice()
        trainer = make_trainer(TrendValidation(), ReseedGenerators(seed), dice, max_epochs=3)
        torch.rand(7)
        trainer.fit(make_module(), make_datamodule())
        return dice.thrown

    return run


def test_the_same_seed_gives_the_same_numbers(throw: Callable[[int], list[float]]) -> None:
    assert throw(1) == throw(1)


def test_each_epoch_has_its_own_numbers(throw: Callable[[int], list[float]]) -> None:
    assert len(set(throw(1))) == 3


def test_another_seed_gives_other_numbers(throw: Callable[[int], list[float]]) -> None:
    assert not set(throw(1)) & set(throw(2))
