"""The bench of skill: its quick mode runs and goes on, its boosting knows no future, its errors are those of a loop."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate

from trendtrain.laws import check_causal
from trendtrain.market import Bars, label_bars, planted_market, random_walk
from trendtrain.parts import fill_counts

SCRIPTS = Path(__file__).parents[2] / "scripts" / "bench"
sys.path.insert(0, str(SCRIPTS))

from skill_runs import MODELS, boosted, configured, indicators  # noqa: E402
from skill_scores import Verdicts, score_row  # noqa: E402


def verdicts_of(bars: Bars) -> pd.DataFrame:
    """Every bar with a label, as a ledger tells of it."""
    labels = label_bars(bars)
    bar = np.flatnonzero((labels.direction == 0) | (labels.direction == 1))
    columns = {
        "series": "WALK_1m",
        "event": labels.event[bar],
        "known_at": labels.close_time[labels.known_at[bar]].astype(np.int64),
        "open_time": bars.open_time[bar].astype(np.int64),
        "truth": labels.direction[bar],
    }
    return pd.DataFrame(columns)


@pytest.mark.full
def test_the_quick_mode_compares_methods_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = [sys.executable, SCRIPTS / "skill.py", "--quick", "--out", tmp_path / "runs", "--json", file]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    written = file.read_text()
    scores = {row["job"]: row for row in json.loads(written)["scores"]}
    assert set(scores) >= {"crypto_pooled", "boosting", "boosting 23", "ema_reversal", "persistence"}
    assert scores["ema_reversal"]["accuracy"] < 0.45  # the synthetic market trends
    expected = scores["crypto_pooled"]["accuracy"] - scores["boosting"]["accuracy"]
    assert scores["crypto_pooled"]["over boosting"] == pytest.approx(expected)
    again = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True)
    assert file.read_text() == written
    assert "crypto" in again.stdout


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_made_in_the_experiment(model: str) -> None:
    config = configured(MODELS[model])
    fill_counts(config)
    assert instantiate(config.model).weight_decay == 3.0


def test_indicators_know_no_future() -> None:
    check_causal(lambda bars: np.nan_to_num(indicators(bars)), random_walk(600, seed=0), shortest=300)


def test_boosting_knows_no_future() -> None:
    bars = random_walk(3_200, seed=0)
    whole = verdicts_of(bars)
    part = whole[1_800:1_900]
    answers = boosted(part, bars, indicators, 2)
    assert len(np.unique(answers)) > 10
    seen = bars[: int(part.index[-1]) + 1]
    np.testing.assert_array_equal(boosted(part, seen, indicators, 2), answers)


def test_the_error_over_series_is_that_of_a_loop() -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "series": np.repeat(["A", "B"], [300, 500]),
            "event": np.arange(800) // 2,
            "known_at": np.concatenate([np.arange(300), np.arange(500)]) // 2 * 60_000,
            "open_time": np.concatenate([np.arange(300), np.arange(500)]),
            "truth": random.integers(2, size=800),
        }
    )
    verdicts = Verdicts.of(rows, ("A", "B"))
    values = random.random(400)
    own = [values[verdicts.event_series == i] for i in (0, 1)]
    expected = np.mean([one.mean() for one in own])
    sums = dict.fromkeys(verdicts.block.tolist(), 0.0)
    for value, series, block in zip(values, verdicts.event_series, verdicts.block.tolist(), strict=True):
        sums[block] += (value - own[series].mean()) / (2 * len(own[series]))
    n = len(sums)
    se = np.sqrt(n / (n - 1) * sum(value**2 for value in sums.values()))
    assert verdicts.over_series(values) == pytest.approx((expected, se))


def test_a_method_that_is_always_right_scores_one_and_halves_are_halves() -> None:
    rows = verdicts_of(random_walk(3_000, seed=1))
    verdicts = Verdicts.of(rows, ("WALK_1m",))
    answers = {"right": [np.where(rows.truth == 1, 0.9, 0.1)], "wrong": [np.where(rows.truth == 1, 0.1, 0.9)] * 2}
    right, wrong = (score_row(job, verdicts, answers, ("right",)) for job in answers)
    assert (right["accuracy"], right["top_20"], wrong["accuracy"], wrong["over right"]) == (1.0, 1.0, 0.0, -1.0)
    assert (right["ece"], wrong["ece"], wrong["seeds"]) == (pytest.approx(0.1), pytest.approx(0.9), 2)
    assert verdicts.is_late.mean() == pytest.approx(0.5, abs=0.05)


def test_crypto_pooled_is_one_command_and_a_run_for_each_timeframe(tmp_path: Path) -> None:
    names = [f"SYNTHA_{timeframe}.csv" for timeframe in ("1m", "5m")]
    for seed, name in enumerate(names):
        bars = planted_market(3_000, seed, name[-6:-4])
        columns = {field: getattr(bars, field) for field in ("open_time", "open", "high", "low", "close", "volume")}
        (tmp_path / "bars").mkdir(exist_ok=True)
        pd.DataFrame(columns).to_csv(tmp_path / "bars" / name, index=False)
    small = ["data.symbols=SYNTHA", "walk.start=0.2", "walk.steps=2", "walk.warmup=0", "replay.n_batches=1"]
    places = [f"data.path={tmp_path}/bars", f"hydra.sweep.dir={tmp_path}/runs", f"db.url=sqlite:///{tmp_path}/a.db"]
    quiet = ["logger=none", "trainer.accelerator=cpu", "hydra.launcher.n_jobs=1"]
    command = [Path(sys.executable).parent / "trendtrain", "train", "experiment=crypto_pooled"]
    subprocess.run([*command, *small, *places, *quiet], check=True, capture_output=True, timeout=300, cwd=tmp_path)
    summaries = [json.loads((tmp_path / "runs" / run / "summary.json").read_text()) for run in ("0", "1")]
    assert [list(summary["series"]["SYNTHA"]) for summary in summaries] == [["1m"], ["5m"]]
    assert (tmp_path / "runs" / "sweep.json").exists()
