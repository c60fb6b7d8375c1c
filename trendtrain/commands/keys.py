"""Refuse keys of a configuration that nothing reads."""

import difflib
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf

from trendtrain.errors import InputError

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


def unknown_key(error: Exception) -> Exception:
    """Return a hint at the nearest key where Hydra refuses a misspelt key, which it suggests to add instead."""
    found, known = re.search(r"Could not override '([\w.]+)'", str(error)), _known_keys()
    if found is None or found[1].rpartition(".")[0] not in ("", *_PARTS):
        return error
    return _unread(found[1], known, {})


def _unread(key: str, known: set[str], written: Mapping[str, Any]) -> InputError:
    return InputError(f"`{key}` must be a key that something reads, got {key}{_nearest(key, known, written)}")


def _known_keys() -> set[str]:
    """Return the keys that our files have, and those of the parts."""
    folder = files("trendtrain.configs")
    main: dict[str, Any] = OmegaConf.to_container(OmegaConf.create((folder / "train.yaml").read_text()))  # type: ignore[assignment]
    groups = {key.removeprefix("/") for one in main["defaults"] if isinstance(one, Mapping) for key in one}
    known = {*main, *groups, "hydra"}
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
    paths = [path for path in _paths(written) if not path.startswith((*_HYDRAS, key))]
    beside = [path for path in known if path.rpartition(".")[0] == part]
    for choices in (sorted(beside), paths):
        by_name = {path.rpartition(".")[2]: path for path in reversed(choices)}  # of several the first
        if near := difflib.get_close_matches(name, by_name, 1):
            return f"; did you mean {by_name[near[0]]}?"
    return "."


def _paths(config: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in config.items():
        yield f"{path}{name}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{path}{name}.")
