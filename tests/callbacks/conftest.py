import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from streams import labels_of, positions
from trainer_parts import SERIES
from trainer_parts import make_datamodule as make_datamodule
from trainer_parts import make_module as make_module
from trainer_parts import make_trainer as make_trainer

from trendtrain.callbacks import LedgerWriter, ReseedGenerators, TrendCharts, TrendValidation, WalkCheckpoint, WalkStep
from trendtrain.data import PivotDataModule
from trendtrain.market import Bars, Series
from trendtrain.models import TrendModule
from trendtrain.storage import open_database
from trendtrain.storage.ledger.ledger import Ledger


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
        labels=labels_of(SERIES, max_gap=12),
        at=partial(positions, SERIES),
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
