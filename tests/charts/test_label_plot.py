import os
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from trendtrain.charts.label_plot import draw_labels, label_picture
from trendtrain.market import Series, synthetic_market
from trendtrain.market.labelled import Labelled, label_series
from trendtrain.market.rules import PivotRules

ROOT = Path(__file__).parents[2]
BLUE, ORANGE = "#0072b2", "#d55e00"  # up, down
LAST = slice(700, 1000)


def labelled(symbol: str = "ETH", n: int = 1000, rules: PivotRules | None = None) -> Labelled:
    return label_series(Series(symbol, "5m"), synthetic_market(n, seed=25), rules or PivotRules())


def points(figure: Figure, marker: str) -> list[tuple[float, float]]:
    """Return bar and price of all marks of one shape."""
    lines = [line for line in figure.axes[0].get_lines() if line.get_marker() == marker]
    return sorted((float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True))


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_every_pivot_of_both_levels_is_marked_once_at_its_price() -> None:
    source = labelled()
    figure = draw_labels(source, LAST)
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
    assert points(draw_labels(source, LAST), "|") == expected


def test_lines_join_their_pivots_in_the_colour_of_their_direction() -> None:
    source = labelled()
    lines = source.labels.lines
    drawn = {}
    for collection in draw_labels(source, LAST).axes[0].collections:
        colour = tuple(collection.get_edgecolor()[0][:3]) if len(collection.get_edgecolor()) else None
        if collection.get_linestyle()[0][1] is None:  # the waits are dotted
            drawn[colour] = [path.vertices.tolist() for path in collection.get_paths()]
    for code, colour in ((1, BLUE), (0, ORANGE)):
        here = lines[(lines.direction == code) & (lines.known_at >= 700)]
        ends = zip(here.first_bar, here.first_price, here.last_bar, here.last_price, strict=True)
        assert drawn[to_rgb(colour)] == [[[a, b], [c, d]] for a, b, c, d in ends]


def test_the_strip_has_the_label_of_each_bar() -> None:
    source = labelled()
    strip = draw_labels(source, LAST).axes[1]
    (mesh,) = strip.collections
    np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], np.arange(700, 1001) - 0.5)
    (colours,) = mesh.get_array()  # (n_bars, 3)
    for code, colour in ((1, BLUE), (0, ORANGE)):
        assert ((colours == to_rgb(colour)).all(axis=1) == (source.labels.direction[700:] == code)).all()
    assert (colours < 1.0).any(axis=1).all()  # none is white


def test_a_figure_says_what_it_shows() -> None:
    figure = draw_labels(labelled("US$ $x$", rules=PivotRules((2, 1), "strict", "skip", 3, 0.001)), LAST)
    assert figure.get_suptitle().startswith("US$ $x$ 5m")
    subtitle = figure.axes[0].get_title(loc="left")
    assert "300 bars" in subtitle
    assert "strength 2 1, tie strict, inside skip, max-gap 3, flat-band 0.001" in subtitle
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for name in ("L1 high", "L1 low", "L2 high", "L2 low", "up line", "down line", "flat line"):
        assert name in legend


# -- the files --------------------------------------------------------------------------------------------------------


def test_a_png_decodes_to_its_size_and_has_the_colours(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(label_picture(labelled(), LAST))
    pixels = imread(tmp_path / "p.png")
    assert pixels.shape == (814, 1540, 4)
    for colour in (BLUE, ORANGE):
        assert (np.abs(pixels[..., :3] - to_rgb(colour)).max(axis=-1) < 0.01).sum() > 1000


def test_the_same_bars_give_the_same_bytes() -> None:
    assert label_picture(labelled(), LAST) == label_picture(labelled(), LAST)


def test_a_drawing_leaves_the_settings_of_its_process() -> None:
    before = dict(mpl.rcParams)
    label_picture(labelled(), LAST)
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
