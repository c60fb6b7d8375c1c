"""What a feed or a user's function may do wrong: one clear error or a step like another, and nothing is lost."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import SERIES, FakeFeed, begun, predict, stream_of, verdict_table, walk_on

from trendtrain.errors import InputError
from trendtrain.market import Bars, Series, synthetic_market
from trendtrain.market.bars import join_bars
from trendtrain.stream import FedBars, HeldBars, HistoryFeed, Stream, Walk
from trendtrain.stream.tape import BAR_BITS

WALK = Walk("2020-01-01T20:00", "40bars")
A, B = SERIES
OTHER = Series("C", "5m")


@pytest.fixture(scope="module")
def whole() -> list[tuple[object, ...]]:
    return verdict_table(walk_on(begun(WALK)))


def begun_with(feed: FakeFeed, **options: object) -> Stream:
    stream = stream_of(feed, **options)
    stream.begin()
    return stream


def last_bars(before: FedBars) -> Bars:
    return before.bars[A][-1:]


def shifted(bars: Bars, minutes: int) -> Bars:
    return replace(bars, open_time=bars.open_time + np.timedelta64(minutes, "m"))


def of_15m(bars: Bars) -> Bars:
    return replace(bars[:1], timeframe=np.timedelta64(15, "m"))


# From the step before and the step itself: what the feed gives in place of it, and the error.
BAD: dict[str, tuple[Callable[[FedBars, FedBars], FedBars], str]] = {
    "repeated bars": (
        lambda before, step: step._replace(bars={A: before.bars[A]}),
        "`feed` must give each bar once, and in order, got .* after .* in A 5m",
    ),
    "the last bar again": (
        lambda before, step: step._replace(bars={B: step.bars[B], A: last_bars(before)}),
        "`feed` must give each bar once, and in order, got .* after .* in A 5m",
    ),
    "a bar before the last": (
        lambda before, step: step._replace(bars={A: shifted(last_bars(before), -5)}),
        "`feed` must give each bar once, and in order, got .* after .* in A 5m",
    ),
    "a bar within the last": (
        lambda before, step: step._replace(bars={A: shifted(last_bars(before), 4)}),
        "`feed` must give each bar once, and in order, got .* after .* in A 5m",
    ),
    "a bar of the future": (
        lambda before, step: step._replace(now=step.now - np.timedelta64(1, "ms")),
        "`feed` must give bars that have closed by .*, got one that closes at .* in [AB] ",
    ),
    "another timeframe": (
        lambda before, step: step._replace(bars={A: of_15m(step.bars[A])}),
        "`feed` must give bars of the timeframe of their series, got 15m in A 5m",
    ),
    "another series": (
        lambda before, step: step._replace(bars={**step.bars, OTHER: step.bars[A]}),
        r"`feed` must give bars of its series \(A 5m, B 15m\), got C 5m",
    ),
    "the step before": (
        lambda before, step: before,
        "`feed` must give each bar once, and in order, got .* after .* in [AB] ",
    ),
    "an earlier step": (
        lambda before, step: before._replace(now=before.now - np.timedelta64(1, "m"), bars={}),
        "`feed` must give a step that ends after .*, got .*",
    ),
    "another step of the same end": (
        lambda before, step: step._replace(now=before.now, bars={}),
        "`feed` must give a step that ends after .*, got .*",
    ),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("at", [1, 7])
def test_a_bad_step_is_refused_and_the_stream_goes_on_with_a_good_one(
    at: int, case: str, whole: list[tuple[object, ...]]
) -> None:
    make, message = BAD[case]
    feed = FakeFeed.of(WALK)
    before, step = feed.left[at - 1 : at + 1]
    stream = begun_with(feed.with_steps(at, make(before, step)))
    steps = walk_on(stream, at)
    state = stream.state_dict()
    with pytest.raises(InputError, match=message):
        stream.open()
    np.testing.assert_equal(stream.state_dict(), state)
    assert verdict_table(steps + walk_on(stream)) == whole


def test_a_feed_that_raises_may_be_asked_again(whole: list[tuple[object, ...]]) -> None:
    stream = begun_with(FakeFeed.of(WALK).with_steps(3, OSError("no line"), OSError("no line")))
    steps = walk_on(stream, 3)
    for _ in range(2):
        with pytest.raises(OSError, match="no line"):
            stream.open()
    assert verdict_table(steps + walk_on(stream)) == whole


@pytest.mark.parametrize("make", [dict, lambda: {A: SERIES[A][:0], B: SERIES[B][:0]}, lambda: {B: SERIES[B][:0]}])
@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_step_without_bars_is_one_without_rows(
    at: int, make: Callable[[], dict[Series, Bars]], whole: list[tuple[object, ...]]
) -> None:
    feed = FakeFeed.of(WALK)
    before = feed.left[at - 1] if at else feed.begin()
    empty = FedBars(0, before.now + np.timedelta64(1, "ms"), make())
    stream = begun_with(feed.with_steps(at, empty))
    steps = walk_on(stream, at)
    n_known = stream.replay.memory.n_known
    assert len(stream.open().row) == 0
    steps += walk_on(stream, 1)
    assert (len(steps[-1].predictions), len(steps[-1].verdicts)) == (0, 0)
    assert steps[-1].now == stream.now == empty.now
    assert stream.replay.memory.n_known == n_known
    assert verdict_table(steps + walk_on(stream)) == whole


def test_a_step_without_bars_leaves_predictions_of_three_classes_alone() -> None:
    feed = FakeFeed.of(WALK)
    stream = begun_with(feed.with_steps(2, FedBars(0, feed.left[1].now + np.timedelta64(1, "m"), {})), n_classes=3)
    while not stream.is_done:
        made = predict(stream.open().row)
        if len(made):
            made = replace(made, probability=np.pad(made.probability, ((0, 0), (0, 1))))
        stream.close(made)
    assert stream.core.buffer.pending.probability.shape[1] == 3


@given(n_steps=st.integers(0, 19))
@settings(max_examples=8)
def test_a_feed_that_ends_ends_the_stream(n_steps: int, whole: list[tuple[object, ...]]) -> None:
    feed = FakeFeed.of(WALK)
    stream = begun_with(FakeFeed(feed.begin(), feed.left[:n_steps], feed.series))
    table = verdict_table(walk_on(stream))
    assert stream.is_done
    assert (stream.step, len(stream.open().row)) == (min(n_steps, feed.n_steps), 0)
    assert table == whole[: len(table)]


@pytest.mark.parametrize("n_bars", [20, 150, 233])
def test_a_series_that_ends_leaves_the_others_alone(n_bars: int, whole: list[tuple[object, ...]]) -> None:
    stream = begun(WALK, {A: SERIES[A], B: SERIES[B][:n_bars]})
    steps = walk_on(stream)
    table = [line[:7] for line in verdict_table(steps)]  # the learned rule is one for all series
    assert [line for line in table if not line[0] >> BAR_BITS] == [
        line[:7] for line in whole if not line[0] >> BAR_BITS
    ]
    ended = [line for line in table if line[0] >> BAR_BITS]
    assert ended == [line[:7] for line in whole if line[0] >> BAR_BITS][: len(ended)]
    made = np.concatenate([step.predictions.row[step.predictions.series == 1] for step in steps])
    waiting = stream.core.buffer.pending.row
    assert sorted([line[0] for line in ended] + waiting[waiting >> BAR_BITS == 1].tolist()) == sorted(made.tolist())


class Features:
    """Features of bars, of which it gives one too few from some bar on."""

    n_good = 610

    def __init__(self) -> None:
        self.n_bars = 0

    def update(self, bars: Bars) -> np.ndarray:
        self.n_bars += len(bars)
        rows = np.log(bars.close)
        return rows[1:] if self.n_bars > self.n_good else rows

    def state_dict(self) -> dict[str, object]:
        return {}

    def load_state_dict(self, state: dict[str, object]) -> None:
        pass


def test_a_tracker_that_misses_a_row_is_an_error_and_a_run_mended_goes_on_alike(
    whole: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = stream_of(HistoryFeed(HeldBars(SERIES), WALK), features=Features)
    stream.begin()
    steps = walk_on(stream, 9)
    state, held = stream.state_dict(), stream.replay.memory.rows.tolist()
    with pytest.raises(InputError, match=r"`data.features` must give a finite row for each of 40 bars, .* \(39,\)"):
        stream.open()
    assert stream.replay.memory.rows.tolist() == held
    np.testing.assert_equal(stream.core.state_dict(), state["core"])
    monkeypatch.setattr(Features, "n_good", 10_000)
    mended = stream_of(HistoryFeed(HeldBars(SERIES), WALK), features=Features)
    mended.load_state_dict(state)
    assert verdict_table(steps + walk_on(mended)) == whole


def test_bars_under_the_name_of_another_timeframe_are_refused() -> None:
    with pytest.raises(InputError, match="`series` must give A 5m bars of its timeframe, got bars of 15m"):
        begun(WALK, {A: synthetic_market(600, seed=0, timeframe="15m")})


@pytest.mark.parametrize("n_late", [1, 2])
@pytest.mark.parametrize("is_same_slot", [False, True])
def test_bars_that_come_a_step_late_are_predicted_then_and_judged_as_ever(
    is_same_slot: bool, n_late: int, whole: list[tuple[object, ...]]
) -> None:
    feed = FakeFeed.of(WALK)
    steps = feed.left
    at = next(i for i, step in enumerate(steps) if step.bars[B].close_time[-1] == step.now)
    early, late = steps[at].bars[B][:-n_late], steps[at].bars[B][-n_late:]
    steps[at] = steps[at]._replace(bars={**steps[at].bars, B: early})
    if is_same_slot:  # a further step of the slot, as live feeds give it
        steps.insert(at + 1, steps[at]._replace(bars={B: late}))
    else:
        both = join_bars(late, steps[at + 1].bars[B])
        steps[at + 1] = steps[at + 1]._replace(bars={**steps[at + 1].bars, B: both})
    stream = begun_with(FakeFeed(feed.begin(), steps, feed.series))
    table = [line[:5] for line in verdict_table(walk_on(stream))]
    assert sorted(table) == sorted(line[:5] for line in whole)
