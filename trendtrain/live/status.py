"""How a live run is: what its folder and its ledger say, and whether that is well."""

import json
import os
import socket
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Engine, RowMapping, func, select

from trendtrain.errors import InputError, NotStoredError
from trendtrain.live.monitor import STATUS_FILE
from trendtrain.live.waiting import waits_for
from trendtrain.market.bars import Bars, Series
from trendtrain.market.directions import DIRECTION_WORDS
from trendtrain.market.rules import PivotRules
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.storage.bars.store import BarStore
from trendtrain.storage.schema import lines, prediction_rows, series, tracks, verdict_rows
from trendtrain.validation.predictions import OUTCOME_NAMES

_SILENT: Final = 60.0  # seconds without a sign of the process
_LATE: Final = 60.0  # seconds, beyond two timeframes, without a new bar
_N_BEFORE: Final = 500  # bars before the first pending prediction, for pivots around it
_N_VERDICTS: Final = 10

_Track = tuple[int, Series]  # its number in the ledger, and the series it predicts


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what a live run last said of itself.

    Raises:
        InputError: If the folder is none of a live run.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / STATUS_FILE).read_text())
    except FileNotFoundError:
        raise InputError(
            f"`RUN_FOLDER` must be that of a live run, got {folder}, which has no {STATUS_FILE}."
        ) from None
    return facts


def newest_folder(runs: Path = Path("runs")) -> Path:
    """Return the folder of the live run that last said how it is.

    Raises:
        InputError: If there is none.
    """
    files = sorted(runs.glob(f"*/{STATUS_FILE}"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise InputError(f"`RUN_FOLDER` must be given where {runs} holds no live run, got none.")
    return files[-1].parent


def add_ledger(facts: dict[str, Any], engine: Engine) -> dict[str, Any]:
    """Return the facts with what the ledger holds: `verdicts`, the last ones, and of each series what is `pending`."""
    rules = None if facts["rules"] is None else PivotRules(**facts["rules"])
    with engine.connect() as connection:
        found = _tracks(connection, facts["run"])
        verdicts = [verdict for track in found for verdict in _last_verdicts(connection, *track)]
        pending = {one: _pending(connection, number, one, rules, facts["clock"]) for number, one in found}
    verdicts.sort(key=lambda verdict: verdict["known_at"], reverse=True)
    parts = [
        {**part, "pending": pending.get(Series(part["symbol"], part["timeframe"]), [])} for part in facts["series"]
    ]
    return {**facts, "series": parts, "verdicts": verdicts[:_N_VERDICTS]}


def is_running(facts: dict[str, Any]) -> bool:
    """Return whether the process of a run is there, as far as this machine can tell."""
    is_elsewhere = facts["host"] != socket.gethostname()
    return facts["state"] in ("starting", "running") and (is_elsewhere or _is_there(facts["pid"]))


def problems(facts: dict[str, Any], now: float | None = None) -> list[str]:
    """Return what is not well, a line each; none where the run is healthy.

    Args:
        facts: What `read_facts` returned.
        now: Seconds since 1970; None for the current time.
    """
    if facts["state"] not in ("starting", "running"):
        return [f"the run has ended: {facts['state']}"]
    silent = (time.time() if now is None else now) - facts["beat_at"]
    if facts["host"] == socket.gethostname() and not _is_there(facts["pid"]):
        return [f"the process {facts['pid']} is gone; it was last heard of {silent:,.0f} s ago"]
    if silent > _SILENT:
        return [f"the process {facts['pid']} was last heard of {silent:,.0f} s ago"]
    trainer = facts["trainer"]
    stopped = ["the process that trains is not there"] if trainer is not None and trainer["pid"] is None else []
    return stopped + [text for part in facts["series"] if (text := _late(part, facts["clock"]))]


def _late(part: dict[str, Any], clock: int | None) -> str | None:
    name = f"{part['symbol']} {part['timeframe']}"
    if part["newest"] is None or clock is None:
        return f"{name} has brought no bar yet"
    age, length = (clock - part["newest"]) / 1000, parse_timeframe(part["timeframe"]) / np.timedelta64(1, "s")
    return f"{name} has brought no bar for {age:,.0f} s" if age > 2 * length + _LATE else None


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is somebody else's
        pass
    return True


def _tracks(connection: Connection, run: str) -> list[_Track]:
    query = select(tracks.c.id, series.c.symbol, series.c.timeframe).join(series, series.c.id == tracks.c.series_id)
    rows = connection.execute(query.where(tracks.c.run_id == run).order_by(tracks.c.id))
    return [(number, Series(symbol, timeframe)) for number, symbol, timeframe in rows]


def _last_verdicts(connection: Connection, track: int, of: Series) -> list[dict[str, Any]]:
    """Return the verdicts on the last bars that were judged: mostly the last verdicts."""
    judged, made = verdict_rows.c, prediction_rows.c
    query = select(judged.open_time, judged.known_at, judged.outcome, judged.truth, made.direction, lines.c.kind)
    query = query.join(prediction_rows, (made.track_id == judged.track_id) & (made.open_time == judged.open_time))
    query = query.outerjoin(lines, lines.c.id == judged.line_id).where(judged.track_id == track)
    rows = connection.execute(query.order_by(judged.open_time.desc()).limit(_N_VERDICTS)).mappings()
    return [{**of._asdict(), **row, **_in_words(row)} for row in rows]


def _in_words(row: RowMapping) -> dict[str, str]:
    words = {name: DIRECTION_WORDS[row[name]] for name in ("direction", "truth")}
    return {**words, "outcome": OUTCOME_NAMES[row["outcome"]]}


def _pending(
    connection: Connection, track: int, of: Series, rules: PivotRules | None, clock: int
) -> list[dict[str, Any]]:
    """Return what waits: the predictions behind the last bar that was judged, because bars are judged in order."""
    last = connection.scalar(select(func.max(verdict_rows.c.open_time)).where(verdict_rows.c.track_id == track))
    made = prediction_rows.c.open_time
    query = select(made).where(prediction_rows.c.track_id == track).order_by(made)
    times = list(connection.scalars(query if last is None else query.where(made > last)))
    open_time = np.array(times, np.int64).astype("datetime64[ms]")
    return waits_for(open_time, _bars(connection.engine, of, open_time[0], clock) if times else None, rules)


def _bars(engine: Engine, of: Series, first: np.datetime64, clock: int) -> Bars | None:
    """Return the bars around pending predictions that have closed: where bars are replayed, later ones are stored."""
    timeframe = parse_timeframe(of.timeframe)
    end = np.datetime64(clock + 1, "ms") - timeframe
    try:
        return BarStore(engine).load(*of, start=first - _N_BEFORE * timeframe, end=end)
    except NotStoredError:
        return None
