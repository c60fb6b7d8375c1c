"""The calibration error of weighted predictions."""

import numpy as np

from trendtrain.market.bars import AnyArray, FloatArray
from trendtrain.validation.kernel import N_CALIBRATION_BINS
from trendtrain.validation.score import expected_calibration_error


def calibration_error(confidence: FloatArray, correct: AnyArray, weight: FloatArray) -> float:
    """Return the expected calibration error over 15 equal bins of confidence."""
    index = np.minimum((confidence * N_CALIBRATION_BINS).astype(np.int64), N_CALIBRATION_BINS - 1)
    columns = (weight, weight * confidence, weight * correct)
    return expected_calibration_error(np.stack([np.bincount(index, column) for column in columns], axis=1))
