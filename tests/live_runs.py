"""Small live runs: what they predicted, and a net whose training is slow."""

import sqlite3
import time
from typing import Any

from train_runs import RunIn

from trendtrain.models import TrendModule

SMALL = (
    "data.source.n_bars=420",
    "data.symbols=[SYNTH-A,SYNTH-B]",
    "callbacks.checkpoint.every_seconds=0.3",
    "walk.start=0.4",
)


def predictions(run: RunIn) -> list[tuple[Any, ...]]:
    """All predictions, with when and by which parameters they were made."""
    connection = sqlite3.connect(run.folder / "run.db", timeout=60)
    rows = connection.execute(
        "SELECT symbol, open_time, direction, confidence, step, parameters, stored_at FROM predictions"
    )
    found = sorted(rows.fetchall())
    connection.close()
    return found


class SlowModule(TrendModule):
    """A module whose batches take two seconds."""

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        time.sleep(2.0)
        return super().training_step(batch, batch_idx)
