import json
from pathlib import Path

import pytest

from trendtrain.reports.summary import Summary, without_nan

NAN = float("nan")


def test_nan_becomes_none_at_any_depth() -> None:
    nested = {"a": NAN, "b": [1.0, NAN, {"c": (NAN, 2)}], "d": "nan", "e": None, "f": True}
    assert without_nan(nested) == {"a": None, "b": [1.0, None, {"c": [None, 2]}], "d": "nan", "e": None, "f": True}


def test_values_given_stay_as_they_are() -> None:
    values = {"a": [NAN]}
    without_nan(values)
    assert values["a"][0] != values["a"][0]


def test_a_summary_is_written_as_json(tmp_path: Path) -> None:
    path = Summary({"accuracy": NAN, "n_events": 3}, tmp_path).save()
    assert path == tmp_path / "summary.json"
    assert json.loads(path.read_text()) == {"accuracy": None, "n_events": 3}


def test_a_summary_replaces_an_older_one(tmp_path: Path) -> None:
    for n in (1, 2):
        Summary({"n": n}, tmp_path).save()
    assert json.loads((tmp_path / "summary.json").read_text()) == {"n": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_what_json_cannot_hold_leaves_the_older_one(tmp_path: Path) -> None:
    Summary({"n": 1}, tmp_path).save()
    with pytest.raises(ValueError, match="not JSON compliant"):
        Summary({"n": float("inf")}, tmp_path).save()
    assert json.loads((tmp_path / "summary.json").read_text()) == {"n": 1}
