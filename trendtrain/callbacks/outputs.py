"""Read rows and class probabilities from whatever a LightningModule's batches and outputs are."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray
from trendtrain.validation.predictions import Predictions


def row_of(batch: Any) -> Any:
    """Return `batch["row"]`, the bar positions of our batches."""
    if not isinstance(batch, dict) or "row" not in batch:
        raise InputError(f'`key` must be given where a batch has no "row", got a batch of {_shape_of(batch)}.')
    return batch["row"]


def logits_of(outputs: Any) -> Any:
    """Return `outputs["logits"]`, what our modules' validation step returns."""
    if not isinstance(outputs, dict) or "logits" not in outputs:
        got = _shape_of(outputs)
        raise InputError(f'`direction` must be given where validation_step returns no "logits", got {got}.')
    return outputs["logits"]


def to_predictions(rows: Any, scores: Any) -> Predictions:
    """Pair bars with what a model said of them.

    Args:
        rows: Bar positions, shape (B,).
        scores: Logits or probabilities, shape (B, C) with C = 2 or 3; or class codes (DOWN 0, UP 1, FLAT 2), whole
            numbers, shape (B,), which count as certain.

    Raises:
        InputError: If the shapes are not these.
    """
    row = torch.as_tensor(rows).detach().cpu().numpy().astype(np.int64)
    probability = _probability(torch.as_tensor(scores).detach().cpu())
    if row.shape != probability.shape[:1]:
        raise InputError(f"`key` must give one row a prediction, got shapes {row.shape} and {probability.shape}.")
    return Predictions(row, probability)


def join(parts: list[Predictions]) -> Predictions:
    """Return the predictions of all batches as one; class codes may say FLAT in some batches only."""
    n_classes = max((part.probability.shape[1] for part in parts), default=2)
    missing = [((0, 0), (0, n_classes - part.probability.shape[1])) for part in parts]
    return Predictions.join(
        [Predictions(part.row, np.pad(part.probability, add)) for part, add in zip(parts, missing, strict=True)]
    )


def _probability(scores: Tensor) -> Any:
    if scores.ndim == 1 and not scores.is_floating_point():
        return np.eye(max(2, int(scores.max()) + 1 if len(scores) else 2))[_checked_codes(scores.numpy())]
    if scores.ndim != 2 or scores.shape[1] not in (2, 3):
        rule = "logits or probabilities of shape (B, 2) or (B, 3), or whole class codes of shape (B,)"
        raise InputError(f"`direction` must give {rule}, got {scores.dtype} of shape {tuple(scores.shape)}.")
    scores = scores.float().double()
    if not torch.isfinite(scores).all():
        raise InputError("`direction` must give finite numbers, got NaN or infinity: the model may have diverged.")
    is_probability = bool((scores >= 0).all() and torch.allclose(scores.sum(dim=1), torch.ones(()).double(), atol=1e-3))
    return (scores if is_probability else torch.softmax(scores, dim=1)).numpy()


def _checked_codes(codes: IntArray) -> IntArray:
    if len(codes) and not 0 <= codes.min() <= codes.max() <= 2:
        raise InputError(f"`direction` must give class codes from 0 to 2, got {codes.min()} to {codes.max()}.")
    return codes


def _shape_of(value: Any) -> str:
    if isinstance(value, dict):
        return f"dict with {', '.join(map(str, value))}"
    return type(value).__name__
