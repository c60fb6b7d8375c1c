"""Where Lightning would leave out a validation without a word, a walk ends with an error."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from trendtrain.callbacks import TrendValidation, WalkCheckpoint
from trendtrain.data import PivotDataModule, Walk
from trendtrain.errors import InputError
from trendtrain.models import TrendModule

Make = Callable[..., Any]
MISSED = "`trainer.fit` must validate in each epoch, .* got {} of {}[.]$"


class Batches(IterableDataset[Any]):
    """Batches of a train loader, of which the first come; its length says what it likes."""

    def __init__(self, whole: Any, n_batches: int) -> None:
        self.whole = whole
        self.n_batches = n_batches

    def __iter__(self) -> Iterator[Any]:
        for _, batch in zip(range(self.n_batches), self.whole, strict=False):
            yield batch


class Sized(Batches):
    def __init__(self, whole: Any, n_batches: int, length: int) -> None:
        super().__init__(whole, n_batches)
        self.length = length

    def __len__(self) -> int:
        return self.length


@pytest.fixture
def fit(make_trainer: Make, make_module: Make, make_datamodule: Make) -> Callable[..., TrendValidation]:
    def run(batches: Callable[[Any], Dataset[Any]], module: Any = None, **options: Any) -> TrendValidation:
        class Other(PivotDataModule):
            def train_dataloader(self) -> DataLoader[Any]:
                return DataLoader(batches(super().train_dataloader()), batch_size=None)

        usual = make_datamodule()
        names = ("labeler", "max_gap", "window", "walk")
        datamodule = Other(usual.history, replay=usual.make_replay, **{name: getattr(usual, name) for name in names})
        validation = TrendValidation()
        trainer = make_trainer(validation, **{"max_epochs": 12, **options})
        trainer.fit(module or make_module(), datamodule)
        return validation

    return run


@pytest.mark.filterwarnings("ignore:.*IterableDataset.*")
def test_an_unsized_train_loader_walks_as_a_sized_one(fit: Any) -> None:
    summaries = [fit(batches).summary() for batches in (lambda whole: Batches(whole, 2), lambda w: Sized(w, 2, 2))]
    assert repr(summaries[0]) == repr(summaries[1])
    assert summaries[0]["stats"]["validated_predictions"] > 500


@pytest.mark.filterwarnings("ignore:.*IterableDataset.*", "ignore:Total length of .* is zero", "ignore:.*yielded.*")
@pytest.mark.parametrize(
    ("batches", "options", "got"),
    [
        (lambda whole: Sized(whole, 1, 2), {}, (1, 2)),
        (lambda whole: Sized(whole, 0, 2), {}, (0, 2)),
        (lambda whole: Batches(whole, 0), {}, (0, "inf")),
        (lambda whole: Batches(whole, 1), {"limit_train_batches": 2}, (1, 2)),
        (lambda whole: Sized(whole, 0, 0), {}, (0, 0)),
    ],
)
def test_a_train_loader_that_would_skip_the_validation_is_an_error(
    batches: Any, options: dict[str, int], got: tuple[int, int], fit: Any
) -> None:
    with pytest.raises(InputError, match=MISSED.format(*got)):
        fit(batches, **options)


class LeavesEpochsOut(TrendModule):
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int:
        return -1


class NeverValidates(TrendModule):
    validation_step = pl.LightningModule.validation_step


@pytest.mark.parametrize("kind", [LeavesEpochsOut, NeverValidates])
@pytest.mark.filterwarnings("ignore:.*IterableDataset.*", "ignore:.*validation_step.*")
def test_a_module_that_would_skip_the_validation_is_an_error(kind: Any, fit: Any, make_module: Make) -> None:
    with pytest.raises(InputError, match=MISSED.format(".*", ".*")):
        fit(lambda whole: Sized(whole, 2, 2), kind(make_module().net))


class Stops(pl.Callback):
    """Stop at the start of an epoch, or after its first batch."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.stop)

    def stop(self, trainer: pl.Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.current_epoch == 2


@pytest.mark.parametrize(("hook", "saved"), [("on_train_epoch_start", []), ("on_train_batch_end", [3])])
def test_who_stops_early_has_no_error_and_a_checkpoint_after_whole_epochs_alone(
    hook: str, saved: list[int], tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    datamodule, checkpoint = make_datamodule(), WalkCheckpoint(tmp_path)
    make_trainer(TrendValidation(), Stops(hook), checkpoint).fit(make_module(), datamodule)
    assert datamodule.stream.step == (saved or [2])[0]
    assert [torch.load(path, weights_only=True)["PivotDataModule"]["step"] for path in tmp_path.iterdir()] == saved


@pytest.mark.filterwarnings("ignore:.*max_epochs. was not set.*")
def test_lightnings_default_of_1000_epochs_cuts_no_walk(
    make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    long = make_datamodule(walk=Walk(start=0.2, step="1bars", warmup=0))
    trainer = make_trainer(TrendValidation(), max_epochs=None)
    with pytest.raises(InputError, match=r"`trainer.max_epochs` must be given \(-1: .*\) .* 11\d\d epochs, got 1000"):
        trainer.fit(make_module(), long)
    short = make_datamodule()
    make_trainer(TrendValidation(), max_epochs=None).fit(make_module(), short)
    assert short.stream.is_done


def test_epochs_that_the_warm_up_would_take_are_refused(
    make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    datamodule = make_datamodule(walk=Walk(start=0.3, step="90bars", batch_size=32, warmup=5))
    datamodule.setup()
    n = datamodule.n_warmup
    assert n > 1
    message = rf"`trainer.max_epochs` must be above the {n} epochs of warm-up, .*`walk.steps`.*, got {n}\."
    with pytest.raises(InputError, match=message):
        make_trainer(TrendValidation(), max_epochs=n).fit(make_module(), datamodule)
    make_trainer(TrendValidation(), max_epochs=n + 1).fit(make_module(), datamodule)
    assert datamodule.stream.step == 1
