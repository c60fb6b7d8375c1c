"""Gather windows of features for whole batches of rows at once."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trendtrain.data.arena import Arena
from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray
from trendtrain.market.directions import UNKNOWN
from trendtrain.replay.sampler import Draw

_LEVEL_CLIP = 8.0

Batch = dict[str, Tensor]


class Windows:
    """Give the windows of rows, and their side inputs: `{"window": (B, T, F), "side": (B, S)}`.

    The first channels of a window are price levels against its last close, in volatility units: with j bars back,
    lev_j = (level_(t-j) - c_t) / (A_t sqrt(j + 2)), clipped at +-8; the others are the bars' features. Overlapping
    windows are one `as_strided` view each, gathered by `index_select`: no per-item work in Python.

    Args:
        arena: What is known of each row.
        window: T, bars a window.

    Raises:
        InputError: If there are fewer rows than a window has.
    """

    _ON_DEVICE = ("_channels", "_levels", "_close", "_per_unit", "_side", "_scale")

    def __init__(self, arena: Arena, window: int) -> None:
        if len(arena) < window:
            raise InputError(f"`window` must be at most the number of bars, got {window} for {len(arena)} bars.")
        self.window = window
        self._levels = torch.from_numpy(arena.levels)
        self._n_levels = arena.levels.shape[1]
        # (n_rows, F): room for the levels, so that features are gathered into their place
        self._channels = torch.from_numpy(np.pad(arena.features, ((0, 0), (self._n_levels, 0))))
        self._close = self._levels[:, :1].contiguous()
        self._per_unit = torch.from_numpy(1.0 / arena.unit).float()[:, None]
        self._side = torch.from_numpy(arena.side)
        back = torch.arange(window - 1, -1, -1, dtype=torch.float64)  # j, bars back
        scale = torch.rsqrt(back + 2.0).float()
        self._scale = scale.repeat_interleave(self._n_levels)  # (T * L,): a last axis of L would be slow

    def __len__(self) -> int:
        return len(self._side)

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return self._channels.shape[1]

    @property
    def n_side(self) -> int:
        """S, the side inputs of a row."""
        return self._side.shape[1]

    @property
    def n_bytes(self) -> int:
        """Bytes that `to` moves."""
        return sum(getattr(self, name).nbytes for name in self._ON_DEVICE)

    @property
    def device(self) -> torch.device:
        """Where windows are gathered."""
        return self._side.device

    def to(self, device: torch.device) -> None:
        """Move to a device, and gather there from now on."""
        for name in self._ON_DEVICE:
            setattr(self, name, getattr(self, name).to(device))

    def gather(self, row: Tensor) -> Batch:
        """Return windows and side inputs of rows, each with window - 1 rows before it; `side` only if there is any."""
        row = row.to(self.device, non_blocking=True)
        first = row - (self.window - 1)
        levels = _all_windows(self._levels, self.window).index_select(0, first)  # (B, T * L)
        levels.sub_(self._close.index_select(0, row))  # log prices of one magnitude cancel in float64 alone
        levels = levels.float()
        levels.mul_(self._per_unit.index_select(0, row)).mul_(self._scale).clamp_(-_LEVEL_CLIP, _LEVEL_CLIP)
        window = _all_windows(self._channels, self.window).index_select(0, first).view(len(row), self.window, -1)
        window[:, :, : self._n_levels] = levels.view(len(row), self.window, -1)
        batch = {"window": window}
        return batch | {"side": self._side.index_select(0, row)} if self.n_side else batch


class WindowDataset(Dataset[Batch]):
    """Map a draw of B rows to a batch: `window` (B, T, F), `side` (B, S), `label`, `row` and `weight` (B,).

    The label is UNKNOWN where a draw has none, as in the stream. With transitions it also holds what follows on a
    prediction: `next_window` (B, T, F), `next_side` (B, S) and `gain` (B,).

    Args:
        windows: Gives window and side inputs of a row.
        unit: The volatility unit of each row, shape (n_rows,), in which gains are told; None for no transitions.
    """

    def __init__(self, windows: Windows, unit: FloatArray | None = None) -> None:
        self.windows = windows
        self._unit = unit

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, draw: Draw) -> Batch:
        """Return the batch of a draw; each row must have window - 1 rows before it."""
        row = torch.from_numpy(np.ascontiguousarray(draw.row, dtype=np.int64))
        label = np.full(len(row), UNKNOWN) if draw.label is None else draw.label.astype(np.int64)
        weight = torch.from_numpy(draw.weight.astype(np.float32))
        batch = self.windows.gather(row) | {"label": torch.from_numpy(label), "row": row, "weight": weight}
        return batch if self._unit is None else batch | self._next_state(draw, self._unit)

    def _next_state(self, draw: Draw, unit: FloatArray) -> Batch:
        assert draw.known_at is not None
        assert draw.change is not None
        following = self.windows.gather(torch.from_numpy(draw.known_at))
        gain = torch.from_numpy((draw.change / unit[draw.row]).astype(np.float32))
        return {f"next_{name}": values for name, values in following.items()} | {"gain": gain}


def _all_windows(values: Tensor, window: int) -> Tensor:
    """View (n, K) rows as all (n - T + 1, T * K) windows, without a copy."""
    n_rows, n_columns = values.shape
    return values.as_strided((n_rows - window + 1, window * n_columns), (n_columns, 1))
