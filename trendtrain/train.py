"""Run one walk-forward training from a resolved configuration."""

import inspect
import json
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig, OmegaConf
from sqlalchemy import Engine

from trendtrain.callbacks.ledger_writer import how_ended
from trendtrain.callbacks.run_history import RunHistory
from trendtrain.callbacks.trend_validation import TrendValidation
from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
from trendtrain.charts.loggers import finish
from trendtrain.compose import compose_config
from trendtrain.data.datamodule import PivotDataModule
from trendtrain.data.sources import from_memory, held_bars
from trendtrain.errors import EXIT_CTRL_C, EXIT_SIGTERM, InputError
from trendtrain.market.bars import FloatArray
from trendtrain.market.timeframe import format_timeframe
from trendtrain.models.checkpoint_weights import load_weights
from trendtrain.parts import (
    call,
    check_config,
    check_kind,
    check_source,
    drop_defaults,
    fill_counts,
    make,
    make_labeler,
    make_replay,
)
from trendtrain.replay.sampler import ReplaySampler
from trendtrain.reports.run_file import RunFile, delete_run, run_to_go_on_with
from trendtrain.reports.run_report import write_report
from trendtrain.reports.run_scores import RunScores
from trendtrain.reports.summary import Summary
from trendtrain.reports.terminal import show
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.database import is_missing, open_database
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.stream.feed import HeldBars
from trendtrain.stream.walk import Walk

DataParts = Callable[[BarStore], Mapping[str, Any]]
_NOT_OF_THE_CONFIG = ("db", "run", "overwrite", "metric")  # what describes no run: it changes no number
_OF_ALARMS = ("now", "events_kept", "is_cut")


def train(
    cfg: DictConfig | None = None,
    folder: str | Path | None = None,
    *,
    data: Any = None,
    live: DataParts | None = None,
    **options: Any,
) -> Summary:
    """Load the bars, walk through them, and write `summary.json` and the report, also if the walk is interrupted.

    Args:
        cfg: The configuration, as `configs/train.yaml` describes it; None to compose it from `data` and `options`.
        folder: The run folder; None for Hydra's, or else `runs/NAME`.
        data: The bars: a DataFrame or `Bars`; a dict of them by (symbol, timeframe), such as ("ETHUSDT", "1h"); or a
            file or folder of bars. Bars without a name are kept in the database as DATA.
        live: Gives what the datamodule has in place of stored bars (`series`, `live`), given where bars are kept;
            None for those of `data` or `data.source`.
        **options: As in `trendtrain.compose.compose_config`: `model="mlp"`, `seed=1`, `walk={"steps": 20}`.

    Raises:
        InputError: If the configuration or the bars break a rule, or the folder holds a run that would be lost.
        StorageError: If the database or the disk fails.

    Example:
        >>> train(data="bars/ETHUSDT_1h.csv", model="mlp", seed=1)  # doctest: +SKIP
        Summary(20261129-084728-mlp-files-d03971: finished after 89 steps, event accuracy 0.6131 ...)
    """
    started = time.perf_counter()
    held = None if data is None or isinstance(data, str | Path) else held_bars(data)
    if cfg is None:
        cfg = compose_config(**_data_options(data, held), **options)
        folder = folder or Path("runs") / str(cfg.run.name)
    elif data is not None or options:
        got = ", ".join(options) or "data"
        raise InputError(f"`cfg` must come without other arguments but `folder`, got {got} too.")
    check_config(cfg)
    is_stored = not held and not live and str(cfg.data.source.get("_target_")).endswith(".from_database")
    if is_stored and is_missing(cfg.db.url):
        raise InputError(f"`db.url` must name a database that exists for data=database, got {cfg.db.url}.")
    drop_defaults(cfg)
    fill_counts(cfg)
    folder = Path(folder or run_folder(cfg))
    kept = run_to_go_on_with(folder, cfg.ckpt, cfg.overwrite)
    engine = open_database(cfg.db.url)
    try:
        run = _Run(cfg, folder, engine, kept, live or partial(_stored, cfg, held))
        exit_code = run.walk()
        values = run.values(exit_code) | {"wall_seconds": time.perf_counter() - started}
        summary = Summary(values, folder, exit_code)
        summary.save()
        run.report()
    finally:
        engine.dispose()
    return summary


