"""Count and score the predictions of runs: sums in SQL, errors in numpy."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, case, func, select, true

from trendtrain.errors import InputError
from trendtrain.market.bars import BoolArray, FloatArray, IntArray
from trendtrain.storage.ledger.pending import TrackVerdicts, pending_confidence
from trendtrain.storage.schema import runs, series, tracks, verdict_rows
from trendtrain.validation.predictions import CORRECT, WRONG
from trendtrain.validation.score import Estimate, calendar_blocks, estimate
from trendtrain.validation.stats import TrendStats

_NAN = math.nan
_FEW = 5
_Names = tuple[str, str, str, str]  # run, model, symbol, timeframe


@dataclass(frozen=True)
class LedgerStats:
    """The counts of one model on one series in one run, all passes together.

    Attributes:
        run, model, symbol, timeframe: Whose counts these are.
        stats: The six numbers.
        event_accuracy: Mean over the lines that judged of the share each found correct; NaN where there is none, or
            a verdict names no line (labels of a user's own).
        n_events: How many lines judged; 0 where `event_accuracy` is NaN.
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
    """Return the counts per run, model, symbol and timeframe, in that order, runs by their start.

    Args:
        connection: Where to read.
        run: A run's name; None for the run started last, `all` for every run.

    Raises:
        InputError: If `run` is unknown.
    """
    known = run_names(connection)
    if run not in (None, "all", *known):
        raise InputError(f"`run` must be all or one of {newest(known)}, got {run!r}.")
    if not known:
        return []
    chosen = true() if run == "all" else tracks.c.run_id == (known[-1] if run is None else run)
    judged = judged_lines(connection, chosen)
    pending = pending_confidence(connection, chosen, judged.by_track())
    return [
        _stats(names, [track for track, _ in own], judged, pending)
        for names, own in groupby(_tracks(connection, chosen), key=lambda track: track[1])
    ]


def run_names(connection: Connection) -> list[str]:
    """Return the names of all runs, by their start."""
    return list(connection.scalars(select(runs.c.id).order_by(runs.c.started_at, runs.c.id)))


def newest(names: Sequence[str]) -> str:
    """Return a few runs for a message that tells which there are.

    Example:
        >>> newest(["a", "b"]), newest([]), newest(list("abcdefg"))
        ('a, b', 'no runs', 'c, d, e, f, g (and 2 older)')
    """
    older = f" (and {len(names) - _FEW} older)" if len(names) > _FEW else ""
    return f"{', '.join(names[-_FEW:]) or 'no runs'}{older}"


@dataclass(frozen=True, eq=False)
class JudgedLines:
    """What each line judged of each track.

    Attributes:
        track: The track, shape (n,).
        line: The line, -1 for verdicts without one, shape (n,).
        n_judged, n_valid, n_correct: How many of its predictions it judged; correct or wrong; correct, shape (n,).
        known_at: When it was known, ms, shape (n,).
        last: Open time of the last bar it judged, ms, shape (n,).
    """

    track: IntArray
    line: IntArray
    n_judged: IntArray
    n_valid: IntArray
    n_correct: IntArray
    known_at: IntArray
    last: IntArray

    def __getitem__(self, index: BoolArray) -> "JudgedLines":
        return JudgedLines(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def is_event(self) -> BoolArray:
        """Whether each is a line that found predictions correct or wrong, shape (n,)."""
        is_event: BoolArray = (self.line >= 0) & (self.n_valid > 0)
        return is_event

    @property
    def share(self) -> FloatArray:
        """The share each found correct, shape (n,)."""
        return self.n_correct / self.n_valid

    @property
    def block(self) -> IntArray:
        """The calendar block of each, shape (n,)."""
        return calendar_blocks(self.known_at.astype("datetime64[ms]"), self.track)

    def by_track(self) -> dict[int, TrackVerdicts]:
        """Return how many verdicts each track has, and the last bar judged."""
        track, position = np.unique(self.track, return_inverse=True)
        n_judged, last = np.zeros((2, len(track)), dtype=np.int64)
        np.add.at(n_judged, position, self.n_judged)
        np.maximum.at(last, position, self.last)
        pairs = zip(n_judged.tolist(), last.tolist(), strict=True)
        return {number: TrackVerdicts(*pair) for number, pair in zip(track.tolist(), pairs, strict=True)}


def judged_lines(connection: Connection, chosen: ColumnElement[bool]) -> JudgedLines:
    """Return what each line judged, of the tracks chosen."""
    rows = connection.execute(judged_by_line(chosen)).all()
    table = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, len(fields(JudgedLines)))
    return JudgedLines(*table.T)


def judged_by_line(chosen: ColumnElement[bool]) -> Select[Any]:
    """Select `track_id`, `line_id` (-1 for none), `n_judged`, `n_valid`, `n_correct`, `known_at` and `last` a line."""
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


def _tracks(connection: Connection, chosen: ColumnElement[bool]) -> list[tuple[int, _Names]]:
    names = (runs.c.id, tracks.c.model, series.c.symbol, series.c.timeframe)
    query = select(tracks.c.id, *names).where(chosen)
    query = query.join(runs, runs.c.id == tracks.c.run_id).join(series, series.c.id == tracks.c.series_id)
    rows = connection.execute(query.order_by(runs.c.started_at, *names))
    return [(number, (run, model, symbol, timeframe)) for number, run, model, symbol, timeframe in rows]


def _stats(names: _Names, own: list[int], judged: JudgedLines, pending: dict[int, tuple[int, float]]) -> LedgerStats:
    judged = judged[np.isin(judged.track, own)]
    n_judged, n_valid, n_correct = (int(n.sum()) for n in (judged.n_judged, judged.n_valid, judged.n_correct))
    n_pending, confidence = (sum(values) for values in zip(*(pending.get(i, (0, 0.0)) for i in own), strict=True))
    counts = TrendStats(n_valid, n_correct, void=n_judged - n_valid, pending=int(n_pending))
    events = judged[judged.is_event]
    found = Estimate(_NAN, _NAN, (_NAN, _NAN), 0, 0)
    if int(events.n_valid.sum()) == n_valid:
        found = estimate(events.share, events.block)
    expected = confidence / n_pending if n_pending else _NAN
    return LedgerStats(*names, counts, found.mean, found.n_events, found.se, found.ci95, expected)


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
