"""Read rows and class probabilities from whatever a LightningModule's batches and outputs are."""

from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.validation.predictions import Predictions

_ROWS = 'whole numbers of shape (B,): a dict\'s "row", the last item of a tuple, or the batch itself'
_OUTPUTS = ("logits", "probabilities", "direction")


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
    """Return what a step said: a dict's `logits`, `probabilities` or `direction`, or a tensor itself.

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
    """Pair bars with what a model said of them.

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
    if row.shape != probability.shape[:1]:
        shapes = f"{tuple(row.shape)} and {probability.shape}"
        raise InputError(f"`key` must give one row a prediction, got shapes {shapes}.")
    return Predictions(row.numpy().astype(np.int64), probability)


class PassOutputs:
    """Keep what the batches of a pass said, copied and otherwise as it came; the pass is read as a whole."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._scores: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Any, scores: Any) -> None:
        """Keep a batch; the first is read at once, so that a mistake is told before the pass is over."""
        if not self._rows:
            to_predictions(rows, scores)
        self._rows.append(_copied(rows))
        self._scores.append(_copied(scores))
        if len(self._rows[-1]) != len(self._scores[-1]):
            shapes = f"{tuple(self._rows[-1].shape)} and {tuple(self._scores[-1].shape)}"
            raise InputError(f"`key` must give one row a prediction, got shapes {shapes}.")

    def predictions(self) -> Predictions:
        """Return all of them as one.

        Raises:
            InputError: If batches differ in form.
        """
        if not self._rows:
            return Predictions.join([])
        forms = sorted({f"{scores.dtype} of shape {('B', *scores.shape[1:])}" for scores in self._scores})
        if len(forms) > 1:
            raise InputError(f"`direction` must give one form in all batches, got {' and '.join(forms)}.")
        return to_predictions(torch.cat(self._rows), torch.cat(self._scores))


def _copied(values: Any) -> Tensor:
    return torch.as_tensor(values).detach().to("cpu", copy=True)


def _probability(scores: Tensor) -> Any:
    if scores.ndim == 1 and _is_whole(scores):
        return np.eye(max(2, int(scores.max()) + 1 if len(scores) else 2))[_checked_codes(scores.long().numpy())]
    if scores.ndim != 2 or scores.shape[1] not in (2, 3):
        rule = "logits or probabilities of shape (B, 2) or (B, 3), or whole class codes of shape (B,)"
        raise InputError(f"`direction` must give {rule}, got {scores.dtype} of shape {tuple(scores.shape)}.")
    near = 1e-2 if scores.element_size() <= 2 else 1e-3  # bfloat16 rounds each by up to 1/512
    scores = scores.float().double()
    if not torch.isfinite(scores).all():
        raise InputError("`direction` must give finite numbers, got NaN or infinity: the model may have diverged.")
    if bool((scores >= 0).all()):
        total = scores.sum(dim=1, keepdim=True)
        if bool(((total - 1.0).abs() <= near).all()):
            return (scores / total).numpy()
    return _softmax(scores.numpy())


def _softmax(scores: FloatArray) -> FloatArray:
    """Return probabilities, by columns: torch's and numpy's sums over two numbers a row take several times as long."""
    chance: FloatArray = np.exp(scores - reduce(np.maximum, scores.T)[:, None])
    chance /= reduce(np.add, chance.T)[:, None]
    return chance


def _checked_codes(codes: IntArray) -> IntArray:
    if len(codes) and not 0 <= codes.min() <= codes.max() <= 2:
        raise InputError(f"`direction` must give class codes from 0 to 2, got {codes.min()} to {codes.max()}.")
    return codes


def _is_whole(values: Tensor) -> bool:
    return not (values.is_floating_point() or values.is_complex())


def _shape_of(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return f"dict with {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)} items"
    return "nothing" if value is None else f"a {type(value).__name__}"
