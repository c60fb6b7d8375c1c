from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.stream import FedBars, HeldBars, HistoryFeed, Walk

START = np.datetime64("2024-01-01", "ms")
MINUTE = np.timedelta64(1, "m").astype("timedelta64[ms]")


def bars_at(slots: list[int], timeframe: str = "1m") -> Bars:
    length = parse_timeframe(timeframe)
    price = np.ones(len(slots))
    return Bars(START + np.array(slots) * length, price, price, price, price, price, length)


def feed_of(walk: Walk, **parts: Bars) -> HistoryFeed:
    """Name series like `A_5m=bars`."""
    return HistoryFeed(HeldBars({Series(*name.split("_")): bars for name, bars in parts.items()}), walk)


def steps_of(feed: HistoryFeed) -> list[FedBars]:
    steps = []
    while not feed.is_done:
        steps.append(feed.next())
    return steps


def closes(fed: FedBars) -> list[int]:
    """Return the minutes after the start at which the bars of a step close."""
    times = [time for bars in fed.bars.values() for time in bars.close_time]
    return sorted(int((time - START) / MINUTE) for time in times)


@st.composite
def histories(draw: Callable[..., object]) -> tuple[dict[Series, Bars], Walk]:
    slots = st.lists(st.integers(0, 300), min_size=1, max_size=80, unique=True).map(sorted)
    bars = {
        Series("B", "5m"): bars_at(draw(slots), "5m"),
        Series("A", "15m"): bars_at(draw(slots), "15m"),
        Series("A", "5m"): bars_at([0, 400], "5m"),
    }
    start = draw(st.sampled_from([0.0, 0.1, 0.37, "2024-01-01", "2024-01-01T07:03"]))
    step = draw(st.sampled_from(["1bar", "7bars", "256bars", "20m", "6h", "1d", "1D"]))
    return bars, Walk(start=start, step=step)


@given(histories())
def test_every_bar_comes_once_and_in_order(history: tuple[dict[Series, Bars], Walk]) -> None:
    bars, walk = history
    feed = HistoryFeed(HeldBars(bars), walk)
    parts = [feed.begin(), *steps_of(feed)]
    for series, whole in bars.items():
        opens = [part.bars[series].open_time for part in parts if series in part.bars]
        assert np.concatenate(opens).tolist() == whole.open_time.tolist()


@given(histories())
def test_a_step_holds_the_bars_that_close_in_its_slot(history: tuple[dict[Series, Bars], Walk]) -> None:
    bars, walk = history
    feed = HistoryFeed(HeldBars(bars), walk)
    before = feed.begin()
    last = max(one.close_time[-1] for one in bars.values())
    while not feed.is_done:
        is_partial, fed = feed.is_next_partial, feed.next()
        end = feed.start + fed.slot * feed.length
        times = np.concatenate([one.close_time for one in fed.bars.values()])
        assert len(times)
        assert before.now < times.min() <= times.max() <= fed.now
        assert end - times.min() < feed.length
        assert fed.now == min(end, last)
        assert is_partial == fed.is_partial == (end > last)
        before = fed
    assert before.now == last


@given(histories(), st.integers(0, 400))
def test_a_feed_that_begins_later_goes_on_alike(history: tuple[dict[Series, Bars], Walk], skipped: int) -> None:
    bars, walk = history
    whole, resumed = (HistoryFeed(HeldBars(bars), walk) for _ in range(2))
    first = whole.begin()
    steps = steps_of(whole)
    skipped = min(skipped, len(steps))
    slot = steps[skipped - 1].slot if skipped else 0
    parts = [first, *steps[:skipped]]
    begun = resumed.begin(slot)
    assert sorted(t for part in parts for t in closes(part)) == closes(begun)
    assert begun.now == parts[-1].now
    assert [(one.slot, one.now, closes(one)) for one in steps_of(resumed)] == [
        (one.slot, one.now, closes(one)) for one in steps[skipped:]
    ]


@given(histories(), st.integers(1, 5))
def test_steps_limits_the_walk(history: tuple[dict[Series, Bars], Walk], steps: int) -> None:
    bars, walk = history
    whole = HistoryFeed(HeldBars(bars), walk)
    limited = HistoryFeed(HeldBars(bars), Walk(start=walk.start, step=walk.step, steps=steps))
    whole.begin(), limited.begin()
    assert limited.n_steps == min(steps, whole.n_steps)
    assert [closes(one) for one in steps_of(limited)] == [closes(one) for one in steps_of(whole)[:steps]]


