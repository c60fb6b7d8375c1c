"""The directions of a trend: their codes wherever one is stored, and the words and colours that show them."""

from typing import Final

UNKNOWN: Final = -1
DOWN: Final = 0
UP: Final = 1
FLAT: Final = 2

CLASS_WORDS: Final = ("down", "up", "flat")  # indexed by DOWN, UP, FLAT
DIRECTION_WORDS: Final = {**dict(enumerate(CLASS_WORDS)), UNKNOWN: "unknown"}
DIRECTION_MEANING: Final = " (unknown -1, down 0, up 1, flat 2)"
DIRECTION_CODES: Final = {word: code for code, word in DIRECTION_WORDS.items()}
# Distinguishable with any kind of colour vision (Okabe & Ito 2008).
DIRECTION_COLOURS: Final = {UP: "#0072b2", DOWN: "#d55e00", FLAT: "#a07cc5", UNKNOWN: "#dddddd"}
