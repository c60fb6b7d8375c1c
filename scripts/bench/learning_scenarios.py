"""Streams whose best possible predictor is known: features, delayed labels, events, and the Bayes filter's answer."""

import math
import os
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from trendtrain.importing import read_bars
from trendtrain.market import Bars, label_bars
from trendtrain.market.bars import BoolArray, FloatArray, IntArray

N_SUB_STEPS = 6
SIGMA = 1e-3
SPANS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FLIP_EVERY = 40_000
N_BARS_AN_EVENT = 14  # where no price makes the events


@dataclass(frozen=True, eq=False)
class Stream:
    """What a learner gets bar by bar, and what it is judged by.

    Attributes:
        features: What is known at the close of each bar, float32, shape (n_bars, F).
        label: 1 or 0, -1 where it never becomes known, shape (n_bars,).
        known_at: The bar at whose close the label is known, -1 for never.
        event: What judges the bar, ascending in the order of `known_at`; -1 for nothing.
        bars: What `trendtrain train` gets; a price that never moves where it is hidden.
        best: The exact chance of UP given what the model sees, or None.
        is_rare: Which bars show the rare pattern, or None.
    """

    features: FloatArray
    label: IntArray
    known_at: IntArray
    event: IntArray
    bars: Bars
    best: FloatArray | None = None
    is_rare: BoolArray | None = None

    @property
    def hides_price(self) -> bool:
        """Whether features are all there is to see."""
        return bool((self.bars.close == self.bars.close[0]).all())


def weak(n_bars: int, seed: int) -> Stream:
    return price_stream(n_bars, seed, drift=0.145)


def strong(n_bars: int, seed: int) -> Stream:
    return price_stream(n_bars, seed, drift=0.21)


