from functools import partial

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from trendtrain.callbacks import TrendValidation
from trendtrain.data import PivotDataModule, Walk
from trendtrain.data.device import GatherAhead, loader, move_arena
from trendtrain.errors import InputError
from trendtrain.market import Series, synthetic_market
from trendtrain.models import CnnNet, TrendModule
from trendtrain.replay import make_sampler, weigh
from trendtrain.validation import Predictions

SERIES = {
    Series("A", "5m"): synthetic_market(800, seed=0),
    Series("A", "15m"): synthetic_market(500, seed=1, timeframe="15m"),
}
CPU, CUDA, META = (torch.device(name) for name in ("cpu", "cuda", "meta"))


def module_of(**options: object) -> PivotDataModule:
    replay = partial(make_sampler, batch_size=16, n_batches=4, weigh=weigh)
    walk = Walk(start=0.3, step="40bars", batch_size=16, warmup=0)
    datamodule = PivotDataModule(SERIES, window=12, walk=walk, replay=replay, **options)
    datamodule.setup()
    return datamodule


def assert_same_batches(some: object, others: object) -> None:
    for ours, theirs in zip(some, others, strict=True):
        assert set(ours) == set(theirs)
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


@pytest.mark.parametrize("transitions", [False, True])
@pytest.mark.parametrize("resident", [True, False])
def test_where_windows_are_gathered_changes_no_batch(resident: bool, transitions: bool) -> None:
    ours, plain = module_of(resident=resident, transitions=transitions), module_of(transitions=transitions)
    for _ in range(5):
        assert_same_batches(ours.train_dataloader(), plain.train_dataloader())
        assert_same_batches(ours.val_dataloader(), plain.val_dataloader())
        for datamodule in (ours, plain):
            row = datamodule.stream.open().row
            datamodule.stream.close(Predictions(row, np.full((len(row), 2), 0.5)))


def test_what_is_resident_is_gathered_on_its_device() -> None:
    datamodule = module_of()
    arena = datamodule.arena
    n_bytes = arena.n_bytes
    move_arena(arena, META, True)  # a device that computes shapes alone
    batch = arena.gather(torch.tensor([20, 30]))
    assert {name: (values.device, tuple(values.shape)) for name, values in batch.items()} == {
        "window": (META, (2, 12, 8)),
        "side": (META, (2, 24)),
    }
    assert arena.n_bytes == n_bytes == 1300 * (8 * 4 + 3 * 8 + 8 + 24 * 4)


@pytest.mark.parametrize(("free", "device"), [(10**9, META), (10**4, CPU)])
def test_auto_moves_what_fits_in_half_of_the_free_memory(
    free: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[torch.device] = []
    arena = module_of().arena
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 10**10))
    monkeypatch.setattr(arena, "to", moved.append)
    move_arena(arena, CUDA, "auto")
    assert [where.type for where in moved] == ["cuda" if device is META else "cpu"]


def test_auto_leaves_windows_where_there_is_no_gpu() -> None:
    arena = module_of().arena
    move_arena(arena, META, "auto")
    assert arena.device == CPU


def test_windows_that_travel_to_a_gpu_are_gathered_ahead() -> None:
    dataset = module_of().val_dataloader().dataset
    assert isinstance(loader(dataset, [], CUDA), GatherAhead)
    assert not isinstance(loader(dataset, [], CPU), GatherAhead)


def test_batches_gathered_ahead_are_the_same() -> None:
    ours, plain = module_of(), module_of()
    for kind in ("train_dataloader", "val_dataloader"):
        plain_loader, their_loader = getattr(plain, kind)(), getattr(ours, kind)()
        ahead = GatherAhead(their_loader.dataset, their_loader.sampler)
        assert_same_batches(ahead, plain_loader)


def test_a_trainer_walks_with_batches_gathered_ahead_as_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def summary() -> str:
        torch.manual_seed(0)
        module, validation = TrendModule(CnnNet(8, 12, width=4, kernels=(3, 4), n_side=0)), TrendValidation()
        quiet = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
        options = dict.fromkeys(quiet, False)
        trainer = pl.Trainer(accelerator="cpu", max_epochs=-1, callbacks=[validation], **options)
        trainer.fit(module, module_of())
        return repr(validation.summary())  # NaN is no NaN

    plain = summary()
    monkeypatch.setattr(
        "trendtrain.data.datamodule.loader", lambda dataset, sampler, device: GatherAhead(dataset, sampler)
    )
    assert summary() == plain


def test_a_batch_gathered_ahead_is_drawn_one_batch_before_it_is_used() -> None:
    datamodule = module_of()
    drawn: list[np.ndarray] = []
    replay = datamodule.replay
    draw = replay.draw
    replay.draw = lambda: drawn.append(1) or draw()
    batches = iter(GatherAhead(datamodule.train_dataloader().dataset, replay))
    for n_used in range(1, 5):
        next(batches)
        assert len(drawn) == min(n_used + 1, 4)


def test_a_mistake_in_the_thread_is_told() -> None:
    datamodule = module_of()
    datamodule.arena.gather = lambda row: 1 / 0
    with pytest.raises(ZeroDivisionError):
        list(GatherAhead(datamodule.train_dataloader().dataset, datamodule.replay))


@pytest.mark.parametrize("resident", ["always", 2])
def test_another_place_is_refused(resident: object) -> None:
    with pytest.raises(InputError, match=r"`data.resident` must be one of auto, True, False, got"):
        module_of(resident=resident)
