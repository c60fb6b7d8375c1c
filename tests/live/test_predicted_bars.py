from collections.abc import Iterator

import numpy as np
import pytest
from streams import SERIES

from trendtrain.live import predicted_bars as module
from trendtrain.live.predicted_bars import PredictedBars
from trendtrain.market import Series
from trendtrain.storage import BarStore, open_database
from trendtrain.stream.feed import Feed, series_order

A, B = sorted(SERIES, key=series_order)
BARS = {A: SERIES[A][:60], B: SERIES[B][:20]}
START = BARS[A].close_time[19]
LENGTH = BARS[A].timeframe
MS = np.timedelta64(1, "ms")


@pytest.fixture
def store() -> Iterator[BarStore]:
    engine = open_database("sqlite://")
    store = BarStore(engine)
    for name, bars in BARS.items():
        store.write(*name, bars)
    yield store
    engine.dispose()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", 0.0)


class Predicted(dict[Series, int]):
    """When the newest predicted bar of each series opened."""

    def until(self, series: Series, bar: int) -> None:
        self[series] = int(BARS[series].open_time[bar].astype("datetime64[ms]").astype(np.int64))


def made(store: BarStore, predicted: Predicted, **options: object) -> PredictedBars:
    arguments = {"first": dict.fromkeys(BARS), "newest": lambda: predicted, "start": START, "length": LENGTH}
    return PredictedBars(store, **(arguments | options))  # type: ignore[arg-type]


def test_bars_come_once_they_are_predicted_and_each_once(store: BarStore) -> None:
    predicted = Predicted()
    feed: Feed = made(store, predicted)
    before = feed.begin()
    assert before.now == START
    assert len(before.bars[A]) == 20
    assert all((bars.close_time <= START).all() for bars in before.bars.values())
    assert not feed.has_bars
    n_seen = {name: len(bars) for name, bars in before.bars.items()}
    for until in (20, 25, 59):
        predicted.until(A, until)
        assert feed.has_bars
        fed = feed.next()
        assert fed is not None
        assert list(fed.bars) == [A]
        np.testing.assert_array_equal(fed.bars[A].close, BARS[A].close[n_seen[A] : until + 1])
        assert fed.now == BARS[A].close_time[until]
        n_seen[A] = until + 1
        assert not feed.has_bars
    predicted.until(B, len(BARS[B]) - 1)  # a series that is predicted late makes a further step of the newest slot
    late = feed.next()
    assert late is not None
    assert (list(late.bars), late.slot) == ([B], fed.slot)
    assert len(late.bars[B]) == len(BARS[B]) - n_seen[B]


def test_a_run_that_goes_on_has_what_it_had_seen(store: BarStore) -> None:
    predicted = Predicted()
    predicted.until(A, 39)
    feed = made(store, predicted)
    feed.begin()
    slot = feed.next().slot
    again = made(store, predicted)
    seen = again.begin(slot, {A: 40, B: 3})
    assert {name: len(bars) for name, bars in seen.bars.items()} == {A: 40, B: 3}
    assert not again.has_bars
    predicted.until(B, 9)
    np.testing.assert_array_equal(again.next().bars[B].close, BARS[B].close[3:10])


def test_a_backlog_comes_in_parts_and_no_earlier_bar_than_the_first(store: BarStore) -> None:
    predicted = Predicted()
    predicted.until(A, 59)
    feed = made(store, predicted, max_bars=15, first={A: BARS[A].open_time[5], B: None})
    assert len(feed.begin().bars[A]) == 15
    assert [len(feed.next().bars[A]) for _ in range(3)] == [15, 15, 10]


def test_a_correction_that_the_other_process_never_sees_is_not_seen_here(store: BarStore) -> None:
    loaded_at, bar = START + 10 * LENGTH, BARS[A][30:31]
    changed = module.Bars(bar.open_time, bar.open, 2 * bar.high, bar.low, 2 * bar.high, bar.volume, bar.timeframe)
    store.revise(*A, changed, loaded_at + MS)
    predicted = Predicted()
    predicted.until(A, 59)
    for as_of, close in ((loaded_at, bar.close[0]), (loaded_at + 2 * MS, changed.close[0])):
        feed = made(store, predicted, loaded_at=as_of)
        feed.begin()
        assert feed.next().bars[A].close[10] == close


def test_the_wait_can_be_ended(store: BarStore) -> None:
    def end() -> None:
        raise KeyboardInterrupt

    feed = made(store, Predicted(), on_wait=end)
    feed.begin()
    with pytest.raises(KeyboardInterrupt):
        feed.next()
