import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from trendtrain.callbacks import LedgerWriter, ReseedGenerators, TrendCharts, TrendValidation, WalkCheckpoint, WalkStep
from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Bars, Series, label_bars, synthetic_market
from trendtrain.models import CnnNet, TrendModule
from trendtrain.replay import ReplaySampler, weigh
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

SERIES = {
    Series("BBB", "15m"): synthetic_market(500, seed=1, timeframe="15m"),
    Series("AAA", "5m"): synthetic_market(1400, seed=2, timeframe="5m"),
}


@pytest.fixture(scope="session")
def series() -> dict[Series, Bars]:
    return SERIES


class Recorder(pl.Callback):
    """Keep every step that is told of."""

    def __init__(self) -> None:
        self.steps: list[WalkStep] = []
        self.logged: list[dict[str, float]] = []
        self.warmups: list[tuple[int, int]] = []

    def on_warmup(self, trainer: pl.Trainer, done: int, total: int) -> None:
        self.warmups.append((done, total))

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.steps.append(step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def make_datamodule() -> Callable[..., PivotDataModule]:
    def make(**options: Any) -> PivotDataModule:
        defaults = {
            "series": SERIES,
            "labeler": partial(label_bars, max_gap=12),
            "max_gap": 12,
            "window": 12,
            "walk": Walk(start=0.3, step="90bars", batch_size=32),
            "replay": partial(ReplaySampler, batch_size=32, n_batches=2, weigh=weigh),
        }
        return PivotDataModule(**(defaults | options))

    return make


@pytest.fixture(scope="session")
def make_module() -> Callable[[], TrendModule]:
    def make() -> TrendModule:
        torch.manual_seed(0)
        return TrendModule(CnnNet(8, 12, width=8, kernels=(3, 4)))

    return make


@pytest.fixture(scope="session")
def make_trainer() -> Callable[..., pl.Trainer]:
    def make(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
        defaults = {
            "accelerator": "cpu",
            "max_epochs": -1,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": False,
        }
        return pl.Trainer(callbacks=list(callbacks), **(defaults | options))

    return make


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    make_datamodule: Callable[..., PivotDataModule],
    make_module: Callable[[], TrendModule],
    make_trainer: Callable[..., pl.Trainer],
) -> Iterator[SimpleNamespace]:
    """One whole walk over two series with every callback, a ledger and charts."""
    folder: Path = tmp_path_factory.mktemp("run")
    engine = open_database(f"sqlite:///{folder / 'ledger.db'}")
    run = SimpleNamespace(
        folder=folder,
        engine=engine,
        ledger=Ledger(engine),
        validation=TrendValidation(),
        recorder=Recorder(),
        checkpoint=WalkCheckpoint(folder / "checkpoints", every_n_steps=2),
        datamodule=make_datamodule(),
        module=make_module(),
    )
    run.writer = LedgerWriter(run.ledger, "run-1", config="{}")
    parts = (run.validation, run.writer, TrendCharts(), run.checkpoint, ReseedGenerators(0), run.recorder)
    run.trainer = make_trainer(*parts, logger=TensorBoardLogger(folder, name="tb", version=""))
    run.trainer.fit(run.module, run.datamodule)
    yield run
    engine.dispose()


@pytest.fixture(autouse=True)
def _signals_stay() -> Iterator[None]:
    """Put back what Lightning changes when it is interrupted."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)
