"""Infer the timeframe of bars from their times."""

import numpy as np

from trendtrain.market.bars import BarsError, TimeArray
from trendtrain.market.timeframe import format_timeframe


def infer_timeframe(times: TimeArray) -> np.timedelta64:
    """Return the smallest difference of times, which must be the commonest.

    Args:
        times: Strictly increasing, `datetime64[ms]`, shape (n_bars,).

    Raises:
        BarsError: If there are fewer than two times, another difference is commoner, or it is no whole second.

    Example:
        >>> infer_timeframe(np.array([0, 5, 10, 25], "datetime64[m]"))
        np.timedelta64(300000,'ms')
    """
    if len(times) < 2:
        raise BarsError(f"the timeframe of {len(times)} bar cannot be told; give `--timeframe`.")
    steps, counts = np.unique(np.diff(times.astype("datetime64[ms]")), return_counts=True)
    commonest = steps[np.argmax(counts)]
    if steps[0] != commonest:
        got = f"got {_show(steps[0])}, but {_show(commonest)} is commoner"
        raise BarsError(f"the smallest difference of times must be the commonest, {got}; give `--timeframe`.")
    if steps[0] % np.timedelta64(1, "s"):
        raise BarsError(f"times must lie whole seconds apart, got {_show(steps[0])}; give `--timeframe`.")
    return np.timedelta64(steps[0], "ms")


def is_even(times: TimeArray) -> bool:
    """Say whether `infer_timeframe` can tell the timeframe of strictly increasing times."""
    try:
        infer_timeframe(times)
    except BarsError:
        return False
    return True


def _show(step: np.timedelta64) -> str:
    return f"{int(step.astype(np.int64))} ms" if step % np.timedelta64(1, "s") else format_timeframe(step)
