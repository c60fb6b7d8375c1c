"""Each pivot is delivered once, in order, to every subscriber, whatever the chunks and whoever fails."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from generated import MINUTE, START, pivot_options, some_bars
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import slow_pivots

from trendtrain.errors import InputError
from trendtrain.market import Bars, PivotEvent, PivotFeed, PivotRules, PivotTracker, Series, random_walk

SERIES = Series("A", "1m")
WALK = random_walk(300, seed=2)
ZIGZAG = (1, 5, 3, 7, 2, 6, 3, 9, 2, 8, 1)  # L1 highs at bars 1 3 5 7 9, of which 3 and 7 are L2


def at_prices(*prices: float) -> Bars:
    price = np.array(prices, dtype=np.float64)
    return Bars(START + np.arange(len(price)) * MINUTE, price, price, price, price, price, MINUTE)


def fed(bars: Bars, edges: list[int], options: Any = None) -> list[PivotEvent]:
    """Return what a subscriber gets where the bars come in chunks that end at `edges`."""
    feed, got = PivotFeed(SERIES, options and PivotRules(**options)), []
    feed.subscribe(got.append)
    for start, end in zip([0, *edges], [*edges, len(bars)], strict=True):
        feed.update(bars[start:end])
    return got


def test_events_tell_kind_level_times_price_and_prominence() -> None:
    first, *_, last = fed(at_prices(*ZIGZAG), [])
    assert first == PivotEvent("A", "1m", "L1H", 1, START + MINUTE, 5.0, 2.0, START + 3 * MINUTE)
    assert last == PivotEvent("A", "1m", "L2H", 2, START + 7 * MINUTE, 9.0, 1.0, START + 11 * MINUTE)


def test_times_are_in_milliseconds_and_numbers_plain() -> None:
    event = fed(at_prices(*ZIGZAG), [])[0]
    assert {event.time.dtype, event.known_at.dtype} == {np.dtype("datetime64[ms]")}
    assert (type(event.level), type(event.price), type(event.strength)) == (int, float, float)


def test_at_one_bar_levels_ascend_and_highs_precede_lows() -> None:
    bars = Bars(
        START + np.arange(7) * MINUTE,
        np.full(7, 10.0),
        np.array([11.0, 12, 11, 14, 11, 13, 11]),
        np.array([9.0, 8, 9, 6, 9, 7, 9]),
        *[np.full(7, 10.0)] * 2,
        MINUTE,
    )
    assert [event.kind for event in fed(bars, [])] == ["L1H", "L1L", "L1H", "L1L", "L1H", "L1L", "L2H", "L2L"]
    assert [event.kind for event in fed(bars, list(range(1, 7)))][-4:] == ["L1H", "L1L", "L2H", "L2L"]


@given(some_bars(), st.lists(st.floats(0.0, 1.0), max_size=8), pivot_options())
def test_chunks_of_any_size_deliver_the_same_events(bars: Bars, cuts: list[float], options: Any) -> None:
    edges = sorted(round(cut * len(bars)) for cut in cuts)
    assert fed(bars, edges, options) == fed(bars, [], options)


@given(some_bars(max_bars=50), pivot_options())
def test_bar_by_bar_an_event_comes_at_the_close_it_is_known_at(bars: Bars, options: Any) -> None:
    feed, got = PivotFeed(SERIES, PivotTracker(**options)), []
    for i in range(len(bars)):
        events = feed.update(bars[i : i + 1])
        assert {event.known_at for event in events} <= {bars.close_time[i]}
        got += events
    assert got == fed(bars, [], options)


@given(some_bars(), pivot_options())
@settings(max_examples=30)
def test_events_are_the_pivots_of_the_slow_reference(bars: Bars, options: Any) -> None:
    slow = sorted(slow_pivots(bars, **options), key=lambda pivot: (pivot.known_at, pivot.level, pivot.kind))
    expected = [
        (f"L{p.level}{'HL'[p.kind]}", bars.open_time[p.bar], p.price, p.prominence, bars.close_time[p.known_at])
        for p in slow
    ]
    assert [(e.kind, e.time, e.price, e.strength, e.known_at) for e in fed(bars, [], options)] == expected


def test_a_tracker_that_has_seen_earlier_bars_goes_on() -> None:
    tracker = PivotTracker()
    tracker.update(WALK[:100])
    later = PivotFeed(SERIES, tracker).update(WALK[100:])
    assert list(later) == [event for event in fed(WALK, []) if event.known_at > WALK.close_time[99]]


def test_every_subscriber_gets_every_event_until_it_leaves() -> None:
    feed, one, other = PivotFeed(SERIES), [], []
    unsubscribe = feed.subscribe(one.append)
    feed.subscribe(other.append)
    first = feed.update(WALK[:100])
    unsubscribe()
    unsubscribe()
    second = feed.update(WALK[100:])
    assert (tuple(one), tuple(other)) == (first, first + second)
    assert min(len(first), len(second)) > 20


def test_a_callback_subscribed_twice_leaves_once() -> None:
    feed, got = PivotFeed(SERIES), []
    feed.subscribe(got.append)
    feed.subscribe(got.append)()
    assert feed.update(WALK) == tuple(got)


def test_who_leaves_while_an_event_is_delivered_gets_no_later_one() -> None:
    feed, got = PivotFeed(SERIES), []

    def once(event: PivotEvent) -> None:
        got.append(event)
        unsubscribe()

    unsubscribe = feed.subscribe(once)
    assert feed.update(WALK)[:1] == tuple(got)


def failing(kind: type[Exception]) -> Callable[[PivotEvent], None]:
    def fail(event: PivotEvent) -> None:
        raise kind(event.kind)

    return fail


def test_a_subscriber_that_raises_loses_no_event_for_anyone() -> None:
    feed, before, after = PivotFeed(SERIES), [], []
    for callback in (before.append, failing(KeyError), failing(OSError), after.append):
        feed.subscribe(callback)
    with pytest.raises(ExceptionGroup, match="subscribers to pivots of A/1m failed") as raised:
        feed.update(WALK[:200])
    assert before == after == fed(WALK[:200], [])
    assert {type(error) for error in raised.value.exceptions} == {KeyError, OSError}
    assert len(raised.value.exceptions) == 2 * len(before)
    with pytest.raises(ExceptionGroup):
        feed.update(WALK[200:])
    assert before == after == fed(WALK, [])


def test_a_subscriber_cannot_feed() -> None:
    feed, errors = PivotFeed(SERIES), []

    def feed_more(event: PivotEvent) -> None:
        with pytest.raises(InputError, match="`update` must not be called by a subscriber") as error:
            feed.update(WALK[200:])
        errors.append(error)

    leave = feed.subscribe(feed_more)
    assert len(feed.update(WALK[:200])) == len(errors) > 0
    leave()
    assert len(feed.update(WALK[200:])) > 0


def test_history_holds_the_last_events() -> None:
    feed = PivotFeed(SERIES, history=5)
    everything = feed.update(WALK[:150]) + feed.update(WALK[150:])
    assert feed.history == everything[-5:]
    assert PivotFeed(SERIES, history=0).update(WALK) == everything


def test_an_event_is_in_the_history_when_it_is_delivered() -> None:
    feed, seen = PivotFeed(SERIES), []
    feed.subscribe(lambda event: seen.append(feed.history[-1] is event))
    feed.update(WALK)
    assert seen
    assert all(seen)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"series": ("A", "1m")}, r"`series` must be a Series of symbol and timeframe, got \('A', '1m'\)"),
        ({"series": Series("A", "minute")}, "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got 'minute'"),
        ({"history": -1}, "`history` must be an integer of at least 0, got -1"),
        ({"history": None}, "`history` must be an integer of at least 0, got None"),
        ({"tracker": (1, 1)}, r"`tracker` must be a PivotTracker or its PivotRules, got \(1, 1\)"),
    ],
)
def test_a_bad_argument_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PivotFeed(**{"series": SERIES, **arguments})


def test_a_callback_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(InputError, match="`callback` must be a function of an event, got 3"):
        PivotFeed(SERIES).subscribe(3)


def test_bars_of_another_timeframe_or_out_of_order_are_refused_and_change_nothing() -> None:
    feed = PivotFeed(SERIES)
    first = feed.update(WALK[:100])
    with pytest.raises(InputError, match="`bars` must have the series' timeframe 1m, got 300000 milliseconds"):
        feed.update(random_walk(10, seed=0, timeframe="5m"))
    with pytest.raises(InputError, match="`bars` must start after the last bar"):
        feed.update(WALK[99:])
    assert first + feed.update(WALK[100:]) == tuple(fed(WALK, []))
