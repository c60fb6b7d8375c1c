"""The rules that decide what a pivot, a line and a label are: one value, passed as one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from trendtrain.errors import InputError, check_at_least, check_choice, check_number

MOST_LEVELS = 100
LONGEST_GAP = 1_000_000_000

Tie = Literal["plateau", "strict"]
Inside = Literal["keep", "skip"]


@dataclass(frozen=True)
class PivotRules:
    """How pivots, trend lines and labels are found.

    Attributes:
        strength: Per level, how many points on either side a pivot must strictly exceed, at least 1 each.
        tie: `plateau` collapses a run of equal values to its first bar; `strict` lets a plateau hide a pivot.
        inside: `skip` drops bars inside the last kept bar (Williams' rule) before anything else; `keep` keeps them.
        max_gap: A hole of more missing bars splits the series; None never splits.
        flat_band: A line whose relative price change is at most this is FLAT.

    Raises:
        InputError: If a value breaks its rule.

    Source: Larry Williams, Long-Term Secrets to Short-Term Trading (1999): short- and intermediate-term highs.

    Example:
        >>> print(PivotRules(strength=(2, 1), max_gap=3))
        strength 2 1, tie plateau, inside keep, max-gap 3, flat-band 0
    """

    strength: Sequence[int] = (1, 1)
    tie: Tie = "plateau"
    inside: Inside = "keep"
    max_gap: int | None = None
    flat_band: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.strength, str) or not isinstance(self.strength, Sequence) or not len(self.strength):
            raise InputError(f"`strength` must list one integer a level, got {self.strength!r}.")
        for k in self.strength:
            check_at_least("strength", k, 1)
        if len(self.strength) > MOST_LEVELS:
            raise InputError(f"`strength` must list at most {MOST_LEVELS} levels, got {len(self.strength)}.")
        object.__setattr__(self, "strength", tuple(int(k) for k in self.strength))
        check_choice("tie", self.tie, ("plateau", "strict"))
        check_choice("inside", self.inside, ("keep", "skip"))
        if self.max_gap is not None:
            check_at_least("max_gap", self.max_gap, 0)
            if self.max_gap > LONGEST_GAP:
                raise InputError(f"`max_gap` must be at most {LONGEST_GAP:,} bars, got {self.max_gap}.")
        check_number("flat_band", self.flat_band, 0.0)

    def __str__(self) -> str:
        """Return the rules as they are written on the command line."""
        strength = " ".join(map(str, self.strength))
        gap = "none" if self.max_gap is None else self.max_gap
        return f"strength {strength}, tie {self.tie}, inside {self.inside}, max-gap {gap}, flat-band {self.flat_band:g}"


def rules_from(rules: PivotRules | None, options: dict[str, Any]) -> PivotRules:
    """Return `rules`, or those that `options` name one by one.

    Raises:
        InputError: If both are given, an option is unknown, or a value breaks its rule.
    """
    if rules is None:
        names = [field.name for field in fields(PivotRules)]
        if unknown := sorted(set(options) - set(names)):
            raise InputError(f"options must be among {', '.join(names)}, got {', '.join(unknown)}.")
        return PivotRules(**options)
    if not isinstance(rules, PivotRules):
        raise InputError(f"`rules` must be a PivotRules, got {rules!r}.")
    if options:
        raise InputError(f"`rules` must come without further options, got {', '.join(sorted(options))} besides.")
    return rules
