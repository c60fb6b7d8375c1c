"""Annotated trades as training examples: the window that ends at the entry, and the direction the trade took."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.store import find_bar, load_range
from trendtrain.data.arena import Arena, Batch
from trendtrain.errors import InputError, check_at_least
from trendtrain.features.bar import bar_features
from trendtrain.features.segmented import Features
from trendtrain.features.skill import skill_features
from trendtrain.market.bars import Bars, BoolArray, IntArray, Series, segments
from trendtrain.storage.bars.store import BarStore
from trendtrain.stream.inputs import InputTracker
from trendtrain.stream.tape import BAR_BITS

_MS = np.timedelta64(1, "ms")


class AnnotatedDataset(Dataset[Batch]):
    """Map the position of a closed trade to `{"window": (T, F), "side": (S,), "label": (), "row": (), "weight": ()}`.

    A plain `DataLoader` stacks them to the batches that all our models take. A window uses no bar after the one the
    trade was entered in, and features use all earlier bars of the series. The label of an example is known only when
    the trade is over: train on `Subset(dataset, np.flatnonzero(dataset.known(now)))`.

    Args:
        annotations: The trades, each on its own symbol and timeframe. One that is still open has no label that is
            known, and is left out.
        bar_store: Where their bars are.
        features: A function `Bars -> (n_bars, K)` of each bar and earlier ones, or a class of `FeatureTracker`.
        window: T, bars a window.
        max_gap: Most missing bars inside a window; None for any hole.
        side: Gives the side inputs of a series; None for none. As in `PivotDataModule`.

    Attributes:
        annotations: The trades that are closed; positions in the dataset are positions in here.
        n_open: How many were left out.
        n_features, n_side: F, the channels of a window, and S, its side inputs.
        known_at: Close time of the bar the trade was left in, `datetime64[ms]` UTC, shape (n_closed,).

    Raises:
        InputError: If no trade is closed, the database lacks the bar of an entry, or fewer bars than a window
            lead up to it.
    """

    def __init__(
        self,
        annotations: Sequence[Annotation],
        bar_store: BarStore,
        features: Features = bar_features,
        window: int = 96,
        max_gap: int | None = None,
        side: Features | None = skill_features,
    ) -> None:
        check_at_least("window", window, 2)
        closed = [annotation for annotation in annotations if not annotation.is_open]
        self.n_open = len(annotations) - len(closed)
        if not closed:
            got = f"{self.n_open} that are still open" if annotations else "none"
            raise InputError(f"`annotations` must hold at least one trade that is closed, got {got}.")
        annotations = closed
        series = _load_all(annotations, bar_store)
        bar = np.array([find_bar(series[_series_of(one)], one.entry_timestamp, one) for one in annotations])
        _check_lengths(annotations, series, bar, window, max_gap)
        number = {name: i for i, name in enumerate(series)}
        self.annotations = annotations
        self.known_at = np.array([_known_at(*pair, series) for pair in zip(annotations, bar, strict=True)])
        self._row = torch.tensor(bar + [number[_series_of(one)] << BAR_BITS for one in annotations])
        self._label = torch.tensor([annotation.direction for annotation in annotations])
        self._arena = Arena(window, [len(bars) for bars in series.values()])
        for name, bars in series.items():
            self._arena.append(number[name], InputTracker(features, side, max_gap).update(bars))
        self.n_features, self.n_side = self._arena.n_features, self._arena.n_side

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, position: int) -> Batch:
        """Return one example."""
        row, weight = self._row[[position]], torch.ones(1)
        batch = self._arena.gather(row) | {"row": row, "weight": weight, "label": self._label[[position]]}
        return {name: values[0] for name, values in batch.items()}

    def known(self, now: np.datetime64) -> BoolArray:
        """Return which labels are known at a time, shape (n_annotations,)."""
        return self.known_at <= now


def _series_of(annotation: Annotation) -> Series:
    return Series(annotation.symbol, annotation.timeframe)


def _load_all(annotations: Sequence[Annotation], bar_store: BarStore) -> dict[Series, Bars]:
    """Return the bars of each series up to its last entry: what follows must not matter."""
    trades = defaultdict(list)
    for annotation in annotations:
        trades[_series_of(annotation)].append(annotation)
    last = {name: max(group, key=lambda trade: trade.entry_timestamp) for name, group in sorted(trades.items())}
    return {
        name: load_range(bar_store, trade, name.timeframe, None, trade.entry_timestamp + _MS)
        for name, trade in last.items()
    }


def _known_at(annotation: Annotation, entry_bar: int, series: Mapping[Series, Bars]) -> np.datetime64:
    """Return the close of the slot a closed trade's exit lies in, from the entry's bar on: its own may be missing."""
    assert annotation.exit_timestamp is not None
    bars = series[_series_of(annotation)]
    opened: np.datetime64 = bars.open_time[entry_bar]
    n_slots = (annotation.exit_timestamp - opened) // bars.timeframe + 1
    return opened + n_slots * bars.timeframe


def _check_lengths(
    annotations: Sequence[Annotation],
    series: Mapping[Series, Bars],
    entry_bar: IntArray,
    window: int,
    max_gap: int | None,
) -> None:
    """Refuse trades with fewer bars than a window from the start of their segment to their entry."""
    numbers = {name: segments(bars.open_time, bars.timeframe, max_gap) for name, bars in series.items()}
    short = {}
    for annotation, bar in zip(annotations, entry_bar, strict=True):
        number = numbers[_series_of(annotation)]
        n_bars = bar - np.searchsorted(number, number[bar]) + 1
        if n_bars < window:
            short[annotation.annotation_id] = n_bars
    if short:
        first, n_bars = next(iter(short.items()))
        got = f"{n_bars} for {first!r} ({len(short)} of {len(annotations)} annotations have too few)"
        raise InputError(f"`window` must be at most the bars up to each entry, got {window} and {got}.")
