"""Read bar positions from batches, and class probabilities from what a LightningModule returns."""

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray
from trendtrain.market.codes import whole_numbers
from trendtrain.market.directions import FLAT
from trendtrain.validation.predictions import Predictions

_ROWS = 'whole numbers of shape (B,): a dict\'s "row", the last item of a tuple, or the batch itself'
_BLOCK = 8192  # rows
_OUTPUTS = ("logits", "probabilities", "direction")


class NotFiniteError(InputError):
    """A model gave NaN or infinity."""


def row_of(batch: Any) -> Any:
    """Return a batch's bar positions: a dict's `row`, the last item of a tuple or list, or a tensor itself.

    Example:
        >>> row_of((torch.ones(2, 5), torch.tensor([40, 41])))
        tensor([40, 41])
    """
    row = batch
    if isinstance(batch, dict):
        row = batch.get("row")
    elif isinstance(batch, list | tuple):
        row = batch[-1] if batch else None
    if not isinstance(row, Tensor) or row.ndim != 1 or not _is_whole(row):
        raise InputError(f"`key` must be given where a batch does not hold bars as {_ROWS}, got {_shape_of(batch)}.")
    return row


def scores_of(outputs: Any) -> Any:
    """Return the scores in a step's output: a dict's `logits`, `probabilities` or `direction`, or a tensor itself.

    Example:
        >>> scores_of({"loss": torch.tensor(0.7), "logits": torch.tensor([[0.5, 1.5]])})
        tensor([[0.5000, 1.5000]])
    """
    scores = outputs
    if isinstance(outputs, dict):
        scores = next((outputs[name] for name in _OUTPUTS if name in outputs), None)
    if not isinstance(scores, Tensor) or not scores.ndim:
        names = " or ".join(f'"{name}"' for name in _OUTPUTS)
        rule = f"`direction` must be given where a step returns no {names}, nor a tensor of one row a bar"
        raise InputError(f"{rule}, got {_shape_of(outputs)}.")
    return scores


def to_predictions(rows: Any, scores: Any) -> Predictions:
    """Return predictions from bar positions and a model's scores.

    Args:
        rows: Bar positions, whole numbers, shape (B,).
        scores: Logits or probabilities, shape (B, C) with C = 2 or 3; or class codes (DOWN 0, UP 1, FLAT 2), whole
            numbers, shape (B,), which count as certain.

    Raises:
        InputError: If the shapes are not these.
    """
    row = torch.as_tensor(rows).detach().cpu()
    if not _is_whole(row):
        raise InputError(f"`key` must give bar positions, whole numbers, got {row.dtype}.")
    probability = _probability(torch.as_tensor(scores).detach().cpu())
    _check_lengths(row, probability)
    return Predictions(row.numpy().astype(np.int64, copy=False), probability)


class OutputBuffer:
    """Collect the outputs of a pass, copied, unchanged, where they are; they are read as predictions all at once."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._scores: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Any, scores: Any) -> None:
        """Add a batch; the first is read at once, so that a mistake is reported before the pass is over."""
        if not self._rows:
            to_predictions(rows, scores)
        row, score = _copied(rows), _copied(scores)
        _check_lengths(row, score)
        self._rows.append(row)
        self._scores.append(score)

    def predictions(self) -> Predictions:
        """Return the predictions of all batches.

        Raises:
            InputError: If batches differ in form.
        """
        if not self._rows:
            return Predictions.join([])
        forms = {(scores.dtype, scores.shape[1:]) for scores in self._scores}
        if len(forms) > 1:
            got = " and ".join(sorted(f"{dtype} of shape {('B', *shape)}" for dtype, shape in forms))
            raise InputError(f"`direction` must give one form in all batches, got {got}.")
        return to_predictions(torch.cat(self._rows), torch.cat(self._scores))


def _check_lengths(row: Tensor, scores: Any) -> None:
    if row.shape != scores.shape[:1]:
        got = f"{tuple(row.shape)} and {tuple(scores.shape)}"
        raise InputError(f"`key` must give one row a prediction, got shapes {got}.")


def _copied(values: Any) -> Tensor:
    tensor = values if isinstance(values, Tensor) else torch.as_tensor(values)
    tensor = tensor.detach() if tensor.requires_grad else tensor
    return tensor.clone()  # where it is: a copy to the CPU would wait for the device in each batch


def _probability(scores: Tensor) -> Any:
    scores = scores.char() if scores.dtype == torch.bool else scores  # True is UP
    if scores.ndim == 1 and _is_whole(scores):
        codes = whole_numbers("direction", scores.numpy(), 0, FLAT, " as class codes (down 0, up 1, flat 2)")
        return np.eye(max(2, int(codes.max(initial=0)) + 1))[codes]
    if scores.ndim != 2 or scores.shape[1] not in (2, 3):
        rule = "logits or probabilities of shape (B, 2) or (B, 3), or whole class codes of shape (B,)"
        raise InputError(f"`direction` must give {rule}, got {scores.dtype} of shape {tuple(scores.shape)}.")
    near = 1e-2 if scores.element_size() <= 2 else 1e-3  # bfloat16 rounds each by up to 1/512
    values = scores.float().numpy()
    least, most = (values.min(), values.max()) if values.size else (0.0, 0.0)
    if not (np.isfinite(least) and np.isfinite(most)):
        raise NotFiniteError("`direction` must give finite numbers, got NaN or infinity: the model may have diverged.")
    if least >= 0:
        chance = values.astype(np.float64)
        total = chance.sum(axis=1, keepdims=True)
        if (np.abs(total - 1.0) <= near).all():
            return chance / total
    return _softmax(values)


def _softmax(scores: npt.NDArray[np.float32]) -> FloatArray:
    """Return probabilities, in blocks that stay in the processor's cache, by columns: sums of two are slow."""
    chance = np.empty(scores.shape)
    for start in range(0, len(scores), _BLOCK):
        part = scores[start : start + _BLOCK].T.astype(np.float64, order="C")  # (C, block)
        part -= reduce(np.maximum, part)
        np.exp(part, out=part)
        part /= reduce(np.add, part)
        chance[start : start + _BLOCK] = part.T
    return chance


def _is_whole(values: Tensor) -> bool:
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def _shape_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return f"dict with {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)} items"
    return "nothing" if value is None else f"a {type(value).__name__}"
