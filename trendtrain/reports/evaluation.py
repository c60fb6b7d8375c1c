"""Say in lines how a model did on bars of one series."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from trendtrain.market.bars import Series
from trendtrain.reports.terminal import number


def evaluation_lines(name: Series, scores: Mapping[str, Any]) -> Iterator[str]:
    """Yield the bars judged, the event accuracy, and the best simple rule.

    Args:
        name: The series.
        scores: As `trendtrain.evaluate.evaluate` gives them for it.
    """
    known = f", {scores['n_in_sample']:,} in sample left out" if scores["n_in_sample"] else ""
    yield f"{' '.join(name)}: {scores['n_predicted']:,} bars, {scores['first'][:10]} to {scores['last'][:10]}{known}"
    accuracy = f"{number(scores['event_accuracy'])}, {scores['n_events']:,} events"
    yield f"  event accuracy  {accuracy}{_interval(scores['accuracy_ci95'], '.4f')}"
    if (best := scores["best_baseline"]) is not None:
        yield f"  best rule       {best['name']} {number(scores['baselines'][best['name']]['event_accuracy'])}"
        yield f"  model minus it  {best['difference']:+.4f}{_interval(best['ci95'], '+.4f')}"


def _interval(ci95: tuple[float, float], form: str) -> str:
    low, high = ci95
    return "" if math.isnan(low) else f" (95 % interval {low:{form}} to {high:{form}})"
