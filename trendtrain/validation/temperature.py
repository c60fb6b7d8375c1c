"""Temperature scaling: calibrate the confidence of a model by its verdicts."""

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray

LEAST, MOST = 0.05, 20.0  # of one over the temperature
_TOLERANCE = 1e-6
_MOST_STEPS = 100  # three are usual


def fit_temperature(scores: FloatArray, truth: IntArray, weight: FloatArray, spread: float) -> float:
    """Return the temperature T at which softmax(scores / T) predicts best how often each class occurs.

    It minimises over b = 1 / T the sum of weight * -log softmax(b * scores)[truth], plus (b - 1)^2 / (2 spread^2): that
    is temperature scaling (Guo et al. 2017, arXiv 1706.04599), kept near 1 where little is known by a normal prior.
    The sum is convex in b, so Newton's steps inside a shrinking bracket find its minimum.

    Args:
        scores: Logits, up to a constant in each row, shape (n, C).
        truth: The true class, shape (n,).
        weight: Weight of each row, shape (n,); those of an event sum to 1.
        spread: Standard deviation of the prior of b.

    Returns:
        From 0.05 to 20.

    Example:
        >>> scores = np.tile([0.0, 2.0], (1000, 1))  # class 1 with 0.88; it occurs in 60 %
        >>> T = fit_temperature(scores, np.arange(1000) % 5 < 3, np.ones(1000), spread=0.5)
        >>> round(float(1 / (1 + np.exp(-2.0 / T))), 2)
        0.6
    """
    given = np.take_along_axis(scores, truth[:, None].astype(np.int64), axis=1)
    centred = np.ascontiguousarray((scores - given).T, dtype=np.float64)  # (C, n): sums over short rows are slow
    low, high, beta = LEAST, MOST, 1.0
    for _ in range(_MOST_STEPS):
        slope, curvature = _derivatives(centred, weight, beta)
        slope, curvature = slope + (beta - 1.0) / spread**2, curvature + 1.0 / spread**2
        low, high = (low, beta) if slope > 0.0 else (beta, high)
        following = float(np.clip(beta - slope / curvature, LEAST, MOST))
        if abs(following - beta) < _TOLERANCE:
            break
        is_inside = low < following < high or following in (LEAST, MOST)
        beta = following if is_inside else 0.5 * (low + high)
    return 1.0 / beta


def _derivatives(centred: FloatArray, weight: FloatArray, beta: float) -> tuple[float, float]:
    """Return slope and curvature in b of sum(weight * log(sum(exp(b * centred)))); the true class has a score of 0."""
    probability = np.exp(beta * (centred - centred.max(axis=0)))
    probability /= probability.sum(axis=0)
    mean = (probability * centred).sum(axis=0)
    variance = (probability * centred**2).sum(axis=0) - mean**2
    return float((weight * mean).sum()), float((weight * variance).sum())  # a dot product would wake threads
