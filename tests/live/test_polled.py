"""Bars from files and databases that grow: none before a later one is there, none twice, and what is corrected."""

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_faults import locked_by_another
from stored import assert_same

from trendtrain.errors import InputError
from trendtrain.live.growing_files import from_folder
from trendtrain.live.polled import PolledBars, from_database
from trendtrain.live.source import Revision
from trendtrain.market import random_walk
from trendtrain.market.bars import Bars, Series, join_bars
from trendtrain.storage import BarStore, open_database

WALK = Series("WALK", "1m")
BARS = random_walk(300, seed=0)
HEADER = "open_time,open,high,low,close,volume\n"


def lines(bars: Bars) -> list[str]:
    columns = (bars.open_time.astype(str), bars.open, bars.high, bars.low, bars.close, bars.volume)
    return [",".join(map(str, row)) + "\n" for row in zip(*(column.tolist() for column in columns), strict=True)]


def without_header(bars: Bars) -> list[str]:
    """Return the lines of a Binance file."""
    times = bars.open_time.astype(np.int64).tolist()
    rows = [line.rstrip().split(",")[1:] for line in lines(bars)]
    return [
        ",".join([str(time), *row, str(time + 59_999), *"00000"]) + "\n" for time, row in zip(times, rows, strict=True)
    ]


