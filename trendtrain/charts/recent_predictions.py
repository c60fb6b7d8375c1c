"""The newest predictions of a few series, and what came of them; for the figures of the newest bars."""

from typing import Any, Final

import numpy as np

from trendtrain.market.bars import IntArray, TimeArray
from trendtrain.stream.walk_step import WalkStep

N_BARS: Final = 240  # of each series
MOST_SERIES: Final = 4

PENDING: Final = -1  # beside the outcomes of verdicts
NONE: Final = -2  # no prediction, or no outcome

_DTYPES: Final = {"row": "int64", "series": "int64", "time": "datetime64[ms]", "direction": "int8", "outcome": "int8"}


class RecentPredictions:
    """Keep, in 26 bytes each, the newest 240 predictions of the first four series: those at their newest 240 bars."""

    def __init__(self) -> None:
        self._table = {name: np.zeros(0, dtype) for name, dtype in _DTYPES.items()}  # in order of rows

    def update(self, step: WalkStep) -> None:
        """Add a step's predictions and verdicts, and forget what is no longer among the newest."""
        made = step.predictions
        columns = (made.row, made.series, made.close_time, made.direction, np.full(len(made), PENDING, np.int8))
        parts = zip(self._table.values(), columns, strict=True)
        table = dict(zip(_DTYPES, map(np.concatenate, parts), strict=True))
        table = _taken(table, np.argsort(table["row"], kind="stable"))
        row, series = table["row"], table["series"]
        is_newest = np.append(row[1:] != row[:-1], np.ones(len(row[:1]), bool))  # a pass predicts its rows again
        is_newest[:-N_BARS] &= series[N_BARS:] != series[:-N_BARS]
        self._table = table = _taken(table, is_newest & (series <= np.unique(series)[:MOST_SERIES].max(initial=0)))
        place = np.searchsorted(table["row"], step.verdicts.row)
        is_kept = np.append(table["row"], -1)[place] == step.verdicts.row
        table["outcome"][place[is_kept]] = step.verdicts.outcome[is_kept]

    def at(self, series: int, close_time: TimeArray) -> tuple[IntArray, IntArray]:
        """Return what was predicted at each bar of a series and what came of it, NONE without a prediction."""
        here = self._table["series"] == series
        place = np.searchsorted(close_time, self._table["time"][here])
        is_drawn = np.append(close_time, np.datetime64("NaT", "ms"))[place] == self._table["time"][here]
        direction, outcome = np.full((2, len(close_time)), NONE)
        direction[place[is_drawn]] = self._table["direction"][here][is_drawn]
        outcome[place[is_drawn]] = self._table["outcome"][here][is_drawn]
        return direction, outcome

    def state_dict(self) -> dict[str, Any]:
        """Return the table as arrays; times are milliseconds."""
        return {**self._table, "time": self._table["time"].astype(np.int64)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        self._table = {name: state_dict[name].astype(dtype) for name, dtype in _DTYPES.items()}


def _taken(table: dict[str, Any], here: IntArray) -> dict[str, Any]:
    return {name: column[here] for name, column in table.items()}
