"""Check a run before Hydra makes its folder, or writes into that of an earlier run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from trendtrain.errors import InputError
from trendtrain.keys import check_keys
from trendtrain.reports.run_file import run_to_go_on_with


class RefusedError(BaseException):
    """A mistake found in a callback of Hydra's, which would make a warning of an `Exception`."""

    def __init__(self, error: InputError) -> None:
        super().__init__(str(error))
        self.error = error


class RunStart(Callback):
    """Refuse keys that nothing reads, and a folder that does not fit: used by another run, or without one to go on."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check a single run."""
        with _refusing():
            check_keys(config)
            run_to_go_on_with(_folder(config, "hydra.run.dir"), config.ckpt, config.overwrite)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check a sweep: a run that is refused later leaves its failure in its folder, that of an earlier one."""
        with _refusing():
            if "live" in config:
                raise InputError("`--multirun` must be left out of `trendtrain live`, which is one run, got it.")
            folder = _folder(config, "hydra.sweep.dir")
            if config.ckpt is None and not config.overwrite and any(folder.rglob("run.json")):
                fix = "ckpt=last goes on with those in it, overwrite=true deletes them and starts anew"
                raise InputError(f"`hydra.sweep.dir` must be a folder without runs ({fix}), got {folder}.")


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise RefusedError(error) from error


def _folder(config: DictConfig, key: str) -> Path:
    """Return a folder as Hydra is going to name it."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(config)
    try:
        return Path(str(OmegaConf.select(config, key)))
    finally:
        hydra.cfg = before
