import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kills import start

from trendtrain.data.sources import StoredBars, from_database, from_files, from_synthetic
from trendtrain.errors import InputError
from trendtrain.market import Bars, Series, flipping_market, planted_market, random_walk, synthetic_market
from trendtrain.storage import BarStore, open_database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BarStore]:
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    yield BarStore(engine)
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files: A 1m, A 5m, B 1m."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for i, (symbol, timeframe) in enumerate((("A", "1m"), ("A", "5m"), ("B", "1m"))):
        write(folder / f"{symbol}_{timeframe}.csv", random_walk(50, seed=i, timeframe=timeframe))
    return folder


def write(path: Path, bars: Bars) -> Path:
    columns = ("open_time", "open", "high", "low", "close", "volume")
    pd.DataFrame({name: getattr(bars, name) for name in columns}).to_csv(path, index=False)
    return path


def whole(history: StoredBars, symbol: str, timeframe: str) -> Bars:
    return history.load(Series(symbol, timeframe), None, None)


def assert_same(bars: Bars, expected: Bars) -> None:
    for name in ("open_time", "open", "high", "low", "close", "volume", "timeframe"):
        np.testing.assert_array_equal(getattr(bars, name), getattr(expected, name))


@pytest.mark.parametrize(
    ("market", "make"),
    [
        ("regimes", synthetic_market),
        ("random_walk", random_walk),
        ("planted", planted_market),
        ("flipping", flipping_market),
    ],
)
def test_a_synthetic_market_is_the_one_named(store: BarStore, market: str, make: object) -> None:
    series = from_synthetic(store, market, n_bars=200, seed=3)
    assert list(series) == [Series("SYNTH", "5m")]
    assert_same(series[Series("SYNTH", "5m")], make(200, 3, "5m"))


def test_each_synthetic_series_has_its_own_seed(store: BarStore) -> None:
    series = from_synthetic(store, n_bars=100, symbols=["SYNTH-A", "SYNTH-B"], timeframes=["1m", "5m"], seed=5)
    assert list(series) == [(f"SYNTH-{x}", timeframe) for x in "AB" for timeframe in ("1m", "5m")]
    assert_same(series[Series("SYNTH-B", "1m")], synthetic_market(100, 7, "1m"))


def test_synthetic_bars_are_stored(store: BarStore) -> None:
    series = from_synthetic(store, n_bars=100)
    assert_same(store.load("SYNTH", "5m"), series[Series("SYNTH", "5m")])


def test_synthetic_bars_replace_those_of_another_seed(store: BarStore) -> None:
    from_synthetic(store, n_bars=200, seed=1)
    from_synthetic(store, n_bars=100, seed=2)
    assert_same(store.load("SYNTH", "5m"), synthetic_market(100, 2))


def make_own_market(url: str, seed: int, n_calls: int) -> None:
    """Make the market of a seed again and again; fail when the bars of another process come back."""
    engine, made = open_database(url), synthetic_market(3_000, seed)
    try:
        n_others = 0
        for _ in range(n_calls):
            bars = from_synthetic(BarStore(engine), n_bars=3_000, seed=seed)[Series("SYNTH", "5m")]
            n_others += bars.close.tobytes() != made.close.tobytes()
        assert n_others == 0, f"{n_others} of {n_calls} calls returned the bars of another process"
    finally:
        engine.dispose()


@pytest.mark.parametrize("n_calls", [60, pytest.param(1_000, marks=pytest.mark.full)])
def test_parallel_runs_get_their_own_synthetic_bars(db_url: str, n_calls: int) -> None:
    open_database(db_url).dispose()
    processes = [start(functools.partial(make_own_market, db_url, seed, n_calls)) for seed in range(3)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_synthetic_bars_never_replace_real_ones(store: BarStore) -> None:
    store.write("BTC", "1m", random_walk(50, seed=1))
    with pytest.raises(InputError, match=r"`data.symbols` must start with SYNTH .* got 'BTC'"):
        from_synthetic(store, symbols="BTC", timeframes="1m")
    assert_same(store.load("BTC", "1m"), random_walk(50, seed=1))


def test_an_unknown_market_is_refused(store: BarStore) -> None:
    with pytest.raises(
        InputError,
        match=r"`data.source.market` must be one of regimes, random_walk, planted, flipping, foretold, got 'bull'",
    ):
        from_synthetic(store, market="bull")


def test_all_files_of_a_folder_are_series(store: BarStore, folder: Path) -> None:
    series = from_files(store, folder)
    assert list(series.series) == [("A", "1m"), ("A", "5m"), ("B", "1m")]
    assert_same(whole(series, "A", "5m"), random_walk(50, seed=1, timeframe="5m"))


@pytest.mark.parametrize("symbols", [True, 1e5, ["A", False]])
def test_symbols_that_configuration_took_for_a_value_are_refused(store: BarStore, symbols: object) -> None:
    with pytest.raises(InputError, match=r"must be text \(in quotes where .*\), got (True|100000\.0|False)"):
        from_database(store, symbols)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("symbols", "timeframes", "expected"),
    [
        ("A", None, [("A", "1m"), ("A", "5m")]),
        (None, "1m", [("A", "1m"), ("B", "1m")]),
        (["B", "A"], ["1m"], [("A", "1m"), ("B", "1m")]),
        ("A", "5m", [("A", "5m")]),
    ],
)
def test_symbols_and_timeframes_choose(
    store: BarStore, folder: Path, symbols: object, timeframes: object, expected: list[tuple[str, str]]
) -> None:
    assert list(from_files(store, folder, symbols, timeframes).series) == expected
    assert list(from_database(store, symbols, timeframes).series) == expected


