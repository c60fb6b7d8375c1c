"""The bench of features: its short form has a row for each job, and peers compute what ours do."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from trendtrain.features.bar import write_distances

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench" / "features.py"


def test_the_bench_prints_a_row_a_job(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    command = [sys.executable, SCRIPT, "--bars", "3000", "--values", "2000", "--json", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {row["job"]: row for row in json.loads(file.read_text())}
    assert rows["copy"]["x memcpy"] == 1.0
    assert rows["EMA_100, pandas"]["x pandas"] == 1.0
    assert rows["EMA_100"]["M/s"] > 0.0


def test_the_average_of_pandas_is_ours() -> None:
    values, distances = np.random.default_rng(0).normal(size=500), np.empty((500, 1))
    write_distances(values, np.ones(500), np.array([2.0 / 101.0]), np.ones(1), np.full(1, np.nan), distances, 0)
    expected = values - pd.Series(values).ewm(span=100, adjust=False).mean()
    np.testing.assert_allclose(distances[:, 0], expected, atol=1e-12)
