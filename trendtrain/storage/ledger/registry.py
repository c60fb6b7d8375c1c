"""The registry of models: versions that were kept, and tests by which a shadow becomes the active run."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import Connection, func, insert, select, update

from trendtrain.errors import InputError
from trendtrain.storage.ledger.compare import Pair, compare_runs
from trendtrain.storage.schema import model_versions, promotion_tests
from trendtrain.validation.score import student_t

_ALPHA: Final = 0.05
_FEWEST_BLOCKS: Final = 20  # from which on the quantiles of ever higher levels are right within 2 %


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model that was kept; the fields are the columns of `model_versions`."""

    run_id: str
    model: str
    version: int
    checkpoint: str | None
    parameters: int
    start_time: int
    end_time: int | None
    reason: str


@dataclass(frozen=True)
class PromotionTest:
    """A test of whether a shadow is better than the active run; the fields are the columns of `promotion_tests`."""

    tested_at: int
    run_id: str
    against_run_id: str
    n_events: int
    difference: float
    low: float | None
    level: float
    is_promoted: int


def add_version(
    connection: Connection, run_id: str, model: str, checkpoint: str, parameters: int, time: int, reason: str
) -> ModelVersion:
    """Enter a version that predicts from a time on, ms; the one before ends there."""
    table = model_versions.c
    own = (table.run_id == run_id) & (table.model == model)
    connection.execute(update(model_versions).where(own, table.end_time.is_(None)).values(end_time=time))
    number = connection.scalar(select(func.coalesce(func.max(table.version), 0)).where(own)) or 0
    version = ModelVersion(run_id, model, number + 1, checkpoint, parameters, time, None, reason)
    connection.execute(insert(model_versions), asdict(version))
    return version


def versions(connection: Connection, run_id: str | None = None) -> list[ModelVersion]:
    """Return the versions of a run, or of all, in their order."""
    table = model_versions.c
    query = select(model_versions).order_by(table.run_id, table.model, table.version)
    if run_id is not None:
        query = query.where(table.run_id == run_id)
    return [ModelVersion(**row) for row in connection.execute(query).mappings()]


def forget_checkpoint(connection: Connection, version: ModelVersion) -> None:
    """Note that the file of a version is deleted."""
    table = model_versions.c
    same = (table.run_id == version.run_id, table.model == version.model, table.version == version.version)
    connection.execute(update(model_versions).where(*same).values(checkpoint=None))


def promotion_test_rows(connection: Connection) -> list[PromotionTest]:
    """Return all tests, in their order."""
    rows = connection.execute(select(promotion_tests).order_by(promotion_tests.c.id)).mappings()
    return [PromotionTest(**{name: value for name, value in row.items() if name != "id"}) for row in rows]


def active_run(tests: Sequence[PromotionTest]) -> str | None:
    """Return the run that was promoted last; None where none was."""
    return next((one.run_id for one in reversed(tests) if one.is_promoted), None)


def look(connection: Connection, run_id: str, against: str, min_events: int, now: int) -> PromotionTest:
    """Test whether a shadow is better than the active run, and promote it if so; enter the test either way.

    Whoever looks again and again will see a difference by luck. The k-th look at a pair therefore takes the interval
    of level 1 - 0.05 / (k (k + 1)): over all looks together, a shadow that is not better is promoted with a
    probability of 2.5 % at most, however often one looks.

    Args:
        connection: Inside a transaction.
        run_id: The shadow.
        against: The run that is active.
        min_events: Least events of both that came since the last look.
        now: The current time, ms.

    Raises:
        InputError: If a run is unknown, they share no event, or too few came since the last look.
    """
    if run_id == against:
        raise InputError(f"`over` must be another run than the one to promote, got {against}.")
    pairs = compare_runs(connection, [against, run_id]).pairs
    pair = next((pair for pair in pairs if pair.run == run_id), None)
    if pair is None:
        raise InputError(f"`run` must have been judged by lines, got {run_id}, which has no such verdict.")
    before = [one for one in promotion_test_rows(connection) if (one.run_id, one.against_run_id) == (run_id, against)]
    n_new = pair.n_events - (before[-1].n_events if before else 0)
    if n_new < min_events:
        raise InputError(f"`min_events` must have come since the last look, {min_events} of both runs, got {n_new}.")
    test = judge_pair(pair, len(before) + 1, now)
    connection.execute(insert(promotion_tests), asdict(test))
    return test


def judge_pair(pair: Pair, n_looks: int, now: int) -> PromotionTest:
    """Return the result of the `n_looks`-th look at a pair."""
    alpha = _ALPHA / (n_looks * (n_looks + 1))
    low: float | None = None
    if pair.n_blocks >= _FEWEST_BLOCKS and not math.isnan(pair.difference_se):
        low = pair.difference - student_t(pair.n_blocks - 1, 1.0 - alpha / 2.0) * pair.difference_se
    is_promoted = int(low is not None and low > 0.0)
    return PromotionTest(now, pair.run, pair.against_run, pair.n_events, pair.difference, low, 1.0 - alpha, is_promoted)
