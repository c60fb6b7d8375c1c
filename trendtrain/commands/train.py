"""`trendtrain train`: the main job, configured by Hydra."""

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trendtrain.commands.errors import report_error
from trendtrain.errors import EXIT_FAILED, InputError, StorageError

if TYPE_CHECKING:
    from hydra.errors import MissingConfigException
    from omegaconf import DictConfig


def run_overrides(overrides: list[str]) -> int:
    """Let Hydra compose the configuration and call the job; an error of Hydra's is the user's mistake."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from trendtrain.commands import sweep
    from trendtrain.commands.run_start import RefusedError

    expected = (InputError, StorageError, HydraException, OmegaConfBaseException)

    exit_codes: list[int] = []
    is_started = False

    @hydra.main(version_base="1.3", config_path="pkg://trendtrain.configs", config_name="train")
    def job(cfg: "DictConfig") -> float | None:
        nonlocal is_started
        is_started = True
        if sweep.is_running():
            return sweep.run_job(cfg, expected)
        try:
            exit_codes.append(_run_job(cfg, overrides))
        except expected as error:
            exit_codes.append(report_error(error))
        return None

    sweep.reset()
    try:
        _prepare_hydra(_with_choices(overrides))
        job()
    except (KeyboardInterrupt, SystemExit):
        sweep.report_interrupted(overrides)
        raise
    except RefusedError as refused:
        return report_error(refused.error)
    except expected as error:
        return report_error(_in_our_words(error))
    except OSError as error:
        if is_started:
            raise
        return report_error(InputError(f"`hydra.run.dir` must be a folder that can be written, got {error}."))
    return max([*exit_codes, *sweep.exit_codes, *(EXIT_FAILED for _ in sweep.running)], default=0)


def _in_our_words(error: Exception) -> Exception:
    """Return what is wrong with an override; another error as it is."""
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException

    from trendtrain.commands.keys import unknown_key

    if isinstance(error, OverrideParseException):
        return _unquoted(error.override) or error
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    return unknown_key(error) if isinstance(error, ConfigCompositionException) else error


def _prepare_hydra(overrides: list[str]) -> None:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise errors instead of printing a traceback
    sys.argv = ["trendtrain train", *overrides]
    sys.path.append(str(Path.cwd()))  # so that `_target_=mynet.MyNet` finds a user's file


def _with_choices(overrides: list[str]) -> list[str]:
    """Return the overrides, each of a group checked to choose by name; null or false is the choice `none`.

    Raises:
        InputError: If a group is set to what is no name, which Hydra would answer with a traceback.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    parser, checked = OverridesParser.create(), []
    for text in overrides:
        choices = _choices(text.lstrip("+").partition("=")[0])
        try:
            override = parser.parse_override(text) if choices else None
        except OverrideParseException:  # left to Hydra
            override = None
        if override is None or override.is_delete():
            checked.append(text)
            continue
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        if values in ([None], [False]) and "none" in choices:
            text = f"{override.key_or_group}=none"
        elif values == [None] and override.key_or_group == "experiment":
            continue  # as the default
        elif not all(_is_name(value) for value in values):
            got = text.partition("=")[2]
            raise InputError(f"`{override.key_or_group}` must be one of {', '.join(choices)}, got {got}.")
        checked.append(text)
    return checked


def _is_name(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _choices(group: str) -> list[str]:
    """Return the options of a group of our configuration; none for a key that is no group."""
    from importlib.resources import files

    folder = files("trendtrain.configs") / group
    if not group.isidentifier() or not folder.is_dir():
        return []
    names = (file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return sorted(name for name in names if not name.startswith("_"))


def _unquoted(override: str) -> Exception | None:
    """Return an error that shows how to quote a value; None where quotes would not help."""
    key, equals, value = override.partition("=")
    if not equals or not value or value[0] in "\"'[{":
        return None
    quoted = shlex.quote(f'{key}="{value}"')
    rule = "be in quotes where it holds signs such as = ( { : or letters beyond ASCII"
    return InputError(f"`{key}` must {rule} ({quoted}), got {override}.")


def _unknown_choice(error: "MissingConfigException") -> Exception:
    """Return an error that lists the choices of a group, where Hydra's would also list its search path."""
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    choices = [option for option in error.options or [] if not option.startswith("_")]
    return InputError(f"`{group}` must be one of {', '.join(choices)}, got {choice!r}.") if choices else error


def _run_job(cfg: "DictConfig", overrides: list[str]) -> int:
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
    summary = train(cfg)
    show(summary_table(summary, here))
    if summary.exit_code:
        show(resume_line(overrides, "hydra.run.dir", from_here(folder, here)))
    return summary.exit_code
