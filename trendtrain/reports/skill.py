"""Say in one sentence whether a run's model beats every simple rule."""

import math
from collections.abc import Mapping
from typing import Any


def skill_of(values: Mapping[str, Any]) -> str:
    """Return whether a run's model is better than the best simple rule.

    Args:
        values: Of `summary.json`, or of one series in it: `best_baseline` and `n_events`; NaN may be None.

    Example:
        >>> best = {"name": "reversal", "difference": -0.02, "ci95": [-0.03, -0.01]}
        >>> skill_of({"best_baseline": best, "n_events": 1200})
        'The model is worse than reversal, the best simple rule,
        by 0.0200 (95 % interval 0.0100 to 0.0300; 1,200 events).'
    """
    best, events = values["best_baseline"], f"{values['n_events']:,} events"
    if best is None:
        return "No prediction has been judged yet."
    rule = f"{best['name']}, the best simple rule"
    difference, (low, high) = best["difference"], best["ci95"]
    if low is None or math.isnan(low):
        return f"There are too few events to tell ({events}): the model is {_beside(difference)} {rule}."
    if low <= 0.0 <= high:
        interval = f"95 % interval of the difference {low:+.4f} to {high:+.4f}; {events}"
        return f"No skill is shown beyond {rule}: the model is {_beside(difference)} it ({interval})."
    word, (least, most) = ("better", (low, high)) if low > 0.0 else ("worse", (-high, -low))
    interval = f"95 % interval {least:.4f} to {most:.4f}; {events}"
    return f"The model is {word} than {rule}, by {abs(difference):.4f} ({interval})."


def _beside(difference: float) -> str:
    return f"{abs(difference):.4f} {'above' if difference >= 0.0 else 'below'}"
