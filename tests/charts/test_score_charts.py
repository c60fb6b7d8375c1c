import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from trendtrain.charts.look import dark
from trendtrain.charts.recent_chart import RecentBars, draw_recent
from trendtrain.charts.score_charts import (
    draw_confusion,
    draw_delays,
    draw_hours,
    draw_lead,
    draw_reliability,
    draw_rules,
)
from trendtrain.market import Series, find_pivots, label_bars, synthetic_market
from trendtrain.validation.edge import Course


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def title(figure: Figure) -> str:
    return figure.axes[0].get_title(loc="left")


def points(figure: Figure, chart: int = 0) -> Iterator[tuple[float, float]]:
    for line in figure.axes[chart].get_lines():
        if line.get_marker() == "o":
            yield from zip(*(np.asarray(values, float).tolist() for values in line.get_data()), strict=True)


def test_reliability_shows_each_bin_that_holds_something_at_its_confidence_and_accuracy() -> None:
    nan = math.nan
    bins = {"low": [0.0, 0.5, 0.7], "high": [0.5, 0.7, 1.0], "share": [0.0, 0.75, 0.25]}
    scores = {"confidence": [nan, 0.6, 0.8], "accuracy": [nan, 0.55, 1.0], "accuracy_se": [nan, 0.02, nan]}
    figure = draw_reliability(bins | scores, 200, 0.0625)
    assert list(points(figure)) == [(0.6, 0.55), (0.8, 1.0)]
    assert [bar.get_height() for bar in figure.axes[1].patches] == [150.0, 50.0]
    (whiskers,) = figure.axes[0].collections[0].get_segments()
    assert whiskers[:, 1].tolist() == pytest.approx([0.55 - 1.96 * 0.02, 0.55 + 1.96 * 0.02])
    assert "0.062" in title(figure)
    assert "200 events" in title(figure)


def test_confusion_has_what_came_in_rows_and_what_was_predicted_in_columns() -> None:
    figure = draw_confusion({"classes": ["down", "up"], "share": [[0.3, 0.1], [0.45, 0.15]]}, 80)
    assert texts(figure) == [
        "30.0%\n75% of down",
        "10.0%\n25% of down",
        "45.0%\n75% of up",
        "15.0%\n25% of up",
    ]
    place = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert place["10.0%\n25% of down"] == (1, 0)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["predicted down", "predicted up"]


CELL = {"event_accuracy": 0.614, "n_events": 1204, "accuracy_se": 0.031}


def test_hours_of_several_series_have_a_row_each() -> None:
    figure = draw_hours({"A 5m": {"0": CELL}, "B 1h": {"23": CELL}})
    picture = figure.axes[0].images[0].get_array()
    assert np.flatnonzero(~np.isnan(np.ma.filled(picture, np.nan))).tolist() == [0, 47]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["A 5m", "B 1h"]


def test_hours_of_one_series_have_their_intervals() -> None:
    figure = draw_hours({"A 5m": {"3": CELL, "7": CELL | {"accuracy_se": math.nan}}})
    assert list(points(figure)) == [(3.0, 0.614), (7.0, 0.614)]
    (first, second) = figure.axes[0].collections[0].get_segments()
    assert first[:, 1].tolist() == pytest.approx([0.614 - 1.96 * 0.031, 0.614 + 1.96 * 0.031])
    assert np.ptp(second[:, 1]) == 0.0


def course(n: int = 3) -> Course:
    time = np.datetime64("2024-01-01", "ms") + np.arange(n) * np.timedelta64(9, "D")
    return Course(time, np.linspace(0.4, 0.6, n), np.full(n, 0.3), np.full(n, 0.7))


def test_the_model_and_each_rule_have_their_name_and_their_own_colour() -> None:
    names = ["model", "majority", "persistence", "reversal", "ema_reversal", "online_logistic"]
    figure = draw_rules(dict.fromkeys(names, course()))
    lines = {
        str(line.get_label()): line.get_color() for line in figure.axes[0].get_lines() if line.get_label() in names
    }
    assert list(lines) == names
    assert len(set(lines.values())) == len(names)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_the_lead_is_drawn_so_far_and_in_a_window() -> None:
    figure = draw_lead(course(), course(2), "reversal", "newest 8 blocks")
    assert [axes.get_ylabel() for axes in figure.axes] == ["so far", "newest 8 blocks"]
    for axes, n in zip(figure.axes, (3, 2), strict=True):
        assert axes.get_lines()[1].get_ydata().tolist() == course(n).mean.tolist()


