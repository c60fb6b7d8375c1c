"""Arrays in checkpoints: a weights-only load accepts tensors, and no numpy."""

from typing import Any

import numpy as np
import torch


def to_tensors(state: Any) -> Any:
    """Return a state, nested dicts and lists, with a tensor, a copy, in place of each array."""
    if isinstance(state, dict):
        return {key: to_tensors(value) for key, value in state.items()}
    if isinstance(state, list):
        return [to_tensors(value) for value in state]
    return torch.tensor(state) if isinstance(state, np.ndarray) else state


def to_arrays(state: Any) -> Any:
    """Return a state, nested dicts and lists, with an array in place of each tensor."""
    if isinstance(state, dict):
        return {key: to_arrays(value) for key, value in state.items()}
    if isinstance(state, list):
        return [to_arrays(value) for value in state]
    return state.numpy() if isinstance(state, torch.Tensor) else state
