import os
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from trendtrain.market import Bars
from trendtrain.market.timeframe import parse_timeframe

FOLDER = os.environ.get("TRENDTRAIN_DATA")
FILES = sorted(Path(FOLDER).glob("*.parquet")) if FOLDER else []
SEVEN = {"EURUSD_15m", "ESTX50F_1m", "AAPL_1d", "SPY_1m", "SOLUSDT_5m", "XAUUSD_1h", "GBPUSD_1m"}


@cache
def read_bars(path: Path) -> Bars:
    table = pd.read_parquet(path)
    columns = (table[name].to_numpy() for name in ("open", "high", "low", "close", "volume"))
    time = table["timestamp"].dt.tz_convert(None).to_numpy()
    return Bars(time, *columns, parse_timeframe(path.stem.split("_")[1]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give `real_bars` the first 3,000 bars of each file, `whole_bars` all of each, `seven_bars` all of seven files."""
    skip = pytest.mark.skip(reason="TRENDTRAIN_DATA does not name a folder of Parquet files")
    seven = [path for path in FILES if path.stem in SEVEN]
    for name, files in (("real_bars", FILES), ("whole_bars", FILES), ("seven_bars", seven)):
        if name in metafunc.fixturenames:
            params = [pytest.param(path, id=path.stem) for path in files] or [pytest.param(None, marks=skip)]
            metafunc.parametrize(name, params, indirect=True)


@pytest.fixture
def real_bars(request: pytest.FixtureRequest) -> Bars:
    return read_bars(request.param)[:3000]


@pytest.fixture
def whole_bars(request: pytest.FixtureRequest) -> Bars:
    return read_bars(request.param)


@pytest.fixture
def seven_bars(request: pytest.FixtureRequest) -> Bars:
    return read_bars(request.param)
