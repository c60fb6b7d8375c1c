import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from trendtrain.cli import main


def report(*arguments: object) -> int:
    return main(["report", *map(str, arguments)])


@pytest.fixture
def other(small_run: SimpleNamespace, tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    shutil.copytree(small_run.folder, folder, ignore=shutil.ignore_patterns("checkpoints", "report.html"))
    return folder


def test_a_report_is_written_into_each_run(
    small_run: SimpleNamespace, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(other, small_run.folder, other, "--db", small_run.url) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{one}/report.html" for one in (other, small_run.folder)]
    assert (other / "report.html").read_text() == (small_run.folder / "report.html").read_text()


def test_reports_go_where_they_are_asked_to(small_run: SimpleNamespace, other: Path, tmp_path: Path) -> None:
    assert report(other, "--db", small_run.url, "--out", tmp_path / "a.html") == 0
    assert report(other, small_run.folder, "--db", small_run.url, "--out", tmp_path / "both") == 0
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"other.html", "small.html"}
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "both" / "other.html").read_bytes()
    assert not (other / "report.html").exists()


def test_json_names_the_reports_and_their_skill(
    small_run: SimpleNamespace, other: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(other, "--db", small_run.url, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["run"], found["report"]) == (str(other), str(other / "report.html"))
    assert found["skill"].endswith("events).")


def test_what_is_wrong_is_one_line(
    small_run: SimpleNamespace, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ("--db", small_run.url)
    (tmp_path / "sub").mkdir()
    shutil.copytree(other, tmp_path / "sub" / "other")
    for arguments, message in (
        ((tmp_path, *url), "must be a run's folder"),
        ((other, *url, "--out", tmp_path / "a.pdf"), "`--out` must end in .html"),
        ((other, small_run.folder, *url, "--out", tmp_path / "a.html"), "`--out` must be a folder for 2 runs"),
        ((other, tmp_path / "sub" / "other", *url, "--out", tmp_path / "o"), "`--out` must have a name for each run"),
        ((other, *url, "--out", tmp_path / "no" / "a.html"), "`--out` must be a file that can be written"),
        ((other, "--db", f"sqlite:///{tmp_path / 'no.db'}"), "`--db` must name a database that exists"),
    ):
        assert report(*arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("trendtrain: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert not (tmp_path / "no.db").exists()
