"""Predictions come from averaged weights, training goes on with its own."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging

from trendtrain.callbacks import AverageWeights, TrendValidation
from trendtrain.data import Walk
from trendtrain.errors import InputError
from trendtrain.replay import make_sampler, weigh

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
        self.live = weights(pl_module)
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
        live = self.live  # until there is an average
        self.pairs.append((self.average if self.n else live, weights(pl_module)))

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


def test_there_is_no_average_before_its_first_update(
    make_datamodule: Make, make_module: Make, make_trainer: Make, tmp_path: Path
) -> None:
    """One batch a step: three steps are predicted with the weights just trained, none with the random ones."""
    watch, module = Watch(0.9), make_module()
    replay = partial(make_sampler, batch_size=32, n_batches=1, weigh=weigh)
    datamodule = make_datamodule(replay=replay, walk=Walk(start=0.3, step="90bars", batch_size=32, warmup=0))
    trainer = make_trainer(TrendValidation(), watch, AverageWeights(0.9), max_epochs=3)
    trainer.fit(module, datamodule)
    assert len(watch.pairs) >= 3
    for expected, used in watch.pairs:
        torch.testing.assert_close(used, expected, rtol=0, atol=0)
        assert not torch.equal(used, watch.first)
    torch.testing.assert_close(weights(module), watch.live, rtol=0, atol=0)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    saved = torch.load(tmp_path / "a.ckpt", weights_only=True)["state_dict"]
    for name, value in module.state_dict().items():
        assert torch.equal(saved[name], value)


SWAPS: dict[str, tuple[Callable[[], list[pl.Callback]], str]] = {
    "ours beside an EMA": (
        lambda: [AverageWeights(), EMAWeightAveraging()],
        r"\(callbacks.averaging=null leaves ours out\), got AverageWeights and EMAWeightAveraging",
    ),
    "an SWA beside ours": (
        lambda: [StochasticWeightAveraging(1e-3), AverageWeights()],
        r"\(callbacks.averaging=null leaves ours out\), got StochasticWeightAveraging and AverageWeights",
    ),
    "two of Lightning's": (
        lambda: [EMAWeightAveraging(), StochasticWeightAveraging(1e-3)],
        r"\(leave all but one out\), got EMAWeightAveraging and StochasticWeightAveraging",
    ),
    "ours twice": (lambda: [AverageWeights(), _OtherAverage()], "got AverageWeights and _OtherAverage"),
}


class _OtherAverage(AverageWeights):
    """Has a checkpoint key of its own."""


@pytest.mark.parametrize("case", SWAPS)
def test_two_callbacks_that_swap_weights_are_refused(
    case: str, make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    make, message = SWAPS[case]
    trainer = make_trainer(TrendValidation(), *make())
    with pytest.raises(
        InputError, match=r"`trainer.callbacks` must hold one callback that swaps the weights.*" + message
    ):
        trainer.fit(make_module(), make_datamodule())


def test_a_bad_decay_is_refused() -> None:
    with pytest.raises(InputError, match=r"`decay` must be a number from 0\.0 to 0\.999999, got 1\.0"):
        AverageWeights(1.0)
