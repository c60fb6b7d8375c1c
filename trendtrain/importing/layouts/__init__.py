"""The layouts files come in, a module each: its NAME, `matches(source)`, and `read(source, options)`."""

from typing import Final, Protocol

from trendtrain.errors import check_choice
from trendtrain.importing.layouts import (
    binance,
    bitfinex,
    cryptodatadownload,
    freqtrade,
    generic,
    lean,
    metatrader,
    trades,
)
from trendtrain.importing.raw_bars import RawBars, ReadOptions
from trendtrain.importing.source import Source


class Layout(Protocol):
    """A way to write bars into a file."""

    NAME: str

    def matches(self, source: Source) -> bool:
        """Say whether a file looks like this."""

    def read(self, source: Source, options: ReadOptions) -> RawBars:
        """Return the bars of such a file."""


# The first that matches reads the file: the particular ones before the general.
LAYOUTS: Final[tuple[Layout, ...]] = (
    lean,
    binance,
    cryptodatadownload,
    metatrader,
    trades,
    bitfinex,
    freqtrade,
    generic,
)
NAMES: Final = tuple(layout.NAME for layout in LAYOUTS)


def choose_layout(source: Source, name: str | None) -> Layout:
    """Return the layout of that name, or the first that matches.

    Raises:
        InputError: If there is none of that name.
    """
    if name is not None:
        check_choice("layout", name, NAMES)
        return next(layout for layout in LAYOUTS if name == layout.NAME)
    return next(layout for layout in LAYOUTS if layout.matches(source))
