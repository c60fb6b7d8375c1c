from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from trendtrain.charts.bar_chart import Strip, bar_chart, bar_text
from trendtrain.market import PivotRules, Series, synthetic_market
from trendtrain.market.labelled import Labelled, label_series

LOOKS = {0: ("down", "#d55e00"), 1: ("up", "#0072b2"), 7: ("never", "#000000")}


def source() -> Labelled:
    return label_series(Series("ETH", "5m"), synthetic_market(1000, seed=5), PivotRules())


def drawn(labelled: Labelled, part: slice = slice(500, 1000)) -> go.Figure:
    strips = [Strip("label", labelled.labels.direction[part], LOOKS)]
    notes = [bar_text(labelled.bars, bar) for bar in range(part.start, part.stop)]
    return bar_chart(labelled.bars, (labelled.highs, labelled.lows), labelled.labels.lines, part, strips, notes)


def named(figure: go.Figure, name: str) -> go.Scatter:
    return next(trace for trace in figure.data if str(trace.name).startswith(name))


def test_every_bar_is_a_candle_with_its_note() -> None:
    labelled = source()
    candles = drawn(labelled).data[0]
    np.testing.assert_array_equal(candles.close, labelled.bars.close[500:])
    np.testing.assert_array_equal(np.array(candles.x, "datetime64[ms]"), labelled.bars.open_time[500:])
    assert candles.hovertext[3].startswith(str(labelled.bars.open_time[503])[:10])
    assert "bar 503<br>open" in candles.hovertext[3]


def test_lines_join_their_pivots_and_end_where_they_were_known() -> None:
    labelled = source()
    figure, times = drawn(labelled), labelled.bars.open_time
    lines = labelled.labels.lines
    for code, name in ((1, "up line"), (0, "down line")):
        one = lines[(lines.known_at >= 500) & (lines.direction == code)]
        joined = named(figure, name)
        pairs = [(x, y) for x, y in zip(joined.x, joined.y, strict=True) if x is not None]
        ends = [(times[bar], price) for k in range(len(one)) for bar, price in _ends(one, k)]
        assert [(np.datetime64(x, "ms"), y) for x, y in pairs] == ends
        marks = next(trace for trace in figure.data if trace.legendgroup == f"line {code}" and trace.mode == "markers")
        np.testing.assert_array_equal(np.array(marks.x, "datetime64[ms]"), times[one.known_at])
        assert all(text.startswith("known here: ") for text in marks.text)


def _ends(lines, k):  # type: ignore[no-untyped-def]
    return (lines.first_bar[k], lines.first_price[k]), (lines.last_bar[k], lines.last_price[k])


def test_each_pivot_is_marked_once_beside_its_price() -> None:
    labelled = source()
    figure = drawn(labelled)
    for pivots, name in ((labelled.highs, "high"), (labelled.lows, "low")):
        here = pivots.take((pivots.level == 1) & (pivots.bar >= 500))
        marks = [trace for trace in figure.data if trace.name in (f"L1 {name}", f"L2 {name}")]
        found = sorted(np.concatenate([np.array(trace.x, "datetime64[ms]") for trace in marks]).tolist())
        assert found == sorted(labelled.bars.open_time[here.bar].tolist())


def test_a_strip_has_the_code_of_each_bar_and_the_legend_only_those_there_are() -> None:
    labelled = source()
    figure = drawn(labelled)
    cells = next(trace for trace in figure.data if trace.type == "heatmap")
    expected = labelled.labels.direction[500:]
    for code in (0, 1):
        assert ((cells.z[0] == code) == (expected == code)).all()
    assert np.isnan(cells.z[0][expected < 0]).all()
    edges = [edge for edge, _ in cells.colorscale]
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    assert all(a <= b for a, b in pairwise(edges))
    keys = {trace.name for trace in figure.data if trace.type == "scatter" and list(trace.x) == [None]}
    assert keys == {"down", "up"}


def test_a_chart_opens_on_the_newest_bars_and_their_prices() -> None:
    labelled = source()
    figure, last = drawn(labelled), labelled.bars[700:]
    low, high = figure.layout.yaxis.range
    assert low < last.low.min()
    assert high > last.high.max()
    left, right = (np.datetime64(one, "ms") for one in figure.layout.xaxis.range)
    assert left < last.open_time[0] < last.open_time[-1] < right
    assert left > labelled.bars.open_time[699]


def test_markup_in_a_note_is_text() -> None:
    labelled = source()
    part = slice(990, 1000)
    strips, pivots = [Strip("label", labelled.labels.direction[part], LOOKS)], (labelled.highs, labelled.lows)
    figure = bar_chart(labelled.bars, pivots, labelled.labels.lines, part, strips, ["<b>&"] * 10)
    assert figure.data[0].hovertext[0] == "&lt;b&gt;&amp;"
