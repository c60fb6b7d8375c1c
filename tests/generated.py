"""Hypothesis strategies: bars with ties, inside bars and missing slots; options; step sizes."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from trendtrain.market import Bars

MINUTE = np.timedelta64(1, "m")
START = np.datetime64("2024-01-01", "ms")


@st.composite
def some_bars(draw: st.DrawFn, min_bars: int = 0, max_bars: int = 240) -> Bars:
    """Return bars on a coarse grid of prices, as a walk or around one level.

    Hypothesis draws the length, a seed and the knobs: bars that it draws one by one come out too short and too alike
    to hold a trend line.
    """
    long = st.integers(max_bars // 2, max_bars)
    n_bars = draw(st.one_of(st.integers(min_bars, max_bars), long, long, long))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_levels, reach = draw(st.sampled_from([3, 1, 2, 6])), draw(st.sampled_from([1, 0, 2, 4]))
    move = random.integers(-n_levels, n_levels + 1, n_bars)
    middle = 200.0 + 0.5 * (np.cumsum(move) if draw(st.booleans()) else move)
    low, high = (
        middle - 0.5 * random.integers(0, reach + 1, n_bars),
        middle + 0.5 * random.integers(0, reach + 1, n_bars),
    )
    close = np.where(random.random(n_bars) < 0.5, middle, np.where(random.random(n_bars) < 0.5, low, high))
    is_hole = random.random(n_bars) < draw(st.sampled_from([0.0, 0.02, 0.1]))
    time = START + np.cumsum(1 + is_hole * random.integers(1, 6, n_bars)) * MINUTE
    volume = random.choice([1.0, 0.0, 5.0, np.nan], n_bars)
    return Bars(time, middle, high, low, close, volume, MINUTE)


def pivot_options(min_levels: int = 1) -> st.SearchStrategy[dict[str, Any]]:
    """Return every combination of options of `find_pivots`."""
    strengths = [(1, 1), (1, 1, 1), (2, 1), (1, 1), (1, 2), (2, 2), (1,), (3,)]
    return st.fixed_dictionaries(
        {
            "strength": st.sampled_from([s for s in strengths if len(s) >= min_levels]),
            "tie": st.sampled_from(["plateau", "strict"]),
            "inside": st.sampled_from(["keep", "skip"]),
            "max_gap": st.sampled_from([None, 3, 1, 0]),
        }
    )


@st.composite
def label_options(draw: st.DrawFn) -> dict[str, Any]:
    """Return every combination of options of `label_bars`."""
    return {**draw(pivot_options(min_levels=2)), "flat_band": draw(st.sampled_from([0.0, 0.0025, 0.01]))}


def with_hole(bars: Bars, at: int, n_missing: int) -> Bars:
    """Return the bars with at least `n_missing` more missing slots before bar `at`."""
    time = bars.open_time.copy()
    time[at:] += n_missing * bars.timeframe
    return Bars(time, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.timeframe)


def scaled(bars: Bars, until: int, factor: float) -> Bars:
    """Return the bars with the prices before bar `until` upside down around 200, times `factor`."""
    open_, high, low, close = (x.copy() for x in (bars.open, bars.high, bars.low, bars.close))
    mirror = factor * 40_000.0
    open_[:until], close[:until] = mirror / bars.open[:until], mirror / bars.close[:until]
    high[:until], low[:until] = mirror / bars.low[:until], mirror / bars.high[:until]
    return Bars(bars.open_time, open_, high, low, close, bars.volume, bars.timeframe)
