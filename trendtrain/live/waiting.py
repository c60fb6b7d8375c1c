"""Say what pending predictions wait for."""

from dataclasses import replace
from typing import Any

import numpy as np

from trendtrain.market.bars import Bars, TimeArray
from trendtrain.market.pivots import Pivots, find_pivots
from trendtrain.market.rules import PivotRules


def waits_for(open_time: TimeArray, bars: Bars | None, rules: PivotRules | None) -> list[dict[str, Any]]:
    """Return the pending predictions of a series in groups that wait for the same, by time.

    Args:
        open_time: The bars predicted, ascending, `datetime64[ms]`, shape (n,).
        bars: Bars from well before the first of them to the newest one; None if they are not known.
        rules: What makes a pivot; None for labels that no line makes.

    Returns:
        Of each group: `n`, the open times of its `first` and `last` bar, and `waits_for` in words.

    Example:
        >>> price = np.array([4.0, 3.0, 5.0, 1.0, 6.0, 2.0, 7.0, 6.5])
        >>> time = np.datetime64("2024-01-01", "ms") + np.arange(8) * np.timedelta64(60_000, "ms")
        >>> bars = Bars(time, price, price, price, price, price, np.timedelta64(1, "m"))
        >>> for group in waits_for(time[[1, 2, 5]], bars, PivotRules()):
        ...     print(group["n"], group["waits_for"])
        2 the next level-2 low after that of 00:03, or two highs
        1 two level-2 highs, or two lows
    """
    if bars is None or rules is None:
        return [_group(open_time, "its label")] if len(open_time) else []
    highs, lows = (_times(one) for one in find_pivots(bars, replace(rules, strength=rules.strength[:2])))
    after = np.stack([np.searchsorted(one, open_time, side="right") for one in (highs, lows)])
    starts = np.flatnonzero(np.append(True, (after[:, 1:] != after[:, :-1]).any(axis=0))[: len(open_time)])
    return [
        _group(part, _words(*(one[at:] for one, at in zip((highs, lows), after[:, start], strict=True))))
        for start, part in zip(starts, np.split(open_time, starts[1:]), strict=False)
    ]


def _times(pivots: Pivots) -> TimeArray:
    return np.sort(pivots.at_level(2).time)


def _group(open_time: TimeArray, words: str) -> dict[str, Any]:
    first, last = open_time[[0, -1]].astype("datetime64[ms]").astype(np.int64).tolist()
    return {"n": len(open_time), "first": first, "last": last, "waits_for": words}


def _words(highs: TimeArray, lows: TimeArray) -> str:
    """Return what two pivots of a kind are missing, given those of either kind after a prediction."""
    if len(highs) > 1 or len(lows) > 1:
        return "the end of the step: its line is there"
    there = [(name, times) for name, times in (("high", highs), ("low", lows)) if len(times)]
    if not there:
        return "two level-2 highs, or two lows"
    if len(there) == 2:
        return f"the next level-2 high after that of {_clock(highs[0])}, or low after that of {_clock(lows[0])}"
    (name, times), other = there[0], "low" if there[0][0] == "high" else "high"
    return f"the next level-2 {name} after that of {_clock(times[0])}, or two {other}s"


def _clock(time: np.datetime64) -> str:
    """Return hour and minute, and the second of a bar that opens inside a minute."""
    text = str(time.astype("datetime64[s]"))[11:]
    return text.removesuffix(":00")
