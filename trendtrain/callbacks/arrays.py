"""Arrays in checkpoints: a weights-only load takes tensors, and no numpy."""

from typing import Any

import numpy as np
import torch


def to_tensors(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with a tensor, a copy, in place of each array."""
    return {key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in state.items()}


def to_arrays(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state with an array in place of each tensor."""
    return {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in state.items()}
