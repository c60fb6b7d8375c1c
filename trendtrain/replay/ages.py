"""How old the event of a draw is: uniform, or the younger the likelier."""

from collections.abc import Sequence

import numpy as np

from trendtrain.errors import InputError, check_number
from trendtrain.market.bars import FloatArray, IntArray

HalfLife = float | None  # in events; None: all ages alike


def half_lives_of(half_life: HalfLife | Sequence[HalfLife], name: str = "half_life") -> tuple[HalfLife, ...]:
    """Return one half-life, or both of two, as a tuple.

    Raises:
        InputError: If a half-life is below 1 event, or there are more than two.

    Example:
        >>> half_lives_of(700.0), half_lives_of([700.0, None])
        ((700.0,), (700.0, None))
    """
    is_list = isinstance(half_life, Sequence) and not isinstance(half_life, str)
    half_lives = tuple(half_life) if is_list else (half_life,)  # type: ignore[arg-type]
    if is_list and len(half_lives) != 2:
        raise InputError(f"`{name}` must be one half-life or a list of two, got {list(half_lives)}.")
    for one in half_lives:
        if one is not None:
            check_number(name, one, 1.0)
    return half_lives  # type: ignore[return-value]


def draw_ages(uniform: FloatArray, n_events: int, half_life: float | None) -> IntArray:
    """Map uniform numbers to ages in events, 0 (the newest) to n_events - 1.

    With a half-life h the chance of age a is proportional to 2^(-a / h), a geometric law truncated at the oldest event:
    with q = 2^(-1 / h), P(age <= a) = (1 - q^(a + 1)) / (1 - q^n), whose inverse is one formula.

    Args:
        uniform: In [0, 1), shape (n,).
        n_events: How many events there are, at least 1.
        half_life: After how many events the chance has halved; None for never.

    Returns:
        Shape (n,), int64.

    Example:
        >>> draw_ages(np.array([0.0, 0.5, 0.99]), n_events=100, half_life=10).tolist()
        [0, 9, 65]
    """
    log_q = 0.0 if half_life is None else -np.log(2.0) / half_life
    ages = np.log1p(uniform * np.expm1(n_events * log_q)) / log_q if log_q else uniform * n_events
    whole: IntArray = np.minimum(ages.astype(np.int64), n_events - 1)  # rounding may reach n_events
    return whole
