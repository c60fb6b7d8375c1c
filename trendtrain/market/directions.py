"""The codes of a direction, wherever one is stored."""

from typing import Final

UNKNOWN: Final = -1
DOWN: Final = 0
UP: Final = 1
FLAT: Final = 2
