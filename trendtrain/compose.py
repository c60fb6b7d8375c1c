"""Compose the configuration of a run: check a command line's overrides, or take values of Python."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from trendtrain.errors import InputError, did_you_mean
from trendtrain.keys import check_keys, choices_of, unknown_key, with_plus

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def compose_config(**options: Any) -> DictConfig:
    """Return the configuration of `trendtrain train`, as `train(cfg)` takes it.

    Args:
        **options: What a command line would override: an option of a group (`model="mlp"`), a value (`seed=1`), a
            dict of values (`walk={"steps": 20}`), or a dotted key (`**{"model.lr": 1e-3}`).

    Raises:
        InputError: If the configuration has no such key or choice; it names the nearest.

    Example:
        >>> cfg = compose_config(model="mlp", seed=1, walk={"steps": 20})
        >>> cfg.model.net["_target_"], cfg.seed, cfg.walk.steps
        ('trendtrain.models.MlpNet', 1, 20)
    """
    cfg = _compose(check_choices([f"{key}={_written(value)}" for key, value in _flat(options)]))
    if cfg.hydra.mode == RunMode.MULTIRUN:
        name = cfg.hydra.runtime.choices.experiment
        raise InputError(f"`experiment` must be a single run here (`trendtrain train` runs sweeps), got {name}.")
    _name_run(cfg)
    with open_dict(cfg):
        del cfg["hydra"]
    check_keys(cfg)
    return cfg


def _compose(overrides: list[str]) -> DictConfig:
    """Return Hydra's configuration; what a part takes may be given though the configuration does not have it yet."""
    try:
        with initialize_config_module("trendtrain.configs", version_base="1.3"):
            return compose("train", overrides, return_hydra_config=True)
    except HydraException as error:
        if (added := with_plus(error, overrides)) is not None:
            return _compose(added)
        raise in_our_words(error, overrides) from error


def check_choices(overrides: Sequence[str]) -> list[str]:
    """Return the overrides, each of a group checked to choose by name; null or false is the choice `none`.

    Raises:
        InputError: If a group is set to what is no name, which Hydra would answer with a traceback.
    """
    parser, checked = OverridesParser.create(), []
    for text in overrides:
        choices = choices_of(text.lstrip("+").partition("=")[0])
        try:
            override = parser.parse_override(text) if choices else None
        except OverrideParseException:  # left to Hydra
            override = None
        if override is None or override.is_delete():
            checked.append(text)
        elif (chosen := _chosen(text, override, choices)) is not None:
            checked.append(chosen)
    return checked


def in_our_words(error: Exception, overrides: Sequence[str], command: str = "train") -> Exception:
    """Return what is wrong with an override, without advice that does not help; another error as it is."""
    if isinstance(error, OverrideParseException):
        return _unquoted(error.override) or error
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    return unknown_key(error, overrides, command) if isinstance(error, ConfigCompositionException) else error


def _chosen(text: str, override: "Override", choices: list[str]) -> str | None:
    """Return the override of a group, None where it changes nothing."""
    values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
    if values in ([None], [False]) and "none" in choices:
        return f"{override.key_or_group}=none"
    if values == [None] and override.key_or_group in ("experiment", "debug"):
        return None  # as the default
    if not all(_is_name(value) for value in values):
        got = text.partition("=")[2]
        raise InputError(f"`{override.key_or_group}` must be one of {', '.join(choices)}, got {got}.")
    return text


def _is_name(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value))


def _unquoted(override: str) -> Exception | None:
    """Return an error that shows how to quote a value; None where quotes would not help."""
    key, equals, value = override.partition("=")
    if not equals or not value or value[0] in "\"'[{":
        return None
    quoted = shlex.quote(f'{key}="{value}"')
    rule = "be in quotes where it holds signs such as = ( { : or letters beyond ASCII"
    return InputError(f"`{key}` must {rule} ({quoted}), got {override}.")


def _unknown_choice(error: MissingConfigException) -> Exception:
    """Return an error that lists the choices of a group, where Hydra's would also list its search path."""
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    choices = [option for option in error.options or [] if not option.startswith("_")]
    rule = f"`{group}` must be one of {', '.join(choices)}, got {choice!r}"
    return InputError(f"{rule}{did_you_mean(choice, choices)}") if choices else error


def _flat(options: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _written(value: object) -> str:
    """Return a value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    if text.isidentifier() and text.lower() not in ("true", "false", "null", "nan", "inf"):
        return text
    escaped = text.replace('"', '\\"')
    return f'"{escaped}"'


def _name_run(cfg: DictConfig) -> None:
    """Give the run its name while Hydra's configuration tells which options were chosen."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(cfg)
    try:
        OmegaConf.select(cfg, "run.name")  # the resolver gives this configuration the same name from now on
    finally:
        hydra.cfg = before
