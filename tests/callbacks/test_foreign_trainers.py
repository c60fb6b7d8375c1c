"""The callback with the options of a stranger's Trainer, in both namespaces."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import text
from strangers import (
    BATCHES,
    FIRST,
    LABELS,
    LAST,
    NAMESPACES,
    OUTPUTS,
    expected_stats,
    make_loader,
    make_module,
    make_trainer,
)
from torch import nn
from torch.multiprocessing import ProcessRaisedException

from trendtrain.callbacks import LedgerWriter, TrendEarlyStopping, TrendValidation
from trendtrain.data import PivotDataModule, Walk
from trendtrain.errors import InputError
from trendtrain.market import Labels, Series, synthetic_market
from trendtrain.models import CnnNet, TrendModule
from trendtrain.replay import Lessons, make_sampler, weigh
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.validation import Verdicts

pytestmark = pytest.mark.parametrize("pl", NAMESPACES.values(), ids=NAMESPACES.keys())


def fit(pl: Any, validation: TrendValidation, *callbacks: Any, loaders: Any = None, **options: Any) -> Any:
    trainer = make_trainer(pl, validation, *callbacks, **options)
    loader = make_loader(BATCHES["tuple"])
    trainer.fit(make_module(pl, OUTPUTS["logits"]), loader, loaders or loader)
    return trainer


@pytest.mark.parametrize(
    ("options", "last"),
    [
        ({"accumulate_grad_batches": 2}, LAST),
        ({"barebones": True, "logger": None, "enable_checkpointing": None}, LAST),
        ({"limit_val_batches": 1}, FIRST + 50),
        ({"fast_dev_run": True}, FIRST + 50),
        ({"val_check_interval": 1, "max_epochs": 2}, LAST),
        ({"num_sanity_val_steps": 2}, LAST),
        ({"num_sanity_val_steps": -1}, LAST),
        ({"gradient_clip_val": 0.5, "max_epochs": 3, "check_val_every_n_epoch": 2}, LAST),
        ({"overfit_batches": 1}, FIRST + 50),
    ],
    ids=str,
)
def test_options_of_the_trainer_are_free(pl: Any, options: dict[str, Any], last: int) -> None:
    bare = {name: None for name in ("enable_progress_bar", "enable_model_summary") if "barebones" in options}
    validation = TrendValidation(labels=LABELS)
    fit(pl, validation, **options, **bare)
    assert validation.buffer.stats == expected_stats(last=last)


def test_several_loaders_make_one_pass(pl: Any) -> None:
    validation = TrendValidation(labels=LABELS)
    halves = [make_loader(BATCHES["tuple"], FIRST, 160), make_loader(BATCHES["dict"], 160, LAST)]
    fit(pl, validation, loaders=halves, max_epochs=2)
    assert validation.buffer.stats == expected_stats()


def test_a_batch_without_bars_can_be_left_out(pl: Any) -> None:
    validation = TrendValidation(labels=LABELS, key=lambda batch: batch[-1] if batch[-1][0] < 160 else None)
    halves = [make_loader(BATCHES["tuple"], FIRST, 160), make_loader(BATCHES["tuple"], 160, LAST)]
    fit(pl, validation, loaders=halves)
    assert validation.buffer.stats == expected_stats(last=160)


def test_where_no_batch_has_bars_nothing_is_judged(pl: Any) -> None:
    validation = TrendValidation(labels=LABELS, key=lambda batch: None)
    fit(pl, validation)
    assert validation.buffer.stats.total == 0


def test_a_bar_in_two_loaders_is_told(pl: Any) -> None:
    loader = make_loader(BATCHES["tuple"])
    with pytest.raises(InputError, match="`key` must give each bar once a pass, got bar 100 2 times"):
        fit(pl, TrendValidation(labels=LABELS), loaders=[loader, loader])


class Tables:
    """A ledger in a file, and what it holds."""

    def __init__(self, path: Path) -> None:
        self.engine = open_database(f"sqlite:///{path}")
        self.ledger = Ledger(self.engine)
        self.ledger.begin("run", "{}", "2024-01-01")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture
def tables(tmp_path: Path) -> Any:
    tables = Tables(tmp_path / "ledger.db")
    yield tables
    tables.engine.dispose()


def test_each_pass_is_its_own_in_the_ledger(pl: Any, tables: Tables) -> None:
    named = Labels.stack({Series("A", "5m"): LABELS})
    validation, writer = TrendValidation(labels=named), LedgerWriter(tables.ledger, "run")
    trainer = fit(pl, validation, writer, max_epochs=3)
    trainer.test(trainer.lightning_module, make_loader(BATCHES["tuple"], 230, 260), verbose=False)
    stats = expected_stats()
    verdicts = dict(tables.rows('SELECT "pass", count(*) FROM verdicts WHERE "pass" < 3 GROUP BY 1'))
    predictions = tables.rows('SELECT "pass", count(*) FROM predictions GROUP BY 1 ORDER BY 1')
    assert predictions == [(0, 120), (1, 120), (2, 120), (3, 30)]
    assert verdicts == dict.fromkeys(range(3), stats.validated + stats.void)


def test_the_ledger_asks_for_the_name_of_the_series(pl: Any, tables: Tables) -> None:
    with pytest.raises(InputError, match=r"`labels` must name their series for the ledger: Labels.stack\(\{Series"):
        fit(pl, TrendValidation(labels=LABELS), LedgerWriter(tables.ledger, "run"))


def test_verdicts_are_told_pass_by_pass(pl: Any) -> None:
    heard: list[Verdicts] = []
    validation = TrendValidation(labels=LABELS, on_verdicts=heard.append)
    fit(pl, validation, max_epochs=2)
    assert [len(verdicts) for verdicts in heard] == [120 - expected_stats().pending] * 2


def test_a_pass_without_verdicts_is_not_told(pl: Any) -> None:
    heard: list[Verdicts] = []
    fit(pl, TrendValidation(labels=LABELS, on_verdicts=heard.append), loaders=make_loader(BATCHES["tuple"], 0, 2))
    assert heard == []


def test_a_replay_given_is_reweighted(pl: Any) -> None:
    rows = np.flatnonzero(LABELS.direction >= 0)
    replay = make_sampler(batch_size=8, n_batches=1, weigh=weigh)
    replay.add(Lessons(rows, LABELS.event[rows], LABELS.direction[rows]))
    heard: list[Verdicts] = []
    fit(pl, TrendValidation(labels=LABELS, replay=replay, on_verdicts=heard.append))
    is_wrong = heard[0].is_validated & ~heard[0].is_correct
    is_wrong_row = np.isin(replay.memory.rows, heard[0].row[is_wrong])
    assert is_wrong_row.sum() == is_wrong.sum() > 0
    np.testing.assert_array_equal(replay.memory.weight, np.where(is_wrong_row, 3.0, 1.0))


@pytest.mark.parametrize("has_logits", [True, False])
def test_a_replay_given_hears_the_logits_of_training(pl: Any, has_logits: bool) -> None:
    rows = np.flatnonzero(LABELS.direction[:FIRST] >= 0)
    replay = make_sampler(batch_size=8, n_batches=1, weigh=weigh)
    replay.add(Lessons(rows, LABELS.event[rows], LABELS.direction[rows]))
    module = make_module(pl, OUTPUTS["logits"])

    def training_step(batch: Any, batch_idx: int) -> Any:
        loss = module.layer.weight.square().sum()
        return {"loss": loss, "logits": module.said(batch, batch_idx)} if has_logits else loss

    module.training_step = training_step
    trainer = make_trainer(pl, TrendValidation(labels=LABELS, replay=replay))
    trainer.fit(module, make_loader(BATCHES["tuple"], 0, FIRST), make_loader(BATCHES["tuple"]))
    held = replay.memory.rows
    is_wrong = (held % 3 == 0) != (LABELS.direction[held] == 1)
    np.testing.assert_array_equal(replay.memory.weight, np.where(is_wrong & has_logits, 3.0, 1.0))


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*IntraNode.*")
@pytest.mark.parametrize("options", [{}, {"check_val_every_n_epoch": 2}])
def test_a_checkpoint_can_be_chosen_by_event_accuracy(pl: Any, options: dict[str, int], tmp_path: Path) -> None:
    best = pl.callbacks.ModelCheckpoint(tmp_path, monitor="trend/event_accuracy", mode="max")
    validation = TrendValidation(labels=LABELS)
    fit(pl, validation, best, enable_checkpointing=True, max_epochs=4, **options)
    assert float(best.best_model_score) == pytest.approx(validation.summary()["event_accuracy"])
    assert Path(best.best_model_path).exists()


class Late(TrendValidation):
    """Have no verdict before pass 2."""

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        super().on_validation_epoch_start(trainer, pl_module)
        n = 2 if self._judge is None or self._judge.step < 2 else 50
        self.key = lambda batch: batch[-1][:n]
        self.direction = lambda outputs: outputs[:n]


def test_early_stopping_waits_for_the_first_verdict(pl: Any) -> None:
    stopping = TrendEarlyStopping("trend/event_accuracy", mode="max", patience=2)
    trainer = fit(pl, Late(labels=LABELS), stopping, loaders=make_loader(BATCHES["tuple"], 0, 100), max_epochs=20)
    assert trainer.current_epoch == 5  # two without a verdict, the best one, two without an improvement
    assert stopping.wait_count == 2


def test_early_stopping_waits_where_validation_comes_late(pl: Any) -> None:
    stopping = TrendEarlyStopping("trend/event_accuracy", mode="max", patience=1, check_on_train_epoch_end=True)
    trainer = fit(pl, TrendValidation(labels=LABELS), stopping, max_epochs=20, check_val_every_n_epoch=3)
    assert trainer.current_epoch == 4


def test_an_early_stopping_that_cannot_wait_is_refused(pl: Any) -> None:
    stopping = pl.callbacks.EarlyStopping(monitor="trend/accuracy", mode="max")
    message = r'`EarlyStopping` must be a `TrendEarlyStopping`, .*, got monitor="trend/accuracy"'
    with pytest.raises(InputError, match=message):
        fit(pl, TrendValidation(labels=LABELS), stopping)


def test_an_early_stopping_on_another_metric_is_free(pl: Any) -> None:
    stopping = pl.callbacks.EarlyStopping(monitor="loss", patience=1, mode="min")
    assert fit(pl, TrendValidation(labels=LABELS), stopping, max_epochs=9).current_epoch == 2


def test_labels_are_asked_for(pl: Any) -> None:
    with pytest.raises(InputError, match=r"`labels` must be given where the datamodule has none: label_bars\(bars\)"):
        fit(pl, TrendValidation())


def test_many_devices_are_refused(pl: Any) -> None:
    trainer = make_trainer(pl, devices=2, strategy="ddp")
    with pytest.raises(InputError, match=r"`trainer.devices` must be 1, got 2 processes"):
        TrendValidation(labels=LABELS).setup(trainer, make_module(pl, OUTPUTS["logits"]), "fit")


def test_processes_that_were_launched_end_with_that_line(pl: Any) -> None:
    with pytest.raises(ProcessRaisedException, match=r"InputError: `trainer.devices` must be 1, got 2 processes"):
        fit(pl, TrendValidation(labels=LABELS), devices=2, strategy="ddp_fork")


def make_stream(pl: Any) -> tuple[Any, Any]:
    """A stranger's module around our net, and our datamodule; of both parents, where ours alone will not do."""

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.ours = TrendModule(CnnNet(8, 12, width=8, kernels=(3, 4), n_side=0))

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            logits = self.ours(batch["window"])
            return (nn.functional.cross_entropy(logits, batch["label"], reduction="none") * batch["weight"]).mean()

        def validation_step(self, batch: Any, batch_idx: int) -> Any:
            return self.ours(batch["window"])

        def said(self, batch: Any, batch_idx: int) -> Any:
            return torch.zeros(len(batch[-1]), 2)

        test_step = predict_step = said

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    is_ours = issubclass(PivotDataModule, pl.LightningDataModule)
    data = PivotDataModule if is_ours else type("Data", (PivotDataModule, pl.LightningDataModule), {})
    series = {Series("A", "5m"): synthetic_market(500, seed=2, timeframe="5m")}
    return Module(), data(series, window=12, walk=Walk(0.3, "90bars", 32, warmup=0))


