"""How a mean over events, such as the lead over a rule, came about in time, with its event-block interval."""

from dataclasses import dataclass

import numpy as np

from trendtrain.market.bars import FloatArray, IntArray, TimeArray
from trendtrain.validation.score import FEWEST_BLOCKS, student_t975


@dataclass(frozen=True, eq=False)
class Course:
    """A mean over events at the end of each calendar block.

    Attributes:
        time: When the last event of the block was known, `datetime64[ms]`, shape (n_blocks,).
        mean: The mean, of all events so far or of a window of blocks.
        low, high: Its 95 % interval; NaN below 8 blocks.
    """

    time: TimeArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray

    def __len__(self) -> int:
        return len(self.time)


def course_of(
    values: FloatArray,
    known_time: TimeArray,
    block: IntArray,
    bounds: tuple[float, float],
    width: int | None = None,
    most: int = 500,
) -> Course:
    """Return the mean of values over events, block after block, in one pass over the events.

    The last point, without a `width`, is that of `estimate` on all events.

    Args:
        values: One value an event, shape (n_events,).
        known_time: When each event was known, shape (n_events,).
        block: The block of each event, from `calendar_blocks`, shape (n_events,).
        bounds: The range of the mean: the interval ends there.
        width: The mean over this many newest blocks; None for all so far. The first windows are then left out.
        most: The largest number of points; the last block is always one.
    """
    n_blocks = int(block.max(initial=-1)) + 1
    n, total = np.bincount(block, minlength=n_blocks).astype(float), np.bincount(block, values, n_blocks)
    sums = np.column_stack([np.ones(n_blocks), n, total, total**2, total * n, n**2])
    so_far = np.concatenate([np.zeros((1, 6)), np.cumsum(sums, axis=0)])
    first = np.zeros(n_blocks, dtype=np.int64) if width is None else np.arange(n_blocks) - width + 1
    last = np.flatnonzero(first >= 0)
    last = last[np.unique(np.linspace(0, len(last) - 1, min(most, len(last))).round().astype(int))]
    count, n_events, total, square, mixed, size = (so_far[last + 1] - so_far[first[last]]).T
    mean = total / n_events
    # The sum over blocks of (sum of their residuals)^2, multiplied out.
    residual = np.maximum(square - 2.0 * mean * mixed + mean**2 * size, 0.0)
    is_enough = count >= FEWEST_BLOCKS
    degrees = np.maximum(count - 1.0, 1.0)
    error = np.where(is_enough, np.sqrt(count / degrees * residual) / n_events, np.nan)
    half = np.array([student_t975(int(one)) for one in degrees]) * error
    time = np.full(n_blocks, np.iinfo(np.int64).min)
    np.maximum.at(time, block, known_time.astype("datetime64[ms]").astype(np.int64))
    return Course(time[last].astype("datetime64[ms]"), mean, *np.clip([mean - half, mean + half], *bounds))
