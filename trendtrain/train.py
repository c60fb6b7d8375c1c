"""Run one walk-forward training from a resolved configuration."""

import json
import logging
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf

from trendtrain.callbacks.trend_validation import TrendValidation
from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
from trendtrain.data.arena import build_arena
from trendtrain.data.datamodule import PivotDataModule
from trendtrain.errors import EXIT_CTRL_C, EXIT_SIGTERM, InputError, check_at_least, check_choice, check_number
from trendtrain.market.synthetic import synthetic_market
from trendtrain.models.weights import load_weights
from trendtrain.replay.memory import ReplayMemory
from trendtrain.reports.summary import Summary, write_json
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.database import open_database
from trendtrain.storage.ledger.ledger import Ledger

_N_PROBE_BARS = 100  # enough to count columns
_LARGEST_SEED = 2**32 - 1  # of numpy's global generator


def train(cfg: DictConfig, folder: Path | None = None) -> Summary:
    """Bring bars in, walk through them, and write `summary.json`, also where the walk was interrupted.

    Args:
        cfg: What `configs/train.yaml` describes.
        folder: The run folder; None for the one Hydra made.

    Raises:
        InputError: If the configuration, the bars or the database break a rule.
    """
    started = time.perf_counter()
    _check(cfg)
    fill_counts(cfg)
    folder = folder or Path(HydraConfig.get().runtime.output_dir)
    engine = open_database(cfg.db.url)
    try:
        run = _Run(cfg, folder, Ledger(engine), BarStore(engine))
        exit_code = run.walk()
    finally:
        engine.dispose()
    values = run.values(exit_code) | {"wall_seconds": time.perf_counter() - started}
    summary = Summary(values, folder, exit_code)
    summary.save()
    return summary


