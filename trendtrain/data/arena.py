"""The arena: the inputs of all series up to now, laid out so that every window is one view; gathered by batch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from trendtrain.stream.inputs import Inputs
from trendtrain.stream.tape import BAR_BITS

Batch = dict[str, Tensor]

_LEVEL_CLIP = 8.0
_GROWTH = 1.5
_BAR = (1 << BAR_BITS) - 1


class Arena:
    """Keep the inputs of rows, and give their windows: `{"window": (B, T, F), "side": (B, S)}`.

    The first channels of a window are price levels against its last close, in volatility units: with j bars back,
    lev_j = (level_(t-j) - c_t) / (A_t sqrt(j + 2)), clipped at +-8; the others are the bars' features. Overlapping
    windows are one `as_strided` view each, gathered by `index_select`: no per-item work in Python.

    Each series has a stretch of consecutive places; one that is full moves to a longer one. With `max_bars` a stretch
    is a ring of max_bars + T places instead, in which the newest bars replace the oldest. Its first T - 1 places are
    there a second time behind its end, so that a window across the end is one view too.

    Args:
        window: T, bars a window.
        room: Bars of each series to make room for at once; what comes beyond them costs a copy now and then.
        max_bars: Newest bars of each series whose windows are kept; None for all.
    """

    def __init__(self, window: int, room: Sequence[int] = (), max_bars: int | None = None) -> None:
        self.window = window
        self._ring = None if max_bars is None else max_bars + window
        self._room = [self._places_for(n) for n in room]  # places of each series
        self._n_bars = [0] * len(self._room)
        self._columns: list[Tensor] = []  # channels (n, F), levels (n, L), unit (n, 1), side (n, S)
        self._device = torch.device("cpu")
        self._first = torch.zeros(1, dtype=torch.int64)  # place of each series' first bar
        self._scale = torch.zeros(0)  # of each level of a window, shape (T * L,): a last axis of L would be slow

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return self._columns[0].shape[1]

    @property
    def n_side(self) -> int:
        """S, the side inputs of a row, the timeframe among them; 0 for none."""
        return self._columns[3].shape[1]

    @property
    def n_bytes(self) -> int:
        """Bytes that `to` moves."""
        return sum(column.nbytes for column in self._columns)

    @property
    def device(self) -> torch.device:
        """Where windows are gathered."""
        return self._device

    def to(self, device: torch.device) -> None:
        """Move to a device, and gather there from now on."""
        self._device = device
        self._columns = [column.to(device) for column in self._columns]
        self._first, self._scale = self._first.to(device), self._scale.to(device)

    def append(self, series: int, inputs: Inputs) -> None:
        """Keep the inputs of the next bars of a series, given by its number."""
        n_levels = inputs.levels.shape[1]
        # Room for the levels before the features, so that these are gathered into their place.
        channels = np.pad(inputs.features, ((0, 0), (n_levels, 0)))
        new = [torch.from_numpy(part) for part in (channels, inputs.levels, inputs.unit[:, None], inputs.side)]
        self._make_room(series, len(inputs.unit), new)
        base, n_before = int(self._first[series]), self._n_bars[series]
        self._n_bars[series] += len(inputs.unit)
        for column, values in zip(self._columns, new, strict=True):
            if self._ring is None:
                column[base + n_before : base + self._n_bars[series]] = values
            else:
                self._put_around(column[base : base + self._room[series]], n_before, values)

    def gather(self, row: Tensor) -> Batch:
        """Return windows and side inputs of rows, each with window - 1 bars before it; `side` only if there is any."""
        channels, levels, unit, side = self._columns
        assert self._ring is None or self._has_windows(row)  # else a window would hold the newest bar as its oldest
        first = self._places(row.to(self._device, non_blocking=True) - (self.window - 1))
        at = first + (self.window - 1)
        n_levels = levels.shape[1]
        level = _all_windows(levels, self.window).index_select(0, first)  # (B, T * L)
        level.sub_(level[:, -n_levels].clone()[:, None])  # log prices of one magnitude cancel in float64 alone
        level = level.float()
        level.mul_((1.0 / unit.index_select(0, at)).float()).mul_(self._scale).clamp_(-_LEVEL_CLIP, _LEVEL_CLIP)
        window = _all_windows(channels, self.window).index_select(0, first).view(len(row), self.window, -1)
        window[:, :, :n_levels] = level.view(len(row), self.window, -1)
        batch = {"window": window}
        return batch | {"side": side.index_select(0, at)} if self.n_side else batch

    def unit(self, row: Tensor) -> Tensor:
        """Return the volatility unit of rows, shape (B,)."""
        return self._columns[2].index_select(0, self._places(row.to(self._device)))[:, 0]

    def _places(self, row: Tensor) -> Tensor:
        if self._ring is not None:
            return self._first[row >> BAR_BITS] + (row & _BAR) % self._ring
        if len(self._room) == 1:
            return row  # number 0, and its first bar in place 0
        return self._first[row >> BAR_BITS] + (row & _BAR)

    def _has_windows(self, row: Tensor) -> bool:
        assert self._ring is not None
        oldest = torch.tensor([max(n - self._ring, 0) for n in self._n_bars])[row.cpu() >> BAR_BITS]
        return bool(((row.cpu() & _BAR) - (self.window - 1) >= oldest).all())

    def _places_for(self, n_bars: int) -> int:
        return n_bars if self._ring is None else self._ring + self.window - 1

    def _put_around(self, ring: Tensor, n_before: int, values: Tensor) -> None:
        """Put the next rows of a series into its places, the newest over the oldest."""
        assert self._ring is not None
        n_left_out = max(len(values) - self._ring, 0)  # the ring would go round
        while n_left_out < len(values):
            start = (n_before + n_left_out) % self._ring
            part = values[n_left_out : n_left_out + self._ring - start]
            ring[start : start + len(part)] = part
            again = part[: max(self.window - 1 - start, 0)]
            ring[self._ring + start : self._ring + start + len(again)] = again
            n_left_out += len(part)

    def _make_room(self, series: int, n_new: int, like: Sequence[Tensor]) -> None:
        """Make room for further bars of a series; `like` shows what a row of each column is."""
        n_series = max(series + 1, len(self._room))
        self._room += [0] * (n_series - len(self._room))
        self._n_bars += [0] * (n_series - len(self._n_bars))
        needed = self._places_for(self._n_bars[series] + n_new)
        if self._columns and needed <= self._room[series] and len(self._first) == n_series:
            return
        if needed > self._room[series]:
            grown = int(_GROWTH * self._n_bars[series]) if self._ring is None else 0
            self._room[series] = max(needed, grown)
        old_first = self._first.tolist()
        self._first = torch.tensor(np.cumsum([0, *self._room[:-1]]), device=self._device)
        if not self._columns:
            back = torch.arange(self.window - 1, -1, -1, dtype=torch.float64)  # j, bars back
            self._scale = torch.rsqrt(back + 2.0).float().repeat_interleave(like[1].shape[1]).to(self._device)
        old = self._columns or [values[:0].to(self._device) for values in like]
        self._columns = [values.new_empty(sum(self._room), values.shape[1]) for values in old]
        for number, (start, n_bars) in enumerate(zip(old_first, self._n_bars, strict=False)):
            to, n_used = int(self._first[number]), self._places_for(n_bars) if n_bars else 0
            for column, values in zip(self._columns, old, strict=True):
                column[to : to + n_used] = values[start : start + n_used]


def _all_windows(values: Tensor, window: int) -> Tensor:
    """View (n, K) rows as all (n - T + 1, T * K) windows, without a copy."""
    n_rows, n_columns = values.shape
    return values.as_strided((n_rows - window + 1, window * n_columns), (n_columns, 1))
