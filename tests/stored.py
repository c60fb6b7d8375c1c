"""What tests of stored bars share."""

import numpy as np
from sqlalchemy import Engine, select

from trendtrain.market.bars import Bars
from trendtrain.storage.schema import bar_blocks

COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


def assert_same(first: Bars, second: Bars) -> None:
    assert first.timeframe == second.timeframe
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def stored_rows(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(bar_blocks).order_by(bar_blocks.c.start_time))]
