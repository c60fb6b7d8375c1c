from pathlib import Path

import numpy as np
import pytest
from kills import Work, finish, kill_again_and_again

from trendtrain.importing import find_files, import_files
from trendtrain.market.bars import Bars
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars import blocks
from trendtrain.storage.schema import metadata

SYMBOLS = ("A", "B", "C", "D")
COLUMNS = ("open", "high", "low", "close", "volume")


def market(symbol: str, n_bars: int = 8_000) -> Bars:
    random = np.random.default_rng(ord(symbol))
    slots = np.cumsum(np.where(random.random(n_bars) < 0.1, 3, 1))
    price = np.round(100 + np.cumsum(random.normal(size=n_bars)) * 0.01, 2)
    time = np.datetime64("2024-01-01", "ms") + slots * np.timedelta64(1, "m")
    volume = np.round(random.exponential(5, n_bars), 3)
    return Bars(time, price, price + 0.05, price - 0.05, price, volume, np.timedelta64(1, "m"))


def import_work(url: str, folder: Path) -> Work:
    """Import four files."""
    for symbol in SYMBOLS:
        bars = market(symbol)
        with (folder / f"{symbol}_1m.csv").open("w") as file:
            file.write("time,open,high,low,close,volume\n")
            columns = [bars.open_time.astype(str).tolist(), *(getattr(bars, name).tolist() for name in COLUMNS)]
            file.writelines(",".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))

    def work() -> None:
        engine = open_database(url)
        import_files(BarStore(engine), find_files(folder))
        engine.dispose()

    return work


def live_work(url: str) -> Work:
    """Write old bars, newer ones over them, live bars, and compact."""

    def work() -> None:
        engine = open_database(url)
        store = BarStore(engine)
        for symbol in SYMBOLS:
            bars = market(symbol)
            old = Bars(bars.open_time, *(getattr(bars, name) + 1 for name in COLUMNS), bars.timeframe)
            store.write(symbol, "1m", old[2_000:6_000])
            for first in range(0, 8_000, 1_500):
                store.write(symbol, "1m", bars[first : min(first + 3_000, 7_990)])
            for at in range(7_990, 8_000):
                store.write(symbol, "1m", bars[at : at + 1])
            store.compact()
        engine.dispose()

    return work


def bars_content(url: str) -> dict[str, tuple[bytes, ...]]:
    """The bars of each series, to the bit, read from blocks that are checked."""
    engine = open_database(url)
    store = BarStore(engine)
    loaded = {symbol: store.load(symbol, timeframe) for symbol, timeframe in store.series()}
    engine.dispose()
    names = ("open_time", *COLUMNS)
    return {symbol: tuple(getattr(bars, name).tobytes() for name in names) for symbol, bars in loaded.items()}


def empty(url: str) -> None:
    engine = open_database(url)
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()


def fill_by_bar(url: str) -> None:
    """Write each series in blocks of one bar."""
    engine = open_database(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BARS", 1)
        for symbol in SYMBOLS:
            BarStore(engine).replace(symbol, "1m", market(symbol, n_bars=1_500))
    engine.dispose()


@pytest.fixture(params=[None, pytest.param(100, marks=pytest.mark.full)])
def n_kills(request: pytest.FixtureRequest, db_url: str) -> int:
    return request.param or (2 if db_url.startswith("sqlite") else 1)


def test_a_killed_import_is_whole_or_nothing_and_a_rerun_completes(db_url: str, tmp_path: Path, n_kills: int) -> None:
    work = import_work(db_url, tmp_path)
    seconds = finish(work)
    expected = bars_content(db_url)
    assert set(expected) == set(SYMBOLS)
    for _ in kill_again_and_again(work, n_kills, seconds, before=lambda: empty(db_url)):
        assert bars_content(db_url) in ({}, expected)
        finish(work)
        assert bars_content(db_url) == expected


def test_killed_live_writes_and_a_rerun_equal_never_killed(db_url: str, n_kills: int) -> None:
    work = live_work(db_url)
    seconds = finish(work)
    expected = bars_content(db_url)
    assert set(expected) == set(SYMBOLS)
    for _ in kill_again_and_again(work, n_kills, seconds, before=lambda: empty(db_url)):
        finish(work)
        assert bars_content(db_url) == expected


def test_a_killed_compaction_changes_no_bar(db_url: str, n_kills: int) -> None:
    def work() -> None:
        engine = open_database(db_url)
        BarStore(engine).compact()
        engine.dispose()

    fill_by_bar(db_url)
    expected = bars_content(db_url)
    seconds = finish(work)
    assert bars_content(db_url) == expected
    for _ in kill_again_and_again(work, n_kills, seconds, before=lambda: fill_by_bar(db_url)):
        assert bars_content(db_url) == expected