class Taken:
    """What a source brought, by series."""

    def __init__(self, source: PolledBars) -> None:
        self.source = source
        self.bars: dict[Series, Bars] = {}
        self.revisions: list[Revision] = []

    def until(self, is_reached: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while not is_reached():
            assert time.monotonic() < end, "it did not come"
            for series, bars in self.source.take(0.05).items():
                self.bars[series] = join_bars(self.bars[series], bars) if series in self.bars else bars
            self.revisions += self.source.revisions()

    def n(self, n_bars: int, series: Series = WALK) -> None:
        self.until(lambda: series in self.bars and len(self.bars[series]) >= n_bars)


@pytest.fixture
def start() -> Iterator[Callable[..., Taken]]:
    started: list[PolledBars] = []

    def begin(source: PolledBars, after: dict[Series, np.datetime64 | None] | None = None) -> Taken:
        started.append(source)
        source.start(after or {})
        return Taken(source)

    yield begin
    for source in started:
        source.close()


Start = Callable[..., Taken]


def test_lines_that_are_added_become_bars(tmp_path: Path, start: Start) -> None:
    file, rows = tmp_path / "WALK_1m.csv", lines(BARS)
    file.write_text(HEADER + "".join(rows[:100]))
    taken = start(from_folder(file, interval=0.01))
    taken.n(99)
    assert_same(taken.bars[WALK], BARS[:99])
    assert taken.source.take(0.05) == {}  # the last one has no later one
    with file.open("a") as out:
        for at in range(100, 110):
            out.write(rows[at])
            out.flush()
            taken.n(at)
            assert_same(taken.bars[WALK], BARS[:at])
        assert taken.revisions == []


def test_a_line_that_does_not_end_is_not_read(tmp_path: Path, start: Start) -> None:
    file, rows = tmp_path / "WALK_1m.csv", lines(BARS)
    file.write_text(HEADER + "".join(rows[:11]) + rows[11][:-8])
    taken = start(from_folder(file, interval=0.01))
    taken.n(10)
    assert taken.source.take(0.05) == {}
    with file.open("a") as out:
        out.write(rows[11][-8:] + rows[12][:5])
    taken.n(11)
    assert_same(taken.bars[WALK], BARS[:11])


@settings(max_examples=settings().max_examples // 6)  # each reads the file several times
@given(st.lists(st.integers(1, 9000), max_size=6), st.booleans())
def test_bars_do_not_depend_on_how_the_file_grew(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], has_header: bool
) -> None:
    file = tmp_path_factory.mktemp("growing") / "WALK_1m.csv"
    text = HEADER + "".join(lines(BARS)) if has_header else "".join(without_header(BARS))
    first = len("".join(text.splitlines(keepends=True)[:4]))
    file.write_text(text[:first])
    source = from_folder(file, layout=None if has_header else "binance")
    bars: Bars | None = None
    for cut in [*np.minimum(first + np.cumsum(cuts), len(text)).tolist(), len(text)]:
        with file.open("a") as out:
            out.write(text[file.stat().st_size : cut])
        since = None if bars is None else bars.open_time[-1]
        new = source._load(WALK, since)
        bars = new if bars is None else join_bars(bars, new[int(np.searchsorted(new.open_time, since, "right")) :])
    assert bars is not None
    assert_same(bars, BARS)


def test_a_file_that_is_written_anew_tells_what_was_corrected(tmp_path: Path, start: Start) -> None:
    file, rows = tmp_path / "WALK_1m.csv", lines(BARS)
    file.write_text(HEADER + "".join(rows[:100]))
    taken = start(from_folder(file, interval=0.01))
    taken.n(99)
    wrong = rows[95].split(",")
    new = tmp_path / "new"
    new.write_text(HEADER + "".join([*rows[:95], ",".join([*wrong[:5], "7.0\n"]), *rows[96:102]]))
    os.replace(new, file)
    taken.n(101)
    taken.until(lambda: bool(taken.revisions))
    (revision,) = taken.revisions
    assert (revision.series, revision.bar.open_time[0]) == (WALK, BARS.open_time[95])
    assert revision.bar.volume.tolist() == [7.0]


def test_a_folder_holds_several_series(tmp_path: Path, start: Start) -> None:
    for name in ("ONE", "TWO"):
        (tmp_path / f"{name}_1m.csv").write_text(HEADER + "".join(lines(BARS)[:50]))
    taken = start(from_folder(tmp_path, symbols=["TWO"], interval=0.01))
    taken.n(49, Series("TWO", "1m"))
    assert taken.source.series == (Series("TWO", "1m"),)


def test_a_file_that_comes_later_is_read_too(tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rows = lines(BARS)
    (tmp_path / "WALK-1m-2020-01-01.csv").write_text(HEADER + "".join(rows[:50]))
    (tmp_path / "notes.csv").write_text("this,that\n1,2\n")
    taken = start(from_folder(tmp_path, interval=0.01))
    taken.n(49)
    (tmp_path / "OTHER_1m.csv").write_text(HEADER + "".join(rows[:50]))
    next_day = tmp_path / "WALK-1m-2020-01-02.csv"
    next_day.write_text(HEADER)
    taken.until(lambda: len(caplog.records) == 2)
    next_day.write_text(HEADER + rows[50][:-5])  # no line yet
    assert taken.source.take(0.3) == {}
    next_day.write_text(HEADER + "".join(rows[50:60]))
    taken.n(59)
    with next_day.open("a") as out:
        out.write("".join(rows[60:70]))
    taken.n(69)
    assert_same(taken.bars[WALK], BARS[:69])
    assert taken.revisions == []
    told = [record.getMessage() for record in caplog.records]
    assert [text.split()[0].rsplit("/")[-1] for text in told] == [
        "OTHER_1m.csv",
        "WALK-1m-2020-01-02.csv",
        "WALK-1m-2020-01-02.csv",
    ]
    assert "OTHER 1m was not there at the start" in told[0]
    assert told[2].endswith("is read too")


def test_a_series_without_any_bar_is_told_once(tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    engine = open_database(url)
    store = BarStore(engine)
    store.write(*WALK, BARS[:10])
    wrong = Series("WAKL", "1m")
    taken = start(from_database(url, ["WALK", "WAKL"], ["1m"], interval=0.01), {wrong: BARS.open_time[0]})
    taken.n(9)
    store.write(*WALK, BARS[10:20])
    taken.n(19)
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "WAKL 1m is waited for: `symbol` and `timeframe` must name stored bars (WALK 1m"
    )
    store.write(*wrong, BARS[:10])
    taken.n(8, wrong)
    caplog.clear()
    early = start(from_database(url, ["WALK"], ["1m"], interval=0.01), {WALK: BARS.open_time[60]})
    early.until(lambda: bool(caplog.records))
    store.write(*WALK, BARS[20:30])  # what is stored is told otherwise now
    assert early.source.take(0.2) == {}
    assert len(caplog.records) == 1
    engine.dispose()
    early.source.close()
    (tmp_path / "WALK_1m.csv").write_text(HEADER + "".join(lines(BARS)[:50]))
    late = start(from_folder(tmp_path / "WALK_1m.csv", interval=0.01), {WALK: BARS.open_time[60]})
    late.until(lambda: len(caplog.records) == 2)
    assert caplog.messages[1] == "WALK 1m is waited for: there are no bars from 2020-01-01T01:00:00.000 on."


def test_a_bad_line_is_told_and_no_bar_before_it_is_lost(
    tmp_path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    file, rows = tmp_path / "WALK_1m.csv", lines(BARS)
    file.write_text(HEADER + "".join(rows[:10]))
    taken = start(from_folder(file, interval=0.01))
    taken.n(9)
    file.write_text(HEADER + "".join(rows[:10]) + "2020-01-01T00:10:00,1,-1,1,1,1\n")
    taken.until(lambda: bool(caplog.records))
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    file.write_text(HEADER + "".join(rows[:12]))
    taken.n(11)
    assert_same(taken.bars[WALK], BARS[:11])


def test_it_goes_on_after_the_newest_stored_bar(tmp_path: Path, start: Start) -> None:
    file = tmp_path / "WALK_1m.csv"
    file.write_text(HEADER + "".join(lines(BARS)))
    source = from_folder(file, interval=0.01)
    taken = start(source, {WALK: BARS.open_time[290]})
    taken.n(8)
    assert_same(taken.bars[WALK], BARS[291:299])
    again = start(source, {WALK: BARS.open_time[100]})  # begins anew
    again.n(198)
    assert_same(again.bars[WALK], BARS[101:299])


def test_bars_of_a_database_come_once_a_later_one_is_there(tmp_path: Path, start: Start) -> None:
    url = f"sqlite:///{tmp_path / 'other.db'}"
    engine = open_database(url)
    store = BarStore(engine)
    taken = start(from_database(url, ["WALK"], ["1m"], interval=0.01))
    assert taken.source.take(0.05) == {}  # no such series yet
    for at in (1, 2, 3, 50, 51):
        store.write(*WALK, BARS[:at])
        if at > 1:
            taken.n(at - 1)
            assert_same(taken.bars[WALK], BARS[: at - 1])
    with locked_by_another(tmp_path / "other.db"):
        assert taken.source.take(0.05) == {}
    fixed = BARS[48:49]
    store.write(*WALK, Bars(*(getattr(fixed, n) for n in ("open_time", "open", "high", "low", "close")), [9.0], "1m"))
    taken.until(lambda: bool(taken.revisions))
    assert [revision.bar.volume.tolist() for revision in taken.revisions] == [[9.0]]
    engine.dispose()


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`url` must name a database that exists, got sqlite:///nowhere"):
        from_database("sqlite:///nowhere.db", ["A"], ["1m"])
    with pytest.raises(InputError, match="`path` must name a file or folder that exists"):
        from_folder(tmp_path / "nowhere")
    (tmp_path / "WALK_1m.csv").write_text(HEADER + "".join(lines(BARS)[:10]))
    with pytest.raises(InputError, match="`symbols` and `timeframes` must leave files of"):
        from_folder(tmp_path, symbols="OTHER")
    with pytest.raises(InputError, match="`path` must name a file or folder of bars, got none"):
        from_folder(None)
    with pytest.raises(InputError, match="`interval` must be a number of at least"):
        PolledBars((WALK,), lambda *_: BARS, 0.0)
