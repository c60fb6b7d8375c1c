"""Check the functions that a user gives for look-ahead, before anything is learned from them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from trendtrain.errors import InputError
from trendtrain.features.lookback import Lookback
from trendtrain.features.segmented import Features, SegmentedFeatures, by_segment
from trendtrain.laws import BarsFunction, CausalityError, check_causal, check_chunks
from trendtrain.market.bars import Bars
from trendtrain.market.labels import Labels
from trendtrain.stream.tape import Labeler, labels_of

_MOST_BARS = 3_000
_N_CUTS = 8  # consecutive ones at the end, and as many before
_CHUNKS = (7, 256)


def check_look_ahead(
    labeler: Labeler, features: Mapping[str, Features | None], bars: Bars, max_gap: int | None
) -> None:
    """Raise if a function that is not the package's own looks ahead.

    Each is called on the bars and on the same bars cut off at some: what it gives for a bar must be the same to the
    bit, whatever follows. A tracker gets the bars in two chunks, cut at the same places. A `Lookback` must also give
    the same in small chunks, of which it sees few earlier bars.

    Args:
        labeler: Gives the labels of a series.
        features: Features, side inputs and baselines by their configuration keys; None for none.
        bars: The first bars of a series; a few thousand are used.
        max_gap: As features are computed with.

    Raises:
        InputError: If one looks ahead; it names the key, the function, the first bar, and both values.
    """
    bars = bars[:_MOST_BARS]
    n = len(bars)
    ends = [*np.linspace(max(1, n // 2), n, _N_CUTS, endpoint=False).astype(int).tolist(), *range(n - _N_CUTS, n)]
    cuts = sorted({cut for cut in ends if cut >= 1})
    checked: dict[str, BarsFunction] = {} if is_ours(labeler) else {"labels": _labels_of(labeler)}
    bare = {name: _bare(part) for name, part in features.items() if part is not None}
    checked |= {name: _of_chunks(name, part, n, max_gap) for name, part in bare.items() if not is_ours(part)}
    for name, function in checked.items():
        with _naming(name, "must not look ahead"):
            check_causal(function, bars, cuts=cuts, chunks=(), shortest=min(cuts))
    for name, part in features.items():
        if isinstance(part, partial) and part.func is Lookback:
            with _naming(name, f"must give the same, to the last bit, from its lookback of {part().lookback} bars"):
                check_chunks(part, bars, _CHUNKS)


@contextmanager
def _naming(name: str, rule: str) -> Iterator[None]:
    try:
        yield
    except CausalityError as error:
        raise InputError(f"`{name}` {rule} (data.check_causal=false skips this check): {error}") from error


def _bare(part: Features) -> Features:
    """Return the function of a `Lookback`, or the part itself."""
    return part().function if isinstance(part, partial) and part.func is Lookback else part


def is_ours(part: Any) -> bool:
    """Return whether a function or class is the package's own, and so are the functions it was given."""
    if isinstance(part, partial):
        given = (*part.args, *part.keywords.values())
        return is_ours(part.func) and all(is_ours(one) for one in given if callable(one))
    return str(getattr(part, "__module__", "")).startswith("trendtrain.")


def _labels_of(labeler: Labeler) -> BarsFunction:
    """Return a function that checks the labels as a tape does, by the name of the labeler."""

    def labels(bars: Bars) -> Labels:
        return labels_of(labeler, bars)

    labels.__name__ = _name(labeler)
    return labels


def _of_chunks(name: str, part: Features, n_bars: int, max_gap: int | None) -> BarsFunction:
    """Return a function of bars: features of all of them, in one chunk or, of fewer than `n_bars`, in two."""

    def rows(bars: Bars) -> Any:
        if len(bars) == n_bars:
            return by_segment(part, bars, max_gap, name)
        tracker, half = SegmentedFeatures(part, max_gap, name), len(bars) // 2
        return np.concatenate([tracker.update(bars[:half]).copy(), tracker.update(bars[half:])])

    rows.__name__ = _name(part)
    return rows


def _name(part: Any) -> str:
    return str(getattr(part.func if isinstance(part, partial) else part, "__name__", type(part).__name__))
