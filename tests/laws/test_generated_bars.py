"""The generated bars are worth a law: they hold lines, ties, inside bars, holes and voids."""

from collections import Counter
from typing import Any

import numpy as np
from generated import label_options, some_bars
from hypothesis import given, settings

from trendtrain.market import Bars, label_bars


def test_generated_bars_hold_what_the_laws_are_about() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=60, database=None)
    @given(some_bars(), label_options())
    def count(bars: Bars, options: dict[str, Any]) -> None:
        labels = label_bars(bars, **options)
        seen["lines"] += len(labels.lines) > 0
        seen["ties"] += bool((np.diff(bars.high) == 0).any())
        seen["inside"] += bool(((np.diff(bars.high) <= 0) & (np.diff(bars.low) >= 0)).any())
        seen["holes"] += bool((np.diff(bars.open_time) > bars.timeframe).any())
        seen["flat"] += bool((labels.direction == 2).any())
        seen["void"] += bool(((labels.known_at >= 0) & (labels.event < 0)).any())

    count()
    assert seen["lines"] >= 20
    assert min(seen[name] for name in ("ties", "inside", "holes")) >= 20
    assert min(seen[name] for name in ("flat", "void")) >= 8
