import copy
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from old_annotations import NAMES, market, old_annotation, write_json
from sqlalchemy import Engine

from trendtrain.annotations import AnnotationStore
from trendtrain.annotations.migration import migrate
from trendtrain.errors import InputError, StorageError
from trendtrain.market import Bars, Series
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars.store import BarTransaction
from trendtrain.storage.bars.write import Written

MARKETS = {"5m": market("5m"), "1h": market("1h")}
Values = dict[tuple[str, np.datetime64], tuple[float, ...]]


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> AnnotationStore:
    return AnnotationStore(tmp_path / "out", BarStore(engine))


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """Five annotations in the old form, one a file."""
    for number in range(5):
        record = old_annotation(MARKETS, number, 200 + 10 * number, 230 + 5 * number)
        write_json(tmp_path / "src" / f"{number}.json", record)
    return tmp_path / "src"


def embedded_bars(*records: dict[str, Any]) -> Values:
    """Every bar of old records, straight from their arrays; later records win."""
    found = {}
    for record in records:
        for state in record["market_context"].values():
            for key, block in state.items():
                for at, text in enumerate(block["timestamps"]):
                    values = tuple(block[name][at] for name in NAMES)
                    found[key.removeprefix("ohlcv_"), np.datetime64(text, "ms")] = values
    return found


def stored_bars(store: AnnotationStore) -> Values:
    found = {}
    for series in store.bar_store.series():
        bars = store.bar_store.load(*series)
        for at, time in enumerate(bars.open_time):
            found[series.timeframe, time] = tuple(float(getattr(bars, name)[at]) for name in NAMES)
    return found


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What is in a folder, and when it was written."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def read_all(src: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(src.glob("*.json"))]


# -- everything arrives -----------------------------------------------------------------------------------------------


def test_every_bar_arrives_and_every_annotation(store: AnnotationStore, src: Path) -> None:
    report = migrate([src], store)
    assert stored_bars(store) == embedded_bars(*read_all(src))
    assert store.ids() == [f"trade_{number:03d}" for number in range(5)]
    assert (report.n_written, report.problems) == (5, ())
    assert {part.series: part.n_bars for part in report.series} == {
        series: len(store.bar_store.load(*series)) for series in store.bar_store.series()
    }


def test_a_migrated_annotation_loads_its_bars(store: AnnotationStore, src: Path) -> None:
    migrate([src], store)
    bars = store.bars(store.load("trade_000"), before=5)
    assert bars.open_time[0] == MARKETS["5m"].open_time[195]
    assert bars.open_time[-1] == MARKETS["5m"].open_time[230]
    np.testing.assert_array_equal(bars.close, MARKETS["5m"].close[195:231])


def test_the_sources_stay_untouched(store: AnnotationStore, src: Path) -> None:
    before = contents(src)
    migrate([src], store)
    assert contents(src) == before


def test_a_second_run_changes_nothing(store: AnnotationStore, src: Path, tmp_path: Path) -> None:
    first = migrate([src], store)
    files, bars = contents(tmp_path / "out"), stored_bars(store)
    second = migrate([src], store)
    assert (contents(tmp_path / "out"), stored_bars(store)) == (files, bars)
    assert (second.n_written, second.n_kept, second.n_differing, second.problems) == (0, 5, 0, ())
    assert sum(part.n_changed for part in second.series) == 0
    assert second.bytes_after == first.bytes_after


