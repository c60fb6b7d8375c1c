"""Join what became known in several places into one order."""

from collections.abc import Sequence

import numpy as np

from trendtrain.market.bars import IntArray

_WINDOW = 65_536  # bars a pass: what numpy sorts as 16-bit integers, by counting, in a fifth of the time


def merge_order(known_at: Sequence[IntArray]) -> IntArray:
    """Return the order that joins ascending sequences into one; among equals the earlier sequence first.

    Example:
        >>> merge_order([np.array([1, 5, 9]), np.array([2, 5])])
        array([0, 3, 1, 4, 2])
    """
    offset = np.cumsum([0, *(len(part) for part in known_at)])
    whole = [part for part in known_at if len(part)]
    if len(whole) < 2:
        return np.arange(offset[-1])
    edges = np.arange(min(part[0] for part in whole), max(part[-1] for part in whole) + 1, _WINDOW)
    cuts = np.array([[*np.searchsorted(part, edges), len(part)] for part in known_at])
    order = [_order_of(known_at, offset, cuts[:, i], cuts[:, i + 1], edge) for i, edge in enumerate(edges)]
    return np.concatenate(order)


def _order_of(known_at: Sequence[IntArray], offset: IntArray, start: IntArray, end: IntArray, edge: int) -> IntArray:
    """Return the order of what lies in one window."""
    parts = [part[a:b] for part, a, b in zip(known_at, start, end, strict=True)]
    places = [np.arange(a, b) + by for a, b, by in zip(start, end, offset, strict=False)]
    order = np.argsort((np.concatenate(parts) - edge).astype(np.uint16), kind="stable")
    return np.concatenate(places)[order]
