"""Tell the timeframe of bars from their times, and check it against what else tells it."""

import numpy as np

from trendtrain.market.bars import BarsError, TimeArray
from trendtrain.market.timeframe import format_timeframe


def choose_timeframe(
    times: TimeArray, known: np.timedelta64 | None, named: np.timedelta64 | None, given: np.timedelta64 | None
) -> np.timedelta64:
    """Return the timeframe of bars; everything that tells it must agree.

    Args:
        times: Strictly increasing open times, `datetime64[ms]`, shape (n_bars,).
        known: What the layout says; None to infer it from the times.
        named: What the name of the file says, None for nothing.
        given: What the user says, None for nothing; it counts where the times do not tell.

    Raises:
        BarsError: If nothing tells the timeframe, or two disagree.
    """
    length = known
    if length is None:
        try:
            length = infer_timeframe(times)
        except BarsError:
            if given is None:
                raise
            length = given
    for source, claimed in (("the name says", named), ("`--timeframe` is", given)):
        if claimed not in (None, length):
            raise BarsError(f"{source} {format_timeframe(claimed)}, but the bars are {format_timeframe(length)}.")
    return length


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


def _show(step: np.timedelta64) -> str:
    return f"{int(step.astype(np.int64))} ms" if step % np.timedelta64(1, "s") else format_timeframe(step)
