from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.data.arena import Arena
from trendtrain.features import bar_features, skill_features, volatility_unit
from trendtrain.market import Bars, synthetic_market
from trendtrain.stream.inputs import InputTracker
from trendtrain.stream.tape import BAR_BITS

BARS = synthetic_market(600, seed=2)
OTHER = synthetic_market(200, seed=3, timeframe="1h")
WINDOW = 24


def arena_of(*series: Bars) -> Arena:
    arena = Arena(WINDOW)
    for number, bars in enumerate(series):
        arena.append(number, InputTracker(bar_features, skill_features, None).update(bars))
    return arena


def slow_window(bars: Bars, bar: int) -> np.ndarray:
    """The documented formula, number by number."""
    features, unit = bar_features(bars), volatility_unit(bars)[bar]
    window = []
    for j in range(WINDOW - 1, -1, -1):
        levels = [bars.close[bar - j], bars.high[bar - j], bars.low[bar - j]]
        scaled = [(np.log(level) - np.log(bars.close[bar])) / (unit * np.sqrt(j + 2)) for level in levels]
        window.append([*(min(8.0, max(-8.0, value)) for value in scaled), *features[bar - j]])
    return np.array(window)


def test_windows_are_their_formula() -> None:
    bars = [WINDOW - 1, WINDOW, 100, 333, 598, 599]
    window = arena_of(BARS).gather(torch.tensor(bars))["window"]
    expected = np.stack([slow_window(BARS, bar) for bar in bars])
    np.testing.assert_allclose(window.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_levels_are_clipped() -> None:
    price = np.r_[np.ones(50), np.full(10, 1e6)]
    time = BARS.open_time[0] + np.arange(60) * BARS.timeframe
    bars = Bars(time, price, price, price, price, price, BARS.timeframe)
    levels = arena_of(bars).gather(torch.tensor([59]))["window"][0, :, :3]
    assert levels.min() == -8.0


@st.composite
def arrivals(draw: Callable[..., object]) -> list[tuple[int, int]]:
    """Chunks of two series, in any order: the series and the number of bars."""
    return draw(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 90)), min_size=1, max_size=12))


@given(arrivals(), st.sampled_from([(), (600, 200), (10, 3)]))
def test_inputs_that_come_in_any_chunks_give_the_same_windows(
    chunks: list[tuple[int, int]], room: tuple[int, ...]
) -> None:
    series = (BARS, OTHER)
    trackers = [InputTracker(bar_features, skill_features, None) for _ in series]
    arena, n_seen = Arena(WINDOW, room), [0, 0]
    for number, n_bars in chunks:
        part = series[number][n_seen[number] : n_seen[number] + n_bars]
        if len(part):
            arena.append(number, trackers[number].update(part))
            n_seen[number] += len(part)
    whole = arena_of(*series)
    rows = [(number << BAR_BITS) + bar for number in range(2) for bar in range(WINDOW - 1, n_seen[number])]
    if rows:
        ours, expected = arena.gather(torch.tensor(rows)), whole.gather(torch.tensor(rows))
        for name in ("window", "side"):
            torch.testing.assert_close(ours[name], expected[name], rtol=0, atol=0)
        torch.testing.assert_close(arena.unit(torch.tensor(rows)), whole.unit(torch.tensor(rows)), rtol=0, atol=0)


@given(arrivals(), st.integers(1, 120), st.sampled_from([(), (600, 200)]))
def test_a_ring_gives_the_windows_of_its_newest_bars(
    chunks: list[tuple[int, int]], max_bars: int, room: tuple[int, ...]
) -> None:
    series = (BARS, OTHER)
    trackers = [InputTracker(bar_features, skill_features, None) for _ in series]
    ring, whole, n_seen = Arena(WINDOW, room, max_bars), arena_of(*series), [0, 0]
    for number, n_bars in chunks:
        part = series[number][n_seen[number] : n_seen[number] + n_bars]
        if not len(part):
            continue
        ring.append(number, trackers[number].update(part))
        n_seen[number] += len(part)
        for one in {number for number in (0, 1) if n_seen[number]}:
            oldest = max(n_seen[one] - max_bars, WINDOW) - 1
            if oldest >= n_seen[one]:
                continue
            rows = torch.arange(oldest, n_seen[one]) + (one << BAR_BITS)
            ours, expected = ring.gather(rows), whole.gather(rows)
            for name in ("window", "side"):
                torch.testing.assert_close(ours[name], expected[name], rtol=0, atol=0)
            torch.testing.assert_close(ring.unit(rows), whole.unit(rows), rtol=0, atol=0)


def test_a_ring_refuses_a_window_whose_oldest_bar_was_replaced() -> None:
    ring = Arena(WINDOW, max_bars=50)
    ring.append(0, InputTracker(bar_features, skill_features, None).update(BARS[:300]))
    ring.gather(torch.tensor([300 - 50 - 1]))
    with pytest.raises(AssertionError):
        ring.gather(torch.tensor([299, 300 - 50 - 2]))


def test_a_ring_takes_as_much_room_after_many_bars_as_after_few() -> None:
    ring, tracker = Arena(WINDOW, max_bars=50), InputTracker(bar_features, skill_features, None)
    ring.append(0, tracker.update(BARS[:60]))
    before = ring.n_bytes
    for first in range(60, 600, 9):
        ring.append(0, tracker.update(BARS[first : first + 9]))
    assert ring.n_bytes == before


def test_room_made_beforehand_is_enough() -> None:
    arena = Arena(WINDOW, [len(BARS)])
    tracker = InputTracker(bar_features, None, None)
    arena.append(0, tracker.update(BARS[:10]))
    columns = list(arena._columns)
    arena.append(0, tracker.update(BARS[10:]))
    assert all(one is other for one, other in zip(columns, arena._columns, strict=True))


def test_a_window_does_not_depend_on_later_bars() -> None:
    rows = torch.tensor([100, 299])
    ours, whole = (arena_of(bars).gather(rows)["window"] for bars in (BARS[:300], BARS))
    torch.testing.assert_close(ours, whole, rtol=0, atol=0)


def test_a_window_does_not_depend_on_the_price_scale() -> None:
    prices = (7.0 * getattr(BARS, name) for name in ("open", "high", "low", "close"))
    scaled = Bars(BARS.open_time, *prices, BARS.volume, BARS.timeframe)
    rows = torch.tensor([100, 299])
    ours, other = (arena_of(bars).gather(rows)["window"] for bars in (scaled, BARS))
    torch.testing.assert_close(ours, other, rtol=0, atol=1e-5)


def test_handing_out_a_batch_changes_nothing() -> None:
    arena = arena_of(BARS)
    arena.gather(torch.tensor([100, 101]))["window"].zero_()
    window = arena.gather(torch.tensor([100]))["window"][0]
    np.testing.assert_allclose(window, slow_window(BARS, 100), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [None, skill_features])
def test_the_number_of_channels_is_told(side: object) -> None:
    inputs = InputTracker(bar_features, side, None).update(BARS)
    arena = Arena(WINDOW)
    arena.append(0, inputs)
    assert arena.n_features == inputs.n_features == 8
    assert arena.n_side == inputs.n_side == (0 if side is None else 24)
    assert ("side" in arena.gather(torch.tensor([50]))) == (side is not None)
