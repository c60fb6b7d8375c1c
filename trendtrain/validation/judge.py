"""The core of every judge: predictions wait for their labels, are judged, and scored."""

from collections.abc import Sequence
from typing import Any

from trendtrain.market.bars import Series
from trendtrain.market.labels import KnownLabels
from trendtrain.validation.pending import Pending
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.scoreboard import Scoreboard


class Judge:
    """Keep predictions until their labels are known, judge them, and keep the scores.

    Args:
        series: The name of each series; predictions hold their number.
        baselines: The name of each baseline, in the order of the predictions' columns.
    """

    def __init__(self, series: Sequence[Series], baselines: Sequence[str]) -> None:
        self.buffer = Pending()
        self.board = Scoreboard(series, baselines)

    def judge(self, predictions: Predictions, known: KnownLabels) -> Verdicts:
        """Add predictions, and return the verdicts on all whose labels became known."""
        self.buffer.add(predictions)
        verdicts = self.buffer.judge(known)
        self.board.update(verdicts)
        return verdicts

    def summary(self) -> dict[str, Any]:
        """Return the statistics and scores so far, of all series and of each, as `summary.json` holds them."""
        pending = self.buffer.pending
        by_series: dict[str, dict[str, Any]] = {}
        for i, (series, stats) in enumerate(self.board.stats(pending).items()):
            scores = {"stats": stats.as_dict(), **self.board.scores(i, pending)}
            by_series.setdefault(series.symbol, {})[series.timeframe] = scores
        scores = {"stats": self.buffer.stats.as_dict(), **self.board.scores(pending=pending)}
        return {**scores, "series": by_series, "breakdown": self.board.breakdown()}

    def state_dict(self) -> dict[str, Any]:
        """Return the pending predictions and the scores: numbers, and arrays of them."""
        return {"buffer": self.buffer.state_dict(), "board": self.board.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()` of a judge of the same series and baselines."""
        self.buffer.load_state_dict(state["buffer"])
        self.board.load_state_dict(state["board"])
