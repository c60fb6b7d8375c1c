from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select

from trendtrain.errors import DamagedDataError
from trendtrain.market.bars import Bars, Series
from trendtrain.storage import BarStore
from trendtrain.storage.bars import blocks, compaction
from trendtrain.storage.bars.compaction import Compaction
from trendtrain.storage.schema import bar_blocks

MakeBars = Callable[..., Bars]
BTC = Series("BTCUSDT", "1m")


def sizes(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(select(bar_blocks.c.n_bars).order_by(bar_blocks.c.start_time)))


def write_sizes(store: BarStore, bars: Bars, lengths: list[int]) -> None:
    edges = np.cumsum([0, *lengths])
    for start, stop in pairwise(edges):
        store.write(*BTC, bars[start:stop])


def test_live_bars_become_one_block(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(20))
    write_sizes(store, bars, [1] * 20)
    assert store.compact() == [Compaction(BTC, 20, 1)]
    assert sizes(engine) == [20]


def test_a_block_with_no_room_stays(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    write_sizes(store, make_bars(range(4_300)), [4_096, 2, 200, 1, 1])
    assert store.compact() == [Compaction(BTC, 5, 2)]
    assert sizes(engine) == [4_096, 204]


@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=25), at_once=st.integers(9, 14))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bars_stay_and_neighbours_are_full(
    engine: Engine, make_bars: MakeBars, lengths: list[int], at_once: int
) -> None:
    store, bars = BarStore(engine), make_bars(range(sum(lengths)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BARS", 9)
        patch.setattr(compaction, "_AT_ONCE", at_once)
        with engine.begin() as connection:
            connection.execute(delete(bar_blocks))
        write_sizes(store, bars, lengths)
        store.compact()
        after = sizes(engine)
        assert all(one + other > 9 for one, other in pairwise(after))
        assert max(after) <= 9
        assert store.compact() == [Compaction(BTC, len(after), len(after))]
    loaded = store.load(*BTC)
    np.testing.assert_array_equal(loaded.open_time, bars.open_time)
    np.testing.assert_array_equal(loaded.close, bars.close)


def test_each_series_is_compacted_apart(engine: Engine, make_bars: MakeBars) -> None:
    store, bars = BarStore(engine), make_bars(range(2))
    for symbol in ("A", "B"):
        for at in range(2):
            store.write(symbol, "1m", bars[at : at + 1])
    assert [(done.series.symbol, done.before, done.after) for done in store.compact()] == [("A", 2, 1), ("B", 2, 1)]


def test_an_empty_database_has_nothing_to_compact(engine: Engine) -> None:
    assert BarStore(engine).compact() == []


def test_a_damaged_block_is_named_and_left(engine: Engine, make_bars: MakeBars) -> None:
    store = BarStore(engine)
    write_sizes(store, make_bars(range(3)), [1, 1, 1])
    with engine.begin() as connection:
        connection.execute(bar_blocks.update().values(checksum=0))
    with pytest.raises(DamagedDataError, match="The stored block of BTCUSDT 1m that starts at 2024-01-01T00:00:00"):
        store.compact()
    assert sizes(engine) == [1, 1, 1]
