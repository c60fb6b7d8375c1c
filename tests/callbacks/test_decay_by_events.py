"""The weight decay goes as 1 / events, and follows from the replay memory alone."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.callbacks import DecayByEvents, ReseedGenerators, TrendValidation, WalkCheckpoint
from trendtrain.callbacks.decay_by_events import effective_events
from trendtrain.errors import InputError
from trendtrain.models import CnnNet, TrendModule, TwoHeads
from trendtrain.replay import make_sampler, weigh

Make = Callable[..., Any]


class Watch(pl.Callback):
    """Note the decay that each epoch trains with, the events in memory, and the weights it ends with."""

    def __init__(self) -> None:
        self.decays: list[float] = []
        self.n_events: list[int] = []
        self.weights = torch.zeros(0)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self.decays.append(trainer.optimizers[0].param_groups[0]["weight_decay"])
            self.n_events.append(trainer.datamodule.replay.memory.n_events)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.weights = torch.cat([parameter.detach().flatten() for parameter in pl_module.parameters()])


@given(n_events=st.integers(0, 3000), half_life=st.none() | st.floats(1.0, 1e5))
def test_events_count_as_their_chance_to_be_drawn(n_events: int, half_life: float | None) -> None:
    slow = sum(1.0 if half_life is None else 2.0 ** (-age / half_life) for age in range(n_events))
    assert effective_events(n_events, half_life) == pytest.approx(max(slow, 1.0))


@pytest.mark.parametrize("half_life", [None, 5.0])
def test_decay_times_events_is_constant(
    half_life: float | None, make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    watch, replay = Watch(), partial(make_sampler, batch_size=32, n_batches=2, weigh=weigh, half_life=half_life)
    make_trainer(TrendValidation(), DecayByEvents(7.0), watch).fit(make_module(), make_datamodule(replay=replay))
    products = [decay * effective_events(n, half_life) for decay, n in zip(watch.decays, watch.n_events, strict=True)]
    assert products == pytest.approx([7.0] * len(products))
    assert watch.n_events[-1] > 1.5 * watch.n_events[0]
    assert (watch.decays[0] > 1.5 * watch.decays[-1]) == (half_life is None)  # else all but the newest are forgotten


def test_two_half_lives_give_the_mean_of_their_decays(make_datamodule: Make, make_trainer: Make) -> None:
    torch.manual_seed(0)
    half_lives = [5.0, None]
    watch, replay = Watch(), partial(make_sampler, batch_size=32, n_batches=2, weigh=weigh, half_life=half_lives)
    module = TrendModule(TwoHeads(partial(CnnNet, 8, 12, n_side=0, width=8, kernels=(3, 4))))
    make_trainer(TrendValidation(), DecayByEvents(7.0), watch).fit(module, make_datamodule(replay=replay))
    expected = [sum(3.5 / effective_events(n, one) for one in half_lives) for n in watch.n_events]
    assert watch.decays == pytest.approx(expected)


def test_a_resumed_run_decays_as_one_that_never_stopped(
    tmp_path: Path, make_datamodule: Make, make_module: Make, make_trainer: Make
) -> None:
    def walk(folder: str, ckpt: Path | None = None, **options: Any) -> tuple[Watch, Path]:
        watch, keep = Watch(), WalkCheckpoint(tmp_path / folder, every_n_steps=1000)
        trainer = make_trainer(TrendValidation(), ReseedGenerators(0), DecayByEvents(70.0), watch, keep, **options)
        trainer.fit(make_module(), make_datamodule(), ckpt_path=ckpt, weights_only=True)
        return watch, keep.path

    whole, _ = walk("whole")
    first, checkpoint = walk("parts", max_epochs=3)
    second, _ = walk("rest", ckpt=checkpoint)
    assert first.decays + second.decays == whole.decays
    torch.testing.assert_close(second.weights, whole.weights, rtol=0, atol=0)


def test_parameters_without_a_decay_stay_without(make_datamodule: Make, make_module: Make, make_trainer: Make) -> None:
    module, found = make_module(), []

    def two_groups(self: TrendModule) -> torch.optim.Optimizer:
        last, *others = reversed(list(self.net.parameters()))
        groups = [{"params": others}, {"params": [last], "weight_decay": 0.0}]
        found.append(torch.optim.AdamW(groups, weight_decay=1e-2))
        return found[0]

    module.configure_optimizers = two_groups.__get__(module)
    make_trainer(TrendValidation(), DecayByEvents(7.0), max_epochs=2).fit(module, make_datamodule())
    decays = [group["weight_decay"] for group in found[0].param_groups]
    assert decays[0] not in (0.0, 1e-2)
    assert decays[1] == 0.0


def test_what_cannot_be_done_is_one_clear_error(make_datamodule: Make, make_module: Make, make_trainer: Make) -> None:
    module = make_module()
    module.configure_optimizers = lambda: torch.optim.Rprop(module.parameters())
    with pytest.raises(InputError, match="`DecayByEvents` must have an optimizer with a `weight_decay` above 0, got"):
        make_trainer(TrendValidation(), DecayByEvents(7.0), max_epochs=1).fit(module, make_datamodule())
    batches = [{"window": torch.zeros(4, 12, 8)}]
    with pytest.raises(InputError, match="`DecayByEvents` must have a replay whose events it counts, got a Trainer"):
        make_trainer(DecayByEvents(7.0)).fit(make_module(), batches, batches)
    with pytest.raises(InputError, match="`prior_events` must be a number of at least 1e-06, got 0"):
        DecayByEvents(0)
