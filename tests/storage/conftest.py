from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from trendtrain.market.bars import Bars
from trendtrain.storage import open_database

MakeBars = Callable[..., Bars]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def make_bars() -> MakeBars:
    def make(minutes: list[int] | range, price: float = 100.0, volume: float = 1.0) -> Bars:
        time = np.datetime64("2024-01-01", "ms") + np.asarray(minutes, np.int64) * np.timedelta64(1, "m")
        prices = price + np.arange(len(time), dtype=np.float64)
        volumes = np.full(len(time), volume)
        return Bars(time, prices, prices + 1, prices - 1, prices, volumes, np.timedelta64(1, "m"))

    return make
