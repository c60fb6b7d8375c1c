import re
from typing import Any

import pytest

from trendtrain.errors import InputError
from trendtrain.market import LabelTracker, PivotRules, PivotTracker, find_pivots, label_bars, synthetic_market

BARS = synthetic_market(500, seed=0)
BAD: list[tuple[dict[str, Any], str]] = [
    ({"strength": ()}, "`strength` must list one integer a level, got ()."),
    ({"strength": "11"}, "`strength` must list one integer a level, got '11'."),
    ({"strength": (1, 0)}, "`strength` must be an integer of at least 1, got 0."),
    ({"strength": (1, 1.5)}, "`strength` must be an integer of at least 1, got 1.5."),
    ({"tie": "stirct"}, "`tie` must be one of plateau, strict, got 'stirct'; did you mean `strict`?"),
    ({"inside": "drop"}, "`inside` must be one of keep, skip, got 'drop'."),
    ({"max_gap": -1}, "`max_gap` must be an integer of at least 0, got -1."),
    ({"max_gap": 10**15}, "`max_gap` must be at most 1,000,000,000 bars, got 1000000000000000."),
    ({"strength": (1,) * 101}, "`strength` must list at most 100 levels, got 101."),
    ({"flat_band": -0.1}, "`flat_band` must be a number of at least 0.0, got -0.1."),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_a_broken_rule_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        PivotRules(**options)


def test_rules_are_a_value() -> None:
    assert PivotRules([2, 1]) == PivotRules((2, 1))
    assert hash(PivotRules([2, 1])) == hash(PivotRules((2, 1)))


def test_rules_may_be_given_as_one_value_or_one_by_one() -> None:
    rules = PivotRules((2, 1), "strict", max_gap=3)
    one_by_one = {"strength": (2, 1), "tie": "strict", "max_gap": 3}
    assert label_bars(BARS, rules).direction.tolist() == label_bars(BARS, **one_by_one).direction.tolist()
    assert find_pivots(BARS, rules)[0].bar.tolist() == find_pivots(BARS, **one_by_one)[0].bar.tolist()


@pytest.mark.parametrize("make", [PivotTracker, LabelTracker, lambda *a, **k: label_bars(BARS, *a, **k)])
def test_rules_and_options_are_not_mixed_and_unknown_ones_refused(make: Any) -> None:
    with pytest.raises(InputError, match="`rules` must come without further options, got tie besides"):
        make(PivotRules(), tie="strict")
    with pytest.raises(InputError, match="options must be among strength, tie, inside, max_gap, flat_band, got power"):
        make(power=2)
    with pytest.raises(InputError, match=r"`rules` must be a PivotRules, got \(1, 1\)"):
        make((1, 1))


def test_the_longest_gap_splits_nothing() -> None:
    whole = label_bars(BARS)
    assert label_bars(BARS, max_gap=10**9).direction.tolist() == whole.direction.tolist()
    weekly = synthetic_market(300, seed=1, timeframe="52w")
    assert label_bars(weekly, max_gap=10**9).event.tolist() == label_bars(weekly).event.tolist()
