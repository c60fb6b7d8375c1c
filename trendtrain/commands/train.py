"""`trendtrain train` and `trendtrain live`: the main job on stored bars and on live ones, configured by Hydra."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from trendtrain import __version__
from trendtrain.commands.errors import report_error, report_own
from trendtrain.commands.options import own_files
from trendtrain.errors import EXIT_FAILED, InputError, StorageError

if TYPE_CHECKING:
    from omegaconf import DictConfig

Command = Literal["train", "live"]


def announce(overrides: list[str]) -> None:
    """Tell a terminal at once that a run is about to start: what it loads takes some seconds."""
    if sys.stdout.isatty() and {one for one in overrides if one.startswith("-")} <= {"-m", "--multirun"}:
        sys.stdout.write(f"trendtrain {__version__}: loading PyTorch and Lightning, then the bars\n")
        sys.stdout.flush()


def run_overrides(overrides: list[str], command: Command = "train") -> int:
    """Let Hydra compose the configuration and call the job; an error of Hydra's is the user's mistake."""
    if {"-h", "--help"} & set(overrides):
        from trendtrain.commands.train_help import train_help

        sys.stdout.write(train_help(command))
        return 0
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from trendtrain.commands import sweep
    from trendtrain.commands.run_start import RefusedError
    from trendtrain.compose import check_choices, in_our_words

    expected = (InputError, StorageError, HydraException, OmegaConfBaseException)
    exit_codes: list[int] = []
    is_started = False

    @hydra.main(version_base="1.3", config_path="pkg://trendtrain.configs", config_name=command)
    def job(cfg: "DictConfig") -> float | None:
        nonlocal is_started
        is_started = True
        if sweep.is_running():
            return sweep.run_job(cfg, expected)
        exit_codes.append(_run_job(cfg, overrides, command, expected))
        return None

    sweep.reset()
    try:
        with _hydras_process(command, check_choices(overrides)):
            job()
    except (KeyboardInterrupt, SystemExit):
        sweep.report_interrupted(overrides)
        raise
    except RefusedError as refused:
        return report_error(refused.error)
    except expected as error:
        return report_error(in_our_words(error, overrides, command))
    except OSError as error:
        if is_started or isinstance(error, BrokenPipeError):
            raise
        return report_error(InputError(f"`hydra.run.dir` must be a folder that can be written, got {error}."))
    return max([*exit_codes, *sweep.exit_codes, *(EXIT_FAILED for _ in sweep.running)], default=0)


@contextmanager
def _hydras_process(command: Command, overrides: list[str]) -> Iterator[None]:
    """Let Hydra find its overrides as those of its process, inside the block."""
    argv = sys.argv
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing a traceback
    sys.argv = [f"trendtrain {command}", *overrides]
    try:
        with own_files():
            yield
    finally:
        sys.argv = argv


def _run_job(cfg: "DictConfig", overrides: list[str], command: Command, expected: tuple[type[Exception], ...]) -> int:
    """Run one job and return its exit code; errors are reported here, so that no frame of Hydra's is shown."""
    try:
        return _run(cfg, overrides, command)
    except expected as error:
        return report_error(error)
    except OSError:
        raise
    except Exception as error:
        if not report_own(error):
            traceback.print_exc()
        return EXIT_FAILED


def _run(cfg: "DictConfig", overrides: list[str], command: Command) -> int:
    from hydra.core.hydra_config import HydraConfig

    from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
    from trendtrain.commands.resume import resume_line
    from trendtrain.reports.report import summary_table
    from trendtrain.reports.terminal import from_here, show
    from trendtrain.train import train

    runtime = HydraConfig.get().runtime
    folder, here = Path(runtime.output_dir), Path(runtime.cwd)  # Hydra may have changed the current folder
    checkpoint = WalkCheckpoint(folder / "checkpoints").path
    if cfg.ckpt == "last" and not checkpoint.exists():
        show(f"There is no {from_here(checkpoint, here)} yet: starting at the first step.")
    if command == "live":
        from trendtrain.live.run import live

        summary = live(cfg)
    else:
        summary = train(cfg)
    show(summary_table(summary, here))
    if summary.exit_code:
        show(resume_line(overrides, "hydra.run.dir", from_here(folder, here), command))
    return summary.exit_code
