"""Streams that are predicted by a rule of the row alone, so that how they are cut changes no prediction."""

from functools import partial
from typing import Any

import numpy as np

from trendtrain.features import bar_features, skill_features
from trendtrain.market import Bars, Labels, Series, label_bars, synthetic_market
from trendtrain.replay import make_sampler, weigh
from trendtrain.stream import Feed, HeldBars, HistoryFeed, Stream, Tape, Walk, WalkStep
from trendtrain.stream.tape import BAR_BITS
from trendtrain.validation import Predictions

WINDOW = 12
MAX_GAP = 5
SERIES = {
    Series("A", "5m"): synthetic_market(900, seed=2, timeframe="5m"),
    Series("B", "15m"): synthetic_market(300, seed=1, timeframe="15m"),
}


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
