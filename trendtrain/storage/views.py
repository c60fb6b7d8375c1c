"""Predictions and verdicts with their names, for anyone's SQL."""

from typing import Final

_TRACK = "t.run_id, t.model, t.pass, t.series_id"
_NAMED = "JOIN tracks t ON t.id = r.track_id JOIN series s ON s.id = t.series_id"

VIEWS: Final = {
    "predictions": f"""
        SELECT {_TRACK}, r.open_time, r.step, r.direction, r.confidence, s.symbol, s.timeframe
        FROM prediction_rows r {_NAMED}
    """,
    "verdicts": f"""
        SELECT {_TRACK}, r.open_time, r.step, r.outcome, r.truth, r.known_at, l.kind, l.first_time, l.last_time,
            CASE r.outcome WHEN 0 THEN 'high' WHEN 1 THEN 'normal' END AS priority, s.symbol, s.timeframe
        FROM verdict_rows r {_NAMED} LEFT JOIN lines l ON l.id = r.line_id
    """,
}
