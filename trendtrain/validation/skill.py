"""Whether a model beats the baselines, judged on the same events."""

from typing import Any

from trendtrain.market.bars import FloatArray, IntArray
from trendtrain.validation.score import estimate

Scores = dict[str, Any]


def against(model: FloatArray, baseline: FloatArray, block: IntArray) -> Scores:
    """Return how a baseline scores, and the difference of a model to it, paired by event.

    Args:
        model, baseline: The share that each found correct of the predictions each event judged, shape (n_events,).
        block: The block of each event, shape (n_events,), from `calendar_blocks`.
    """
    paired = estimate(model - baseline, block)
    return {
        "event_accuracy": float(baseline.mean()) if len(baseline) else float("nan"),
        "difference": paired.mean,
        "difference_se": paired.se,
        "difference_ci95": list(paired.ci95),
    }


def best_baseline(baselines: Scores) -> Scores | None:
    """Return the difference to the baseline that was right most often on these events; None where there is none.

    Choosing the best of several after the fact favours the baseline: where all are equally good, the best of five lies
    about one standard error above them by luck. The interval is that of the pair alone and does not mend that, so a
    model that is clearly better is so despite it.

    Args:
        baselines: By name, as in `summary.json`.

    Returns:
        `name`, `difference` (the model minus it, paired by event), `se` and `ci95`, event-block.
    """
    judged = {
        name: scores for name, scores in baselines.items() if scores["event_accuracy"] == scores["event_accuracy"]
    }
    if not judged:
        return None
    name = max(judged, key=lambda name: judged[name]["event_accuracy"])
    best = judged[name]
    keys = {"difference": "difference", "se": "difference_se", "ci95": "difference_ci95"}
    return {"name": name, **{key: best[source] for key, source in keys.items()}}
