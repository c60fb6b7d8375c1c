"""Print to the terminal, and write numbers and times as its tables do."""

import math

import numpy as np
from rich.console import Console, RenderableType


def show(content: RenderableType) -> None:
    """Print to the terminal; into a file or a pipe wide enough for every table."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    console.print(content)


def number(value: float) -> str:
    """Return a count with commas, a share with four digits; `none yet` for NaN.

    Example:
        >>> number(22534), number(0.62711), number(float("nan"))
        ('22,534', '0.6271', 'none yet')
    """
    if isinstance(value, float):
        return "none yet" if math.isnan(value) else f"{value:.4f}"
    return f"{value:,}"


def minute(milliseconds: int) -> str:
    """Return a time of the database as UTC date and minute.

    Example:
        >>> minute(1_704_067_260_000)
        '2024-01-01 00:01'
    """
    return str(np.datetime_as_string(np.datetime64(milliseconds, "ms"), unit="m")).replace("T", " ")
