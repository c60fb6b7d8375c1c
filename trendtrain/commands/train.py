"""`trendtrain train`: the main job, configured by Hydra."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trendtrain.commands.errors import report_error
from trendtrain.errors import InputError, StorageError

if TYPE_CHECKING:
    from hydra.errors import MissingConfigException
    from omegaconf import DictConfig


def run_overrides(overrides: list[str]) -> int:
    """Let Hydra compose the configuration and call the job; an error of Hydra's is the user's mistake."""
    import hydra
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException

    from trendtrain.commands import sweep

    expected = (InputError, StorageError, HydraException, OmegaConfBaseException)

    exit_codes: list[int] = []
    is_started = False

    @hydra.main(version_base="1.3", config_path="pkg://trendtrain.configs", config_name="train")
    def job(cfg: "DictConfig") -> None:
        nonlocal is_started
        is_started = True
        if sweep.is_running():
            sweep.run_job(cfg, expected)
            return
        try:
            exit_codes.append(_run_job(cfg))
        except expected as error:
            exit_codes.append(report_error(error))

    _prepare_hydra(overrides)
    sweep.reset()
    try:
        job()
    except (KeyboardInterrupt, SystemExit):
        sweep.report_interrupted()
        raise
    except MissingConfigException as error:
        return report_error(_unknown_choice(error))
    except expected as error:
        return report_error(error)
    except OSError as error:
        if is_started:
            raise
        return report_error(InputError(f"`hydra.run.dir` must be a folder that can be written, got {error}."))
    return max([*exit_codes, *sweep.exit_codes], default=0)


def _prepare_hydra(overrides: list[str]) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing a traceback
    sys.argv = ["trendtrain train", *overrides]
    sys.path.append(str(Path.cwd()))  # so that `_target_=mynet.MyNet` finds a user's file


def _unknown_choice(error: "MissingConfigException") -> Exception:
    """Return an error that lists the choices of a group, where Hydra's would also list its search path."""
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    choices = [option for option in error.options or [] if not option.startswith("_")]
    return InputError(f"`{group}` must be one of {', '.join(choices)}, got {choice!r}.") if choices else error


def _run_job(cfg: "DictConfig") -> int:
    from hydra.core.hydra_config import HydraConfig

    from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
    from trendtrain.reports.report import summary_table
    from trendtrain.reports.terminal import show
    from trendtrain.train import train

    checkpoint = WalkCheckpoint(Path(HydraConfig.get().runtime.output_dir) / "checkpoints").path
    if cfg.ckpt == "last" and not checkpoint.exists():
        show(f"There is no {checkpoint} yet: starting at the first step.")
    summary = train(cfg)
    show(summary_table(summary))
    return summary.exit_code