def test_files_of_series_that_are_not_asked_for_do_not_matter(store: BarStore, folder: Path) -> None:
    broken = "open_time,open,high,low,close\n2024-01-01,1,2,3,4\n2024-01-02,1,1,1,1\n2024-01-03,1,1,1,1\n"
    (folder / "C_1d.csv").write_text(broken)  # its high lies below its low
    (folder / "D_1h.csv").write_text(broken.replace("1,2,3,4", "one,2,3,4"))  # cannot be read at all
    assert list(from_files(store, folder, symbols=["A", "B"]).series) == [("A", "1m"), ("A", "5m"), ("B", "1m")]
    assert list(from_files(store, folder, timeframes="1m").series) == [("A", "1m"), ("B", "1m")]
    assert len(store.series()) == 3
    for wanted, message in ((("C",), "`high` must be"), (("A", "D"), "`open` must be a number, got one")):
        with pytest.raises(InputError, match=message):
            from_files(store, folder, symbols=wanted)


def test_files_give_the_bars_of_their_time_alone(store: BarStore, tmp_path: Path) -> None:
    bars = random_walk(100, seed=0)
    store.write("A", "1m", bars)
    part = bars[40:60]
    assert_same(whole(from_files(store, write(tmp_path / "A_1m.csv", part)), "A", "1m"), part)


def test_files_of_one_series_are_joined(store: BarStore, tmp_path: Path) -> None:
    bars = random_walk(100, seed=0)
    parts = tmp_path / "parts"
    parts.mkdir()
    write(parts / "A_1m.csv", bars[:50])
    write(parts / "A_1m.csv.gz", bars[50:])
    assert_same(whole(from_files(store, parts), "A", "1m"), bars)


def test_layout_and_time_zone_are_passed_on(store: BarStore, tmp_path: Path) -> None:
    rows = "".join(f"01/13/2024 08:0{minute},1,1,1,1\n" for minute in range(3))
    (tmp_path / "A_1m.csv").write_text("time,open,high,low,close\n" + rows)
    bars = whole(from_files(store, tmp_path / "A_1m.csv", timezone="America/New_York"), "A", "1m")
    assert bars.open_time[0] == np.datetime64("2024-01-13T13:00")
    with pytest.raises(InputError, match="`layout` must be one of"):
        from_files(store, tmp_path / "A_1m.csv", layout="mine")


def test_what_an_import_would_leave_out_is_not_trained_on(store: BarStore, tmp_path: Path) -> None:
    rows = "2024-01-01,1,1,1,1\n2024-01-02,1,0.5,1,1\n2024-01-03,1,1,1,1\n"
    (tmp_path / "A_1d.csv").write_text("time,open,high,low,close\n" + rows)
    with pytest.raises(InputError, match=r"A_1d\.csv, data row 2: `high` must be at least"):
        from_files(store, tmp_path / "A_1d.csv")


def test_the_database_gives_what_was_stored(store: BarStore) -> None:
    bars = random_walk(100, seed=0)
    store.write("A", "1m", bars)
    assert_same(whole(from_database(store), "A", "1m"), bars)


@pytest.mark.parametrize(
    ("symbols", "timeframes", "message"),
    [
        ("C", None, r"`data.symbols` must name what the database holds \(A 1m, B 5m\), got 'C'"),
        (["A", "C"], None, r"`data.symbols` must name .*got 'C'"),
        (None, "1h", r"`data.timeframes` must name what the database holds \(A 1m, B 5m\), got '1h'"),
        ("A", "5m", r"`data.symbols` and `data.timeframes` must fit a series that the database holds .*, got none"),
    ],
)
def test_what_the_database_lacks_is_refused(store: BarStore, symbols: object, timeframes: object, message: str) -> None:
    store.write("A", "1m", random_walk(20, seed=0))
    store.write("B", "5m", random_walk(20, seed=0, timeframe="5m"))
    with pytest.raises(InputError, match=message):
        from_database(store, symbols, timeframes)


def test_an_empty_database_is_refused(store: BarStore) -> None:
    with pytest.raises(InputError, match=r"must fit a series that the database holds \(no bars\), got none"):
        from_database(store)


def test_files_need_a_path(store: BarStore) -> None:
    with pytest.raises(InputError, match=r"`data.path` must name a file or folder of bars, got none"):
        from_files(store, None)


def test_a_symbol_that_the_files_lack_is_refused_and_named(store: BarStore, folder: Path) -> None:
    with pytest.raises(InputError, match=r"`data.symbols` must name what the files of .* holds? \(A 1m, .*got 'C'"):
        from_files(store, folder, symbols="C")