def test_a_database_that_fails_is_not_taken_for_an_empty_one(
    store: AnnotationStore, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Bars:
        raise StorageError("The database failed: database is locked.")

    migrate([src], store)
    bars = stored_bars(store)
    monkeypatch.setattr(BarTransaction, "load", fail)
    with pytest.raises(StorageError, match="is locked"):
        migrate([src], store)
    assert stored_bars(store) == bars


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
def test_fifty_annotations_of_thousands_of_bars_shrink_a_hundredfold(store: AnnotationStore, tmp_path: Path) -> None:
    markets = {"5m": market("5m", 5_000), "1m": market("1m", 25_000), "1h": market("1h", 420)}
    records = [old_annotation(markets, number, 2_000 + 50 * number, 2_040 + 50 * number, 800) for number in range(50)]
    for number, record in enumerate(records):
        write_json(tmp_path / "src" / f"{number}.json", record)
    assert all(len(record["market_context"]["entry_state"]["ohlcv_1m"]["open"]) == 800 for record in records)
    report = migrate([tmp_path / "src"], store)
    assert report.bytes_before == sum(path.stat().st_size for path in (tmp_path / "src").iterdir())
    assert report.bytes_after == sum(path.stat().st_size for path in (tmp_path / "out").iterdir())
    assert report.bytes_before > 100 * report.bytes_after
    assert stored_bars(store) == embedded_bars(*records)
    files = contents(tmp_path)
    assert migrate([tmp_path / "src"], store).n_kept == 50
    assert contents(tmp_path) == files  # the database file among them


@pytest.mark.parametrize("form", ["list", "object", "both folders"])
def test_annotations_may_come_many_to_a_file(form: str, store: AnnotationStore, src: Path, tmp_path: Path) -> None:
    records = read_all(src)
    if form == "list":
        sources = [write_json(tmp_path / "all.json", records)]
    elif form == "object":
        sources = [write_json(tmp_path / "all.json", {"version": 1, "annotations": records})]
    else:
        write_json(tmp_path / "more" / "deep" / "all.json", records[3:])
        sources = [src, tmp_path / "more"]
    assert migrate(sources, store).problems == ()
    assert stored_bars(store) == embedded_bars(*records)
    assert len(store.ids()) == 5


@pytest.mark.parametrize(("keeps", "volume"), [(-1, 0.0), (10**6, 1.0)])
def test_a_lost_bar_is_noticed_and_no_annotation_written(
    keeps: int, volume: float, store: AnnotationStore, src: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = BarTransaction.write

    def write_other_bars(transaction: BarTransaction, symbol: str, timeframe: str, bars: Bars) -> Written:
        values = [getattr(bars, name)[:keeps] for name in NAMES]
        values[-1] = values[-1] + volume
        return write(transaction, symbol, timeframe, Bars(bars.open_time[:keeps], *values, bars.timeframe))

    monkeypatch.setattr(BarTransaction, "write", write_other_bars)
    with pytest.raises(RuntimeError, match=r"bars of BTCUSDT .* were written, but are not in the database"):
        migrate([src], store)
    assert not store.folder.exists()
    assert store.bar_store.series() == []


# -- bars that disagree -----------------------------------------------------------------------------------------------


@st.composite
def snapshots(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Annotations of short overlapping stretches, whose prices may differ."""
    records = []
    for number in range(draw(st.integers(1, 5))):
        enter = draw(st.integers(3, 15))
        leave = draw(st.integers(enter + 1, 20))
        record = old_annotation({"5m": market("5m", 25)}, number, enter, leave, draw(st.integers(1, 8)))
        for state in record["market_context"].values():
            shift = draw(st.sampled_from([0.0, 0.0, 1.0]))
            state["ohlcv_5m"].update({name: [price + shift for price in state["ohlcv_5m"][name]] for name in NAMES})
        records.append(record)
    return records


@given(records=snapshots(), order=st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_of_two_bars_the_one_seen_later_arrives(records: list[dict[str, Any]], order: Any) -> None:
    seen = []
    for record in records:
        for name in ("entry", "exit"):
            state = {"market_context": {f"{name}_state": record["market_context"][f"{name}_state"]}}
            seen.append((np.datetime64(record[name]["timestamp"]), state))
    seen.sort(key=lambda pair: pair[0])
    moments = [moment for moment, _ in seen]
    shuffled = list(records)
    order.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_database("sqlite://")
        store = AnnotationStore(Path(folder) / "out", BarStore(engine))
        report = migrate([write_json(Path(folder) / "src" / "all.json", shuffled)], store)
        found = stored_bars(store)
        engine.dispose()
    expected = embedded_bars(*(state for _, state in seen))
    if len(set(moments)) == len(moments):
        assert found == expected
    parts = [embedded_bars(state) for _, state in seen]
    disagreeing = {key for key in expected if len({part[key] for part in parts if key in part}) > 1}
    assert set(report.series[0].conflicts) == {time for _, time in disagreeing}
    assert report.series[0].n_embedded == sum(map(len, parts))


def test_missing_volume_agrees_with_missing_volume(store: AnnotationStore, src: Path) -> None:
    for path in src.iterdir():
        record = json.loads(path.read_text())
        for state in record["market_context"].values():
            for block in state.values():
                del block["volume"]
        write_json(path, record)
    assert [part.conflicts for part in migrate([src], store).series] == [(), ()]
    assert sum(part.n_overwritten for part in migrate([src], store).series) == 0


@pytest.mark.parametrize("first", [0, 1])
def test_migrating_in_two_runs_gives_the_bars_of_one(first: int, store: AnnotationStore, tmp_path: Path) -> None:
    """The later trade's snapshot at its entry was seen before the earlier trade's snapshot at its exit."""
    records = [old_annotation(MARKETS, 0, 200, 240), old_annotation({"5m": market("5m", seed=9)}, 1, 210, 220)]
    paths = [write_json(tmp_path / "src" / f"{number}.json", record) for number, record in enumerate(records)]
    migrate([paths[first]], store)
    migrate(paths, store)
    bars = store.bar_store.load("BTCUSDT", "5m", MARKETS["5m"].open_time[150])
    np.testing.assert_array_equal(bars.close, MARKETS["5m"].close[150:241])


def test_a_bar_that_the_database_has_otherwise_is_overwritten_and_counted(store: AnnotationStore, src: Path) -> None:
    other = market("5m", seed=9)[190:210]
    store.bar_store.write("BTCUSDT", "5m", other)
    report = migrate([src], store)
    assert stored_bars(store) == embedded_bars(*read_all(src))
    assert {part.series.timeframe: part.n_overwritten for part in report.series} == {"5m": 20, "1h": 0}


def test_bars_too_close_to_stored_ones_are_refused_for_their_series(store: AnnotationStore, src: Path) -> None:
    bars = MARKETS["1h"]
    values = [getattr(bars, name)[:30] for name in NAMES]
    store.bar_store.write("BTCUSDT", "1h", Bars(bars.open_time[:30] + np.timedelta64(7, "m"), *values, bars.timeframe))
    report = migrate([src], store)
    (problem,) = report.problems
    assert "BTCUSDT 1h of 5 annotations such as 'trade_000': `bars` must lie at least 1h from the other bars" in problem
    assert [part.series for part in report.series] == [Series("BTCUSDT", "5m")]
    assert report.n_written == 0
    assert not store.folder.exists()


# -- what is broken ---------------------------------------------------------------------------------------------------

BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "bad.json: an annotation file must hold JSON, got 0 bytes."),
    "cut off": (
        b'{"annotation_id": "x", "symb',
        "bad.json: an annotation file must hold JSON, got Unterminated string",
    ),
    "latin-1": ('{"notes": "für"}'.encode("latin-1"), "bad.json: an annotation file must hold JSON, got 'utf-8' codec"),
    "deep": (b"[" * 100_000, "bad.json: an annotation file must hold JSON, got "),
    "other": (b'{"width": 3}', "bad.json: `entry` must be given, found width."),
    "number": (b"3", "bad.json: an annotation must be a JSON object, got 3."),
    "annotations": (b'{"annotations": {}}', "bad.json: `annotations` must be a list, got {}."),
    "list": (b'[{"annotation_id": 1}]', "bad.json, annotation 1: `entry` must be given, found annotation_id."),
}


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_one_problem_and_stops_no_other(case: str, store: AnnotationStore, src: Path) -> None:
    content, message = BAD_FILES[case]
    (src / "bad.json").write_bytes(content)
    report = migrate([src], store)
    (problem,) = report.problems
    assert message in problem
    assert "\n" not in problem
    assert report.n_written == 5
    assert stored_bars(store) == embedded_bars(*read_all_but_bad(src))


WRONG_VALUES = (1704067200, 1.5, True, [], {}, None, "\ud800", "\x00", 10**400, [[1]], [None] * 9, [1704067200] * 9)
WRONG_PLACES = (
    *(("annotation_id",), ("symbol",), ("timeframe",), ("direction",), ("entry",), ("entry", "timestamp")),
    *(("entry", "price"), ("exit",), ("exit", "timestamp"), ("exit", "price"), ("market_context",)),
    *(("market_context", "entry_state", "ohlcv_5m", name) for name in ("timestamps", "open", "volume")),
)


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("place", WRONG_PLACES)
def test_a_value_of_any_wrong_kind_is_one_line_at_most_and_stops_no_other(
    place: tuple[str, ...], store: AnnotationStore, src: Path
) -> None:
    records = []
    for number, value in enumerate(WRONG_VALUES):
        record = old_annotation(MARKETS, 4, annotation_id=f"wrong_{number}")
        part = record
        for name in place[:-1]:
            part = part[name]
        part[place[-1]] = value
        records.append(record)
    write_json(src / "bad.json", records)
    report = migrate([src], store)
    assert {f"trade_00{number}" for number in range(5)} <= set(store.ids())
    assert report.n_written + len(report.problems) == 5 + len(WRONG_VALUES)
    assert all("\n" not in problem and "bad.json, annotation " in problem for problem in report.problems)
    assert report.problems


def read_all_but_bad(src: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(src.glob("[0-9].json"))]


def test_mending_what_was_broken_completes_the_migration(store: AnnotationStore, src: Path) -> None:
    record = json.loads((src / "2.json").read_text())
    broken = copy.deepcopy(record)
    broken["market_context"]["exit_state"]["ohlcv_5m"]["low"].pop()
    write_json(src / "2.json", broken)
    report = migrate([src], store)
    (problem,) = report.problems
    assert f"{src / '2.json'}: `exit_state.ohlcv_5m`: arrays of bars must have one length, got" in problem
    assert "trade_002" not in store.ids()
    write_json(src / "2.json", record)
    report = migrate([src], store)
    assert (report.n_written, report.n_kept, report.problems) == (1, 4, ())
    assert stored_bars(store) == embedded_bars(*read_all(src))


@pytest.mark.parametrize("odd", [[0], [4], [1, 2]])
def test_annotations_off_the_grid_of_the_others_are_named_alone(
    odd: list[int], store: AnnotationStore, src: Path
) -> None:
    records = read_all(src)
    for number in odd:
        block = records[number]["market_context"]["exit_state"]["ohlcv_5m"]
        block["timestamps"] = [f"{text[:-2]}30" for text in block["timestamps"]]
        write_json(src / f"{number}.json", records[number])
    report = migrate([src], store)
    rule = "bars must lie a timeframe from those of the other annotations, got 2024-01-01T"
    assert all(p.startswith(f"{src}/{number}.json: {rule}") for number, p in zip(odd, report.problems, strict=True))
    sound = [record for number, record in enumerate(records) if number not in odd]
    assert store.ids() == [record["annotation_id"] for record in sound]
    assert stored_bars(store) == embedded_bars(*sound)


def test_an_id_that_comes_twice_with_two_meanings_is_refused(store: AnnotationStore, src: Path) -> None:
    write_json(src / "9.json", [old_annotation(MARKETS, 4, notes="another")])
    for _ in range(2):
        (problem,) = migrate([src], store).problems
        expected = (
            f"9.json, annotation 1: `annotation_id` must come once, got 'trade_004' again after {src / '4.json'}."
        )
        assert expected in problem
        assert store.load("trade_004").more["notes"] != "another"


def test_the_same_annotation_twice_is_one(store: AnnotationStore, src: Path) -> None:
    write_json(src / "9.json", read_all(src)[:2])
    report = migrate([src, src / ".." / "src" / "1.json"], store)
    assert (report.n_files, report.n_written, report.problems) == (6, 5, ())


def test_a_note_that_is_nan_is_kept_and_equals_itself(store: AnnotationStore, tmp_path: Path) -> None:
    path = write_json(tmp_path / "src" / "a.json", old_annotation(MARKETS, profit_loss_pct=float("nan")))
    assert migrate([path], store).n_written == 1
    report = migrate([path], store)
    assert (report.n_kept, report.n_differing) == (1, 0)


# -- what is migrated already -----------------------------------------------------------------------------------------


def test_an_edited_annotation_stays_as_it_is(store: AnnotationStore, src: Path) -> None:
    migrate([src], store)
    path = store.path("trade_001")
    edited = path.read_text().replace('"notes": "', '"notes": "my view: ')
    path.write_text(edited)
    report = migrate([src], store)
    assert (report.n_kept, report.n_differing, report.problems) == (5, 1, ())
    assert path.read_text() == edited


def test_an_open_trade_is_migrated_and_counted(store: AnnotationStore, src: Path) -> None:
    record = {**old_annotation(MARKETS, 7), "exit": None}
    write_json(src / "7.json", record)
    report = migrate([src], store)
    assert (report.problems, report.n_written, report.n_open) == ((), 6, 1)
    assert stored_bars(store).keys() >= embedded_bars(record).keys()
    assert store.load("trade_007").is_open
    bars = store.bars(store.load("trade_007"), before=2, after=5)
    assert bars.open_time[2] == MARKETS["5m"].open_time[200]
    assert bars.open_time[-1] == store.bar_store.load("BTCUSDT", "5m").open_time[-1]
    again = migrate([src], store)
    assert (again.n_written, again.n_kept, again.n_differing, again.n_open) == (0, 6, 0, 1)


def test_an_open_trade_that_was_closed_since_is_written_anew(store: AnnotationStore, src: Path) -> None:
    closed = old_annotation(MARKETS, 7)
    write_json(src / "7.json", {**closed, "exit": None})
    migrate([src], store)
    write_json(src / "7.json", closed)
    report = migrate([src], store)
    assert (report.n_written, report.n_kept, report.n_differing, report.n_open) == (1, 5, 0, 0)
    assert store.load("trade_007").exit_price == closed["exit"]["price"]
    write_json(src / "7.json", {**closed, "exit": None})  # an older copy opens no closed trade again
    assert migrate([src], store).n_differing == 1
    assert not store.load("trade_007").is_open


def test_a_better_bar_in_the_database_outlives_a_second_run(store: AnnotationStore, src: Path) -> None:
    migrate([src], store)
    better = market("5m", seed=9)[200:210]
    store.bar_store.write("BTCUSDT", "5m", better)
    report = migrate([src], store)
    np.testing.assert_array_equal(store.bar_store.load("BTCUSDT", "5m", better.open_time[0]).close[:10], better.close)
    assert sum(part.n_changed for part in report.series) == 0


def test_bars_that_the_database_has_lost_come_back(store: AnnotationStore, src: Path) -> None:
    migrate([src], store)
    store.bar_store.replace("BTCUSDT", "5m", MARKETS["5m"][220:230])
    assert sum(part.n_changed for part in migrate([src], store).series) > 0
    assert stored_bars(store) == embedded_bars(*read_all(src))


def test_a_broken_file_among_the_migrated_is_named_and_left(store: AnnotationStore, src: Path) -> None:
    migrate([src], store)
    store.path("trade_001").write_text("{")
    (problem,) = migrate([src], store).problems
    assert "trade_001.json: an annotation file must hold JSON, got" in problem
    assert store.path("trade_001").read_text() == "{"


# -- where it goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("out", ["src", "src/new", "src/../src"])
def test_the_output_lies_apart_from_the_sources(out: str, engine: Engine, src: Path) -> None:
    store = AnnotationStore(src.parent / out, BarStore(engine))
    with pytest.raises(InputError, match=r"`--out` must lie apart from the sources, got .* for .*src"):
        migrate([src], store)
    with pytest.raises(InputError, match="`--out` must lie apart"):
        migrate([src / "1.json"], AnnotationStore(src, BarStore(engine)))


def test_sources_that_are_not_there_are_named(store: AnnotationStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`src` must name a file or folder that exists, got .*nowhere"):
        migrate([tmp_path / "nowhere"], store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"`src` must hold .json files, got the folder .*empty without any"):
        migrate([tmp_path / "empty"], store)


# -- kills ------------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars.store import BarTransaction
from trendtrain.annotations import AnnotationStore, migration

src, out, url, where, count = sys.argv[1:]
owner = {"write": BarTransaction, "save": AnnotationStore, "replace": Path}[where]
original, left = getattr(owner, where), [int(count)]

def fatal(*arguments):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return original(*arguments)

setattr(owner, where, fatal)
migration.migrate([Path(src)], AnnotationStore(Path(out), BarStore(open_database(url))))
"""


@pytest.mark.parametrize(("where", "count"), [("write", 1), ("save", 0), ("replace", 2)])
def test_a_killed_migration_is_completed_by_the_next(
    where: str, count: int, store: AnnotationStore, db_url: str, src: Path
) -> None:
    arguments = [str(src), str(store.folder), db_url, where, str(count)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    report = migrate([src], store)
    assert report.n_written == (5 if where == "write" else 5 - count)
    assert (report.n_written + report.n_kept, report.problems) == (5, ())
    assert stored_bars(store) == embedded_bars(*read_all(src))
    assert len(store.load_all()) == 5
