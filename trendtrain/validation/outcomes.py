"""The codes of a verdict's outcome, wherever one is stored."""

from typing import Final

WRONG: Final = 0
CORRECT: Final = 1
VOID_FLAT: Final = 2
VOID_GAP: Final = 3

OUTCOME_NAMES: Final = ("wrong", "correct", "void_flat", "void_gap")