def flips(n_bars: int, seed: int) -> Stream:
    """The strong market, its labels reversed in every second block; an event goes by its first bar."""
    stream = strong(n_bars, seed)
    events, first = np.unique(stream.event, return_index=True)
    is_reversed = (first[np.searchsorted(events, stream.event)] // FLIP_EVERY % 2 == 1) & (stream.label >= 0)
    label = np.where(is_reversed, 1 - stream.label, stream.label)
    assert stream.best is not None
    best = np.where(is_reversed, 1.0 - stream.best, stream.best)
    return replace(stream, label=label, best=best)


def random_walk(n_bars: int, seed: int) -> Stream:
    return price_stream(n_bars, seed, drift=0.0)


def imbalanced(n_bars: int, seed: int) -> Stream:
    return price_stream(n_bars, seed, drift=0.32, dwell=(1500.0, 120.0))


def slow_drift(n_bars: int, seed: int) -> Stream:
    """Two indicators tell the drift state, along a direction that turns by pi in 100,000 bars; the price is hidden."""
    random = np.random.default_rng(seed)
    state = two_states(n_bars, (300.0, 300.0), random)
    bars = drifting_bars(0.21 * state, random)
    angle = math.pi * np.arange(n_bars) / 100_000
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    seen = random.standard_normal((n_bars, 2)) + 0.25 * direction * state[:, None]
    best = bayes_filter(2.0 * 0.25 * (seen * direction).sum(axis=1), (300.0, 300.0))
    features = np.concatenate([averages(seen[:, i]) for i in range(2)], axis=1)
    return replace(labelled(bars, features, best), bars=still_bars(n_bars))


def nearly_clean(n_bars: int, seed: int) -> Stream:
    """A smooth random teacher with 2 % noise; where two flags disagree, 4 % of the time, it says the opposite."""
    random = np.random.default_rng(seed)
    x = np.stack([autoregression(random.standard_normal(n_bars), 0.9) for _ in range(6)], axis=1)
    hidden = np.tanh(x @ random.normal(0.0, 0.6, (6, 24)) + random.normal(0.0, 0.5, 24))
    score = hidden @ random.normal(0.0, 1.0, 24)
    is_rare = two_states(n_bars, (50.0, 1200.0), random) > 0
    first = two_states(n_bars, (200.0, 200.0), random)
    flags = np.stack([first, np.where(is_rare, -first, first)], axis=1)
    truth = (score > np.median(score)) ^ is_rare
    label = np.where(random.random(n_bars) < 0.02, ~truth, truth).astype(np.int64)
    event = np.arange(n_bars) // N_BARS_AN_EVENT
    known_at = (event + 3) * N_BARS_AN_EVENT
    is_known = known_at < n_bars
    best = np.where(truth, 0.98, 0.02)
    features = np.concatenate([x, flags], axis=1).astype(np.float32)
    none = np.where(is_known, 0, -1)
    return Stream(
        features,
        np.where(is_known, label, none),
        np.where(is_known, known_at, none),
        np.where(is_known, event, none),
        still_bars(n_bars),
        best,
        is_rare,
    )


SCENARIOS = {
    "weak": weak,
    "strong": strong,
    "flips": flips,
    "slow drift": slow_drift,
    "nearly clean": nearly_clean,
    "80/20": imbalanced,
    "random walk": random_walk,
}


@lru_cache(maxsize=2)
def stream_of(scenario: str, n_bars: int, seed: int, one_direction: bool = False) -> Stream:
    """Return a scenario's stream, or one of real bars.

    Args:
        scenario: One of SCENARIOS, or a file of bars in the folder that TRENDTRAIN_DATA names, without `.parquet`.
        n_bars: How many bars; of a file all.
        seed: Of the scenario.
        one_direction: Whether to part events whose bars disagree, as `nearly clean` has them: those of `train` do not.
    """
    if scenario in SCENARIOS:
        stream = SCENARIOS[scenario](n_bars, seed)
    else:
        bars = read_bars(Path(os.environ["TRENDTRAIN_DATA"]) / f"{scenario}.parquet")[1]
        stream = labelled(bars, np.zeros((len(bars), 0)), None)
    if not one_direction:
        return stream
    return replace(stream, event=np.where(stream.event >= 0, 2 * stream.event + (stream.label == 1), -1))


def price_stream(n_bars: int, seed: int, drift: float, dwell: tuple[float, float] = (300.0, 300.0)) -> Stream:
    """A price whose drift has two states, up and down, of given mean lengths in bars."""
    random = np.random.default_rng(seed)
    bars = drifting_bars(drift * two_states(n_bars, dwell, random), random)
    returns = np.diff(np.log(bars.close), prepend=np.log(bars.open[:1])) / SIGMA
    return labelled(bars, averages(returns), bayes_filter(2.0 * drift * returns, dwell))


def labelled(bars: Bars, features: FloatArray, best: FloatArray | None) -> Stream:
    """Label the bars by their trend lines; flat lines judge nothing."""
    labels = label_bars(bars)
    is_judged = (labels.direction == 0) | (labels.direction == 1)
    label, known_at, event = (
        np.where(is_judged, values, -1).astype(np.int64) for values in (labels.direction, labels.known_at, labels.event)
    )
    return Stream(features, label, known_at, event, bars, best)


def two_states(n_bars: int, dwell: tuple[float, float], random: np.random.Generator) -> FloatArray:
    """+1 and -1, for `dwell` bars on average (geometric), from a state in proportion."""
    uniform = random.random(n_bars)
    state = 1 if random.random() < dwell[0] / sum(dwell) else -1
    leave = {1: 1.0 / dwell[0], -1: 1.0 / dwell[1]}
    states = accumulate(uniform.tolist(), lambda s, u: -s if u < leave[s] else s, initial=state)
    return np.fromiter(states, np.float64)[1:]


def drifting_bars(drift: FloatArray, random: np.random.Generator) -> Bars:
    """Minute bars of a Gaussian walk with a drift in units of its volatility."""
    noise = random.standard_normal((len(drift), N_SUB_STEPS)) / math.sqrt(N_SUB_STEPS)
    steps = SIGMA * (noise + drift[:, None] / N_SUB_STEPS)
    path = np.exp(np.cumsum(steps).reshape(steps.shape))
    opens = np.concatenate([[1.0], path[:-1, -1]])
    seen = np.column_stack([opens, path])
    return minutes(opens, seen.max(axis=1), seen.min(axis=1), path[:, -1])


def still_bars(n_bars: int) -> Bars:
    """Minute bars that tell nothing."""
    return minutes(*np.ones((4, n_bars)))


def minutes(*prices: FloatArray) -> Bars:
    """Minute bars of given open, high, low and close."""
    length = np.timedelta64(60_000, "ms")
    times = np.datetime64("2020-01-01", "ms") + np.arange(len(prices[0])) * length
    return Bars(times, *prices, np.ones(len(times)), length)


def bayes_filter(log_odds_of_bar: FloatArray, dwell: tuple[float, float]) -> FloatArray:
    """The exact chance of the up state for the next bar, after each bar's evidence."""
    stay_up, come_up = 1.0 - 1.0 / dwell[0], 1.0 / dwell[1]
    prior = dwell[0] / sum(dwell)

    def observe(up: float, evidence: float) -> float:
        odds = up / (1.0 - up) * math.exp(evidence)
        up = odds / (1.0 + odds)
        return up * stay_up + (1.0 - up) * come_up

    return np.fromiter(accumulate(log_odds_of_bar.tolist(), observe, initial=prior), np.float64)[1:]


def averages(values: FloatArray) -> FloatArray:
    """Exponential averages over some spans, each in units of its own noise, float32, shape (n, len(SPANS))."""
    columns = [autoregression(values, 1.0 - 1.0 / span) for span in SPANS]
    return np.stack(columns, axis=1).astype(np.float32)


def autoregression(shocks: FloatArray, stay: float) -> FloatArray:
    """Return x_t = stay x_(t-1) + shock, scaled to the variance of the shocks."""
    sums = accumulate(shocks.tolist(), lambda x, shock: stay * x + shock)
    return np.fromiter(sums, np.float64, len(shocks)) * math.sqrt(1.0 - stay**2)
