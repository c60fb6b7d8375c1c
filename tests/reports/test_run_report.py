"""The report of a run says what its summary says, and tells each bar's verdict."""

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_run import walk
from sqlalchemy import Engine

from trendtrain.errors import InputError, NotStoredError
from trendtrain.reports import run_report
from trendtrain.reports.run_report import report_page, write_report
from trendtrain.reports.skill import skill_of
from trendtrain.storage import BarStore, Ledger, open_database


@pytest.fixture(scope="module")
def engine(small_run: SimpleNamespace) -> Iterator[Engine]:  # type: ignore[override]
    engine = open_database(small_run.url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def page(small_run: SimpleNamespace) -> str:
    return (small_run.folder / "report.html").read_text()


def figures_of(page: str) -> list[dict[str, Any]]:
    held = re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    figures: list[dict[str, Any]] = json.loads(held[1])
    return figures


def decoded(values: Any) -> Any:
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return values


def test_a_run_writes_its_report_and_the_command_writes_the_same(
    page: str, small_run: SimpleNamespace, engine: Engine
) -> None:
    assert report_page(small_run.folder, engine) == page
    assert 4_500_000 < len(page) < 8_000_000


def test_the_report_begins_with_the_skill(page: str, small_run: SimpleNamespace) -> None:
    assert f'<h1>small</h1><p class="skill">{skill_of(small_run.values)}</p>' in page
    for text in (f"{small_run.values['n_events']:,}", f"{small_run.values['event_accuracy']:.4f}", "CnnNet"):
        assert f"<dd>{text}" in page


def test_every_rule_is_in_the_table_and_its_course_ends_at_its_accuracy(page: str, small_run: SimpleNamespace) -> None:
    rules = figures_of(page)[0]["data"]
    ends = {one["name"]: decoded(one["y"])[-1] for one in rules}
    assert ends.pop("model") == pytest.approx(small_run.values["event_accuracy"])
    assert ends == pytest.approx({k: v["event_accuracy"] for k, v in small_run.values["baselines"].items()})
    for name, scores in small_run.values["baselines"].items():
        assert f'</span>{name}</td><td class="number">{scores["event_accuracy"]:.4f}</td>' in page


def test_the_lead_ends_at_that_of_the_summary(page: str, small_run: SimpleNamespace) -> None:
    best = small_run.values["best_baseline"]
    assert f"Lead over {best['name']}, the best simple rule" in page
    low, high, mean = (decoded(one["y"])[-1] for one in figures_of(page)[1]["data"][:3])
    assert mean == pytest.approx(best["difference"])
    assert (low, high) == pytest.approx(best["ci95"])


def test_months_and_hours_hold_every_event(page: str, small_run: SimpleNamespace) -> None:
    by_month, by_hour = figures_of(page)[2:4]
    assert by_month["data"][0]["y"] == by_hour["data"][0]["y"] == ["SYNTH-A 5m", "SYNTH-B 5m"]
    assert set(by_month["data"][0]["x"]) == {"2020-01"}
    notes = [note for row in by_month["data"][0]["hovertext"] for note in row if note]
    assert sum(int(note.split(", ")[-1].split()[0]) for note in notes) == small_run.values["n_events"]


def test_each_bar_tells_its_verdict_its_line_and_when_it_was_known(page: str, engine: Engine) -> None:
    charts = [one for one in figures_of(page) if one["data"][0]["type"] == "candlestick"]
    newest = Ledger(engine).newest("small", 10_000)
    for chart, one in zip(charts, newest, strict=True):
        times = chart["data"][0]["x"]
        notes = dict(zip((time[:16] for time in times), chart["data"][0]["hovertext"], strict=True))
        rows = one.rows[-1_500:]
        assert len(notes) >= len(rows) > 1000
        words = {0: "wrong", 1: "correct", 2: "void", 3: "void", -9: "pending"}
        for row in rows:
            note = notes[str(row["open_time"].astype("datetime64[ms]"))[:16]]
            assert f"confidence {row['confidence']:.3f}" in note
            assert f"<br>{words[int(row['outcome'])]}" in note
            if row["kind"]:
                assert f"line {row['kind']}: {str(row['first_time'].astype('datetime64[m]'))[:10]}"[:8] in note
                known_at = str(row["known_at"].astype("datetime64[ms]").astype("datetime64[m]")).replace("T", " ")
                assert f"known {known_at}" in note


def test_a_report_lists_its_promises_and_every_setting(page: str) -> None:
    assert "<strong>No fact from the future.</strong>" in page
    assert "<code>walk.step</code></td><td>128bars</td>" in page


def test_a_report_without_bars_in_the_database_says_so(
    small_run: SimpleNamespace, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise NotStoredError("gone")

    monkeypatch.setattr(BarStore, "load", gone)
    assert "The database no longer holds these bars." in report_page(small_run.folder, engine)


def test_a_report_goes_where_it_is_asked_to(small_run: SimpleNamespace, engine: Engine, tmp_path: Path) -> None:
    assert write_report(small_run.folder, engine, tmp_path / "a.html") == tmp_path / "a.html"
    assert (tmp_path / "a.html").read_text() == (small_run.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "rule"), [("run.json", "run.json"), ("summary.json", "summary.json"), ("scores.npz", "scores.npz")]
)
def test_a_folder_that_lacks_a_file_is_refused(
    name: str, rule: str, small_run: SimpleNamespace, engine: Engine, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(small_run.folder, folder, ignore=shutil.ignore_patterns("checkpoints", name))
    with pytest.raises(InputError, match=rule):
        report_page(folder, engine)


def test_a_run_without_a_verdict_has_a_report_that_ends_with_its_last_prediction(tmp_path: Path) -> None:
    run = walk(tmp_path / "short", "walk.steps=1", "walk.step=2bars")
    assert run.values["n_events"] == 0
    page = (run.folder / "report.html").read_text()
    assert "No prediction has been judged yet" in page
    engine = open_database(run.url)
    last = Ledger(engine).newest("short", 1)[0].rows["open_time"][-1].astype("datetime64[ms]")
    assert BarStore(engine).load("SYNTH", "5m").open_time[-1] > last  # what came later is in the database
    engine.dispose()
    (chart,) = (one for one in figures_of(page) if one["data"][0]["type"] == "candlestick")
    assert np.datetime64(chart["data"][0]["x"][-1], "ms") == last


def test_a_report_that_fails_leaves_the_run_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr(run_report, "report_page", broken)
    run = walk(tmp_path / "run", "walk.steps=2")
    assert not (run.folder / "report.html").exists()
    assert (run.folder / "summary.json").exists()
    assert "The run is complete, but its report failed: RuntimeError: no ink" in capsys.readouterr().out
