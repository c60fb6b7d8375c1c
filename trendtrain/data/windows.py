"""Batches of windows: which rows they hold, and their inputs."""

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset

from trendtrain.data.arena import Arena, Batch
from trendtrain.market.directions import UNKNOWN
from trendtrain.replay.sampler import Draw
from trendtrain.stream.stream import Stream


class WindowDataset(Dataset[Batch]):
    """Map a draw of B rows to a batch: `window` (B, T, F), `side` (B, S), `label`, `row` and `weight` (B,).

    With transitions it also holds `next_window` (B, T, F), `next_side` (B, S), both of the bar at whose close the label
    is known, and `gain` (B,), the log price change of the line that judges, in volatility units of the row.

    The label is UNKNOWN where a draw has none, as in the stream.

    Args:
        arena: Holds the inputs of rows.
        transitions: Whether batches hold what follows on a prediction.
    """

    def __init__(self, arena: Arena, transitions: bool = False) -> None:
        self.arena = arena
        self.transitions = transitions

    def __getitem__(self, draw: Draw) -> Batch:
        """Return the batch of a draw; each row must have window - 1 bars before it."""
        row = torch.from_numpy(np.ascontiguousarray(draw.row, dtype=np.int64))
        label = np.full(len(row), UNKNOWN) if draw.label is None else draw.label.astype(np.int64)
        weight = torch.from_numpy(draw.weight.astype(np.float32))
        batch = self.arena.gather(row) | {"label": torch.from_numpy(label), "row": row, "weight": weight}
        return batch | self._next_state(row, draw) if self.transitions else batch

    def _next_state(self, row: torch.Tensor, draw: Draw) -> Batch:
        assert draw.known_at is not None
        assert draw.change is not None
        following = self.arena.gather(torch.from_numpy(draw.known_at))
        gain = (torch.from_numpy(draw.change).to(self.arena.device) / self.arena.unit(row)).float()
        return {f"next_{name}": values for name, values in following.items()} | {"gain": gain}


class DrawsBetweenBars:
    """Draw until bars wait to be predicted: one batch at least, `max_batches` at most; it has no length.

    In the warm-up nothing is predicted yet, and all the batches of an epoch are drawn.
    """

    def __init__(self, stream: Stream, max_batches: int) -> None:
        self.stream = stream
        self.max_batches = max_batches

    def __iter__(self) -> Iterator[Draw]:
        stream = self.stream
        for n_drawn in range(stream.replay.n_batches if stream.warmup else self.max_batches):
            if n_drawn and not stream.warmup and stream.feed.has_bars:
                return
            yield stream.replay.draw()


class StreamBatches:
    """Yield the rows of the stream's step under way in batches of equal weight; it has no length.

    Args:
        stream: Whose rows.
        batch_size: Most rows of a batch.
        is_filled: Whether the last batch repeats its last row until it is as large as the others. The logits of a row
            depend in their last bit on how many rows a batch has (float32 sums in another order), but not on the other
            rows nor on its place; so a live prediction is the same whichever bars came with it.
    """

    def __init__(self, stream: Stream, batch_size: int, is_filled: bool = False) -> None:
        self.stream = stream
        self.batch_size = batch_size
        self.is_filled = is_filled

    def __iter__(self) -> Iterator[Draw]:
        rows = self.stream.open().row
        if self.is_filled and len(rows):
            rows = np.pad(rows, (0, -len(rows) % self.batch_size), "edge")
        for start in range(0, len(rows), self.batch_size):
            part = rows[start : start + self.batch_size]
            yield Draw(part, np.ones(len(part)))
