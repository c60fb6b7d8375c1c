"""Keep the predictions and verdicts of runs in the database."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection, Engine, delete, insert, update
from sqlalchemy.exc import IntegrityError

from trendtrain.market.bars import Series
from trendtrain.market.timeframe import Time, to_milliseconds
from trendtrain.storage.ledger.compare import Comparison, compare_runs
from trendtrain.storage.ledger.delete import delete_after, delete_run, delete_runs
from trendtrain.storage.ledger.newest import NewestPredictions, newest_predictions
from trendtrain.storage.ledger.rows import PredictionRows, Progress, StepRows, VerdictRows
from trendtrain.storage.ledger.stats import LedgerStats, count_runs, run_names
from trendtrain.storage.ledger.write import read_newest, read_predictions, write_missing, write_steps
from trendtrain.storage.schema import alarms, models, runs
from trendtrain.storage.series import find_or_add_series
from trendtrain.storage.upsert import insert_missing, replace_rows

Ended = Literal["finished", "stopped", "partial", "interrupted", "failed"]


class Ledger:
    """Predictions and verdicts of many runs in one database.

    Example:
        >>> from trendtrain.storage import open_database
        >>> engine = open_database("sqlite://")
        >>> ledger = Ledger(engine)
        >>> ledger.begin("run-1", config="{}", started_at="2024-01-01T12:00")
        >>> ledger.stats()
        []
        >>> ledger.end("run-1", "finished")
        >>> ledger.prune(keep_runs=0)
        ['run-1']
        >>> engine.dispose()
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def begin(self, run_id: str, config: str, started_at: Time) -> None:
        """Enter a run; one that is entered already keeps its entry, and is running again.

        Args:
            run_id: Name of the run.
            config: Its resolved configuration, as text.
            started_at: When it was started; without an offset UTC.
        """
        row = {"id": run_id, "config": config, "started_at": to_milliseconds("started_at", started_at)}
        with self.engine.begin() as connection:
            connection.execute(insert_missing(connection, runs), row)
            _update_run(connection, run_id, status="running")

    def describe_model(self, run_id: str, name: str, model_type: str, class_path: str) -> None:
        """Enter the class of a model.

        Args:
            run_id: A run that was begun.
            name: Name of the model in the run.
            model_type: Class of its net.
            class_path: That class with its module.

        Raises:
            ValueError: If the run was not begun.
        """
        try:
            with self.engine.begin() as connection:
                replace_rows(connection, models, [(run_id, name, model_type, class_path)])
        except IntegrityError as error:
            raise ValueError(f"`run_id` must be begun, got {run_id!r}.") from error

    def end(self, run_id: str, status: Ended) -> None:
        """Note how a run ended."""
        with self.engine.begin() as connection:
            _update_run(connection, run_id, status=status)

    def record(
        self,
        run_id: str,
        model: str,
        step: int,
        predictions: PredictionRows | None,
        verdicts: VerdictRows | None,
        pass_: int = 0,
        progress: Progress | None = None,
    ) -> None:
        """Write a step, as `record_steps` does; the arguments are those of `StepRows`."""
        self.record_steps(run_id, model, [StepRows(step, predictions, verdicts, pass_, progress)])

    def record_steps(self, run_id: str, model: str, steps: Sequence[StepRows]) -> None:
        """Write the predictions and verdicts of steps, all in one transaction; repeated ones are replaced.

        Args:
            run_id: A run that was begun.
            model: Name of the model.
            steps: In their order.

        Raises:
            ValueError: If the run was not begun, or a verdict judges a prediction that was never recorded.
        """
        if not steps:
            return
        try:
            with self.engine.begin() as connection:
                _update_run(connection, run_id, **steps[-1].run_columns)
                write_steps(connection, run_id, model, steps)
        except IntegrityError as error:
            rule = "`run_id` must be begun, and each verdict judge a recorded prediction"
            raise ValueError(f"{rule}, got run {run_id!r}, model {model!r}: {error.orig}.") from error

    def commit(self, run_id: str, model: str, step: int, predictions: PredictionRows) -> None:
        """Write predictions before anything else happens, in one transaction; those that are stored stay as they are.

        Args:
            run_id: A run that was begun.
            model: Name of the model.
            step: The step they are made in.
            predictions: Of bars that closed.
        """
        with self.engine.begin() as connection:
            _update_run(connection, run_id)
            write_missing(connection, run_id, model, step, predictions)

    def stored(
        self, run_id: str, model: str, after: Mapping[Series, int | None]
    ) -> dict[tuple[Series, int], tuple[int, float]]:
        """Return the predictions of bars that open after a time, ms: direction and confidence by series and open time.

        Args:
            run_id: The run.
            model: Its model.
            after: The time by series, None for all bars; of a series that is not there, none.
        """
        with self.engine.connect() as connection:
            return read_predictions(connection, run_id, model, after)

    def newest_predicted(self, run_id: str, model: str) -> dict[Series, int]:
        """Return when the newest bar of each series opened that a model of a run has predicted, ms."""
        with self.engine.connect() as connection:
            return read_newest(connection, run_id, model)

    def record_alarm(
        self, run_id: str, model: str, step: int, series: Series | None, known_at: Time, kind: str, cut: str
    ) -> None:
        """Note a change that was detected in the verdicts; a repeated one is replaced.

        Args:
            run_id: A run that was begun.
            model: The model of the verdicts.
            step: Walk step at whose end it was detected.
            series: The series of the verdicts; None for all.
            known_at: Close time at which the change was certain; without an offset UTC.
            kind: The detector; one alarm for each kind, series and step.
            cut: What was cut because of it, in words or JSON.

        Raises:
            ValueError: If the run has no such model.
        """
        row = {"run_id": run_id, "model": model, "step": step, "kind": kind}
        values = {"known_at": to_milliseconds("known_at", known_at), "cut": cut}
        try:
            with self.engine.begin() as connection:
                _update_run(connection, run_id)
                row["series_id"] = None if series is None else find_or_add_series(connection, [series])[0]
                # Not an upsert: in a unique key two nulls differ.
                is_same = (alarms.c[name].is_not_distinct_from(value) for name, value in row.items())
                connection.execute(delete(alarms).where(*is_same))
                connection.execute(insert(alarms), row | values)
        except IntegrityError as error:
            raise ValueError(f"`model` must be one of run {run_id!r}, got {model!r}.") from error

    def rewind(self, run_id: str, step: int, keeps_predictions: bool = False) -> None:
        """Delete all the run wrote in steps after `step`, in one transaction.

        Args:
            run_id: The run.
            step: The last one that stays.
            keeps_predictions: Whether predictions stay: live ones are made once, whatever happens.
        """
        with self.engine.begin() as connection:
            _update_run(connection, run_id)
            delete_after(connection, run_id, step, keeps_predictions)

    def names(self) -> list[str]:
        """Return the names of all runs, by their start."""
        with self.engine.connect() as connection:
            return run_names(connection)

    def delete(self, run_id: str) -> None:
        """Delete a run with all it wrote, in one transaction; nothing where there is none of that name."""
        with self.engine.begin() as connection:
            delete_run(connection, run_id)

    def prune(
        self, older_than: timedelta | None = None, keep_runs: int | None = None, now: Time | None = None
    ) -> list[str]:
        """Delete runs with all they wrote, in one transaction; bars stay, and so do runs that are running.

        Args:
            older_than: Delete runs that last wrote longer ago than this; None for any age.
            keep_runs: Keep this many of the runs started last; None for none.
            now: The time from which age is counted; None for the current time.

        Returns:
            The names of the deleted runs, in the order they were started.

        Raises:
            InputError: If neither `older_than` nor `keep_runs` is given, or one is negative.
        """
        moment = now_ms() if now is None else to_milliseconds("now", now)
        with self.engine.begin() as connection:
            return delete_runs(connection, older_than, keep_runs, moment)

    def compare(self, names: Sequence[str]) -> Comparison:
        """Compare the models of runs with the first model of the first run, paired by event.

        Args:
            names: Names of runs.

        Raises:
            InputError: If a run is unknown, there is only one model, or no event is common.
        """
        with self.engine.connect() as connection:
            return compare_runs(connection, names)

    def newest(self, run: str, n: int) -> list[NewestPredictions]:
        """Return the newest `n` predictions of each series of a run, with their verdicts; none of an unknown run."""
        with self.engine.connect() as connection:
            return newest_predictions(connection, run, n)

    def stats(self, run: str | None = None) -> list[LedgerStats]:
        """Count predictions per run, model, symbol and timeframe, in that order, runs by their start.

        Args:
            run: A run's name; None for the run started last, `all` for every run.

        Raises:
            InputError: If `run` is unknown.
        """
        with self.engine.connect() as connection:
            return count_runs(connection, run)


def now_ms() -> int:
    """Return the current time, ms."""
    return time.time_ns() // 1_000_000


def _update_run(connection: Connection, run_id: str, **values: object) -> None:
    """Change the row of a run. As the first statement it takes SQLite's write lock before anything is read."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(updated_at=now_ms(), **values))
