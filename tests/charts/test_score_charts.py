import math
from collections.abc import Iterator

import numpy as np
import pytest
from matplotlib.figure import Figure

from trendtrain.charts.score_charts import draw_confusion, draw_delays, draw_hours, draw_reliability


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
        "30.0%\n75% of what went down",
        "10.0%\n25% of what went down",
        "45.0%\n75% of what went up",
        "15.0%\n25% of what went up",
    ]
    place = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert place["10.0%\n25% of what went down"] == (1, 0)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["predicted down", "predicted up"]


def test_hours_have_a_row_a_series_with_error_and_count_in_each_cell() -> None:
    cell = {"event_accuracy": 0.614, "n_events": 1204, "accuracy_se": 0.031}
    figure = draw_hours({"A 5m": {"0": cell}, "B 1h": {"23": cell | {"accuracy_se": math.nan}}})
    assert texts(figure) == ["61%\u00b13\nn 1,204", "61%\nn 1,204"]
    assert [text.get_position() for text in figure.axes[0].texts] == [(0, 0), (23, 1)]
    picture = figure.axes[0].images[0].get_array()
    assert np.flatnonzero(~np.isnan(np.ma.filled(picture, np.nan))).tolist() == [0, 47]


@pytest.mark.parametrize("longest", [3, 59, 60, 1000])
def test_delays_show_nearly_every_verdict_and_name_their_quantiles(longest: int) -> None:
    counts = np.zeros(longest + 1, dtype=np.int64)
    counts[1:] = 7
    figure = draw_delays(counts, 40.0, 90.0)
    shown = sum(bar.get_height() for bar in figure.axes[0].patches)
    assert 99.5 <= shown <= 100.0 + 1e-9
    assert len(figure.axes[0].patches) <= 60
    assert f"{7 * longest:,} verdicts, the longest {longest:,} bars" in title(figure)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "median: 40 bars",
        "95 %: 90 bars",
    ]
