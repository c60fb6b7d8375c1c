"""Streams of judged events whose true accuracy is one half, and how many intervals hold it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, TimeArray
from trendtrain.validation.score import calendar_blocks, estimate

TRUTH = 0.5
_STREAMS_AT_ONCE = 100
_BARS_AN_EVENT = 12.0
_SHARPNESS = 3.0  # most events are all right or all wrong, as on real markets
_Z = 1.959964


@dataclass(frozen=True)
class Design:
    """How events depend on each other.

    Attributes:
        n_events: Events of each series: lines through highs and through lows in turn.
        n_series: How many series trade at the same time.
        memory: Correlation of what makes a prediction right from one event of a series to the next. 0.2 gives the
            autocorrelation of real event accuracies, 0.05 to 0.2 at lag one.
        together: The share of it that all series have in common.
    """

    n_events: int
    n_series: int = 1
    memory: float = 0.2
    together: float = 0.6


@dataclass(frozen=True, eq=False)
class Judged:
    """One stream: of each event when it was known, its series, and how many of its predictions came true."""

    known_time: TimeArray
    series: IntArray
    n_correct: IntArray
    n_predictions: IntArray


def streams(design: Design, n_streams: int, seed: int = 0) -> Iterator[Judged]:
    """Yield streams of a design."""
    random = np.random.default_rng(seed)
    for first in range(0, n_streams, _STREAMS_AT_ONCE):
        yield from _streams(design, min(_STREAMS_AT_ONCE, n_streams - first), random)


def _streams(design: Design, n_streams: int, random: np.random.Generator) -> Iterator[Judged]:
    """Draw streams side by side.

    All series share a market clock: its n-th slot, of exponential length, holds the n-th event of each. What makes the
    predictions of an event right is z = sqrt(together) f + sqrt(1 - together) g, f of the market and g of the series,
    each an AR(1) of variance 1; the predictions of the event are right with the chance 1 / (1 + exp(-3 z)).
    """
    shape = (design.n_events, n_streams, design.n_series)
    market = _autoregression(shape[:2], design.memory, random)[:, :, None]
    own = _autoregression(shape, design.memory, random)
    z = np.sqrt(design.together) * market + np.sqrt(1.0 - design.together) * own
    length = random.exponential(1.0, shape[:2])
    slot_end = np.cumsum(length, axis=0)
    time = slot_end[:, :, None] - length[:, :, None] * random.random(shape)
    n_predictions = random.geometric(1.0 / _BARS_AN_EVENT, shape)
    n_correct = random.binomial(n_predictions, 1.0 / (1.0 + np.exp(-_SHARPNESS * z)))
    series = np.tile(np.arange(design.n_series), design.n_events)
    hour = 3_600_000  # ms: what a slot lasts on average
    for i in range(n_streams):
        known_time = (time[:, i].ravel() * hour).astype(np.int64).astype("datetime64[ms]")
        yield Judged(known_time, series, n_correct[:, i].ravel(), n_predictions[:, i].ravel())


def _autoregression(shape: tuple[int, ...], memory: float, random: np.random.Generator) -> FloatArray:
    """Return AR(1) series of variance 1 along the first axis."""
    values = random.standard_normal(shape)
    values[1:] *= np.sqrt(1.0 - memory**2)
    for i in range(1, len(values)):
        values[i] += memory * values[i - 1]
    return values


def holds_truth(stream: Judged) -> tuple[bool, bool, bool]:
    """Say whether each 95 % interval holds the true accuracy.

    Returns:
        The event-block interval; that of independent events; that of independent predictions.
    """
    share = stream.n_correct / stream.n_predictions
    low, high = estimate(share, calendar_blocks(stream.known_time, stream.series)).ci95
    of_events = abs(share.mean() - TRUTH) <= _Z * share.std(ddof=1) / np.sqrt(len(share))
    n = stream.n_predictions.sum()
    accuracy = stream.n_correct.sum() / n
    of_predictions = abs(accuracy - TRUTH) <= _Z * np.sqrt(accuracy * (1.0 - accuracy) / n)
    return bool(low <= TRUTH <= high), bool(of_events), bool(of_predictions)


def coverage(design: Design, n_streams: int, seed: int = 0) -> tuple[float, float, float]:
    """Return the share of streams whose intervals hold the truth, in the order of `holds_truth`."""
    held = np.mean([holds_truth(stream) for stream in streams(design, n_streams, seed)], axis=0)
    return float(held[0]), float(held[1]), float(held[2])
