"""Gather windows of features for whole batches of rows at once."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.market.directions import UNKNOWN
from trendtrain.replay.sampler import Draw

_LEVEL_CLIP = 8.0

Batch = dict[str, Tensor]


class WindowDataset(Dataset[Batch]):
    """Map a draw of B rows to a batch `{"window": (B, T, F), "label": (B,), "row": (B,), "weight": (B,)}`.

    The first channels of a window are price levels against its last close, in volatility units: with j bars back,
    lev_j = (level_(t-j) - c_t) / (A_t sqrt(j + 2)), clipped at +-8; the others are the bars' features. Overlapping
    windows are one `as_strided` view each, gathered by `index_select`: no per-item work in Python.

    Args:
        features: Per-bar features, float, shape (n_rows, K).
        levels: Log prices, the first column the close, float64, shape (n_rows, L).
        unit: The volatility unit of each bar, shape (n_rows,).
        window: T, bars a window.
        label: Class of each row; None hides them all (the stream does not know them).

    Raises:
        InputError: If there are fewer rows than a window has.
    """

    def __init__(
        self, features: FloatArray, levels: FloatArray, unit: FloatArray, window: int, label: IntArray | None = None
    ) -> None:
        if len(features) < window:
            raise InputError(f"`window` must be at most the number of bars, got {window} for {len(features)} bars.")
        self.window = window
        self._features = _windows(torch.from_numpy(features.astype(np.float32)), window)
        self._levels = _windows(torch.from_numpy(levels), window)
        self._close = torch.from_numpy(levels[:, 0].copy())
        back = torch.arange(window - 1, -1, -1, dtype=torch.float64)  # j, bars back
        self._scale = torch.sqrt(back + 2.0)[None, :, None]  # (1, T, 1)
        self._unit = torch.from_numpy(unit)
        hidden = np.full(len(features), UNKNOWN)
        self._label = torch.from_numpy((hidden if label is None else label).astype(np.int64))

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return self._levels.shape[2] + self._features.shape[2]

    def __len__(self) -> int:
        return len(self._label)

    def __getitem__(self, draw: Draw) -> Batch:
        """Return the batch of a draw; each row must have window - 1 bars before it."""
        row = torch.from_numpy(np.ascontiguousarray(draw.row, dtype=np.int64))
        first = row - (self.window - 1)
        close, unit = self._close[row][:, None, None], self._unit[row][:, None, None]
        levels = (self._levels.index_select(0, first) - close) / (unit * self._scale)  # (B, T, L)
        parts = [levels.clamp_(-_LEVEL_CLIP, _LEVEL_CLIP).float(), self._features.index_select(0, first)]
        weight = torch.from_numpy(draw.weight.astype(np.float32))
        return {"window": torch.cat(parts, dim=2), "label": self._label[row], "row": row, "weight": weight}


def _windows(values: Tensor, window: int) -> Tensor:
    """View (n, K) rows as all (n - T + 1, T, K) windows, without a copy."""
    values = values.contiguous()
    n_rows, n_columns = values.shape
    return values.as_strided((n_rows - window + 1, window, n_columns), (n_columns, n_columns, 1))
