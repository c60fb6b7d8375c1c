"""What a user sees who opens TensorBoard on a finished run, in a real browser."""

import json
import re
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
Open = Callable[[str], Any]
FIGURES = {"rules", "lead", "reliability", "confusion", "delays", "accuracy_by_hour", "pivots/SYNTH/5m"}


@pytest.fixture
def opened(page: Any, tensorboard: SimpleNamespace) -> Open:
    """A way to open one of the dashboards."""

    def opened(name: str) -> Any:
        page.goto(f"{tensorboard.url}#{name}")
        return page

    return opened


def told(tensorboard: SimpleNamespace, path: str) -> Any:
    with urllib.request.urlopen(f"{tensorboard.url}data/{path}") as answer:
        return json.load(answer)


# -- what the server tells --------------------------------------------------------------------------------------------


def test_there_is_one_run(tensorboard: SimpleNamespace) -> None:
    assert told(tensorboard, "runs") == [tensorboard.run]


def test_the_last_point_is_the_score_of_the_summary_at_the_date_of_the_last_bar(tensorboard: SimpleNamespace) -> None:
    tag = quote("trend/event_accuracy", safe="")
    points = told(tensorboard, f"plugin/scalars/scalars?run={quote(tensorboard.run, safe='')}&tag={tag}")
    wall, step, value = points[-1]
    assert value == pytest.approx(tensorboard.values["event_accuracy"], rel=1e-6)
    assert step == tensorboard.values["steps"] - 1
    assert str(np.datetime64(int(wall), "s"))[:7] == "2020-01"


def test_every_figure_is_served(tensorboard: SimpleNamespace) -> None:
    tags = told(tensorboard, "plugin/images/tags")[tensorboard.run]
    assert {tag.removeprefix("figures/") for tag in tags} == FIGURES


def test_the_page_of_the_run_is_served(tensorboard: SimpleNamespace) -> None:
    assert told(tensorboard, "plugin/text/tags")[tensorboard.run] == ["about this run"]


def test_the_docs_name_every_tag(tensorboard: SimpleNamespace) -> None:
    docs = (ROOT / "docs" / "tensorboard.md").read_text()
    named = re.findall(r"`((?:trend/|figures/|_)\S+)`", docs)
    tags = [*told(tensorboard, "plugin/scalars/tags")[tensorboard.run], *(f"figures/{name}" for name in FIGURES)]
    series = {tag.replace("SYNTH/5m", "SYMBOL/TIMEFRAME") for tag in tags if tag.startswith(("trend/", "figures/"))}
    for tag in series:
        part = re.sub("^trend/baseline_.*", "trend/baseline_...", tag)
        stem, _, end = part.rpartition("_")
        assert part in named or (f"{stem}_mid" in named and f"_{end}" in named), tag


@pytest.mark.parametrize("name", ["dashboard", "pivots"])
def test_the_pictures_of_the_docs_are_small_and_shown(name: str) -> None:
    picture = (ROOT / "docs" / "images" / f"{name}.png").read_bytes()
    assert picture[25] == 3  # a palette
    assert 10_000 < len(picture) < 200_000
    assert f"](images/{name}.png)" in (ROOT / "docs" / "tensorboard.md").read_text()


# -- what the browser shows -------------------------------------------------------------------------------------------


def test_the_first_page_shows_figures_and_scores(opened: Open) -> None:
    page = opened("timeseries")
    page.locator("image-card img").first.wait_for()
    groups = page.locator(".group-title")
    groups.nth(1).wait_for()
    assert [text.strip() for text in groups.all_inner_texts()][-5:] == ["Skill", "figures", "replay", "train", "trend"]
    page.locator("input[placeholder='Filter tags (regex)']").fill("^trend/event_accuracy$")
    page.locator("scalar-card", has_text="trend/event_accuracy").first.wait_for()


def test_custom_scalars_open_on_the_model_with_its_interval_and_on_market_dates(opened: Open) -> None:
    page = opened("custom_scalars")
    charts = page.locator("tf-custom-scalar-margin-chart-card")
    charts.nth(1).locator("svg text").first.wait_for(state="attached")
    for title in ("event accuracy, with its 95 % interval", "model minus the best simple rule, with its 95 % interval"):
        page.get_by_text(title, exact=True).wait_for()
    assert charts.count() == 2
    page.get_by_text(re.compile(r"^\s*wall\s*$", re.IGNORECASE)).first.click()
    page.wait_for_function(WALL_AXIS)
    texts = charts.first.locator("svg text").all_text_contents()
    assert "2020" in " ".join(texts)


WALL_AXIS = """() => {
  const inside = node => [node, ...(node.shadowRoot ? inside(node.shadowRoot) : []),
                          ...[...node.children].flatMap(inside)];
  const card = inside(document.body).find(node => node.localName === 'tf-custom-scalar-margin-chart-card');
  return inside(card).some(node => node.localName === 'text' && /20\\d\\d/.test(node.textContent));
}"""


def test_images_render(opened: Open) -> None:
    page = opened("images")
    pictures = page.locator("tf-image-loader img")
    pictures.nth(len(FIGURES) - 1).wait_for()
    page.wait_for_function(
        "() => window.performance.getEntriesByType('resource').filter(e => /individualImage/.test(e.name)).length >= 5"
    )
    sizes = pictures.evaluate_all("pictures => Promise.all(pictures.map(p => p.decode().then(() => p.naturalWidth)))")
    assert len(sizes) == len(FIGURES)
    assert min(sizes) > 400


def test_hparams_shows_the_run_with_its_final_score(opened: Open, tensorboard: SimpleNamespace) -> None:
    page = opened("hparams")
    page.get_by_text("Trial ID").first.wait_for()
    page.get_by_text(tensorboard.run, exact=True).first.wait_for()
    digits = str(tensorboard.values["event_accuracy"])[:5]  # TensorBoard rounds the sixth
    scores = page.get_by_text(re.compile(rf"^\s*{re.escape(digits)}"))
    scores.first.wait_for()
    assert scores.count() >= 1


def test_the_text_page_says_what_the_run_promises_and_how_it_was_configured(opened: Open) -> None:
    page = opened("text")
    promise, key = page.get_by_text("No fact from the future"), page.get_by_role("cell", name="walk.step", exact=True)
    promise.wait_for()
    key.wait_for()
    assert promise.count() == key.count() == 1


def test_the_scalars_page_shows_our_tags(opened: Open) -> None:
    page = opened("scalars")
    page.get_by_text("trend", exact=True).first.wait_for()
    assert page.locator("tf-category-paginated-view").count() >= 3
