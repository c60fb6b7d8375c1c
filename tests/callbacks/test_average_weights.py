"""Predictions come from averaged weights, training goes on with its own."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import pytest
import torch

from trendtrain.callbacks import AverageWeights, TrendValidation
from trendtrain.errors import InputError

Make = Callable[..., Any]


def weights(module: pl.LightningModule) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten().clone() for parameter in module.net.parameters()]).double()


class Watch(pl.Callback):
    """Average anew by hand, beside what the stream is predicted with."""

    def __init__(self, decay: float, restart: int | None = None) -> None:
        self.decay, self.restart = decay, restart
        self.n_batches, self.n, self.average = 0, 0, torch.zeros(())
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.trained: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *arguments: Any) -> None:
        self.n_batches += 1
        if self.n_batches == 1:
            self.average = self.first
        if self.n_batches % 4:
            return
        share = min(self.decay, (1 + self.n) / (10 + self.n)) ** 4 if self.n else 0.0
        self.average = share * self.average + (1 - share) * weights(pl_module)
        self.n += 4

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.first = weights(pl_module)

    def on_validation_batch_end(self, trainer: pl.Trainer, pl_module: Any, *arguments: Any) -> None:
        self.pairs.append((self.average, weights(pl_module)))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self.trained.append(weights(pl_module))
        if len(self.trained) == self.restart:
            self.n = 0


def test_the_stream_is_predicted_with_the_average(make_datamodule: Make, make_module: Make, make_trainer: Make) -> None:
    watch = Watch(0.9)
    make_trainer(TrendValidation(), watch, AverageWeights(0.9)).fit(make_module(), make_datamodule())
    for expected, used in watch.pairs:
        torch.testing.assert_close(used, expected, rtol=1e-4, atol=1e-6)


def test_what_is_trained_is_not_averaged(make_datamodule: Make, make_module: Make, make_trainer: Make) -> None:
    plain, averaged = Watch(0.9), Watch(0.9)
    make_trainer(TrendValidation(), plain, max_epochs=4).fit(make_module(), make_datamodule())
    make_trainer(TrendValidation(), averaged, AverageWeights(0.9), max_epochs=4).fit(make_module(), make_datamodule())
    # the replay hears the answers to the stream, which differ: the first epoch knows none
    torch.testing.assert_close(averaged.trained[0], plain.trained[0], rtol=0, atol=0)


def test_a_trained_module_has_the_average(make_datamodule: Make, make_module: Make, make_trainer: Make) -> None:
    watch, module = Watch(0.9), make_module()
    make_trainer(TrendValidation(), watch, AverageWeights(0.9), max_epochs=4).fit(module, make_datamodule())
    torch.testing.assert_close(weights(module), watch.average, rtol=1e-4, atol=1e-6)


def test_after_a_change_it_starts_anew(make_datamodule: Make, make_module: Make, make_trainer: Make) -> None:
    class Alarm:
        n = 0

        def update(self, accuracy: Any) -> int | None:
            self.n += 1
            return 60 if self.n == 3 else None

        def state_dict(self) -> dict[str, int]:
            return {}

    datamodule = make_datamodule()
    datamodule.setup()
    datamodule.replay.detector = Alarm()
    watch = Watch(0.99, restart=3)
    make_trainer(TrendValidation(), watch, AverageWeights(0.99)).fit(make_module(), datamodule)
    assert len(watch.pairs) > 4
    for expected, used in watch.pairs:
        torch.testing.assert_close(used, expected, rtol=1e-4, atol=1e-6)


def test_a_bad_decay_is_refused() -> None:
    with pytest.raises(InputError, match=r"`decay` must be a number from 0\.0 to 0\.999999, got 1\.0"):
        AverageWeights(1.0)
