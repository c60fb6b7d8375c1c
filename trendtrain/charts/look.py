"""The look of pictures: dark for TensorBoard, where it suits both themes, with text that a thumbnail shows legibly."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
from matplotlib import style

from trendtrain.charts.page import THEMES

THUMBNAIL: Final = (6.4, 4.8)  # inches, with text of 11 points: legible 400 pixels wide
_THEME: Final = THEMES["dark"]
_DARK: Final[dict[str, Any]] = {
    "figure.facecolor": _THEME["card"],
    "axes.facecolor": _THEME["card"],
    "axes.edgecolor": _THEME["muted"],
    "axes.labelcolor": _THEME["ink"],
    "text.color": _THEME["ink"],
    "xtick.color": _THEME["ink"],
    "ytick.color": _THEME["ink"],
    "grid.color": _THEME["grid"],
    "lines.color": _THEME["muted"],
    "font.size": 11,
    "axes.titlesize": 12,
    "legend.fontsize": 10,
    "legend.frameon": False,
}
_LIGHT: Final[dict[str, Any]] = {"grid.color": "#eeeeee", "lines.color": "#949494"}


@contextmanager
def dark() -> Iterator[None]:
    """Draw the pictures of TensorBoard inside the block."""
    with style.context(["default", _DARK]):
        yield


@contextmanager
def light() -> Iterator[None]:
    """Draw pictures on white inside the block."""
    with style.context(["default", _LIGHT]):
        yield


def ink() -> str:
    """Return the colour of text and marks."""
    return str(mpl.rcParams["text.color"])


def muted() -> str:
    """Return the colour of what stands back."""
    return str(mpl.rcParams["lines.color"])


def bodies() -> tuple[str, str]:
    """Return the colours of bars that rose and of bars that fell: the lighter of two, and the darker."""
    rose, fell = ink(), muted()
    return (rose, fell) if paper() == _DARK["axes.facecolor"] else (fell, rose)


def paper() -> str:
    """Return the colour behind everything."""
    return str(mpl.rcParams["axes.facecolor"])
