"""Seeded synthetic markets: a random walk, and others with a known structure."""

from dataclasses import replace
from itertools import accumulate

import numpy as np

from trendtrain.errors import check_at_least, check_number
from trendtrain.market.bars import Bars, BoolArray, FloatArray
from trendtrain.market.timeframe import parse_timeframe

_N_SUB_STEPS = 6  # prices seen inside a bar; they make its high and low
_START = np.datetime64("2020-01-01", "ms")


def synthetic_market(
    n_bars: int,
    seed: int,
    timeframe: str = "5m",
    drift: float = 0.4,
    block: int = 24,
    tick: float = 0.01,
    missing: float = 0.01,
) -> Bars:
    """Return a market that leaves its average after low volume and returns to it after high volume.

    Blocks of bars have a low or a high volume, drawn by a fair coin. At the end of a block of low volume, the side of
    its 100-bar EMA on which the close lies is the direction in which the next block drifts; after a block of high
    volume, it is the other. So earlier prices alone say nothing about the next block, volume alone neither, and a
    regression on both, without their product, no more. docs/markets.md says how much both together say.

    Volatility has clusters, prices are rounded to ticks, and bars are missing.

    Args:
        n_bars: How many bars, the missing ones not counted.
        seed: The same seed gives the same bars.
        timeframe: Length of a bar, such as `5m`.
        drift: Mean return a bar, up or down, in units of the bar's volatility (about 0.001).
        block: Bars of equal drift and level of volume, the missing ones counted.
        tick: Smallest price step, around a price of 100: it makes ties.
        missing: Share of bars left out, in holes of 5 bars on average.

    Raises:
        InputError: If a number lies outside its range.
    """
    check_at_least("n_bars", n_bars, 1)
    check_at_least("block", block, 1)
    check_number("missing", missing, 0.0, 0.9)
    check_number("tick", tick, 0.0)
    random = np.random.default_rng(seed)
    is_there = _holes(n_bars, missing, random)
    n_blocks = -(-len(is_there) // block)
    is_there = np.pad(is_there, (0, n_blocks * block - len(is_there)))  # whole blocks
    leaves = _coins(n_blocks, random)
    volatility = 1e-3 * _volatility_clusters(len(is_there), random)
    noise = _sub_returns(np.zeros(len(is_there)), volatility, random)
    drifts = _drifts(noise.sum(axis=1), drift * volatility, leaves)
    bars = _bars(noise + drifts[:, None] / _N_SUB_STEPS, timeframe, random, tick=tick, is_there=is_there)
    return replace(bars, volume=bars.volume * np.exp(-np.repeat(leaves, block)[is_there]))


def random_walk(n_bars: int, seed: int, timeframe: str = "1m") -> Bars:
    """Return a driftless Gaussian walk in log price, 0.001 a bar: nothing about it can be predicted.

    Example:
        >>> len(random_walk(100, seed=0))
        100
    """
    check_at_least("n_bars", n_bars, 1)
    random = np.random.default_rng(seed)
    return _bars(_sub_returns(np.zeros(n_bars), np.full(n_bars, 1e-3), random), timeframe, random)


def planted_market(
    n_bars: int,
    seed: int,
    timeframe: str = "1m",
    drift: float = 0.21,
    dwell: float = 300.0,
) -> Bars:
    """Return a walk whose drift hides in two states; `bayes_filter` predicts it as well as anything can.

    Args:
        n_bars: How many bars.
        seed: The same seed gives the same bars.
        timeframe: Length of a bar, such as `5m`.
        drift: Mean return a bar, up in one state and down in the other, in units of the bar's volatility (0.001).
        dwell: Mean length of a state, in bars (geometric).
    """
    check_at_least("n_bars", n_bars, 1)
    check_number("dwell", dwell, 1.0)
    random = np.random.default_rng(seed)
    state = _two_states(n_bars, dwell, random)
    return _bars(_sub_returns(drift * state, np.full(n_bars, 1e-3), random), timeframe, random)


def flipping_market(
    n_bars: int,
    seed: int,
    timeframe: str = "1m",
    block: int = 30_000,
    drift: float = 0.21,
    dwell: float = 300.0,
    pull: float = 0.05,
) -> Bars:
    """Return trending blocks, as in a planted market, in turn with blocks that revert to their first price.

    A rule that is right in one kind is wrong in the other: the side of its 100-bar average on which the close lies
    predicts 69 % of lines in trending blocks and 41 % in reverting ones (40,000 bars of each, seed 0).

    Args:
        n_bars: How many bars.
        seed: The same seed gives the same bars.
        timeframe: Length of a bar, such as `5m`.
        block: Bars from one flip to the next; the first block trends.
        drift: Mean return a bar of a trend, in units of the bar's volatility (0.001).
        dwell: Mean length of a trend, in bars (geometric).
        pull: Mean share of the distance to a reverting block's first price by which the next bar comes closer.

    Raises:
        InputError: If a number lies outside its range.
    """
    check_at_least("n_bars", n_bars, 1)
    check_at_least("block", block, 1)
    check_number("dwell", dwell, 1.0)
    check_number("pull", pull, 0.0, 1.0)
    random = np.random.default_rng(seed)
    mean = drift * _two_states(n_bars, dwell, random)
    noise = _sub_returns(np.zeros(n_bars), np.full(n_bars, 1e-3), random)
    for start in range(block, n_bars, 2 * block):
        shocks = noise[start : start + block].sum(axis=1).tolist()
        path = accumulate(shocks, lambda distance, shock: (1.0 - pull) * distance + shock, initial=0.0)
        mean[start : start + block] = -pull * np.fromiter(path, np.float64)[:-1] / 1e-3
    return _bars(noise + 1e-3 * mean[:, None] / _N_SUB_STEPS, timeframe, random)


def foretold_market(
    n_bars: int, seed: int, timeframe: str = "1m", lag: int = 64, block: int = 16, drift: float = 0.4
) -> Bars:
    """Return a market whose volume shows the drift of the bar `lag` bars later: only a long window can use it.

    The drift is drawn anew every `block` bars, so that prices say little about later ones. A window much shorter than
    `lag` shows the drift of bars behind the lines that will judge; one longer than `lag` that of all their bars.

    Args:
        n_bars: How many bars.
        seed: The same seed gives the same bars.
        timeframe: Length of a bar, such as `5m`.
        lag: Bars from the volume to the drift that it shows.
        block: Bars of equal drift.
        drift: Mean return a bar, up or down, in units of the bar's volatility (0.001).

    Raises:
        InputError: If a number lies outside its range.
    """
    check_at_least("n_bars", n_bars, 1)
    check_at_least("lag", lag, 1)
    check_at_least("block", block, 1)
    random = np.random.default_rng(seed)
    n_blocks = (n_bars + lag) // block + 1
    sign = np.repeat(_coins(n_blocks, random), block)[: n_bars + lag]
    bars = _bars(_sub_returns(drift * sign[:n_bars], np.full(n_bars, 1e-3), random), timeframe, random)
    return replace(bars, volume=bars.volume * np.exp(sign[lag:]))


def random_signs(bars: Bars, seed: int) -> Bars:
    """Return the bars, each turned upside down with probability one half: no direction can be predicted any more.

    In logs, the moves from the close before to a bar's open, high, low and close all change their sign. Sizes, holes
    and volume stay, so that volatility clusters as before.

    Args:
        bars: Any bars.
        seed: The same seed gives the same signs.
    """
    sign = _coins(len(bars), np.random.default_rng(seed))
    before = np.concatenate([bars.open[:1], bars.close[:-1]])
    steps = [sign * np.log(getattr(bars, name) / before) for name in ("open", "high", "low", "close")]
    start = np.log(bars.open[0]) + np.concatenate([[0.0], np.cumsum(steps[3])[:-1]])
    opens, *reach, close = (np.exp(start + step) for step in steps)
    seen = np.stack([opens, *reach, close])
    return replace(bars, open=opens, high=seen.max(axis=0), low=seen.min(axis=0), close=close)


def bayes_filter(bars: Bars, drift: float = 0.21, dwell: float = 300.0) -> FloatArray:
    """Return the exact chance that a planted market will drift up over the next bar, at the close of each bar.

    Bars without holes only. The close-to-close return is sufficient for the state: r ~ N(+-drift s, s^2), s = 0.001.

    Returns:
        Shape (n_bars,), 0 to 1.
    """
    switch = 1.0 / dwell
    returns = np.diff(np.log(bars.close), prepend=np.log(bars.open[:1])) / 1e-3
    log_odds_of_bar = (2.0 * drift * returns).tolist()

    def observe(log_odds: float, evidence: float) -> float:
        up = 1.0 / (1.0 + np.exp(-(log_odds + evidence)))
        up = up * (1.0 - switch) + (1.0 - up) * switch
        return float(np.log(up / (1.0 - up)))

    log_odds = np.fromiter(accumulate(log_odds_of_bar, observe, initial=0.0), np.float64)[1:]
    return 1.0 / (1.0 + np.exp(-log_odds))


def _coins(n: int, random: np.random.Generator) -> FloatArray:
    """Return fair coins, 1 or -1, shape (n,)."""
    return np.where(random.integers(0, 2, n), 1.0, -1.0)


def _drifts(noise: FloatArray, size: FloatArray, leaves: FloatArray) -> FloatArray:
    """Return the drift of each bar: a block drifts away from the 100-bar EMA or to it, as the block before says.

    Args:
        noise: Log return of each bar without drift, shape (n_bars,).
        size: Size of each bar's drift, shape (n_bars,).
        leaves: 1 where the block after this one drifts away from the EMA, -1 where to it, shape (n_blocks,).
    """
    noise, drifts = noise.reshape(len(leaves), -1), size.reshape(len(leaves), -1).copy()
    keep = (1.0 - 2.0 / 101.0) ** np.arange(noise.shape[1], -1, -1.0)  # of an older close, at the end of the block
    price = average = 0.0
    sign = 1.0
    for i, leave in enumerate(leaves):
        drifts[i] *= sign
        closes = price + np.cumsum(noise[i] + drifts[i])
        price, average = closes[-1], keep[0] * average + 2.0 / 101.0 * keep[1:] @ closes
        sign = leave if price >= average else -leave
    return drifts.ravel()


def _two_states(n_bars: int, dwell: float, random: np.random.Generator) -> FloatArray:
    """Return a state, 1 or -1, that lasts `dwell` bars on average, shape (n_bars,)."""
    n_switches = np.cumsum(random.random(n_bars) < 1.0 / dwell)
    return np.where((int(random.integers(2)) + n_switches) % 2, 1.0, -1.0)


def _volatility_clusters(n_bars: int, random: np.random.Generator) -> FloatArray:
    """Return the exponential of a slow autoregression: about 1, in clusters of some hundred bars."""
    shocks = (0.08 * random.standard_normal(n_bars)).tolist()
    return np.exp(np.fromiter(accumulate(shocks, lambda level, shock: 0.99 * level + shock), np.float64, n_bars))


def _holes(n_bars: int, missing: float, random: np.random.Generator) -> BoolArray:
    """Return a mask over slots with `n_bars` of them there, the others in holes of 5 slots on average."""
    n_holes = random.binomial(n_bars, missing / (1.0 - missing) / 5.0)
    sizes = random.geometric(1.0 / 5.0, n_holes)
    after = np.sort(random.integers(1, max(2, n_bars), n_holes))
    position = np.arange(n_bars)
    position += np.concatenate([[0], np.cumsum(sizes)])[np.searchsorted(after, position, side="right")]
    is_there = np.zeros(position[-1] + 1, dtype=bool)
    is_there[position] = True
    return is_there


def _sub_returns(drift: FloatArray, volatility: FloatArray, random: np.random.Generator) -> FloatArray:
    """Return log returns inside bars, shape (n_bars, _N_SUB_STEPS), each row summing to N(drift v, v^2)."""
    noise = random.standard_normal((len(drift), _N_SUB_STEPS)) / np.sqrt(_N_SUB_STEPS)
    steps: FloatArray = volatility[:, None] * (noise + drift[:, None] / _N_SUB_STEPS)
    return steps


def _bars(
    sub_returns: FloatArray,
    timeframe: str,
    random: np.random.Generator,
    tick: float = 0.0,
    is_there: BoolArray | None = None,
) -> Bars:
    path = 100.0 * np.exp(np.cumsum(sub_returns).reshape(sub_returns.shape))
    if tick:
        path = np.maximum(np.round(path / tick), 1.0) * tick
    opens = np.concatenate([[100.0], path[:-1, -1]])
    seen = np.column_stack([opens, path])
    volume = np.round(random.lognormal(3.0, 0.5, len(path)) * (1.0 + np.abs(sub_returns).sum(axis=1) / 1e-3), 3)
    length = parse_timeframe(timeframe)
    times = _START + np.arange(len(path)) * length
    keep = slice(None) if is_there is None else is_there
    high, low, close = seen.max(axis=1), seen.min(axis=1), path[:, -1]
    return Bars(times[keep], opens[keep], high[keep], low[keep], close[keep], volume[keep], length)
