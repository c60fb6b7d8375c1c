"""Scores whose statistical unit is the event: the predictions judged by one line are one observation."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, TimeArray

Scores = dict[str, Any]

EVENTS_A_BLOCK = 20
FEWEST_BLOCKS = 8
SHARES: Final = (0.0, 1.0)  # the range of an accuracy
DIFFERENCES: Final = (-1.0, 1.0)  # the range of a difference of two


@dataclass(frozen=True)
class Estimate:
    """A mean over events with its event-block standard error (NaN below 8 blocks) and 95 % interval."""

    mean: float
    se: float
    ci95: tuple[float, float]
    n_events: int
    n_blocks: int


def event_means(event: IntArray, values: FloatArray) -> tuple[IntArray, FloatArray, IntArray]:
    """Return each event, the mean of the values it judged, and their number, in order of first appearance.

    Args:
        event: The event of each prediction, shape (n,).
        values: Such as 1.0 for a correct prediction and 0.0 for a wrong one, shape (n,) or (n, k).

    Example:
        >>> [x.tolist() for x in event_means(np.array([7, 7, 3]), np.array([1.0, 0.0, 1.0]))]
        [[7, 3], [0.5, 1.0], [2, 1]]
    """
    events = group(event)
    return event[events.first], events.means(values), events.counts


@dataclass(frozen=True, eq=False)
class Groups:
    """Equal values of an array, in order of first appearance.

    Attributes:
        first: Where each value appears first, shape (n_groups,).
        inverse: Which group each position belongs to, shape (n,).
        counts: How many positions each has, shape (n_groups,).
    """

    first: IntArray
    inverse: IntArray
    counts: IntArray

    def means(self, values: FloatArray) -> FloatArray:
        """Return the mean of each group, shape (n_groups,) of values (n,), or (n_groups, k) of (n, k)."""
        if values.ndim == 2:
            return np.stack([self.means(column) for column in values.T], axis=-1)
        return np.bincount(self.inverse, values, len(self.counts)) / self.counts


def group(values: IntArray) -> Groups:
    """Group equal values, as `np.unique` does but without sorting what mostly lies together already."""
    start = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]])[: len(values)])
    _, first, run_group = np.unique(values[start], return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    inverse = np.repeat(rank[run_group], np.diff(np.append(start, len(values))))
    return Groups(start[first[order]], inverse, np.bincount(inverse, minlength=len(first)))


def calendar_blocks(known_time: TimeArray, series: IntArray) -> IntArray:
    """Number each event's calendar block, shared by all series, from 0.

    A block is as long as, at the median event, its series takes for 20 events: high and low lines interleave and
    symbols move together, so that single events are not independent.

    Args:
        known_time: When each event was known, shape (n_events,).
        series: Which series it belongs to, shape (n_events,).

    Returns:
        Shape (n_events,); all 0 where no series has more than 20 events.
    """
    times = known_time.astype("datetime64[ms]").astype(np.int64)
    waits = [_waits(np.sort(times[series == one])) for one in np.unique(series)]
    wait = np.concatenate([*waits, np.zeros(0)])
    if not len(wait):
        return np.zeros(len(times), dtype=np.int64)
    length = max(1.0, float(np.median(wait)))
    return np.unique((times - times.min()) // length, return_inverse=True)[1]


def _waits(times: IntArray) -> IntArray:
    return times[EVENTS_A_BLOCK:] - times[:-EVENTS_A_BLOCK]


def estimate(values: FloatArray, block: IntArray, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Return the mean of values over events with its cluster-robust error.

    se = sqrt(B / (B - 1) * sum over blocks of (sum over its events of (a_e - mean))^2) / N, Student t with B - 1
    degrees of freedom (Liang & Zeger 1986, clusters = calendar blocks).

    Args:
        values: One value an event, shape (n_events,).
        block: The block of each event, shape (n_events,), from `calendar_blocks`.
        bounds: The range of the mean, such as `SHARES` or `DIFFERENCES`: the interval ends there.
    """
    n_events, n_blocks = len(values), int(np.count_nonzero(np.bincount(block)))
    mean = float(values.mean()) if n_events else float("nan")
    se = block_error(values - mean, block, n_events)
    half = student_t975(n_blocks - 1) * se if n_blocks > 1 else float("nan")
    low, high = np.clip([mean - half, mean + half], *bounds).tolist()
    return Estimate(mean, se, (low, high), n_events, n_blocks)


