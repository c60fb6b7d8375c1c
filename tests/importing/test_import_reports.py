import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, select

from trendtrain.errors import InputError
from trendtrain.importing import ReadOptions, import_files
from trendtrain.market.bars import Series
from trendtrain.storage import BarStore
from trendtrain.storage.schema import import_reports, series

MINUTES = range(6)


def write_csv(folder: Path, name: str, minutes: Sequence[int], closes: Sequence[float]) -> Path:
    rows = [f"2024-01-01 00:{minute:02d},1,9,0.5,{close},1" for minute, close in zip(minutes, closes, strict=True)]
    (folder / name).write_text("time,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return folder / name


def kept(engine: Engine) -> list[dict[str, object]]:
    query = select(import_reports, series.c.symbol).join(series).order_by(import_reports.c.id)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_every_bar_is_new_replaced_or_as_stored(engine: Engine, tmp_path: Path, seed: int, is_stored: bool) -> None:
    rng = np.random.default_rng(seed)
    known: dict[int, float] = {}
    files, expected = [], []
    for i in range(3):
        minutes = list(range(int(rng.integers(0, 5)), int(rng.integers(20, 30))))
        closes = rng.integers(1, 4, len(minutes)).tolist()
        files.append(write_csv(tmp_path, f"{i}.csv", minutes, closes))
        content = dict(zip(minutes, closes, strict=True))
        n_new = sum(minute not in known for minute in content)
        n_replaced = sum(known.get(minute, close) != close for minute, close in content.items())
        expected.append((n_new, n_replaced))
        known |= content
    store, options = BarStore(engine), ReadOptions(symbol="A")
    batches = [[file] for file in files] if is_stored else [files]
    reports = [report for batch in batches for report in import_files(store, batch, options)]
    assert [(report.n_changed - report.n_replaced, report.n_replaced) for report in reports] == expected
    assert store.load("A", "1m").close.tolist() == [known[minute] for minute in sorted(known)]


def test_other_values_may_be_refused_and_nothing_is_written_then(engine: Engine, tmp_path: Path) -> None:
    store = BarStore(engine)
    first = write_csv(tmp_path, "A_1m.csv", MINUTES, [1.0] * 6)
    import_files(store, [first])
    other = write_csv(tmp_path, "B_1m.csv", MINUTES, [1.0] * 6)
    changed = write_csv(tmp_path, "changed.csv", range(3, 9), [1.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    message = (
        r"changed\.csv: bars must agree with the bars of A 1m .*, got other values at 2024-01-01T00:04.*\(2 in all"
    )
    with pytest.raises(InputError, match=message):
        import_files(store, [other, changed], ReadOptions(symbol="A"), may_replace=False)
    assert len(store.load("A", "1m")) == 6
    same = write_csv(tmp_path, "same.csv", range(3, 9), [1.0] * 6)
    (report,) = import_files(store, [same], ReadOptions(symbol="A"), may_replace=False)
    assert (report.n_changed, report.n_replaced) == (3, 0)


def test_files_of_one_import_that_disagree_may_be_refused(engine: Engine, tmp_path: Path) -> None:
    files = [write_csv(tmp_path, f"{i}.csv", MINUTES, [1.0 + i] * 6) for i in range(2)]
    with pytest.raises(InputError, match=r"1\.csv: bars must agree"):
        import_files(BarStore(engine), files, ReadOptions(symbol="A"), may_replace=False)
    assert BarStore(engine).series() == []


def test_a_strict_import_refuses_what_another_leaves_out(engine: Engine, tmp_path: Path) -> None:
    path = write_csv(tmp_path, "A_1m.csv", [0, 1, 1, 3, 2, 4], [1, 1, 2, 1, 1, 20])
    with pytest.raises(InputError, match=r"A_1m\.csv, data row 2: a time must come once"):
        import_files(BarStore(engine), [path])
    assert BarStore(engine).series() == []
    (report,) = import_files(BarStore(engine), [path], strict=False)
    found = report.findings
    assert (found.n_conflicts, found.n_unordered, found.n_broken, report.quality.n_bars) == (1, 1, 1, 4)
    assert BarStore(engine).load("A", "1m").close.tolist() == [1, 2, 1, 1]


def test_a_file_of_broken_rows_alone_is_refused(engine: Engine, tmp_path: Path) -> None:
    path = write_csv(tmp_path, "A_1m.csv", MINUTES, [20.0] * 6)
    with pytest.raises(InputError, match=r"A_1m\.csv, data row 1: `high` must be at least"):
        import_files(BarStore(engine), [path], strict=False)


def test_every_import_keeps_its_report(engine: Engine, tmp_path: Path) -> None:
    path = write_csv(tmp_path, "A_1m.csv", [5, 4, 2, 1], [1.0, 2.0, 20.0, 3.0])
    for _ in range(2):
        (report,) = import_files(BarStore(engine), [path], strict=False)
    first, second = kept(engine)
    assert first["symbol"] == "A"
    assert first["file"] == str(path)
    assert json.loads(str(second["report"])) == json.loads(report.as_json())
    content = json.loads(str(first["report"]))
    assert content["series"] == list(Series("A", "1m"))
    assert content["layout"] == "generic"
    assert content["n_changed"] == 3
    assert content["quality"]["first"] == "2024-01-01T00:01:00.000"
    assert content["findings"]["is_newest_first"] is True
    assert content["findings"]["n_broken"] == 1
    assert content["findings"]["first_fault"].startswith("`high` must be at least `open` and `close`, got open 1")


def test_what_is_not_known_is_null_in_a_kept_report(engine: Engine, tmp_path: Path) -> None:
    path = write_csv(tmp_path, "A.csv", [0], [1.0])
    (report,) = import_files(BarStore(engine), [path], ReadOptions(timeframe="1m"))
    assert np.isnan(report.quality.equal_highs)
    assert json.loads(report.as_json())["quality"]["equal_highs"] is None


def test_a_wrong_option_is_refused_before_anything_is_read(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`timezone` must name a time zone"):
        import_files(BarStore(engine), [tmp_path / "none.csv"], ReadOptions(timezone="Mars"))


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize("second", ["00:00:30", "00:05:30", "23:59:30"])
def test_a_file_between_the_bars_of_its_series_is_named_and_nothing_is_written(
    engine: Engine, tmp_path: Path, is_stored: bool, second: str
) -> None:
    store = BarStore(engine)
    first = write_csv(tmp_path, "A_1m.csv", MINUTES, [1.0] * 6)
    if is_stored:
        import_files(store, [first])
    before = kept(engine)
    other = write_csv(tmp_path, "B_1m.csv", MINUTES, [1.0] * 6)
    day = "2023-12-31" if second.startswith("23") else "2024-01-01"
    between = tmp_path / "between__A_1m.csv"
    between.write_text(f"time,open,high,low,close,volume\n{day} {second},1,9,0.5,1,1\n")
    files = [other, between] if is_stored else [other, first, between]
    with pytest.raises(
        InputError, match=r"between__A_1m\.csv: `bars` must lie at least 1m from the other bars of A, got .*:30"
    ):
        import_files(store, files, ReadOptions(timeframe="1m"), strict=False)
    assert kept(engine) == before
    assert [one.symbol for one in store.series()] == ["A"] * is_stored


def write_hours(folder: Path, name: str, clocks: Sequence[str], close: float = 1.0) -> Path:
    rows = [f"2024-01-0{clock},1,9,0.5,{close},1" for clock in clocks]
    (folder / name).write_text("time,open,high,low,close,volume\n" + "\n".join(rows) + "\n")
    return folder / name


QUOTE = ("1 13:00", "1 14:00", "1 15:00", "1 16:47:32")


def test_a_bar_with_the_time_of_a_quote_is_reported_and_refused_by_a_strict_import(
    engine: Engine, tmp_path: Path
) -> None:
    path = write_hours(tmp_path, "A_1h.csv", QUOTE)
    with pytest.raises(InputError, match=r"data row 4: bars must lie a whole number of .*, got 2024-01-01T16:47:32"):
        import_files(BarStore(engine), [path])
    (report,) = import_files(BarStore(engine), [path], strict=False)
    assert report.findings.n_off_grid == 1
    assert report.findings.first_off_grid is not None
    assert report.findings.first_off_grid.row == 3
    assert BarStore(engine).load("A", "1h").open_time[-1] == np.datetime64("2024-01-01T16:47:32")


@pytest.mark.parametrize("is_stored", [True, False])
@pytest.mark.parametrize(
    ("later", "n_new", "n_replaced"),
    [
        (("1 17:00", "1 18:00"), 1, 1),
        (("1 17:00",), 0, 1),
        (("1 16:00", "1 17:00", "1 18:00"), 1, 2),  # both bars beside the quote
        (("1 15:00", "1 16:00", "1 18:10:05"), 1, 1),  # as a download of the same day some hours later
    ],
)
def test_a_later_file_takes_the_place_of_a_quote(
    engine: Engine, tmp_path: Path, later: Sequence[str], n_new: int, n_replaced: int, is_stored: bool
) -> None:
    files = [write_hours(tmp_path, "A_1h.csv", QUOTE), write_hours(tmp_path, "next__A_1h.csv", later)]
    store, options = BarStore(engine), ReadOptions(timeframe="1h")
    batches = [[file] for file in files] if is_stored else [files]
    *_, report = [report for batch in batches for report in import_files(store, batch, options, strict=False)]
    assert (report.n_changed - report.n_replaced, report.n_replaced) == (n_new, n_replaced)
    clocks = dict.fromkeys([*QUOTE[:3], *later])
    expected = [np.datetime64(f"2024-01-0{clock.replace(' ', 'T')}", "ms") for clock in clocks]
    assert store.load("A", "1h").open_time.tolist() == sorted(time.item() for time in expected)


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json"])
def test_a_row_without_prices_is_counted_and_left_out(engine: Engine, tmp_path: Path, ending: str) -> None:
    table = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=6, freq="min"), "volume": 1.0})
    table[["open", "high", "low", "close"]] = [1.0, 1.0, 1.0, 1.0]
    table.loc[[3, 5], ["open", "high", "low", "close"]] = np.nan
    table["time"] = table["time"].astype(str)
    path = tmp_path / f"A_1m{ending}"
    {".csv": table.to_csv, ".parquet": table.to_parquet, ".json": table.to_json}[ending](path)
    (report,) = import_files(BarStore(engine), [path], strict=False)
    assert (report.findings.n_broken, report.findings.n_rows) == (2, 6)
    assert BarStore(engine).load("A", "1m").open_time.tolist() == [
        np.datetime64(f"2024-01-01T00:0{minute}", "ms").item() for minute in (0, 1, 2, 4)
    ]
    with pytest.raises(InputError, match=rf"A_1m\{ending}, data row 4: `open` must be finite"):
        import_files(BarStore(engine), [path])