@given(histories(), st.integers(0, 399))
def test_bars_that_come_later_change_no_full_slot(history: tuple[dict[Series, Bars], Walk], cut: int) -> None:
    bars, walk = history
    now = START + cut * 5 * MINUTE
    seen = {series: one[: int(np.searchsorted(one.close_time, now, side="right"))] for series, one in bars.items()}
    seen = {series: one for series, one in seen.items() if len(one)}
    whole = HistoryFeed(HeldBars(bars), walk)
    fixed = Walk(start=str(whole.start), step=f"{whole.length // MINUTE}m")
    try:
        before = HistoryFeed(HeldBars(seen), fixed)
    except InputError:
        return  # nothing after the start yet
    whole.begin(), before.begin()
    while not before.is_done and not before.is_next_partial:
        assert closes(before.next()) == closes(whole.next())


def test_steps_without_bars_are_skipped() -> None:
    feed = feed_of(Walk(start=0.0, step="2bars"), A_1m=bars_at([0, 1, 2, 51, 52]))
    feed.begin()
    assert [(one.slot, closes(one)) for one in steps_of(feed)] == [(1, [1, 2]), (2, [3]), (26, [52]), (27, [53])]


def test_a_step_reads_nothing_that_closes_after_it() -> None:
    asked: list[np.datetime64] = []

    class Watched(HeldBars):
        def load(self, series: Series, start: np.datetime64 | None, end: np.datetime64 | None) -> Bars:
            bars = super().load(series, start, end)
            if end is not None:
                asked.append(bars.close_time.max(initial=START))
            return bars

    series = {Series("A", "5m"): bars_at(list(range(50)), "5m"), Series("A", "1m"): bars_at(list(range(250)))}
    feed = HistoryFeed(Watched(series), Walk(start=0.2, step="7m"))
    now = feed.begin().now
    while True:
        assert max(asked) <= now
        if feed.is_done:
            break
        now = feed.next().now


def test_series_come_by_symbol_then_length_of_timeframe() -> None:
    parts = {f"{symbol}_{length}": bars_at([0, 1], length) for symbol in "BA" for length in ("1h", "15m", "5m")}
    names = ["_".join(series) for series in feed_of(Walk(start=0.0), **parts).series]
    assert names == ["A_5m", "A_15m", "A_1h", "B_5m", "B_15m", "B_1h"]


@given(st.lists(st.integers(0, 20), unique=True).map(sorted), st.integers(0, 21), st.integers(0, 21))
def test_held_bars_are_those_that_open_from_start_to_before_end(slots: list[int], start: int, end: int) -> None:
    held, limits = HeldBars({Series("A", "1m"): bars_at(slots)}), (START + start * MINUTE, START + end * MINUTE)
    bars = held.load(Series("A", "1m"), *limits)
    assert bars.open_time.tolist() == bars_at([one for one in slots if start <= one < end]).open_time.tolist()


def test_a_step_in_bars_counts_the_smallest_timeframe() -> None:
    feed = feed_of(
        Walk(start=0.0, step="6bars"), A_15m=bars_at(list(range(8)), "15m"), A_5m=bars_at(list(range(24)), "5m")
    )
    assert feed.n_steps == 4  # 2 hours in steps of 30 minutes


def test_a_fraction_starts_between_first_open_and_last_close() -> None:
    feed = feed_of(Walk(start=0.25), B_1m=bars_at(list(range(100))), A_1m=bars_at(list(range(300, 400))))
    assert feed.start == START + 100 * MINUTE  # of 400 minutes


def test_a_date_starts_there() -> None:
    feed = feed_of(Walk(start="2024-01-01T01:00"), A_1m=bars_at(list(range(100))))
    assert feed.begin().now == np.datetime64("2024-01-01T01:00")
    assert closes(feed.next())[0] == 61


def test_a_bar_that_closes_at_the_start_comes_before_the_walk() -> None:
    feed = feed_of(Walk(start="2024-01-01T00:10", step="5m"), A_1m=bars_at(list(range(20))))
    assert closes(feed.begin()) == list(range(1, 11))
    assert [closes(one) for one in steps_of(feed)] == [[11, 12, 13, 14, 15], [16, 17, 18, 19, 20]]
    assert feed.n_steps == 2


@pytest.mark.parametrize("start", ["2024-01-02", "2030-01-01"])
def test_a_start_that_leaves_nothing_is_refused(start: str) -> None:
    with pytest.raises(InputError, match=r"`walk.start` must leave bars to predict, got"):
        feed_of(Walk(start=start), A_1m=bars_at([0, 1, 2]))


@pytest.mark.parametrize("parts", [{}, {"A_1m": bars_at([])}])
def test_no_bars_are_refused(parts: dict[str, Bars]) -> None:
    with pytest.raises(InputError, match="`series` must hold bars of at least one series, got none"):
        feed_of(Walk(), **parts)
