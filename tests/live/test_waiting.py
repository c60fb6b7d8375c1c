import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.live.waiting import waits_for
from trendtrain.market import PivotRules, label_bars, synthetic_market

_BARS = synthetic_market(900, seed=3, timeframe="5m")


@given(n_bars=st.integers(60, 900))
def test_what_waits_is_what_has_no_label_and_no_line_is_said_to_be_there(n_bars: int) -> None:
    bars = _BARS[:n_bars]
    pending = bars.open_time[label_bars(bars).known_at < 0]
    groups = waits_for(pending, bars, PivotRules())
    assert sum(group["n"] for group in groups) == len(pending)
    assert not any("its line is there" in group["waits_for"] for group in groups)
    edges = [time for group in groups for time in (group["first"], group["last"])]
    assert edges == sorted(edges)
    assert len({group["waits_for"] for group in groups}) == len(groups)


@given(n_bars=st.integers(60, 880))
def test_the_pivot_that_is_waited_for_brings_the_label(n_bars: int) -> None:
    """As soon as one more bar makes a label known, the line is said to be there for just these bars."""
    before = label_bars(_BARS[:n_bars]).known_at < 0
    after = label_bars(_BARS[: n_bars + 1]).known_at[:n_bars] < 0
    groups = waits_for(_BARS.open_time[:n_bars][before], _BARS[: n_bars + 1], PivotRules())
    n_there = sum(group["n"] for group in groups if "its line is there" in group["waits_for"])
    assert n_there == np.count_nonzero(before & ~after)


def test_without_bars_or_rules_a_label_is_waited_for() -> None:
    times = _BARS.open_time[5:8]
    for bars, rules in ((None, PivotRules()), (_BARS, None)):
        (group,) = waits_for(times, bars, rules)
        assert (group["n"], group["waits_for"]) == (3, "its label")
    assert waits_for(times[:0], None, None) == waits_for(times[:0], _BARS, PivotRules()) == []


@pytest.mark.parametrize("words", ["two level-2 highs, or two lows", "the next level-2 high after that of"])
def test_words_of_each_kind_occur(words: str) -> None:
    found = set()
    for n_bars in range(60, 400, 5):
        bars = _BARS[:n_bars]
        pending = bars.open_time[label_bars(bars).known_at < 0]
        found |= {group["waits_for"] for group in waits_for(pending, bars, PivotRules())}
    assert any(text.startswith(words) for text in found)
    assert any(" or low after that of" in text for text in found)
    assert any(text.endswith(", or two highs") for text in found)
