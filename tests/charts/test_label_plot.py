import os
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from trendtrain.charts.label_plot import draw_labels, save_figure
from trendtrain.market import Series, synthetic_market
from trendtrain.market.labelled import Labelled, label_series
from trendtrain.market.rules import PivotRules

ROOT = Path(__file__).parents[2]
BLUE, ORANGE = "#0072b2", "#d55e00"  # up, down


def labelled(symbol: str = "ETH", n: int = 1000, rules: PivotRules | None = None) -> Labelled:
    return label_series(Series(symbol, "5m"), synthetic_market(n, seed=5), rules or PivotRules())


def stretch(figure: Figure) -> tuple[float, float]:
    return figure.axes[0].get_xlim()


def points(figure: Figure, marker: str) -> list[tuple[float, float]]:
    """Return bar and price of all marks of one shape."""
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == marker]
    return sorted((float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True))


# -- which bars -------------------------------------------------------------------------------------------------------


def test_the_last_300_bars_are_drawn() -> None:
    assert stretch(draw_labels(labelled())) == (699.5, 999.5)


def test_fewer_bars_are_drawn_whole() -> None:
    assert stretch(draw_labels(labelled(n=40))) == (-0.5, 39.5)


def test_a_stretch_starts_at_its_time() -> None:
    source = labelled()
    time = source.bars.open_time[123]
    assert stretch(draw_labels(source, 50, str(time))) == (122.5, 172.5)
    assert stretch(draw_labels(source, 50, str(time - np.timedelta64(1, "ms")))) == (122.5, 172.5)
    assert stretch(draw_labels(source, 50, str(time + np.timedelta64(1, "ms")))) == (123.5, 173.5)


def test_a_stretch_ends_with_the_bars() -> None:
    source = labelled()
    assert stretch(draw_labels(source, 50, str(source.bars.open_time[990]))) == (989.5, 999.5)


@pytest.mark.parametrize("n_bars", [1, 2, 3000])
def test_any_number_of_bars_can_be_drawn(n_bars: int, tmp_path: Path) -> None:
    save_figure(draw_labels(labelled(n=3500), n_bars), tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_every_pivot_of_both_levels_is_marked_once_at_its_price() -> None:
    source = labelled()
    figure = draw_labels(source)
    for pivots, marker in ((source.highs, "v"), (source.lows, "^")):
        pivot = pivots.take((pivots.level == 1) & (pivots.bar >= 700))
        assert points(figure, marker) == sorted(zip(pivot.bar.tolist(), pivot.price.tolist(), strict=True))
    sizes = {line.get_markersize() for line in figure.axes[0].get_lines() if line.get_marker() == "v"}
    assert len(sizes) == 2


def test_every_line_is_marked_where_it_was_known() -> None:
    source = labelled()
    lines = source.labels.lines
    lines = lines[lines.known_at >= 700]
    assert len(lines) > 20
    expected = sorted(zip(lines.known_at.tolist(), lines.last_price.tolist(), strict=True))
    assert points(draw_labels(source), "|") == expected


def test_lines_join_their_pivots_in_the_colour_of_their_direction() -> None:
    source = labelled()
    lines = source.labels.lines
    drawn = {}
    for collection in draw_labels(source).axes[0].collections:
        colour = tuple(collection.get_edgecolor()[0][:3]) if len(collection.get_edgecolor()) else None
        if collection.get_linestyle()[0][1] is None:  # the waits are dotted
            drawn[colour] = [path.vertices.tolist() for path in collection.get_paths()]
    for code, colour in ((1, BLUE), (0, ORANGE)):
        here = lines[(lines.direction == code) & (lines.known_at >= 700)]
        ends = zip(here.first_bar, here.first_price, here.last_bar, here.last_price, strict=True)
        assert drawn[to_rgb(colour)] == [[[a, b], [c, d]] for a, b, c, d in ends]


def test_the_strip_has_the_label_of_each_bar() -> None:
    source = labelled()
    strip = draw_labels(source).axes[1]
    (mesh,) = strip.collections
    np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], np.arange(700, 1001) - 0.5)
    (colours,) = mesh.get_array()  # (n_bars, 3)
    for code, colour in ((1, BLUE), (0, ORANGE)):
        assert ((colours == to_rgb(colour)).all(axis=1) == (source.labels.direction[700:] == code)).all()
    assert (colours < 1.0).any(axis=1).all()  # none is white


def test_a_figure_says_what_it_shows() -> None:
    figure = draw_labels(labelled("US$ $x$", rules=PivotRules((2, 1), "strict", "skip", 3, 0.001)))
    assert figure.get_suptitle().startswith("US$ $x$ 5m")
    subtitle = figure.axes[0].get_title(loc="left")
    assert "300 bars" in subtitle
    assert "strength 2 1, tie strict, inside skip, max-gap 3, flat-band 0.001" in subtitle
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for name in ("L1 high", "L1 low", "L2 high", "L2 low", "up line", "down line", "flat line"):
        assert name in legend


# -- the files --------------------------------------------------------------------------------------------------------


def test_a_png_decodes_to_its_size_and_has_the_colours(tmp_path: Path) -> None:
    save_figure(draw_labels(labelled()), tmp_path / "p.png")
    pixels = imread(tmp_path / "p.png")
    assert pixels.shape == (814, 1540, 4)
    for colour in (BLUE, ORANGE):
        assert (np.abs(pixels[..., :3] - to_rgb(colour)).max(axis=-1) < 0.01).sum() > 1000


def test_a_page_is_one_svg_and_needs_no_network(tmp_path: Path) -> None:
    save_figure(draw_labels(labelled("<b>&")), tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert len(page) > 50_000
    assert page.count("<svg") == page.count("</svg>") == 1
    assert "<script" not in page
    assert "<?xml" not in page
    assert re.findall(r"(?:src|href)=[\"'](?!#)", page) == []  # references point into the page alone
    assert "url(http" not in page
    assert "<title>&lt;b&gt;&amp; 5m" in page
    svg = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    assert len(list(ElementTree.fromstring(svg).iter())) > 500


@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_the_same_bars_give_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_figure(draw_labels(labelled()), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_drawing_leaves_the_settings_of_its_process(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_figure(draw_labels(labelled()), tmp_path / "p.html")
    assert dict(mpl.rcParams) == before


def test_the_picture_of_the_readme_is_what_its_script_draws(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "plot_example"
    assert os.access(script, os.X_OK)
    subprocess.run([sys.executable, script, tmp_path / "p.png"], check=True)
    picture = ROOT / "docs" / "labels.png"
    assert "](docs/labels.png)" in (ROOT / "README.md").read_text()
    assert picture.stat().st_size < 150_000
    stored, drawn = imread(picture), imread(tmp_path / "p.png")
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (1540, 814)
    assert np.mean(np.abs(stored - drawn) > 0.2) < 0.02  # fonts may differ a little
