"""Carry the 95 % intervals of a run along, computed anew only when there are noticeably more events."""

import math
from typing import Any, Final

from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.score import Scores

_MORE_EVENTS: Final = 1.1  # an interval shrinks by a twentieth meanwhile, and all of them cost 11 of the last one


class Bands:
    """The half-widths of the intervals of event accuracy, and of its lead over the best baseline.

    Between two computations the half-width stays and the middle moves; the last step of a walk always has its own.
    """

    def __init__(self) -> None:
        self._half: dict[str, float] = {}
        self._n_events = 0  # when the half-widths were computed

    def update(self, step: WalkStep) -> dict[str, float]:
        """Return lead, middles and ends by TensorBoard name without `trend/`; NaN while there are too few events."""
        is_new = step.n_steps in (None, step.index + 1)  # the last, or a pass of its own
        if is_new or step.board.n_events >= _MORE_EVENTS * self._n_events + 1:
            self._half, self._n_events = _half_widths(step.board.scores()), step.board.n_events
        accuracy = step.metrics["event_accuracy"]
        best = max((value for name, value in step.metrics.items() if name.startswith("baseline_")), default=math.nan)
        middle = {"event_accuracy": accuracy, "over_best": accuracy - best}
        ends = {
            f"{name}_{end}": middle[name] + sign * half  # a NaN half-width voids the middle too
            for name, half in self._half.items()
            for end, sign in (("mid", 0), ("low", -1), ("high", 1))
        }
        return {"over_best": middle["over_best"], **ends}

    def state_dict(self) -> dict[str, Any]:
        """Return the half-widths and of how many events they are."""
        return {"half": dict(self._half), "n_events": self._n_events}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the half-widths."""
        self._half, self._n_events = dict(state_dict["half"]), state_dict["n_events"]


def _half_widths(scores: Scores) -> dict[str, float]:
    intervals = {"event_accuracy": scores["accuracy_ci95"]}
    if scores["best_baseline"] is not None:
        intervals["over_best"] = scores["best_baseline"]["ci95"]
    return {name: (high - low) / 2 for name, (low, high) in intervals.items()}
