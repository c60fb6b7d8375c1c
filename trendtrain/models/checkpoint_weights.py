"""Load the weights of a net from a run's checkpoint; plain torch, without Lightning."""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trendtrain.errors import InputError

_COMPILED_PREFIX = "_orig_mod."
_PREFIX = "net."


def load_weights(net: nn.Module, path: str | Path, name: str = "path") -> None:
    """Load the weights of the same net from a checkpoint: those it predicted with, averaged if the run averaged them.

    Args:
        net: A net of the same shape as the checkpoint's.
        path: A checkpoint of `TrendModule` or `QModule`.
        name: Name of `path` in error messages.

    Raises:
        InputError: If there is no such checkpoint, or its net has another shape.
    """
    weights = _net_weights(path, name)
    names = {_plain_name(key): key for key in net.state_dict()}
    own = {name: net.state_dict()[key] for name, key in names.items()}
    for key in [*own, *weights]:
        here, there = (_shape(state.get(key)) for state in (own, weights))
        if here != there:
            rule = f"`{name}` must hold a net of the same shape"
            raise InputError(f"{rule}, got {there} for {key}, which is {here} here: {path}.")
    net.load_state_dict({names[name]: values for name, values in weights.items()})


def _net_weights(path: str | Path, name: str) -> dict[str, Tensor]:
    if not Path(path).is_file():
        raise InputError(f"`{name}` must be a checkpoint file, got {path}: there is none.")
    try:
        checkpoint: Any = torch.load(path, weights_only=True, map_location="cpu")
        state = checkpoint["state_dict"]
        plain = {_plain_name(key): values for key, values in state.items()}
        weights = {key.removeprefix(_PREFIX): values for key, values in plain.items() if key.startswith(_PREFIX)}
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"`{name}` must be a checkpoint of a run, got {path}.") from error
    if not weights:
        raise InputError(f"`{name}` must be a checkpoint of a module with a `net`, got {path}.")
    return weights


def _plain_name(key: str) -> str:
    """Return the name of a weight without what `torch.compile` puts before the names of the net that it wraps.

    Example:
        >>> _plain_name("net._orig_mod.head.weight")
        'net.head.weight'
    """
    return key.replace(_COMPILED_PREFIX, "")


def _shape(values: Tensor | None) -> str:
    return "missing" if values is None else f"{tuple(values.shape)}"