class _Run:
    """The parts of a run, joined."""

    def __init__(self, cfg: DictConfig, folder: Path, ledger: Ledger, store: BarStore) -> None:
        self.cfg = cfg
        self.folder = folder
        self.config = resolved(cfg)
        self.checkpoint = self._checkpoint()
        self.id = self._identity()
        torch.set_num_threads(cfg.n_threads)
        pl.seed_everything(cfg.seed, verbose=False)
        self.module = instantiate(cfg.model)
        if cfg.init_from is not None:
            load_weights(getattr(self.module, "net", self.module), cfg.init_from, "init_from")
        self.datamodule = _datamodule(cfg, store)
        self.validation: TrendValidation = instantiate(cfg.callbacks.validation)
        self.trainer = self._trainer(ledger)
        if self.trainer.world_size > 1:
            raise InputError(f"`trainer.devices` must be 1, got {self.trainer.world_size} processes.")

    def walk(self) -> int:
        """Fit to the end of the walk and return the exit code that tells how it ended."""
        if self.checkpoint is None:  # another run's must not be taken for ours
            WalkCheckpoint(self.folder / "checkpoints").path.unlink(missing_ok=True)
        write_json(self.folder / "run.json", {"id": self.id, "config": self.config})
        try:
            with _quiet_lightning():
                self.trainer.fit(self.module, self.datamodule, ckpt_path=self.checkpoint, weights_only=True)
        except SIGTERMException:
            return EXIT_SIGTERM
        except SystemExit:  # what Lightning makes of Ctrl-C
            if not self.trainer.interrupted:
                raise
            return EXIT_CTRL_C
        except MisconfigurationException as error:
            raise InputError(str(error)) from error
        return 0

    def values(self, exit_code: int) -> dict[str, Any]:
        """Return the content of `summary.json` but for the time it took."""
        is_done = self.datamodule.clock.is_done
        ended = {0: "finished" if is_done else "stopped", EXIT_CTRL_C: "interrupted", EXIT_SIGTERM: "terminated"}
        is_partial = bool(self.trainer.fast_dev_run)  # type: ignore[attr-defined]
        steps = {"status": "partial" if is_partial else ended[exit_code], "steps": self.datamodule.clock.step}
        return {**self.validation.summary(), **steps, "config": self.config}

    def _trainer(self, ledger: Ledger) -> pl.Trainer:
        cfg = self.cfg
        parts = dict(cfg.callbacks)
        callbacks: list[pl.Callback] = [self.validation]
        if parts.get("ledger") is not None:
            callbacks.append(
                instantiate(cfg.callbacks.ledger)(ledger=ledger, run_id=self.id, config=json.dumps(self.config))
            )
        if parts.get("checkpoint") is not None:
            keep = instantiate(cfg.callbacks.checkpoint)
            config = json.dumps({**self.config, "ckpt": None})  # how the run was started is not what it is
            callbacks.append(keep(folder=self.folder / "checkpoints", config=config))
        if parts.get("charts") is not None:
            callbacks.append(instantiate(cfg.callbacks.charts)(config=self.config))
        done = {
            "validation",
            "ledger",
            "charts",
            "checkpoint",
            *(() if cfg.trainer.enable_progress_bar else ("progress",)),
        }
        callbacks += [instantiate(part) for name, part in parts.items() if name not in done and part is not None]
        logger = instantiate(cfg.logger) if cfg.logger else False
        with _quiet_lightning():
            return instantiate(cfg.trainer, callbacks=callbacks, logger=logger and self._logger(logger))  # type: ignore[no-any-return]

    def _logger(self, make: Any) -> Any:
        return make(save_dir=self.folder, purge_step=self._first_step())  # what an earlier run drew later is void

    def _checkpoint(self) -> Path | None:
        path = WalkCheckpoint(self.folder / "checkpoints").path
        return path if self.cfg.ckpt == "last" and path.exists() else None

    def _first_step(self) -> int:
        """Return the walk step that a resumed run does first; in the warm-up, minus the epochs that are left of it."""
        if self.checkpoint is None:
            return -self.datamodule.n_warmup
        state = torch.load(self.checkpoint, weights_only=True)
        clock = state[type(self.datamodule).__qualname__]
        return int(clock["step"] - clock["warmup"])

    def _identity(self) -> str:
        """Return a new id; on resume the one kept in the run folder, if the configuration has not changed."""
        file = self.folder / "run.json"
        if self.cfg.ckpt == "last" and file.exists():
            kept = json.loads(file.read_text())
            changed = [key for key in self.config if key != "ckpt" and kept["config"].get(key) != self.config[key]]
            if changed:
                raise InputError(
                    f"`ckpt=last` must keep the configuration of the run, got another {', '.join(changed)}."
                )
            return str(kept["id"])
        return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def fill_counts(cfg: DictConfig) -> None:
    """Fill in how many channels and side inputs a net has where the configuration leaves them out, from a few bars.

    Raises:
        InputError: If the features fail on synthetic bars.
    """
    if cfg.data.n_features is not None and cfg.data.n_side is not None:
        return
    features, side = instantiate(cfg.data.features), instantiate(cfg.data.side)
    try:
        arena = build_arena([synthetic_market(_N_PROBE_BARS, seed=0)], features, side, max_gap=None)
    except InputError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        rule = "must be given where `data.features` or `data.side` fails on bars that are not its own"
        raise InputError(f"`data.n_features` and `data.n_side` {rule}, got {cause}.") from error
    for name in ("n_features", "n_side"):
        if cfg.data[name] is None:
            cfg.data[name] = getattr(arena, name)


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration in plain types, without what differs from machine to machine."""
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    config.pop("db")
    return config


def _check(cfg: DictConfig) -> None:
    check_at_least("seed", cfg.seed, 0)
    check_number("seed", cfg.seed, 0, _LARGEST_SEED)
    if cfg.trainer.get("max_epochs") is not None:
        check_at_least("trainer.max_epochs", cfg.trainer.max_epochs, -1)
    check_at_least("n_threads", cfg.n_threads, 1)
    if cfg.n_classes not in (2, 3):
        raise InputError(f"`n_classes` must be 2 or 3, got {cfg.n_classes!r}.")
    if cfg.ckpt is not None:
        check_choice("ckpt", cfg.ckpt, ("last",))
    if cfg.callbacks.get("validation") is None:
        raise InputError("`callbacks.validation` must be there: without it nothing is judged, got null.")


def _datamodule(cfg: DictConfig, store: BarStore) -> PivotDataModule:
    walk, replay = instantiate(cfg.walk), _unwatched(instantiate(cfg.replay))
    replay(memory=ReplayMemory(0), seed=cfg.seed)  # checks its rules before bars are brought in, which may take long
    datamodule = PivotDataModule(
        series=instantiate(cfg.data.source)(store),
        labeler=instantiate(cfg.labels),
        features=instantiate(cfg.data.features),
        side=instantiate(cfg.data.side),
        transitions=cfg.data.transitions,
        resident=cfg.data.resident,
        window=cfg.data.window,
        walk=walk,
        replay=replay,
        max_gap=cfg.labels.get("max_gap"),
        n_classes=cfg.n_classes,
        seed=cfg.seed,
    )
    datamodule.setup()
    for name, what in (("n_features", "channels of a window"), ("n_side", "side inputs")):
        given, there = cfg.data[name], getattr(datamodule, name)
        if given != there:
            raise InputError(f"`data.{name}` must be the {what} there are, {there}, got {given}.")
    return datamodule


def _unwatched(made: Any) -> Any:
    """Return a partial of Hydra's as a plain one: Hydra checks its own anew at every call, 0.1 ms a batch."""
    if not isinstance(made, partial):
        return made
    return partial(made.func, *made.args, **{name: _unwatched(value) for name, value in made.keywords.items()})


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence what a user can do nothing about: banners, a hint about workers, a rename inside torch."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Batched gathers are faster with 0 workers, and a sampler with workers would lag behind the clock.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
