"""Say a user's mistake in one line: the argument, the rule, and what came."""

from numbers import Integral, Real


class InputError(ValueError):
    """Bad input from a user; the command line prints it as one line and exits with code 2."""


def check_at_least(name: str, value: object, minimum: int) -> None:
    """Raise unless `value` is an integer of at least `minimum`.

    Raises:
        InputError: If `value` is no integer, or is below `minimum`.

    Example:
        >>> check_at_least("strength", 0, 1)
        Traceback (most recent call last):
        trendtrain.errors.InputError: `strength` must be an integer of at least 1, got 0.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < minimum:
        raise InputError(f"`{name}` must be an integer of at least {minimum}, got {value!r}.")


def check_number(name: str, value: object, low: float, high: float = float("inf")) -> None:
    """Raise unless `value` is a number in [`low`, `high`].

    Raises:
        InputError: If `value` is no number, or lies outside the range.

    Example:
        >>> check_number("lr", "fast", 0.0)
        Traceback (most recent call last):
        trendtrain.errors.InputError: `lr` must be a number of at least 0.0, got 'fast'.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:
        rule = f"a number of at least {low}" if high == float("inf") else f"a number from {low} to {high}"
        raise InputError(f"`{name}` must be {rule}, got {value!r}.")


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise unless `value` is one of `choices`.

    Raises:
        InputError: If it is not.

    Example:
        >>> check_choice("tie", "stirct", ("plateau", "strict"))
        Traceback (most recent call last):
        trendtrain.errors.InputError: `tie` must be one of plateau, strict, got 'stirct'.
    """
    if value not in choices:
        raise InputError(f"`{name}` must be one of {', '.join(map(str, choices))}, got {value!r}.")