@pytest.mark.parametrize("longest", [3, 59, 60, 1000])
def test_delays_show_nearly_every_verdict_and_name_their_quantiles(longest: int) -> None:
    counts = np.zeros(longest + 1, dtype=np.int64)
    counts[1:] = 7
    figure = draw_delays(counts, 40.0, 90.0)
    shown = sum(bar.get_height() for bar in figure.axes[0].patches)
    assert 99.5 <= shown <= 100.0 + 1e-9
    assert len(figure.axes[0].patches) <= 60
    assert f"{7 * longest:,} verdicts, the longest {longest:,} bars" in title(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "median: 40 bars",
        "95 %: 90 bars",
    ]


# -- the look ---------------------------------------------------------------------------------------------------------

LONG = "1000SHIBUSDT-PERP@mark 15m"
RELIABILITY = {
    "low": [0.4, 0.6],
    "high": [0.6, 0.8],
    "share": [0.7, 0.3],
    "confidence": [0.5, 0.7],
    "accuracy": [0.5, 0.8],
    "accuracy_se": [0.03, math.nan],
}
RULES = dict.fromkeys(["model", "majority", "persistence", "reversal", "ema_reversal", "online_logistic"], course())


def recent() -> RecentBars:
    bars = synthetic_market(540, seed=3)
    lines, pivots = label_bars(bars).lines, find_pivots(bars)
    codes = np.arange(540) % 4 - 1
    return RecentBars(Series(*LONG.split()), bars, pivots, lines, 300, codes % 2, codes)


FIGURES: dict[str, Callable[[], Figure]] = {
    "rules": lambda: draw_rules(RULES),
    "lead": lambda: draw_lead(course(), course(), "online_logistic", "newest 120 blocks"),
    "reliability": lambda: draw_reliability(RELIABILITY, 1_234_567, 0.0625),
    "confusion": lambda: draw_confusion({"classes": ["down", "up"], "share": [[0.7, 0.1], [0.15, 0.05]]}, 1_234_567),
    "confusion of three": lambda: draw_confusion(
        {"classes": ["down", "up", "flat"], "share": np.full((3, 3), 1 / 9).tolist()}, 80
    ),
    "hours": lambda: draw_hours({LONG: {str(hour): CELL for hour in range(24)}}),
    "hours of many": lambda: draw_hours({f"{LONG}{i}": {"3": CELL} for i in range(12)}),
    "delays": lambda: draw_delays(np.full(2000, 500_000), 40.0, 12_345.0),
    "newest bars": lambda: draw_recent(recent()),
}


@pytest.fixture(params=FIGURES)
def drawn(request: pytest.FixtureRequest) -> Figure:
    """A figure as TensorBoard gets it."""
    with dark():
        figure = FIGURES[request.param]()
        FigureCanvasAgg(figure).draw()
    return figure


def shown(figure: Figure) -> list[Text]:
    """Return the texts, without those of ticks beyond the ends of an axis, which are not drawn."""
    axes = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    ticks = [(tick, *sorted(axis.get_view_interval())) for axis in axes for tick in axis.get_major_ticks()]
    beyond = {
        id(label)
        for tick, low, high in ticks
        if not low <= tick.get_loc() <= high
        for label in (tick.label1, tick.label2)
    }
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [text for text in texts if id(text) not in beyond]


def luminance(colour: Any) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_every_text_stands_out_from_what_is_behind_it(drawn: Figure) -> None:
    behind = {luminance(drawn.get_facecolor())}
    for axes in drawn.axes:
        behind |= {
            luminance(colour)
            for image in axes.images
            if axes.texts
            for colour in image.to_rgba(np.ma.filled(image.get_array(), 0.5)).reshape(-1, 4)
        }
    for text in shown(drawn):
        for one in behind:
            dark_one, light_one = sorted([luminance(text.get_color()), one])
            assert (light_one + 0.05) / (dark_one + 0.05) >= 4.5, text


def test_no_text_is_clipped_and_none_is_too_small_for_a_thumbnail(drawn: Figure) -> None:
    width, height = drawn.get_size_inches() * drawn.dpi
    for text in shown(drawn):
        box = text.get_window_extent()
        assert (box.x0 > -1, box.x1 < width + 1, box.y0 > -1, box.y1 < height + 1) == (True,) * 4, text
        # 400 pixels wide, which is what a card of TensorBoard shows, a letter of 9 points is 7.8 pixels high.
        assert text.get_fontsize() / (72 * drawn.get_figwidth()) * 400 >= 7.5


def test_no_legend_lies_on_data(drawn: Figure) -> None:
    for legend in drawn.legends:
        box = legend.get_window_extent()
        assert all(not box.overlaps(axes.get_window_extent()) for axes in drawn.axes)
    assert all(axes.get_legend() is None for axes in drawn.axes)
