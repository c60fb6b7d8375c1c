"""The demo of a market that flips: an alarm, and a quicker recovery than without it."""

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_module
from sqlalchemy import text
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trendtrain.storage import open_database
from trendtrain.train import train

FLIP = pd.Timestamp("2020-01-01") + 30_000 * pd.Timedelta("1min")
_EVENTS = """
select known_at, avg(outcome) as accuracy from verdicts where outcome < 2 group by kind, first_time, last_time, known_at
order by known_at
"""


def run(folder: Path, *overrides: str) -> pd.Series:
    """Run the demo and return the accuracy of each event, by when it was known."""
    url = f"sqlite:///{folder / 'run.db'}"
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        plain = ["experiment=regime_change", f"db.url={url}", "trainer.enable_progress_bar=false"]
        cfg = compose("train", [*plain, *overrides])
    train(cfg, folder)
    engine = open_database(url)
    with engine.connect() as connection:
        events = pd.read_sql(text(_EVENTS), connection)
    engine.dispose()
    return events.set_index(pd.to_datetime(events.known_at, unit="ms")).accuracy


def alarms(folder: Path) -> list[float]:
    """Return the times of the alarms on the chart."""
    (log,) = folder.rglob("events.out.tfevents.*")
    points = EventAccumulator(str(log)).Reload().Scalars("replay/alarms")
    counts = [(0.0, 0.0), *((point.wall_time, point.value) for point in points)]
    return [now for (_, before), (now, after) in pairwise(counts) if after > before]


def test_the_flip_is_on_the_chart_of_alarms_and_nothing_else(tmp_path: Path) -> None:
    """A third of the demo: from 12,000 bars before the flip to 4,000 after it."""
    run(tmp_path, "data.source.n_bars=34000", "walk.start=0.53", "model.lr=1e-3")
    (alarm,) = alarms(tmp_path)
    assert 0 < alarm - FLIP.timestamp() < 3_500 * 60


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_after_the_flip_the_default_is_well_ahead_of_uniform_replay(tmp_path: Path, seed: int) -> None:
    accuracy = {}
    for name in ("gradient", "uniform"):
        folder = tmp_path / name
        folder.mkdir()
        events = run(folder, f"replay={name}", f"seed={seed}")
        accuracy[name] = events[events.index > FLIP][:1500].mean()
        assert len(alarms(folder)) > 0  # uniform replay tells of it, and forgets nothing
    assert accuracy["gradient"] - accuracy["uniform"] > 0.05
