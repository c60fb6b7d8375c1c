"""Check whole numbers from users that name something: directions, bars, events."""

import numpy as np
import numpy.typing as npt

from trendtrain.errors import InputError
from trendtrain.market.bars import IntArray

LARGEST_EVENT = 2**40 - 1  # the stream adds the number of the series above these bits


def whole_numbers(
    name: str, values: npt.ArrayLike, low: int, high: int, meaning: str = "", length: int | None = None
) -> IntArray:
    """Return values as integers after checking that each is a whole number in a range: a cast would hide a mistake.

    Args:
        name: What an error calls them.
        values: Integers, or floats without a fraction, shape (n,).
        low, high: The smallest and the largest value allowed.
        meaning: What an error adds to the rule.
        length: The n required; None for any.

    Raises:
        InputError: If the shape differs, or a value is no whole number or lies outside the range.

    Example:
        >>> whole_numbers("direction", [1, 0.9], -1, 2)
        Traceback (most recent call last):
        trendtrain.errors.InputError: `direction` must hold whole numbers from -1 to 2, got 0.9 at position 1.
    """
    array = np.asarray(values)
    if array.ndim != 1 or length not in (None, len(array)):
        raise InputError(f"`{name}` must have shape ({'n' if length is None else length},), got {array.shape}.")
    rule = f"`{name}` must hold whole numbers from {low} to {high}{meaning}"
    if array.dtype.kind not in "iuf" and array.size:
        raise InputError(f"{rule}, got {array.dtype} values such as {array[0]!r}.")
    is_allowed = (array >= low) & (array <= high)  # False for NaN
    if array.dtype.kind == "f":
        is_allowed &= np.floor(array) == array
    if not is_allowed.all():
        position = int(np.argmin(is_allowed))
        raise InputError(f"{rule}, got {array[position]} at position {position}.")
    return array if array.dtype.kind == "i" else array.astype(np.int64)
