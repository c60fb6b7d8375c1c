"""Bars that were corrected: the stored bar is the correction, and what it was can be replayed in order of arrival."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select
from stored import assert_same, stored_rows

from trendtrain.market.bars import Bars
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.schema import bar_revisions

MakeBars = Callable[..., Bars]
NAME = ("BTCUSDT", "1m")
LATER, LATEST = np.datetime64("2024-01-02", "ms"), np.datetime64("2024-01-03", "ms")


def changed(bar: Bars, volume: float) -> Bars:
    return Bars(bar.open_time, bar.open, bar.high, bar.low, bar.close, np.array([volume]), bar.timeframe)


def n_versions(engine: Engine) -> int | None:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(bar_revisions))


def test_the_stored_bar_becomes_the_correction_and_the_original_stays(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(10))
    store.write(*NAME, bars)
    assert store.revise(*NAME, changed(bars[3:4], 7.0), LATER)
    assert store.revise(*NAME, changed(bars[3:4], 8.0), LATEST)
    stored = store.load(*NAME)
    assert stored.volume.tolist() == [1.0, 1.0, 1.0, 8.0, *[1.0] * 6]
    versions = store.versions(*NAME)
    assert [(one.revision, one.arrived, one.bar.volume[0]) for one in versions] == [
        (0, None, 1.0),
        (1, LATER, 7.0),
        (2, LATEST, 8.0),
    ]
    assert_same(versions[0].bar, bars[3:4])


@pytest.mark.parametrize("volume", [1.0, math.nan])
def test_an_equal_bar_is_no_correction(engine: Engine, make_bars: MakeBars, volume: float) -> None:
    store, bars = BarStore(engine), make_bars(range(10), volume=volume)
    store.write(*NAME, bars)
    before = stored_rows(engine)
    assert not store.revise(*NAME, bars[3:4], LATER)
    assert (stored_rows(engine), n_versions(engine)) == (before, 0)


def test_a_missing_volume_is_kept_as_such(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(3), volume=math.nan)
    store.write(*NAME, bars)
    assert store.revise(*NAME, changed(bars[1:2], 2.0), LATER)
    assert [math.isnan(one.bar.volume[0]) for one in store.versions(*NAME)] == [True, False]
    with engine.connect() as connection:
        assert set(connection.scalars(select(bar_revisions.c.volume))) == {None, 2.0}


def test_a_bar_that_comes_after_later_ones_has_no_first_version(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(10))
    store.write(*NAME, make_bars([0, 1, 2, 4, 5]))
    assert store.revise(*NAME, bars[3:4], LATER)
    assert [(one.revision, one.arrived) for one in store.versions(*NAME)] == [(1, LATER)]
    assert len(store.load(*NAME)) == 6


def test_bars_that_are_deleted_or_replaced_have_no_versions(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(10))
    store.write(*NAME, bars)
    for at in (3, 7):
        store.revise(*NAME, changed(bars[at : at + 1], 7.0), LATER)
    store.delete(*NAME, start=bars.open_time[5])
    assert n_versions(engine) == 2
    store.replace(*NAME, bars)
    assert n_versions(engine) == 0
    assert store.versions("ETHUSDT", "1m") == []


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 3)), max_size=12))
def test_the_order_of_arrival_can_be_replayed(corrections: list[tuple[int, int]]) -> None:
    engine = open_database("sqlite://")
    store = BarStore(engine)
    minutes = np.arange(6) * np.timedelta64(1, "m")
    price = np.ones(8)
    whole = Bars(np.datetime64("2024-01-01", "ms") + np.arange(8) * np.timedelta64(1, "m"), *[price] * 5, "1m")
    taken = Bars(whole.open_time[: len(minutes)], *[price[:6]] * 5, "1m")
    store.write(*NAME, taken)
    states = [store.load(*NAME)]
    for number, (at, volume) in enumerate(corrections):
        if store.revise(*NAME, changed(whole[at : at + 1], float(volume)), LATER + np.timedelta64(number, "s")):
            states.append(store.load(*NAME))
    versions = store.versions(*NAME)
    first = {version.bar.open_time[0]: version.bar for version in versions if version.revision == 0}
    come_late = {version.bar.open_time[0] for version in versions} - first.keys()
    stored = store.load(*NAME)
    bars = {
        time: first.get(time, stored[at : at + 1]) for at, time in enumerate(stored.open_time) if time not in come_late
    }
    replayed = [volumes(bars)]
    for version in versions:
        if version.revision:
            bars[version.bar.open_time[0]] = version.bar
            replayed.append(volumes(bars))
    assert replayed == [dict(zip(state.open_time, state.volume.tolist(), strict=True)) for state in states]
    engine.dispose()


def volumes(bars: dict[np.datetime64, Bars]) -> dict[np.datetime64, float]:
    return {time: float(bars[time].volume[0]) for time in sorted(bars)}
