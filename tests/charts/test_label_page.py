import json
import re

from trendtrain.charts.label_page import label_page
from trendtrain.market import PivotRules, Series, synthetic_market
from trendtrain.market.labelled import label_series
from trendtrain.market.timeframe import format_minute


def test_each_bar_tells_its_label_its_line_and_when_it_was_known() -> None:
    labelled = label_series(Series("<b>&", "5m"), synthetic_market(600, seed=5, missing=0.02), PivotRules(max_gap=2))
    text = label_page(labelled, slice(100, 600))
    assert "<title>&lt;b&gt;&amp; 5m: pivots" in text
    held = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert held is not None
    notes = json.loads(held[1])[0]["data"][0]["hovertext"]
    labels, lines = labelled.labels, labelled.labels.lines
    seen = set()
    for bar, note in zip(range(100, 600), notes, strict=True):
        event, known_at = labels.event[bar], labels.known_at[bar]
        if event < 0:
            seen.add("hole" if known_at >= 0 else "none")
            assert note.endswith("no label" if known_at < 0 else "no label: a hole came before a line")
            continue
        seen.add("line")
        word = {1: "up", 0: "down", 2: "flat"}[int(labels.direction[bar])]
        assert f"label: {word} line L2{'HL'[lines.kind[event]]}: {format_minute(lines.start_time[event])} at" in note
        assert f"known {format_minute(labels.close_time[known_at])}, {known_at - bar} bars later" in note
    assert seen == {"line", "hole", "none"}
