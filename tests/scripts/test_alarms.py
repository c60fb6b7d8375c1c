"""The bench of false alarms: its streams are what they say, and it counts what the detector says."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts" / "bench"
sys.path.insert(0, str(SCRIPTS))

from alarms import n_alarms, repeating, shuffled, wandering  # noqa: E402


def autocorrelation(values: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(values[lag:], values[:-lag])[0, 1])


def test_repeated_verdicts_have_the_accuracy_and_the_neighbours_asked_for() -> None:
    values = repeating(200_000, np.random.default_rng(0), accuracy=0.6, lag_1=0.2)
    assert values.mean() == pytest.approx(0.6, abs=0.01)
    assert autocorrelation(values, 1) == pytest.approx(0.2, abs=0.01)
    assert autocorrelation(values, 5) == pytest.approx(0.0, abs=0.01)


def test_a_wandering_accuracy_is_remembered_for_long() -> None:
    values = wandering(200_000, np.random.default_rng(0), accuracy=0.6, lag_1=0.1)
    assert values.mean() == pytest.approx(0.6, abs=0.02)
    assert [autocorrelation(values, lag) for lag in (1, 100)] == pytest.approx([0.1, 0.1 / np.e], abs=0.01)


def test_shuffling_keeps_the_events_of_a_block_together() -> None:
    values = shuffled(300, np.random.default_rng(0), by_event=np.arange(110.0).tolist())
    assert sorted(values[:100]) == sorted(values[100:200]) == np.arange(100.0).tolist()
    assert (np.diff(values.reshape(-1, 25)) == 1.0).all()
    assert values[:100].tolist() != values[100:200].tolist()


def test_each_drop_is_counted() -> None:
    steady = repeating(2_000, np.random.default_rng(0), accuracy=0.8, lag_1=0.1)
    dropping = np.concatenate([steady, 0.4 * steady, steady, 0.4 * steady])
    assert (n_alarms(steady), n_alarms(dropping)) == (0, 2)


def test_the_bench_counts_streams_of_all_kinds(tmp_path: Path) -> None:
    judged = [{"strategy": "uniform", "learner": "mlp", "scenario": "weak", "seed": 0, "by_event": [1.0, 0.5] * 100}]
    (tmp_path / "judged.json").write_text(json.dumps(judged))
    command = [sys.executable, SCRIPTS / "alarms.py", "--events", "2000", "--verdicts", tmp_path / "judged.json"]
    subprocess.run([*command, "--json", tmp_path / "out.json"], check=True, capture_output=True, timeout=120)
    rows = json.loads((tmp_path / "out.json").read_text())
    assert {row["job"] for row in rows} == {"repeating", "wandering", "mlp weak 0, shuffled"}
    assert all(row["alarms"] == 0 for row in rows if row["job"] == "repeating")
