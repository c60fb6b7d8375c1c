"""Refuse keys of a configuration that nothing reads, and name the key that was probably meant."""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from trendtrain.errors import InputError, did_you_mean
from trendtrain.parts import parameters

_PARTS: Final = ("data", "db", "run")  # whose keys are read one by one, and not given to a class that checks them
_HYDRAS: Final = ("defaults", "hydra")


def check_keys(config: DictConfig) -> None:
    """Raise if a key of the configuration, or of a part without a class, is neither ours nor referred to.

    Raises:
        InputError: Naming the first such key, and the nearest that is read.
    """
    written: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
    known, text = _known_keys(), str(written)
    given = [*written, *(f"{part}.{key}" for part in _PARTS for key in written.get(part) or {})]
    for key in given:
        if key not in known and not re.search(rf"\$\{{{re.escape(key)}[.}}\[]", text):
            raise _unread(key, known, written)


def unknown_key(error: Exception, overrides: Sequence[str], command: str = "train") -> Exception:
    """Return what to write where Hydra refuses a key, which it suggests to add: the nearest key, or the same with a +.

    Args:
        error: Hydra's.
        overrides: All of them: which keys there are depends on the options they choose.
        command: The configuration that they override: `train` or `live`.
    """
    if (key := refused_key(error)) is None:
        return error
    config = _chosen(overrides, command)
    if _is_taken(key, config):
        given = next((one for one in overrides if one.startswith(f"{key}=")), f"{key}=VALUE")
        return InputError(f"`{key}` must have a + before it, since the configuration has no such key yet: +{given}")
    return _unread(key, _known_keys(), OmegaConf.to_container(config, resolve=False))  # type: ignore[arg-type]


def refused_key(error: Exception) -> str | None:
    """Return the key that Hydra refuses because the configuration does not have it; None where it refuses another."""
    found = re.search(r"Could not override '([\w./]+)'", str(error))
    return None if found is None else found[1]


def with_plus(error: Exception, overrides: Sequence[str]) -> list[str] | None:
    """Return the overrides with a + before the key that Hydra refuses, None where no part takes that key."""
    key = refused_key(error)
    if key is None or not _is_taken(key, _chosen(overrides)):
        return None
    return [f"+{one}" if one.startswith(f"{key}=") else one for one in overrides]


def _chosen(overrides: Sequence[str], command: str = "train") -> DictConfig:
    """Return the configuration of the chosen options alone."""
    groups = tuple(f"{group}=" for group in (*defaults_of(main_configuration()), "feed"))
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        return compose(command, [one for one in overrides if one.startswith(groups)])


def _is_taken(key: str, config: DictConfig) -> bool:
    part, _, name = key.rpartition(".")
    node = OmegaConf.select(config, part) if part else None
    return isinstance(node, DictConfig) and name in (parameters(str(node.get("_target_"))) or ())


def defaults_of(main: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the groups of our main configuration, each with the option that it takes by default."""
    return {
        key: name
        for one in main["defaults"]
        if isinstance(one, Mapping)
        for key, name in one.items()
        if not key.startswith("override ")
    }


def choices_of(group: str) -> list[str]:
    """Return the options of a group of our configuration; none for a key that is no group."""
    folder = files("trendtrain.configs") / group
    if not group.isidentifier() or not folder.is_dir():
        return []
    names = (file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    return sorted(name for name in names if not name.startswith("_"))


def _unread(key: str, known: set[str], written: Mapping[str, Any]) -> InputError:
    return InputError(f"`{key}` must be a known key, got {key}{_nearest(key, known, written)}")


def main_configuration() -> dict[str, Any]:
    """Return our main configuration as its file has it."""
    text = (files("trendtrain.configs") / "train.yaml").read_text()
    return OmegaConf.to_container(OmegaConf.create(text))  # type: ignore[return-value]


def _known_keys() -> set[str]:
    """Return the keys that our files have, and those of the parts."""
    folder, main = files("trendtrain.configs"), main_configuration()
    groups = defaults_of(main)
    live: dict[str, Any] = OmegaConf.to_container(OmegaConf.create((folder / "live.yaml").read_text()))  # type: ignore[assignment]
    known = {*main, *groups, *live, *defaults_of(live), "hydra"}
    for part in _PARTS:
        found = [main.get(part) or {}]
        if part in groups:
            options = (file for file in (folder / part).iterdir() if file.name.endswith(".yaml"))
            found += [OmegaConf.to_container(OmegaConf.create(file.read_text())) for file in options]
        known |= {f"{part}.{key}" for one in found for key in one}
    return known


def _nearest(key: str, known: set[str], written: Mapping[str, Any]) -> str:
    """Return a hint at the key that was probably meant, in the same part if one is near there; or nothing."""
    part, _, name = key.rpartition(".")
    paths = [path for path in _paths(written) if not path.startswith(_HYDRAS) and path != key]
    beside = sorted({path for path in (*known, *paths) if path.rpartition(".")[0] == part})
    for choices in (beside, paths):
        by_name = {path.rpartition(".")[2]: path for path in reversed(choices)}  # of several the first
        if (hint := did_you_mean(name, by_name, by_name.get)) != ".":
            return hint
    return "."


def _paths(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        yield f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}{name}.")
