from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from trendtrain.cli import main
from trendtrain.errors import InputError
from trendtrain.importing import find_files, import_files
from trendtrain.market.bars import Bars
from trendtrain.storage import BarStore
from trendtrain.storage.table_files import TABLE_ENDINGS, write_bars

MakeBars = Callable[..., Bars]
COLUMNS = ("open_time", "open", "high", "low", "close", "volume")


def bits(bars: Bars) -> list[bytes]:
    return [getattr(bars, name).tobytes() for name in COLUMNS]


@given(
    prices=st.lists(st.floats(1e-9, 1e12), min_size=4, max_size=30),
    volume=st.sampled_from([1 / 3, 12.345, 1e15]),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("ending", TABLE_ENDINGS)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_an_exported_series_comes_back_to_the_bit(
    engine: Engine, tmp_path: Path, ending: str, prices: list[float], volume: float
) -> None:
    price = np.array(prices)
    time = np.datetime64("2024-01-01T00:00:00", "ms") + np.arange(len(price)) * np.timedelta64(1, "m")
    volumes = np.where(price == price[0], 0, volume) if len(set(prices)) > 1 else np.full(len(price), volume)
    bars = Bars(time, price, price * 2, price / 2, price, volumes, np.timedelta64(1, "m"))
    write_bars(bars, tmp_path / f"BTCUSDT_1m{ending}")
    store = BarStore(engine)
    store.replace("BTCUSDT", "1m", bars[:0])
    import_files(store, [tmp_path / f"BTCUSDT_1m{ending}"])
    assert bits(store.load("BTCUSDT", "1m")) == bits(bars)


@pytest.mark.parametrize("ending", TABLE_ENDINGS)
def test_volume_not_supplied_stays_so(engine: Engine, tmp_path: Path, ending: str, make_bars: MakeBars) -> None:
    bars = make_bars(range(10), volume=float("nan"))
    write_bars(bars, tmp_path / f"BTCUSDT_1m{ending}")
    import_files(BarStore(engine), find_files(tmp_path))
    assert np.isnan(BarStore(engine).load("BTCUSDT", "1m").volume).all()


def test_the_command_exports_a_range(
    engine: Engine, db_url: str, tmp_path: Path, make_bars: MakeBars, capsys: pytest.CaptureFixture[str]
) -> None:
    BarStore(engine).write("BTCUSDT", "1m", make_bars(range(10)))
    out = tmp_path / "part.csv"
    times = ["--start", "2024-01-01T00:02", "--end", "2024-01-01T00:04"]
    assert main(["db", "export", "BTCUSDT", "1m", "--out", str(out), *times, "--db", db_url]) == 0
    assert capsys.readouterr().out.startswith("2 bars of BTCUSDT 1m written to")
    assert out.read_text().splitlines() == [
        '"open_time","open","high","low","close","volume"',
        "2024-01-01 00:02:00.000Z,102,103,101,102,1",
        "2024-01-01 00:03:00.000Z,103,104,102,103,1",
    ]


def test_the_command_names_an_unknown_series(
    engine: Engine, db_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "export", "BTCUSDT", "1m", "--out", str(tmp_path / "o.csv"), "--db", db_url]) == 2
    assert "must name stored bars (none), got BTCUSDT 1m" in capsys.readouterr().err


def test_the_command_compacts(
    engine: Engine, db_url: str, make_bars: MakeBars, capsys: pytest.CaptureFixture[str]
) -> None:
    bars = make_bars(range(3))
    assert main(["db", "compact", "--db", db_url]) == 0
    for at in range(3):
        BarStore(engine).write("BTCUSDT", "1m", bars[at : at + 1])
    assert main(["db", "compact", "--db", db_url]) == 0
    assert capsys.readouterr().out.splitlines() == ["no bars", "BTCUSDT 1m: 3 blocks, now 1"]


def test_another_ending_is_refused(tmp_path: Path, make_bars: MakeBars) -> None:
    with pytest.raises(InputError, match=r"`--out` must end in \.parquet or \.csv, got .*bars\.xlsx"):
        write_bars(make_bars([0]), tmp_path / "bars.xlsx")
