from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scripted import ScriptedSource
from streams import MAX_GAP, SERIES, predict, stream_of, verdict_table, walk_on

from trendtrain.data.sources import StoredBars
from trendtrain.errors import InputError
from trendtrain.live.feed import LiveFeed
from trendtrain.live.replay import ReplaySource
from trendtrain.live.source import Revision
from trendtrain.market import Bars, Series, synthetic_market
from trendtrain.storage import BarStore, open_database
from trendtrain.stream import FedBars, HeldBars, HistoryFeed, Walk

A, B = SERIES
SHORT = {name: bars[: 600 * 5 // (15 if name == B else 5) // 3] for name, bars in SERIES.items()}
MINUTE = np.timedelta64(60_000, "ms")


def cut(series: Mapping[Series, Bars], time: np.datetime64) -> tuple[dict[Series, Bars], dict[Series, Bars]]:
    """Bars that close by a time, and the later ones."""
    n = {name: int(np.searchsorted(bars.close_time, time, "right")) for name, bars in series.items()}
    return {name: bars[: n[name]] for name, bars in series.items()}, {
        name: bars[n[name] :] for name, bars in series.items()
    }


def steps_of(feed: Any) -> list[FedBars]:
    steps = []
    while (step := feed.next()) is not None:
        steps.append(step)
    return steps


def given(steps: list[FedBars]) -> dict[Series, list[np.datetime64]]:
    times: dict[Series, list[np.datetime64]] = {}
    for step in steps:
        for name, bars in step.bars.items():
            times.setdefault(name, []).extend(bars.open_time.tolist())
    return times


@pytest.fixture
def start() -> np.datetime64:
    return SHORT[A].close_time[60]


def live_feed(start: np.datetime64, delay: Mapping[Series, int] | None = None, **options: Any) -> LiveFeed:
    before, after = cut(SHORT, start)
    return LiveFeed(ScriptedSource.of(after, delay), HeldBars(before), Walk(str(start)), **options)


def test_each_closed_bar_is_a_step_and_bars_of_one_close_come_together(start: np.datetime64) -> None:
    feed = live_feed(start)
    begun = feed.begin()
    assert begun.now == feed.start == start
    assert {name: len(bars) for name, bars in begun.bars.items()} == {
        name: len(bars) for name, bars in cut(SHORT, start)[0].items()
    }
    steps = steps_of(feed)
    later = cut(SHORT, start)[1]
    assert [step.now for step in steps] == later[A].close_time.tolist()
    assert all(part.close_time[0] == step.now for step in steps for part in step.bars.values())
    assert given(steps) == {name: bars.open_time.tolist() for name, bars in later.items()}
    assert feed.is_done


@pytest.mark.parametrize("delay", [400, 3_000, 200_000, 1_000_000])
def test_bars_that_come_late_are_given_once_and_hold_nobody_up_for_longer_than_the_grace(
    delay: int, start: np.datetime64
) -> None:
    feed = live_feed(start, {B: delay}, grace=1.0)
    feed.begin()
    waits, steps = [], []
    while (step := feed.next()) is not None:
        steps.append(step)
        waits.append((feed.clock() - step.now) / np.timedelta64(1, "s") if A in step.bars else 0.0)
    later = cut(SHORT, start)[1]
    assert given(steps) == {name: bars.open_time.tolist() for name, bars in later.items()}
    assert max(waits) <= 1.0 + 1e-9  # it looks again when the grace ends
    if delay > 1_000:  # the series is waited for once, and then no more
        assert sum(wait > 0.3 for wait in waits) <= 1
    for before, step in pairwise(steps):
        assert step.now > before.now or (step.slot == before.slot and step.now == before.now and list(step.bars) == [B])


SECOND = np.timedelta64(1_000, "ms")


def bars_by_slot(feed: LiveFeed, steps: list[FedBars]) -> None:
    """Assert that each step brings the bars of its own slot, and that slots come in order of time."""
    assert all(before.now < step.now for before, step in pairwise(steps))
    for step in steps:
        assert all(
            ((step.now - feed.length < part.close_time) & (part.close_time <= step.now)).all()
            for part in step.bars.values()
        )


@pytest.mark.parametrize("is_stored", [True, False])
def test_missed_bars_of_a_series_that_connects_seconds_later_come_before_later_ones_of_others(
    start: np.datetime64, is_stored: bool
) -> None:
    stored, later = cut(SHORT, start)
    missed, rest = cut(later, now := start + 100 * MINUTE + 7 * SECOND)
    source = ScriptedSource(
        tuple(SHORT), [(now, {A: missed[A]}), (now + 3 * SECOND, {B: missed[B]}), *ScriptedSource.of(rest)._arrivals]
    )
    history = HeldBars(stored if is_stored else {**stored, B: SHORT[B][:0]})
    feed = LiveFeed(source, history, Walk(str(start)))
    n_seen = {A: len(stored[A]) - 3, B: len(stored[B]) - 1} if is_stored else {A: len(stored[A]) - 3}
    seen = feed.begin(-3, n_seen).bars
    bars_by_slot(feed, steps := steps_of(feed))
    bars_of = SHORT if is_stored else {A: SHORT[A], B: later[B]}
    assert given(steps) == {name: bars.open_time[len(seen.get(name, ())) :].tolist() for name, bars in bars_of.items()}


def test_a_start_in_the_past_waits_for_all_series_as_well(start: np.datetime64) -> None:
    now = start + 100 * MINUTE
    missed, rest = cut(SHORT, now)
    pages = {B: missed[B][:22]}, {B: missed[B][22:]}
    source = ScriptedSource(
        tuple(SHORT),
        [
            (now, {A: missed[A]}),
            (now + SECOND, pages[0]),
            (now + 3 * SECOND, pages[1]),
            *ScriptedSource.of(rest)._arrivals,
        ],
    )
    assert pages[0][B].close_time[-1] > start
    feed = LiveFeed(source, HeldBars({A: SHORT[A][:0], B: SHORT[B][:0]}), Walk(str(start)))
    assert given([feed.begin()]) == {name: bars.open_time.tolist() for name, bars in cut(SHORT, start)[0].items()}
    bars_by_slot(feed, steps_of(feed))


@pytest.mark.parametrize("n_absent", [0, 5])
def test_after_an_outage_of_all_series_missed_bars_come_in_order_of_time(start: np.datetime64, n_absent: int) -> None:
    stored, later = cut(SHORT, start)
    before, later = cut(later, start + 50 * MINUTE)
    missed, rest = cut(later, now := start + 150 * MINUTE + 7 * SECOND)
    source = ScriptedSource(
        tuple(SHORT),
        [
            *ScriptedSource.of(before, {B: 60_000 if n_absent else 0})._arrivals,  # a series may be left out by then
            (now, {A: missed[A]}),
            (now + 3 * SECOND, {B: missed[B][:2]}),
            (now + 20 * SECOND, {B: missed[B][2:]}),
            *ScriptedSource.of(rest)._arrivals,
        ],
    )
    feed = LiveFeed(source, HeldBars(stored), Walk(str(start)))
    feed.begin()
    steps = steps_of(feed)
    bars_by_slot(feed, [step for step in steps if step.now > start + 50 * MINUTE])
    assert given(steps) == {name: cut(SHORT, start)[1][name].open_time.tolist() for name in SHORT}


def test_a_series_that_stays_silent_holds_missed_bars_for_the_patience_once(start: np.datetime64) -> None:
    stored, later = cut(SHORT, start)
    missed, rest = cut(later, now := start + 100 * MINUTE)
    source = ScriptedSource(tuple(SHORT), [(now, {A: missed[A]}), *ScriptedSource.of({A: rest[A]})._arrivals])
    feed = LiveFeed(source, HeldBars(stored), Walk(str(start)), patience=30.0)
    feed.begin()
    waits = []
    while (step := feed.next()) is not None:
        waits.append((feed.clock() - max(step.now, now)) / SECOND)
    assert max(waits[:20]) == 30.0
    assert max(waits[20:]) == 0.0


def test_a_series_that_was_late_is_waited_for_again_after_three_bars_in_time(start: np.datetime64) -> None:
    before, later = cut(SHORT, start)
    slow = {B: later[B][:1]}, {B: later[B][1:]}
    arrivals = [*ScriptedSource.of({A: later[A]})._arrivals]
    arrivals += ScriptedSource.of(slow[0], {B: 500})._arrivals + ScriptedSource.of(slow[1], {B: 50})._arrivals
    source = ScriptedSource(tuple(SHORT), sorted(arrivals, key=lambda one: one[0]))
    feed = LiveFeed(source, HeldBars(before), Walk(str(start)))
    feed.begin()
    steps = [step for step in steps_of(feed) if B in step.bars]
    assert [A in step.bars for step in steps] == [False] * 4 + [True] * (len(steps) - 4)
    assert len(steps) > 10


def test_bars_of_one_close_that_come_within_milliseconds_are_stored_by_one_transaction(start: np.datetime64) -> None:
    engine = open_database("sqlite://")
    store, written = BarStore(engine), []
    transaction = store.transaction
    store.transaction = lambda *series: written.append(series) or transaction(*series)  # type: ignore[method-assign, func-returns-value]
    feed = live_feed(start, {B: 4}, store=store)
    feed.begin()
    steps = steps_of(feed)
    assert len(written) == len(steps)
    assert sum(len(one) == 2 for one in written) == sum(len(step.bars) == 2 for step in steps) > 10
    engine.dispose()


def test_a_step_of_late_bars_holds_no_more_than_the_newest_bars_that_are_kept(start: np.datetime64) -> None:
    before, later = cut(SHORT, start)
    last = later[A].close_time[-1]
    source = ScriptedSource(tuple(SHORT), [*ScriptedSource.of({A: later[A]})._arrivals, (last, {B: later[B]})])
    feed = LiveFeed(source, HeldBars(before), Walk(str(start)), max_bars=7)
    feed.begin()
    steps = steps_of(feed)
    assert given(steps)[B] == later[B].open_time.tolist()
    assert max(len(step.bars[B]) for step in steps if B in step.bars) == 7


def test_late_bars_are_predicted_and_judged_as_if_they_had_come_in_time(start: np.datetime64) -> None:
    walked = stream_of(HistoryFeed(HeldBars(SHORT), Walk(str(start), "5m")))
    late = stream_of(live_feed(start, {B: 90_000}))
    tables = []
    for stream in (walked, late):
        stream.begin()
        steps = []
        while not stream.is_done:
            rows = stream.open().row
            if not stream.is_done:
                steps.append(stream.close(predict(rows)))
        tables.append(sorted(line[:6] for line in verdict_table(steps)))
    assert tables[0] == tables[1]
    assert len(tables[0]) > 50


def test_bars_are_stored_before_the_stream_sees_them(start: np.datetime64) -> None:
    engine = open_database("sqlite://")
    store = BarStore(engine)
    feed = live_feed(start, store=store)
    feed.begin()
    while (step := feed.next()) is not None:
        for name, bars in step.bars.items():
            stored = store.load(*name, start=bars.open_time[0])
            np.testing.assert_array_equal(stored.close[: len(bars)], bars.close)
    engine.dispose()


def test_a_run_that_goes_on_has_the_bars_it_saw_and_a_later_one_their_corrections(start: np.datetime64) -> None:
    engine = open_database("sqlite://")
    store = BarStore(engine)
    history = StoredBars(store, {A: None})
    before, after = cut({A: SHORT[A]}, start)
    store.write(*A, before[A][:30])
    store.revise(*A, changed(before[A][7:8]), start - MINUTE)  # before the run: it has seen the correction
    store.write(*A, before[A][30:])

    def stream() -> Any:
        source = ScriptedSource.of({A: after[A][:40]})
        return stream_of(LiveFeed(source, history, Walk(str(start)), store))

    first = stream()
    first.begin()
    walk_on(first, 20)
    state, loaded_at = first.state_dict(), first.feed.loaded_at
    for bar in (before[A][50:51], after[A][3:4], before[A][7:8]):
        assert store.revise(*A, changed(bar, 1.01), start + 500 * MINUTE)
    again = stream()
    again.feed.loaded_at = start + 501 * MINUTE
    with pytest.raises(InputError, match="`data` must give the bars of the run that is resumed"):
        again.load_state_dict(state)
    again = stream()
    again.feed.loaded_at = loaded_at
    again.load_state_dict(state)
    assert len(walk_all(again)) == 20
    later = LiveFeed(
        ScriptedSource((A,), [(start + 600 * MINUTE, {A: after[A][40:41]})]), history, Walk(str(start)), store
    )
    assert later.begin().bars[A].close[50] == changed(before[A][50:51], 1.01).close[0]
    engine.dispose()


def test_a_correction_right_after_the_start_comes_after_what_was_loaded(start: np.datetime64) -> None:
    engine = open_database("sqlite://")
    store = BarStore(engine)
    before, after = cut({A: SHORT[A]}, start)
    store.write(*A, before[A])
    source = ScriptedSource.of({A: after[A][:30]})
    early = Revision(A, changed(before[A][-3:-2]), source.clock() - np.timedelta64(500, "ms"))  # its clock is behind
    found = [early]
    source.revisions = lambda: [found.pop()] if found else []  # type: ignore[method-assign]
    history = StoredBars(store, {A: None})
    first = stream_of(LiveFeed(source, history, Walk(str(start)), store))
    first.begin()
    walk_on(first, 20)
    assert [version.arrived > first.feed.loaded_at for version in store.versions(*A) if version.revision] == [True]
    again = stream_of(LiveFeed(ScriptedSource((A,), []), history, Walk(str(start)), store))
    again.feed.loaded_at = first.feed.loaded_at
    again.load_state_dict(first.state_dict())
    engine.dispose()


def changed(bar: Bars, by: float = 1.02) -> Bars:
    prices = {name: getattr(bar, name) * by for name in ("open", "high", "low", "close")}
    return Bars(bar.open_time, **prices, volume=bar.volume, timeframe=bar.timeframe)


def test_what_was_stored_when_a_run_stopped_comes_first_and_what_was_seen_does_not_come_again(
    start: np.datetime64,
) -> None:
    stop = start + 37 * 5 * MINUTE
    stored, rest = cut(SHORT, stop)
    source = ScriptedSource.of(rest)
    feed = LiveFeed(source, HeldBars(stored), Walk(str(start)))
    slot = 20
    seen, _ = cut(SHORT, start + slot * 5 * MINUTE)
    n_seen = {A: len(seen[A]), B: len(seen[B]) - 2}  # two bars of one series came late, after the checkpoint
    begun = feed.begin(slot, n_seen)
    assert {name: len(bars) for name, bars in begun.bars.items()} == n_seen
    steps = steps_of(feed)
    assert given(steps) == {name: SHORT[name].open_time[n:].tolist() for name, n in n_seen.items()}
    assert (steps[0].slot, steps[0].now, len(steps[0].bars[B])) == (slot, start + slot * 5 * MINUTE, 2)
    assert source.after == [{name: stored[name].open_time[-1] for name in SHORT}]


def test_a_series_that_is_silent_at_the_start_is_waited_for_with_patience(start: np.datetime64) -> None:
    _, after = cut({A: SHORT[A]}, start)
    source = ScriptedSource((A, B), list(ScriptedSource.of(after)._arrivals))
    feed = LiveFeed(
        source, HeldBars({A: SHORT[A][:0], B: SHORT[B][:0]}), Walk(str(after[A].close_time[3])), patience=600.0
    )
    begun = feed.begin()
    assert len(begun.bars[A]) == 4
    assert B not in begun.bars
    assert given(steps_of(feed)) == {A: after[A].open_time[4:].tolist()}


def test_history_is_fetched_first_where_none_is_stored(start: np.datetime64) -> None:
    source = ScriptedSource(tuple(SHORT), [(start + MINUTE, SHORT)])
    feed = LiveFeed(source, HeldBars({A: SHORT[A][:0], B: SHORT[B][:0]}), Walk(str(start)), warm=12)
    begun = feed.begin()
    assert [len(begun.bars[name]) for name in (A, B)] == [12, 12]
    assert all(bars.close_time[-1] <= start for bars in begun.bars.values())


def test_a_run_that_starts_live_starts_at_the_time_it_is() -> None:
    bars = synthetic_market(50, seed=0, timeframe="5m")
    now = bars.close_time[20] + np.timedelta64(93, "s")
    feed = LiveFeed(ScriptedSource((A,), [(now, {A: bars[:21]})]), HeldBars({A: bars[:0]}), Walk(0.25))
    assert feed.start == bars.close_time[20]
    assert len(feed.begin().bars[A]) == 21


def test_a_wait_ends_by_the_error_of_who_watches(start: np.datetime64) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    before, _ = cut(SHORT, start)
    feed = LiveFeed(ScriptedSource(tuple(SHORT), [], ends=False), HeldBars(before), Walk(str(start)), on_wait=stop)
    feed.begin(1)
    with pytest.raises(KeyboardInterrupt):
        feed.next()


def test_lockstep_needs_stored_bars(start: np.datetime64) -> None:
    with pytest.raises(InputError, match=r"`live.lockstep` must be false where bars are still to come .*, got true"):
        live_feed(start, lockstep=True)


@pytest.mark.parametrize("steps", [None, 3])
@pytest.mark.parametrize("walk", [Walk(0.3, "64bars"), Walk(0.5, "6h"), Walk(0.4, "7bars")])
def test_lockstep_gives_the_steps_of_history(walk: Walk, steps: int | None) -> None:
    walk = Walk(walk.start, walk.step, steps)
    history, live = (
        HistoryFeed(HeldBars(SHORT), walk),
        LiveFeed(ReplaySource(HeldBars(SHORT)), HeldBars({}), walk, lockstep=True),
    )
    assert (live.start, live.length) == (history.start, history.length)
    for slot in (0, 5):
        for feed in (history, live):
            feed.begin(slot)
        while not history.is_done:
            assert (live.is_done, live.is_next_partial) == (False, history.is_next_partial)
            ours, expected = live.next(), history.next()
            assert ours is not None
            assert (ours.slot, ours.now, ours.is_partial) == (expected.slot, expected.now, expected.is_partial)
            assert given([ours]) == given([expected])
        assert live.is_done


def test_a_resumed_replay_goes_on_where_it_was(start: np.datetime64) -> None:
    walk = Walk(str(start))
    feed = LiveFeed(ReplaySource(HeldBars(SHORT)), HeldBars({}), walk)
    feed.begin()
    steps = steps_of(feed)
    again = LiveFeed(ReplaySource(HeldBars(SHORT)), HeldBars({}), walk)
    again.begin(steps[9].slot)
    assert [(one.slot, one.now, given([one])) for one in steps_of(again)] == [
        (one.slot, one.now, given([one])) for one in steps[10:]
    ]


def test_a_stream_that_is_resumed_at_any_step_judges_the_same(start: np.datetime64) -> None:
    def stream() -> Any:
        return stream_of(LiveFeed(ReplaySource(HeldBars(SHORT)), HeldBars({}), Walk(str(start))))

    whole = stream()
    whole.begin()
    expected = verdict_table(walk_all(whole))
    first = stream()
    first.begin()
    steps = walk_on(first, 70)
    again = stream()
    again.load_state_dict(first.state_dict())
    assert verdict_table(steps + walk_all(again)) == expected


def walk_all(stream: Any) -> list[Any]:
    steps = []
    while not stream.is_done:
        rows = stream.open().row
        if not stream.is_done:
            steps.append(stream.close(predict(rows)))
    return steps


def test_bars_wait_only_where_a_step_is_complete_or_more_came() -> None:
    assert MAX_GAP == 5
    bars = synthetic_market(30, seed=0, timeframe="5m")
    source = ScriptedSource.of({A: bars[20:]})
    feed = LiveFeed(source, HeldBars({A: bars[:20]}), Walk(str(bars.close_time[19])))
    feed.begin(0, {A: 20})
    assert feed.has_bars  # the clock of the script stands at its first arrival
    feed.next()
    assert not feed.has_bars
