"""Run the stream on bars as they close, from a resolved configuration."""

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from trendtrain.callbacks.listeners import call_hooks
from trendtrain.data.datamodule import Live, PivotDataModule
from trendtrain.data.sources import StoredBars
from trendtrain.errors import EXIT_SIGTERM, InputError, check_at_least, check_choice
from trendtrain.live.feed import LiveFeed
from trendtrain.live.log import logging_live
from trendtrain.live.monitor import Monitor
from trendtrain.live.source import BarSource
from trendtrain.parts import check_source
from trendtrain.reports.run_file import run_to_go_on_with
from trendtrain.reports.summary import Summary
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.database import is_in_memory
from trendtrain.storage.ledger.ledger import Ledger
from trendtrain.stream.feed import HeldBars, History
from trendtrain.train import run_folder, train

_PREDICT_ONLY: Final = {"_target_": "trendtrain.callbacks.PredictOnly"}
_TRAINER_PROCESS: Final = {
    "_target_": "trendtrain.live.trainer_process.TrainerProcess",
    "_partial_": True,
    "_convert_": "all",
    "_recursive_": False,  # versions are kept in the process that trains
}


def live(cfg: DictConfig, folder: Path | None = None) -> Summary:
    """Predict, judge and learn as bars close, until the bars end or a signal comes; start again to go on.

    Args:
        cfg: The configuration, as `configs/live.yaml` describes it.
        folder: The run folder; None for Hydra's.

    Raises:
        InputError: If the configuration or the bars break a rule.
        StorageError: If the database or the disk fails.
    """
    _check(cfg)
    if not _trains_here(cfg):
        with open_dict(cfg):
            cfg.callbacks.predict_only = {**_PREDICT_ONLY, "fixes_temperature": not cfg.live.train}
    if cfg.live.trainer == "process":
        with open_dict(cfg):
            cfg.callbacks.training = {**_TRAINER_PROCESS, "versions": cfg.callbacks.pop("versions", None)}
    folder = folder or run_folder(cfg)
    parts = _Parts(cfg, folder)
    try:
        with logging_live(cfg.live.log), _exit_at_sigterm():
            return train(cfg, folder, live=parts)
    except (KeyboardInterrupt, SystemExit):
        parts.tell_interrupt()
        raise
    finally:
        parts.close()


@contextmanager
def _exit_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the set-up as Ctrl-C does, so that all is closed; Lightning takes over while it fits."""

    def exit_(number: int, frame: FrameType | None) -> None:
        if signal.getsignal(signal.SIGTERM) is exit_:  # Lightning's own handler calls this one too
            raise SystemExit(EXIT_SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, exit_)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Parts:
    """What the datamodule of a live run has in place of stored bars.

    While the set-up waits for bars, there is no trainer yet, and it says itself how the run is.
    """

    def __init__(self, cfg: DictConfig, folder: Path) -> None:
        self._cfg = cfg
        self._folder = folder
        self._source: BarSource | None = None
        self._monitor: Monitor | None = None
        self._waiting: PivotDataModule | None = None  # in its set-up

    def __call__(self, store: BarStore) -> dict[str, Any]:
        cfg = self._cfg
        source, history = self._made(store)
        if not isinstance(source, History):
            store.compact()  # what the last start left: a block for each bar
        options = {name: cfg.live[name] for name in ("lockstep", "grace", "warm", "patience", "max_bars")}

        def make_feed(datamodule: PivotDataModule) -> LiveFeed:
            is_stored = isinstance(source, History)
            written = None if is_stored else store
            return LiveFeed(
                source, history, datamodule.walk, written, on_wait=lambda: self._wait(datamodule, store), **options
            )

        max_batches, max_bars = (None, None) if cfg.live.lockstep else (cfg.live.max_batches, cfg.live.max_bars)
        return {"series": history, "live": Live(make_feed, max_batches if _trains_here(cfg) else 0, max_bars)}

    def tell_interrupt(self) -> None:
        """Say that the run was interrupted, if it was in the wait of the set-up."""
        if self._monitor is not None and self._waiting is not None:
            self._monitor.end_setup(self._waiting.stream)

    def close(self) -> None:
        """End what brings the bars."""
        if self._source is not None:
            self._source.close()

    def _wait(self, datamodule: PivotDataModule, store: BarStore) -> None:
        """Say that bars are waited for; before there is a trainer, without its callbacks."""
        _wait(datamodule)
        self._waiting = datamodule if datamodule.trainer is None else None
        if datamodule.trainer is None and self._cfg.callbacks.get("monitor") is not None:
            self._monitor = self._monitor or self._made_monitor(store)
            self._monitor.wait_in_setup(datamodule.stream)

    def _made_monitor(self, store: BarStore) -> Monitor:
        kept = run_to_go_on_with(self._folder, self._cfg.ckpt, self._cfg.overwrite)
        self._folder.mkdir(parents=True, exist_ok=True)
        return Monitor(self._folder, str(self._cfg.run.name) if kept is None else kept.name, Ledger(store.engine))

    def _made(self, store: BarStore) -> tuple[BarSource, History]:
        """Return the source, and the bars that are stored already."""
        made = instantiate(self._cfg.feed)
        if not hasattr(made, "take"):  # it replays the bars of `data.source`
            bars = check_source(instantiate(self._cfg.data.source)(store))
            made = made(HeldBars(bars) if isinstance(bars, Mapping) else bars)
        self._source = made
        stored = made if isinstance(made, History) else StoredBars(store, dict.fromkeys(made.series))
        return made, stored


def _wait(datamodule: PivotDataModule) -> None:
    """Call `on_wait(trainer)` of the callbacks that have it: bars are waited for, and may be for long."""
    datamodule.raise_if_stopped()
    if datamodule.trainer is not None:
        call_hooks(datamodule.trainer, "on_wait")


def _trains_here(cfg: DictConfig) -> bool:
    return bool(cfg.live.train and cfg.live.trainer == "thread")


def _check(cfg: DictConfig) -> None:
    options = cfg.live
    for name in ("lockstep", "train"):
        check_choice(f"live.{name}", options[name], (True, False))
    check_choice("live.trainer", options.trainer, ("thread", "process"))
    if options.trainer == "process":
        _check_process(cfg)
    check_at_least("live.max_batches", options.max_batches, 1)
    if options.max_bars is not None:
        check_at_least("live.max_bars", options.max_bars, 2 * cfg.data.window)


def _check_process(cfg: DictConfig) -> None:
    """Refuse what a process of its own cannot do; predictions that are not kept would be made again, too late."""
    for name, rule in (("live.lockstep", False), ("live.train", True), ("callbacks.ledger.commits", True)):
        if (value := OmegaConf.select(cfg, name)) is not rule:
            got = "null" if value is None else str(value).lower()
            raise InputError(f"`{name}` must be {str(rule).lower()} with live.trainer=process, got {got}.")
    if is_in_memory(cfg.db.url):
        raise InputError(f"`db.url` must not be in memory with live.trainer=process, got {cfg.db.url}.")
    if cfg.feed.get("speed", 1.0) is None:  # all bars would be predicted before the first parameters are there
        raise InputError("`feed.speed` must be a number with live.trainer=process, got null.")