def test_our_stream_walks_in_either_namespace(pl: Any) -> None:
    module, data = make_stream(pl)
    validation = TrendValidation()
    trainer = make_trainer(pl, validation, max_epochs=-1)
    trainer.fit(module, data)
    assert validation.buffer.stats.total == 350
    assert trainer.current_epoch == data.stream.feed.n_steps == 4


@pytest.mark.parametrize(
    "option", [{"every_n_train_steps": 5}, {"save_on_exception": True}, {"train_time_interval": "a day"}]
)
def test_a_checkpoint_within_a_step_of_the_stream_is_refused(pl: Any, option: dict[str, Any], tmp_path: Path) -> None:
    name = next(iter(option))
    if name == "train_time_interval":
        option = {name: np.timedelta64(1, "D").astype(object)}
    checkpoint = pl.callbacks.ModelCheckpoint(tmp_path, **option)
    module, data = make_stream(pl)
    trainer = make_trainer(pl, TrendValidation(), checkpoint, enable_checkpointing=True, max_epochs=-1)
    with pytest.raises(InputError, match=rf"`ModelCheckpoint` must not save in the middle of a walk step.*got {name}"):
        trainer.fit(module, data)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning wonders why there is no checkpoint yet
def test_a_checkpoint_on_exception_is_refused_for_the_stream(pl: Any, tmp_path: Path) -> None:
    module, data = make_stream(pl)
    checkpoint = pl.callbacks.OnExceptionCheckpoint(tmp_path)
    trainer = make_trainer(pl, TrendValidation(), checkpoint, enable_checkpointing=True, max_epochs=-1)
    with pytest.raises(InputError, match=r"`trainer.callbacks` must not save .*, got an OnExceptionCheckpoint"):
        trainer.fit(module, data)


@pytest.mark.parametrize("loop", ["test", "predict"])
def test_other_loops_leave_the_stream_alone(pl: Any, loop: str) -> None:
    module, data = make_stream(pl)
    validation = TrendValidation()
    trainer = make_trainer(pl, validation, max_epochs=2)
    trainer.fit(module, data)
    before = validation.summary()
    getattr(trainer, loop)(module, make_loader(BATCHES["tuple"]))
    np.testing.assert_equal(validation.summary(), before)


def test_a_run_resumed_goes_on_counting_passes(pl: Any, tmp_path: Path) -> None:
    first, second = TrendValidation(labels=LABELS), TrendValidation(labels=LABELS)
    fit(pl, first, max_epochs=2).save_checkpoint(tmp_path / "last.ckpt")
    loader, module = make_loader(BATCHES["tuple"]), make_module(pl, OUTPUTS["logits"])
    trainer = make_trainer(pl, second, max_epochs=3)
    trainer.fit(module, loader, loader, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert second.state_dict()["step"] == 3
    assert second.buffer.stats == expected_stats()
