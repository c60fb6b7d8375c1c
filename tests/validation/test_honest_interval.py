"""On random walks the 95 % interval of a rule without skill holds one half about 95 times in 100."""

import math

import numpy as np
import pytest

from trendtrain.market import Bars, label_bars, random_walk
from trendtrain.market.bars import IntArray
from trendtrain.stream.pass_judge import attach
from trendtrain.validation import Pending, Predictions, Scoreboard


def momentum(bars: Bars, n_bars: int = 30) -> IntArray:
    """Return the sign of the last returns: it changes every ten bars or so."""
    close = np.concatenate([np.full(n_bars, bars.close[0]), bars.close])
    return (close[n_bars:] > close[:-n_bars]).astype(np.int64)


def persistent_coin(bars: Bars, seed: int) -> IntArray:
    """Return a coin thrown anew every forty bars on average."""
    random = np.random.default_rng(seed + 10_000)
    throw = random.integers(0, 2, len(bars))
    is_thrown = random.random(len(bars)) < 1 / 40
    is_thrown[0] = True
    return throw[np.maximum.accumulate(np.where(is_thrown, np.arange(len(bars)), 0))]


def judged(bars: Bars, answers: IntArray) -> tuple[bool, float]:
    """Return whether the interval holds one half, and how many errors the accuracy is away from it."""
    labels, buffer = label_bars(bars), Pending()
    board = Scoreboard(labels.series, [])
    for start in range(0, len(bars), 5000):
        rows = np.arange(start, min(len(bars), start + 5000))
        buffer.add(attach(Predictions(rows, np.eye(2)[answers[rows]]), labels, {}))
        board.update(buffer.judge(labels.known_labels(int(rows[-1]))))
    scores = board.scores()
    low, high = scores["accuracy_ci95"]
    return low <= 0.5 <= high, (scores["event_accuracy"] - 0.5) / scores["accuracy_se"]


def answers_of(rule: str, bars: Bars, seed: int) -> IntArray:
    return momentum(bars) if rule == "momentum" else persistent_coin(bars, seed)


@pytest.mark.parametrize("rule", ["momentum", "coin"])
def test_seventeen_of_twenty_intervals_hold_one_half(rule: str) -> None:
    markets = [(seed, random_walk(20_000, seed)) for seed in range(20)]
    results = [judged(bars, answers_of(rule, bars, seed)) for seed, bars in markets]
    z = np.array([z for _, z in results])
    assert sum(holds for holds, _ in results) >= 17
    assert abs(z.mean()) < 0.7  # three standard errors of a mean of 20
    assert 0.6 < z.std(ddof=1) < 1.5


@pytest.mark.full
@pytest.mark.parametrize("rule", ["momentum", "coin"])
def test_of_four_hundred_intervals_about_95_percent_hold_one_half(rule: str) -> None:
    results = []
    for seed in range(1000, 1400):
        bars = random_walk(20_000, seed)
        results.append(judged(bars, answers_of(rule, bars, seed)))
    share = np.mean([holds for holds, _ in results])
    z = np.array([z for _, z in results])
    assert abs(share - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 400)
    assert abs(z.mean()) < 3 / math.sqrt(400)
    assert abs(z.std(ddof=1) - 1) < 0.15
