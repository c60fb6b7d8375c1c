"""Every command that prints a table prints the same as JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trendtrain.cli import main
from trendtrain.market import synthetic_market

Said = Callable[..., Any]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """What a command prints with `--json`, read back."""

    def said(*arguments: object) -> Any:
        capfd.readouterr()
        assert main([*map(str, arguments), "--json"]) == 0
        return json.loads(capfd.readouterr().out)

    return said


@pytest.fixture
def csv() -> Path:
    bars = synthetic_market(400, seed=5)
    names = ("open_time", "open", "high", "low", "close", "volume")
    pd.DataFrame({name: getattr(bars, name) for name in names}).to_csv("ETH_5m.csv", index=False)
    return Path("ETH_5m.csv")


def test_label(said: Said, csv: Path) -> None:
    (found,) = said("label", csv, "--out", "o.parquet")
    assert (found["series"], found["n_bars"], found["written"]) == (["ETH", "5m"], 400, "o.parquet")
    table = pd.read_parquet("o.parquet")
    assert found["labelled"] == pytest.approx((table["direction"] >= 0).mean())


def test_import_and_db_info(said: Said, csv: Path) -> None:
    (found,) = said("import", csv, "--db", "sqlite:///a.db")
    assert (found["series"], found["quality"]["n_bars"], found["n_changed"]) == (["ETH", "5m"], 400, 400)
    info = said("db", "info", "--db", "sqlite:///a.db")
    assert [(one["symbol"], one["n_bars"]) for one in info["series"]] == [("ETH", 400)]
    assert info["runs"] == []
    assert info["n_rows"]["bar_blocks"] == 1


def test_predict(said: Said, csv: Path, small_run: SimpleNamespace) -> None:
    (found,) = said("predict", "--ckpt", small_run.folder, csv, "--out", "o.parquet")
    table = pd.read_parquet("o.parquet")
    assert found["predicted"] == (table["direction"] >= 0).sum() > 0
    assert found["confidence"] == pytest.approx(table["confidence"].iloc[-1])
    assert np.datetime64(found["made_at"]) == table["made_at"].iloc[-1].tz_localize(None)
    assert found["direction"] in ("up", "down")


def test_stats(said: Said, small_run: SimpleNamespace) -> None:
    found = said("stats", "--db", small_run.url, "--run", "small")
    assert {one["run"] for one in found} == {"small"}
    assert sum(one["validated_predictions"] for one in found) == small_run.values["stats"]["validated_predictions"]


def test_stats_of_nothing(said: Said, csv: Path) -> None:
    said("import", csv, "--db", "sqlite:///a.db")
    assert said("stats", "--db", "sqlite:///a.db") == []
