"""Count and score the predictions of runs: sums in SQL, errors in numpy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, Select, case, func, select, true

from trendtrain.errors import InputError
from trendtrain.storage.schema import prediction_rows, runs, series, tracks, verdict_rows
from trendtrain.validation.predictions import CORRECT, WRONG
from trendtrain.validation.score import SHARES, Estimate, calendar_blocks, estimate
from trendtrain.validation.stats import TrendStats

_NAN: Final = math.nan
_FEW: Final = 5
_BEFORE_ALL: Final = -(2**62)  # ms
_SUMS: Final = ("track_id", "line_id", "n_judged", "n_valid", "n_correct", "known_at", "last")

_Names = tuple[str, str, str, str]  # run, model, symbol, timeframe
_Sums = npt.NDArray[np.void]  # a row for each track and line, with the columns of `sums_by_line`
_Pending = tuple[int, float]  # how many, and the sum of their confidences


@dataclass(frozen=True)
class LedgerStats:
    """The counts of one model on one series in one run, all passes together.

    Attributes:
        run, model, symbol, timeframe: Whose counts these are.
        stats: The six numbers.
        event_accuracy: Mean over events of the share of correct predictions; NaN where there is no event, or a verdict
            names no line (labels of a user's own).
        n_events: How many events; 0 where `event_accuracy` is NaN.
        accuracy_se, accuracy_ci95: Event-block error of `event_accuracy` and its 95 % interval; NaN below 8 blocks.
        expected_accuracy: Mean confidence of pending predictions; NaN where there is none.
    """

    run: str
    model: str
    symbol: str
    timeframe: str
    stats: TrendStats
    event_accuracy: float = _NAN
    n_events: int = 0
    accuracy_se: float = _NAN
    accuracy_ci95: tuple[float, float] = (_NAN, _NAN)
    expected_accuracy: float = _NAN

    def as_dict(self) -> dict[str, Any]:
        """Return everything under its public name, NaN as None."""
        names = {"run": self.run, "model": self.model, "symbol": self.symbol, "timeframe": self.timeframe}
        events = {"event_accuracy": self.event_accuracy, "n_events": self.n_events, "accuracy_se": self.accuracy_se}
        numbers = {**self.stats.as_dict(), **events, "expected_accuracy": self.expected_accuracy}
        interval = [_or_none(edge) for edge in self.accuracy_ci95]
        return {**names, **{key: _or_none(value) for key, value in numbers.items()}, "accuracy_ci95": interval}


def count_runs(connection: Connection, run: str | None) -> list[LedgerStats]:
    """Count predictions as `Ledger.stats` does."""
    known = run_names(connection)
    if run not in (None, "all", *known):
        raise InputError(f"`run` must be all or one of {newest(known)}, got {run!r}.")
    if not known:
        return []
    chosen = true() if run == "all" else tracks.c.run_id == (known[-1] if run is None else run)
    rows = [tuple(row) for row in connection.execute(sums_by_line(chosen))]
    sums = np.array(rows, np.dtype([(name, np.int64) for name in _SUMS]))
    pending = _pending_by_track(connection, chosen, sums)
    return [
        _stats(names, [track for track, _ in own], sums, pending)
        for names, own in groupby(_tracks(connection, chosen), key=lambda track: track[1])
    ]


def run_names(connection: Connection) -> list[str]:
    """Return the names of all runs, by their start."""
    return list(connection.scalars(select(runs.c.id).order_by(runs.c.started_at, runs.c.id)))


def newest(names: Sequence[str]) -> str:
    """Return a few runs for a message that says which there are.

    Example:
        >>> newest(["a", "b"]), newest([]), newest(list("abcdefg"))
        ('a, b', 'no runs', 'c, d, e, f, g (and 2 older)')
    """
    older = f" (and {len(names) - _FEW} older)" if len(names) > _FEW else ""
    return f"{', '.join(names[-_FEW:]) or 'no runs'}{older}"


def sums_by_line(chosen: ColumnElement[bool]) -> Select[Any]:
    """Select the sums of the verdicts of each line in each chosen track.

    Columns: `track_id`; `line_id`, -1 for verdicts without a line; `n_judged`, `n_valid` (correct or wrong) and
    `n_correct` verdicts; `known_at`, when the line was known; `last`, the open time of the last bar judged, both ms.
    """
    keys = (verdict_rows.c.track_id, verdict_rows.c.line_id)
    sums = (
        func.count().label("n_judged"),
        func.sum(case((verdict_rows.c.outcome.in_([WRONG, CORRECT]), 1), else_=0)).label("n_valid"),
        func.sum(case((verdict_rows.c.outcome == CORRECT, 1), else_=0)).label("n_correct"),
        func.min(verdict_rows.c.known_at).label("known_at"),
        func.max(verdict_rows.c.open_time).label("last"),
    )
    query = select(keys[0], func.coalesce(keys[1], -1).label("line_id"), *sums)
    return query.join(tracks, tracks.c.id == keys[0]).where(chosen).group_by(*keys)


def _pending_by_track(connection: Connection, chosen: ColumnElement[bool], sums: _Sums) -> dict[int, _Pending]:
    """Return the pending predictions of each track.

    Bars are mostly judged in their order, so pending predictions follow the last judged bar: a look at the end of the
    table. If the counts disagree, as with labels of a user's own, each prediction is looked up.
    """
    track, open_time = prediction_rows.c.track_id, prediction_rows.c.open_time
    n_made = select(track, func.count()).join(tracks, tracks.c.id == track).where(chosen).group_by(track)
    is_same = (verdict_rows.c.track_id == track) & (verdict_rows.c.open_time == open_time)
    result = {}
    for number, n in connection.execute(n_made).all():
        own = sums[sums["track_id"] == number]
        last = own["last"].max(initial=_BEFORE_ALL).item()
        result[number] = _pending(connection, number, open_time > last)
        if result[number][0] != n - own["n_judged"].sum():
            result[number] = _pending(connection, number, ~select(verdict_rows).where(is_same).exists())
    return result


def _pending(connection: Connection, track: int, is_pending: ColumnElement[bool]) -> _Pending:
    query = select(func.count(), func.coalesce(func.sum(prediction_rows.c.confidence), 0.0))
    n, total = connection.execute(query.where(prediction_rows.c.track_id == track, is_pending)).one()
    return n, float(total)


def _tracks(connection: Connection, chosen: ColumnElement[bool]) -> list[tuple[int, _Names]]:
    names = (runs.c.id, tracks.c.model, series.c.symbol, series.c.timeframe)
    query = select(tracks.c.id, *names).where(chosen)
    query = query.join(runs, runs.c.id == tracks.c.run_id).join(series, series.c.id == tracks.c.series_id)
    rows = connection.execute(query.order_by(runs.c.started_at, *names))
    return [(number, (run, model, symbol, timeframe)) for number, run, model, symbol, timeframe in rows]


def _stats(names: _Names, own: list[int], sums: _Sums, pending: dict[int, _Pending]) -> LedgerStats:
    sums = sums[np.isin(sums["track_id"], own)]
    n_judged, n_valid, n_correct = (int(sums[name].sum()) for name in ("n_judged", "n_valid", "n_correct"))
    n_pending, confidence = (sum(values) for values in zip(*(pending.get(i, (0, 0.0)) for i in own), strict=True))
    counts = TrendStats(n_valid, n_correct, void=n_judged - n_valid, pending=int(n_pending))
    events = sums[(sums["line_id"] >= 0) & (sums["n_valid"] > 0)]
    found = Estimate(_NAN, _NAN, (_NAN, _NAN), 0, 0)
    if events["n_valid"].sum() == n_valid:
        blocks = calendar_blocks(events["known_at"].astype("datetime64[ms]"), events["track_id"])
        found = estimate(events["n_correct"] / events["n_valid"], blocks, SHARES)
    expected = confidence / n_pending if n_pending else _NAN
    return LedgerStats(*names, counts, found.mean, found.n_events, found.se, found.ci95, expected)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