def _data_options(data: Any, held: HeldBars | None) -> dict[str, Any]:
    """Return what the configuration says of bars that were given."""
    if data is None:
        return {}
    if held is None:
        return {"data": "files", "data.path": str(data)}
    symbols, timeframes = (sorted({series[i] for series in held.series}) for i in (0, 1))
    return {"data": "database", "data.symbols": symbols, "data.timeframes": timeframes}


def run_folder(cfg: DictConfig) -> Path:
    """Return the run folder of a job of Hydra's, or that of a configuration that was composed by hand."""
    is_job = HydraConfig.initialized() and not OmegaConf.is_missing(HydraConfig.get().runtime, "output_dir")
    return Path(HydraConfig.get().runtime.output_dir if is_job else f"runs/{cfg.run.name}")


class _Run:
    """The parts of a run."""

    def __init__(self, cfg: DictConfig, folder: Path, engine: Engine, kept: RunFile | None, parts: DataParts) -> None:
        self.cfg = cfg
        self.folder = folder
        self.ledger = Ledger(engine)
        self.kept = kept  # as it was, where the run goes on
        self.config = resolved(cfg)
        self.name = _new_name(cfg, self.ledger) if kept is None else _kept_name(cfg, kept, self.config)
        torch.set_num_threads(cfg.n_threads)
        pl.seed_everything(cfg.seed, verbose=False)
        self.module = make(cfg, "model", pl.LightningModule)
        if cfg.init_from is not None:
            load_weights(getattr(self.module, "net", self.module), cfg.init_from, "init_from")
        self.datamodule = _datamodule(cfg, partial(parts, BarStore(engine)), {} if kept is None else kept.grid or {})
        self.checkpoint = self._checkpoint()
        self.validation: TrendValidation = make(cfg, "callbacks.validation", TrendValidation)
        self.trainer = self._trainer()
        if self.trainer.world_size > 1:
            raise InputError(f"`trainer.devices` must be 1, got {self.trainer.world_size} processes.")

    def walk(self) -> int:
        """Fit to the end of the walk and return the exit code."""
        if self.cfg.overwrite:
            delete_run(self.folder)
            self.ledger.delete(self.name)
        self.folder.mkdir(parents=True, exist_ok=True)
        RunFile(name=self.name, grid=self._grid(), config=self.config).save(self.folder)
        try:
            with quiet_lightning():
                self.trainer.fit(self.module, self.datamodule, ckpt_path=self.checkpoint, weights_only=True)
        except SIGTERMException:
            return EXIT_SIGTERM
        except SystemExit:  # what Lightning makes of Ctrl-C
            if not self.trainer.interrupted:
                raise
            return EXIT_CTRL_C
        except MisconfigurationException as error:
            raise InputError(str(error)) from error
        finally:
            finish(self.trainer.loggers)
        return 0

    def values(self, exit_code: int) -> dict[str, Any]:
        """Return the content of `summary.json`, except the time taken."""
        status = "interrupted" if exit_code else how_ended(self.trainer)
        steps = {"status": status, "steps": self.datamodule.stream.step}
        history = self.history
        alarms = [
            {"time": str(np.datetime64(int(now), "ms")), "events_kept": int(kept), "is_cut": bool(is_cut)}
            for now, kept, is_cut in zip(*(history.get(f"alarm_{name}", ()) for name in _OF_ALARMS), strict=True)
        ]
        walked = [self._grid()["start"], str(self.datamodule.stream.now.astype("datetime64[ms]"))]
        more = {"walked": walked, "alarms": alarms, "config": self.config}
        return {"name": self.name, **self.validation.summary(), **steps, **more}

    @property
    def history(self) -> dict[str, FloatArray]:
        """What `RunHistory` kept; empty where that callback was left out."""
        kept = (one.arrays() for one in self.trainer.callbacks if isinstance(one, RunHistory))  # type: ignore[attr-defined]
        return next(kept, {})

    def report(self) -> None:
        """Write `scores.npz` and `report.html`; where that fails, say so: the run itself is complete."""
        try:
            RunScores(self.validation.board, self.history).save(self.folder)
            write_report(self.folder, self.ledger.engine)
        except Exception as error:
            show(f"The run is complete, but its report failed: {type(error).__name__}: {error}")

    def _trainer(self) -> pl.Trainer:
        """Return the trainer of the configuration; some callbacks also need what only the run has."""
        cfg, folder = self.cfg, self.folder / "checkpoints"
        checkpoint_config = json.dumps({**self.config, "ckpt": None})  # the same for a resumed run
        run = {"folder": self.folder, "run_id": self.name, "ledger": self.ledger}
        arguments: dict[str, dict[str, Any]] = {
            "ledger": {"ledger": self.ledger, "run_id": self.name, "config": json.dumps(self.config)},
            "checkpoint": {"folder": folder, "config": checkpoint_config},
            "charts": {"config": {"run": {"name": self.name}, **self.config}},
            "monitor": run,
            "subscribers": {"run_id": self.name},
            "versions": run | {"folder": folder},
            "training": run | {"config": self.config},
            "handover": run,
        }
        left_out = ("validation",) if cfg.trainer.enable_progress_bar else ("validation", "progress")
        parts = {name: part for name, part in cfg.callbacks.items() if part is not None and name not in left_out}
        made = {name: instantiate(part) for name, part in parts.items()}
        for name in arguments.keys() & made.keys():
            made[name] = call(f"callbacks.{name}", made[name], **arguments[name])
        callbacks = [check_kind(f"callbacks.{name}", part, pl.Callback) for name, part in made.items()]
        loggers = self._loggers()
        with quiet_lightning():
            # At the end of an epoch: a step that is cut short would learn from fewer batches.
            timers = [Timer(max_time, interval="epoch")] if (max_time := self.config["trainer"].get("max_time")) else []
            options = {"callbacks": [self.validation, *timers, *callbacks], "logger": loggers or False}
            trainer: pl.Trainer = instantiate(cfg.trainer, _convert_="all", max_time=None, **options)
        for timer in timers:
            if (left := timer.time_remaining()) is not None and left <= 0:
                raise InputError(f"`trainer.max_time` must leave training to do, got {cfg.trainer.max_time}.")
        return trainer

    def _loggers(self) -> list[Logger]:
        """Return the loggers of the configuration, one or several by name; on resume they drop later points."""
        node = self.cfg.get("logger") or {}
        parts = {"logger": node} if "_target_" in node else {f"logger.{name}": node[name] for name in node}
        run = {"save_dir": self.folder, "purge_step": self._first_step(), "run_name": self.name}
        loggers = []
        for key, part in parts.items():
            if part is None:
                continue
            logger = instantiate(part)
            if callable(logger):
                taken = inspect.signature(logger).parameters
                logger = call(key, logger, **{name: value for name, value in run.items() if name in taken})
            loggers.append(check_kind(key, logger, Logger))
        return loggers

    def _checkpoint(self) -> Path | None:
        """Return the checkpoint to go on from: the last one, or that before a last step which has more bars now."""
        files = WalkCheckpoint(self.folder / "checkpoints")
        there = [path for path in (files.path, files.full_path) if path.exists()]
        if self.kept is None or not there:
            return None
        last = self._stream_state(there[0])
        if there[0] != files.path or not self.datamodule.stream.outgrows(last):
            return there[0]
        if last["step"] == 1 and len(there) == 1:
            return None  # its only step is walked again
        if len(there) == 1 or self._stream_state(files.full_path)["step"] != last["step"] - 1:
            rule = f"hold that of step {last['step'] - 1}, from which step {last['step']} goes on with its new bars"
            raise InputError(f"`ckpt=last` must find a checkpoint {files.full_path} that {rule}, got none.")
        return files.full_path

    def _stream_state(self, checkpoint: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = torch.load(checkpoint, weights_only=True)[type(self.datamodule).__qualname__]
            state["n_bars"], state["is_partial"], state["grid"]  # what other versions do not have
        except (OSError, EOFError, KeyError, RuntimeError, UnpicklingError) as error:
            cause = f"{checkpoint} ({type(error).__name__}: {error})"
            raise InputError(f"`ckpt=last` must find a checkpoint as this version writes it, got {cause}.") from error
        return state

    def _first_step(self) -> int:
        """Return the first walk step to come; in the warm-up, minus the number of its epochs to come."""
        if self.checkpoint is None:
            return -self.datamodule.n_warmup
        stream = self._stream_state(self.checkpoint)
        return int(stream["step"] - stream["warmup"])

    def _grid(self) -> dict[str, str]:
        """Return when the walk starts and how long its steps are, so that later bars change neither."""
        if self.kept is not None and self.kept.grid is not None:
            return self.kept.grid
        feed = self.datamodule.feed
        return {"start": str(feed.start), "step": format_timeframe(feed.length)}


def resolved(cfg: DictConfig) -> dict[str, Any]:
    """Return the configuration in plain types, without what does not describe the run."""
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    return {key: value for key, value in config.items() if key not in _NOT_OF_THE_CONFIG}


def _new_name(cfg: DictConfig, ledger: Ledger) -> str:
    """Return the name of a run that starts."""
    name = str(cfg.run.name)
    if not re.fullmatch(r"\w[\w. +=,-]*", name) or name in ("all", "None"):  # `stats --run all` means all runs
        rule = "must begin with a letter or digit, hold no slash, and not be null or `all`"
        raise InputError(f"`run.name` {rule}, got {cfg.run.name!r}.")
    if not cfg.overwrite and name in ledger.names():
        fix = "overwrite=true deletes the run of before"
        raise InputError(f"`run.name` must be new to the ledger ({fix}), got {name}.")
    return name


def _kept_name(cfg: DictConfig, kept: RunFile, config: dict[str, Any]) -> str:
    """Return the name of a run that goes on, and print which settings have changed."""
    is_given = not OmegaConf.is_interpolation(cfg.run, "name")
    if is_given and str(cfg.run.name) != kept.name:
        raise InputError(f"`run.name` must stay {kept.name} where the run goes on, got {cfg.run.name}.")
    written: dict[str, Any] = OmegaConf.to_container(cfg, resolve=False)  # type: ignore[assignment]
    if changes := kept.changes(config, written):
        show(f"{kept.name} goes on with {changes}")
    return kept.name


def _stored(cfg: DictConfig, held: HeldBars | None, store: BarStore) -> dict[str, Any]:
    """Return what the datamodule has of stored bars."""
    return {"series": check_source(instantiate(cfg.data.source)(store)) if held is None else from_memory(store, held)}


def _datamodule(cfg: DictConfig, parts: Callable[[], Mapping[str, Any]], grid: dict[str, str]) -> PivotDataModule:
    walk, replay = check_kind("walk", instantiate(cfg.walk, **grid), Walk), make_replay(cfg)
    # Checks its arguments before bars are loaded, which may take long.
    check_kind("replay", call("replay", replay, seed=cfg.seed), ReplaySampler)
    datamodule = PivotDataModule(
        **parts(),
        labeler=make_labeler(cfg),
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
        check_causal=cfg.data.check_causal,
    )
    datamodule.setup()
    for name, meaning in (("n_features", "channels of a window"), ("n_side", "side inputs")):
        given, actual = cfg.data[name], getattr(datamodule, name)
        if given != actual:
            raise InputError(f"`data.{name}` must be the {meaning} there are, {actual}, got {given}.")
    return datamodule


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence messages that a user cannot act on: banners, a hint about workers, a rename inside torch."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Batches are gathered faster with 0 workers, and a sampler with workers would lag behind the stream.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
