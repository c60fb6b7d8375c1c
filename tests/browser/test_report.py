"""What a user sees who opens the report of a run, in a real browser without a network."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trendtrain.charts.label_page import label_page
from trendtrain.charts.page import THEMES
from trendtrain.market import PivotRules, Series, synthetic_market
from trendtrain.market.labelled import label_series

BARS = "document.querySelector('details[open] .figure')"


@pytest.fixture
def report(page: Any, small_run: SimpleNamespace) -> Any:
    """The report, opened; it may ask for nothing but its own file."""
    return opened(page, small_run.folder / "report.html")


def opened(page: Any, path: Path) -> Any:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function("() => [...document.querySelectorAll('.figure')].some(one => one.data)")
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    return page


def range_of(page: Any, axis: str) -> list[Any]:
    found: list[Any] = page.evaluate(f"{BARS}._fullLayout.{axis}.range")
    return found


def colour(page: Any, what: str) -> str:
    found: str = page.evaluate(f"getComputedStyle({what}).backgroundColor")
    return found


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_every_figure_is_drawn_and_nothing_is_wider_than_the_page(report: Any) -> None:
    for width in (1440, 800):
        report.set_viewport_size({"width": width, "height": 900})
        drawn = report.locator(".figure .main-svg").count()
        assert drawn >= 9 * 2  # each has several layers; the second series is folded away
        report.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)


def test_a_pointer_on_a_bar_tells_the_line_that_judged_it_and_when_it_was_known(report: Any) -> None:
    plot = report.locator("details[open] .figure .nsewdrag").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    report.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    report.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + box["height"] / 2)
    label = report.locator("details[open] .hoverlayer .hovertext", has_text="judged by the")
    label.first.wait_for()
    text = label.first.text_content()
    for part in ("predicted", "confidence", "known 2020-", "bars later"):
        assert part in text


def zoom(page: Any) -> list[Any]:
    """Drag over a fifth of the bars, and return their range of time."""
    plot = page.locator("details[open] .figure .nsewdrag").first
    plot.scroll_into_view_if_needed()
    before, prices, box = range_of(page, "xaxis"), range_of(page, "yaxis"), plot.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.4 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=5)
    page.mouse.up()
    page.wait_for_function(f"before => {BARS}._fullLayout.xaxis.range[0] !== before", arg=before[0])
    page.wait_for_function(f"before => {BARS}._fullLayout.yaxis.range[0] !== before", arg=prices[0])
    return range_of(page, "xaxis")


def test_a_drag_zooms_in_time_the_prices_follow_and_a_double_click_goes_back(report: Any) -> None:
    before = range_of(report, "xaxis")
    left, right = zoom(report)
    assert before[0][:10] <= left[:10]
    assert left < right < before[1].replace("T", " ")
    low, high = range_of(report, "yaxis")
    here = f"(({{ x, low, high }}) => x.map((time, i) => [time.slice(0, 19), low[i], high[i]]))({BARS}._fullData[0])"
    bars = [bar for bar in report.evaluate(here) if left < bar[0].replace("T", " ") < right]
    assert 40 < len(bars) < 80
    assert low < min(bar[1] for bar in bars) < max(bar[2] for bar in bars) < high
    assert high - low == pytest.approx(1.12 * (max(bar[2] for bar in bars) - min(bar[1] for bar in bars)), rel=0.05)
    plot = report.locator("details[open] .figure .nsewdrag").first
    plot.dblclick()
    report.wait_for_function(f"end => {BARS}._fullLayout.xaxis.range[1].startsWith(end)", arg=before[1][:16])


def test_a_double_click_without_a_zoom_shows_every_bar(report: Any) -> None:
    plot = report.locator("details[open] .figure .nsewdrag").first
    plot.scroll_into_view_if_needed()
    first = report.evaluate(f"{BARS}._fullData[0].x[0]")
    assert range_of(report, "xaxis")[0] > first
    plot.dblclick()
    report.wait_for_function(f"first => {BARS}._fullLayout.xaxis.range[0].replace(' ', 'T') <= first", arg=first)


def test_the_page_follows_the_system_and_its_button_changes_that(report: Any) -> None:
    tick = "document.querySelector('.figure .xtick text')"

    def shows(theme: str) -> None:
        report.wait_for_function(f"ink => getComputedStyle({tick}).fill === ink", arg=rgb(THEMES[theme]["ink"]))
        assert colour(report, "document.body") == rgb(THEMES[theme]["paper"])

    for theme in ("dark", "light", "dark"):
        report.emulate_media(color_scheme=theme)
        shows(theme)
    for theme in ("light", "dark"):
        report.locator("#theme").click()
        shows(theme)


def test_a_change_of_the_theme_keeps_the_zoom(report: Any) -> None:
    times, prices = zoom(report), range_of(report, "yaxis")
    report.locator("#theme").click()
    report.wait_for_function("() => document.documentElement.dataset.theme")
    assert range_of(report, "xaxis") == times
    report.wait_for_function(f"prices => Math.abs({BARS}._fullLayout.yaxis.range[0] - prices[0]) < 1e-9", arg=prices)


def test_a_folded_series_is_drawn_when_it_is_opened(report: Any) -> None:
    folded = report.locator("details", has_text="SYNTH-B 5m")
    assert folded.locator(".main-svg").count() == 0
    folded.locator("summary").click()
    folded.locator(".main-svg").first.wait_for()
    assert folded.locator(".figure").bounding_box()["width"] > 500


def test_a_page_of_labels_is_interactive_too(page: Any, tmp_path: Path) -> None:
    labelled = label_series(Series("<i>ETH</i>", "5m"), synthetic_market(600, seed=5), PivotRules())
    (tmp_path / "p.html").write_text(label_page(labelled, slice(300, 600)))
    opened(page, tmp_path / "p.html")
    box = page.locator(".figure .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.move(box["x"] + box["width"] / 2 + 3, box["y"] + 50)
    page.locator(".hoverlayer .hovertext", has_text="label: ").first.wait_for()
    assert page.locator("h1").text_content().startswith("<i>ETH</i> 5m")
