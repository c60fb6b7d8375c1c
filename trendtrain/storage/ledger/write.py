"""What the ledger writes and deletes inside a transaction."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from sqlalchemy import Connection, and_, delete, exists, insert, select, update

from trendtrain.market.bars import Series
from trendtrain.storage.ledger.keys import claim_ids, claim_lines, claim_tracks
from trendtrain.storage.ledger.rows import PredictionRows, VerdictRows
from trendtrain.storage.schema import alarms, lines, prediction_rows, runs, tracks, verdict_rows
from trendtrain.storage.upsert import replace_rows
from trendtrain.validation.stats import TrendStats


@dataclass(frozen=True)
class Progress:
    """How far a run is: how many steps there are (None where nobody knows), and its counts so far."""

    n_steps: int | None
    stats: TrendStats

    @property
    def columns(self) -> dict[str, int | None]:
        """The columns of `runs` that hold it."""
        names = ("total_predictions", "validated_predictions", "correct_predictions", "void_predictions")
        numbers = (self.stats.total, self.stats.validated, self.stats.correct, self.stats.void)
        return {"n_steps": self.n_steps, **dict(zip(names, numbers, strict=True))}


@dataclass(frozen=True, eq=False)
class StepRows:
    """What a step predicted and judged, as the ledger takes it.

    Attributes:
        step: Walk-forward step.
        predictions: Made in this step; None for none.
        verdicts: Reached in this step, on predictions of this step or earlier ones; None for none.
        pass_: Which pass over the stream, from 0.
        progress: How far the run is with it; None leaves the run's counts as they are.
    """

    step: int
    predictions: PredictionRows | None
    verdicts: VerdictRows | None
    pass_: int = 0
    progress: Progress | None = None

    @property
    def run_columns(self) -> dict[str, int | None]:
        """The columns of `runs` that tell of it."""
        return {"step": self.step, **({} if self.progress is None else self.progress.columns)}


def now_ms() -> int:
    """Return the time it is, ms."""
    return time.time_ns() // 1_000_000


def update_run(connection: Connection, run_id: str, **values: object) -> None:
    """Change the row of a run.

    As the first statement of a transaction it takes SQLite's write lock before anything is read.
    """
    connection.execute(update(runs).where(runs.c.id == run_id).values(updated_at=now_ms(), **values))


def write_steps(connection: Connection, run_id: str, model: str, steps: Sequence[StepRows]) -> None:
    """Write the predictions and verdicts of steps, and the lines of the verdicts."""

    @cache  # the same in most steps
    def claimed(names: tuple[Series, ...], pass_: int) -> tuple[list[int], list[int]]:
        series_ids = claim_ids(connection, names)
        return series_ids, claim_tracks(connection, run_id, model, pass_, series_ids)

    for one in steps:
        if one.predictions is not None and len(one.predictions) > 0:
            _, numbers = claimed(one.predictions.series, one.pass_)
            replace_rows(connection, prediction_rows, one.predictions.rows(numbers, one.step))
        if one.verdicts is not None and len(one.verdicts) > 0:
            series_ids, numbers = claimed(one.verdicts.series, one.pass_)
            line_ids = claim_lines(connection, run_id, series_ids, one.verdicts.lines)
            replace_rows(connection, verdict_rows, one.verdicts.rows(numbers, one.step, line_ids))


def write_alarm(connection: Connection, alarm: dict[str, object]) -> None:
    """Write a row of `alarms` in place of the one of its run, model, step, kind and series."""
    key = ("run_id", "model", "step", "kind", "series_id")
    # Not an upsert: in a unique key two nulls differ.
    connection.execute(delete(alarms).where(*(alarms.c[name].is_not_distinct_from(alarm[name]) for name in key)))
    connection.execute(insert(alarms), alarm)


def forget_after(connection: Connection, run_id: str, step: int) -> None:
    """Delete all a run wrote in steps after `step`; if there are any, its counts are unknown until it writes again."""
    update_run(connection, run_id)
    unknown = dict.fromkeys(Progress(None, TrendStats()).columns)
    later = (runs.c.id == run_id, runs.c.step > step)
    connection.execute(update(runs).where(*later).values(step=step, **unknown))
    own_tracks = select(tracks.c.id).where(tracks.c.run_id == run_id)
    for table in (verdict_rows, prediction_rows):
        connection.execute(delete(table).where(table.c.track_id.in_(own_tracks), table.c.step > step))
    connection.execute(delete(alarms).where(alarms.c.run_id == run_id, alarms.c.step > step))
    judges = exists().where(verdict_rows.c.line_id == lines.c.id)
    connection.execute(delete(lines).where(and_(lines.c.run_id == run_id, ~judges)))
