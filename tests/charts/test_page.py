import re

import plotly.graph_objects as go
import pytest

from trendtrain.charts.page import THEMES, axis, figure, page
from trendtrain.charts.run_figures import COLOURS
from trendtrain.market.directions import DIRECTION_COLOURS, DOWN, FLAT, UP


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("text", ["ink", "muted", "link"])
@pytest.mark.parametrize("background", ["paper", "card"])
def test_text_stands_out_from_its_background(theme: dict[str, str], text: str, background: str) -> None:
    assert contrast(theme[text], theme[background]) >= 4.5


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
@pytest.mark.parametrize("colour", [*COLOURS, *(DIRECTION_COLOURS[code] for code in (UP, DOWN, FLAT))])
def test_lines_stand_out_from_the_paper(theme: dict[str, str], colour: str) -> None:
    assert contrast(colour, theme["paper"]) >= 3.0  # WCAG 2 asks this of what is no text


def test_no_two_rules_share_a_colour() -> None:
    assert len(set(COLOURS)) == len(COLOURS) >= 6


def test_a_page_holds_its_parts_in_order_and_plotly_once() -> None:
    chart = figure([go.Scatter(x=[1, 2], y=[3, 4], name="</script><b>")], height=200)
    text = page("a < b", ["<h1>one</h1>", chart, "<h1>two</h1>", chart])
    places = [text.index(part) for part in ("<h1>one", 'id="figure-0"', "<h1>two", 'id="figure-1"')]
    assert places == sorted(places)
    assert "<title>a &lt; b</title>" in text
    assert text.count("<script") == text.count("</script>") == 3
    assert 4_500_000 < len(text) < 5_500_000  # Plotly, once


def test_a_page_loads_nothing() -> None:
    text = page("x", [figure([])])
    assert "default-src 'none'" in text
    ours = re.sub(r"<script>/\*\*.*?</script>", "", text, flags=re.DOTALL)
    assert len(ours) < 20_000
    assert re.findall(r"(?:src|href)\s*=|url\(|@import|https?:", ours) == []


def test_an_axis_has_its_title() -> None:
    assert figure([], xaxis=axis("price")).layout.xaxis.title.text == "price"
