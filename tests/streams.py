"""Streams that are predicted by a rule of the row alone, so that how they are cut changes no prediction."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from trendtrain.features import bar_features, skill_features
from trendtrain.market import Bars, Labels, Series, label_bars, synthetic_market
from trendtrain.replay import make_sampler, weigh
from trendtrain.stream import FedBars, Feed, HeldBars, HistoryFeed, Stream, Tape, Walk, WalkStep
from trendtrain.stream.tape import BAR_BITS
from trendtrain.validation import Predictions

WINDOW = 12
MAX_GAP = 5
SERIES = {
    Series("A", "5m"): synthetic_market(900, seed=2, timeframe="5m"),
    Series("B", "15m"): synthetic_market(300, seed=1, timeframe="15m"),
}


class FakeFeed:
    """Give what it was given, step by step, and raise what is an exception.

    Args:
        begun: The bars before the walk.
        steps: The steps.
        series: The series; those of the bars before the walk if left out.
    """

    is_next_partial = False

    def __init__(
        self, begun: FedBars, steps: Sequence[FedBars | Exception], series: Sequence[Series] | None = None
    ) -> None:
        self.series = tuple(begun.bars if series is None else series)
        self._begun = begun
        self._left = list(steps)
        self.n_steps = len(steps)

    @classmethod
    def of(cls, walk: Walk, series: Mapping[Series, Bars] | None = None) -> "FakeFeed":
        """Return one that gives what a history gives."""
        feed = HistoryFeed(HeldBars(SERIES if series is None else series), walk)
        begun, steps = feed.begin(), []
        while not feed.is_done:
            steps.append(feed.next())
        return cls(begun, steps, feed.series)

    def with_steps(self, at: int, *steps: FedBars | Exception) -> "FakeFeed":
        """Return one that gives other steps before the one at a place."""
        return FakeFeed(self._begun, [*self._left[:at], *steps, *self._left[at:]], self.series)

    def begin(self, slot: int = 0, n_seen: Mapping[Series, int] | None = None) -> FedBars:
        return self._begun

    def next(self) -> FedBars:
        step = self._left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    @property
    def left(self) -> list[Any]:
        return list(self._left)

    @property
    def is_done(self) -> bool:
        return not self._left

    def n_bars(self, series: Series) -> int:
        return 0


def stream_of(feed: Feed, **options: Any) -> Stream:
    labeler = options.get("labeler", partial(label_bars, max_gap=MAX_GAP))
    features = options.get("features", bar_features)
    replay = make_sampler(batch_size=8, n_batches=1, weigh=weigh, seed=0)
    return Stream(
        feed,
        lambda number: Tape(number, labeler, features, skill_features, WINDOW, MAX_GAP),
        replay,
        options.get("keep_inputs", lambda number, inputs: None),
        n_classes=options.get("n_classes", 2),
    )


def begun(walk: Walk, series: dict[Series, Bars] | None = None, **options: Any) -> Stream:
    stream = stream_of(HistoryFeed(HeldBars(SERIES if series is None else series), walk), **options)
    stream.begin()
    return stream


def predict(rows: np.ndarray) -> Predictions:
    """Predict each row by its number alone."""
    up = (rows.astype(np.uint64) * np.uint64(2654435761) % np.uint64(1000)) / 1000.0
    return Predictions(rows, np.column_stack([1.0 - up, up]))


def walk_on(stream: Stream, n_steps: int | None = None) -> list[WalkStep]:
    """Walk so many steps, or to the end."""
    steps: list[WalkStep] = []
    while not stream.is_done and (n_steps is None or len(steps) < n_steps):
        steps.append(stream.close(predict(stream.open().row)))
    return steps


def verdict_table(steps: list[WalkStep]) -> list[tuple[Any, ...]]:
    """Return every verdict in order, with all that is known of it."""
    table = []
    for step in steps:
        verdicts = step.verdicts
        names = ("row", "truth", "outcome", "event", "known_at")
        columns = [getattr(verdicts, name).tolist() for name in names]
        columns += [verdicts.known_time.tolist(), verdicts.predictions.close_time.tolist()]
        columns += [verdicts.predictions.probability.tolist(), verdicts.predictions.baselines.tolist()]
        table += list(zip(*columns, strict=True))
    return table


def labels_of(series: dict[Series, Bars], max_gap: int | None = MAX_GAP, **options: Any) -> Labels:
    return Labels.stack({name: label_bars(bars, max_gap=max_gap, **options) for name, bars in series.items()})


def positions(series: dict[Series, Bars], rows: Any) -> np.ndarray:
    """Return where rows of the stream lie if all series, in the order of their numbers, follow one another."""
    rows = np.asarray(rows)
    offset = np.cumsum([0, *(len(bars) for bars in series.values())])
    return offset[rows >> BAR_BITS] + (rows & ((1 << BAR_BITS) - 1))
