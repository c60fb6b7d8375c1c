"""Keep the predictions and verdicts of runs in the database."""

from typing import Final

from sqlalchemy import Connection, Engine, delete
from sqlalchemy.exc import IntegrityError

from trendtrain.market.bars import Series
from trendtrain.storage import schema
from trendtrain.storage.ledger_rows import PredictionRows, VerdictRows
from trendtrain.storage.ledger_stats import LedgerStats, count_runs
from trendtrain.storage.moments import Moment, to_milliseconds
from trendtrain.storage.series import claim_series
from trendtrain.storage.upsert import insert_missing, insert_or_replace

_PREDICTED: Final = ("series_id", "open_time", "direction", "confidence")
_JUDGED: Final = ("series_id", "open_time", "outcome", "truth", "known_at", "kind", "first_time", "last_time")


class Ledger:
    """Predictions and verdicts of many runs in one database.

    Example:
        >>> from trendtrain.storage import open_database
        >>> engine = open_database("sqlite://")
        >>> Ledger(engine).begin("run-1", config="{}", started_at="2024-01-01T12:00")
        >>> Ledger(engine).stats()
        []
        >>> engine.dispose()
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def begin(self, run_id: str, config: str, started_at: Moment) -> None:
        """Enter a run; one that is entered already stays as it is.

        Args:
            run_id: Name of the run.
            config: Its resolved configuration, as text.
            started_at: When it was started; without an offset UTC.
        """
        row = {"id": run_id, "config": config, "started_at": to_milliseconds("started_at", started_at)}
        with self.engine.begin() as connection:
            connection.execute(insert_missing(connection, schema.runs), row)

    def record(
        self,
        run_id: str,
        model: str,
        step: int,
        predictions: PredictionRows | None,
        verdicts: VerdictRows | None,
        pass_: int = 0,
    ) -> None:
        """Write what a step predicted and judged, in one transaction; what is repeated is replaced.

        Args:
            run_id: A run that was begun.
            model: Name of the model.
            step: Walk-forward step.
            predictions: Made in this step; None for none.
            verdicts: Reached in this step, on predictions of this step or earlier ones; None for none.
            pass_: Which pass over the stream, from 0.

        Raises:
            ValueError: If the run was not begun, or a verdict judges a prediction that was never recorded.
        """
        shared = {"run_id": run_id, "model": model, "pass": pass_, "step": step}
        try:
            with self.engine.begin() as connection:
                _record_predictions(connection, shared, predictions)
                _record_verdicts(connection, shared, verdicts)
        except IntegrityError as error:
            rule = "`run_id` must be begun, and each verdict judge a recorded prediction"
            raise ValueError(f"{rule}, got run {run_id!r}, model {model!r}, pass {pass_}: {error.orig}.") from error

    def rewind(self, run_id: str, step: int) -> None:
        """Delete the run's predictions and verdicts of steps after `step`, in one transaction."""
        with self.engine.begin() as connection:
            for table in (schema.verdicts, schema.predictions):
                connection.execute(delete(table).where(table.c.run_id == run_id, table.c.step > step))

    def stats(self, run: str | None = None) -> list[LedgerStats]:
        """Count predictions per run, model, symbol and timeframe, in that order, runs by their start.

        Args:
            run: A run's name; None for the run started last, `all` for every run.

        Raises:
            InputError: If `run` is unknown.
        """
        with self.engine.connect() as connection:
            return count_runs(connection, run)


def _record_predictions(connection: Connection, shared: dict[str, object], rows: PredictionRows | None) -> None:
    if rows is not None and len(rows) > 0:
        values = rows.rows(_claim_all(connection, rows.series))
        statement = insert_or_replace(connection, schema.predictions)
        connection.execute(statement, [shared | dict(zip(_PREDICTED, row, strict=True)) for row in values])


def _record_verdicts(connection: Connection, shared: dict[str, object], rows: VerdictRows | None) -> None:
    if rows is not None and len(rows) > 0:
        values = rows.rows(_claim_all(connection, rows.series))
        statement = insert_or_replace(connection, schema.verdicts)
        connection.execute(statement, [shared | dict(zip(_JUDGED, row, strict=True)) for row in values])


def _claim_all(connection: Connection, series: tuple[Series, ...]) -> list[int]:
    return [claim_series(connection, one) for one in series]