def block_error(residual: FloatArray, block: IntArray, total: float) -> float:
    """Return sqrt(B / (B - 1) * sum over blocks of (sum of its residuals)^2) / total; NaN below 8 blocks.

    Args:
        residual: What each event, or each of its predictions by weight, lies above the mean, shape (n,).
        block: The block of each, shape (n,).
        total: Their number, or the sum of their weights.
    """
    sums = np.bincount(block, weights=residual)
    n_blocks = int(np.count_nonzero(np.bincount(block)))
    if n_blocks < FEWEST_BLOCKS:
        return float("nan")
    return float(np.sqrt(n_blocks / (n_blocks - 1) * (sums**2).sum()) / total)


def paired_scores(model: FloatArray, baseline: FloatArray, block: IntArray) -> Scores:
    """Return the scores of a baseline, and the difference of a model to it, paired by event.

    Args:
        model, baseline: The share of correct predictions of each event, by either, shape (n_events,).
        block: The block of each event, shape (n_events,), from `calendar_blocks`.
    """
    paired = estimate(model - baseline, block, DIFFERENCES)
    return {
        "event_accuracy": float(baseline.mean()) if len(baseline) else float("nan"),
        "difference": paired.mean,
        "difference_se": paired.se,
        "difference_ci95": list(paired.ci95),
    }


def best_baseline(baselines: Scores) -> Scores | None:
    """Return the difference to the baseline with the best event accuracy; None if none has any.

    Choosing the best of several in hindsight favours the baseline: of five equally good ones the best lies about one
    standard error above the others by luck. The interval is that of the pair alone and does not correct for that, so a
    model that is clearly better is so in spite of it.

    Args:
        baselines: By name, as in `summary.json`.

    Returns:
        `name`, `difference` (the model minus it, paired by event), `se` and `ci95`, event-block.
    """
    accuracy = {name: scores["event_accuracy"] for name, scores in baselines.items()}
    known = [name for name, value in accuracy.items() if not np.isnan(value)]
    if not known:
        return None
    name = max(known, key=accuracy.__getitem__)
    best = baselines[name]
    keys = {"difference": "difference", "se": "difference_se", "ci95": "difference_ci95"}
    return {"name": name, **{key: best[source] for key, source in keys.items()}}


def student_t975(degrees: int) -> float:
    """Return the 97.5 % quantile of Student's t, as `student_t` does."""
    return student_t(degrees, 0.975)


def student_t(degrees: int, p: float) -> float:
    """Return a quantile of Student's t.

    Cornish-Fisher expansion to fourth order (Abramowitz & Stegun 26.7.5): within 0.001 from 7 degrees on, which are
    the fewest needed; numpy has no quantiles and this layer imports numpy alone.

    Example:
        >>> round(student_t(7, 0.975), 3), round(student_t(1000, 0.975), 3)
        (2.365, 1.962)
    """
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / degrees**power for power, term in enumerate(terms, start=1)))


def negative_log_likelihood(probability: FloatArray, truth: IntArray) -> FloatArray:
    """Return minus the log of the probability given to the true class, at most -log(1e-7), shape (n,).

    Args:
        probability: Shape (n, C).
        truth: The true class, shape (n,).
    """
    n, n_classes = probability.shape
    given: FloatArray = np.take(probability, np.arange(n) * n_classes + truth)  # by two indices it takes far longer
    return -np.log(np.maximum(given, 1e-7))


def expected_calibration_error(bins: FloatArray) -> float:
    """Return the weighted mean distance of confidence and correctness over bins (Naeini et al. 2015); NaN if empty."""
    total = bins[:, 0].sum()
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / total) if total else float("nan")
