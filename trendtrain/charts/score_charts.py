"""Draw a model's verdicts by confidence (reliability), class (confusion), hour and delay."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trendtrain.charts.candles import INK, PALE
from trendtrain.market.bars import IntArray

_BLUE: Final = "#0072b2"
_NORMAL975: Final = 1.96
_MOST_DELAYS: Final = 60  # bars of the histogram of delays
_SIZE: Final = (5.4, 4.4)  # inches


def draw_reliability(reliability: Mapping[str, Sequence[float]], n_events: int, ece: float) -> Figure:
    """Draw the share of correct predictions by confidence, and how many there were.

    Args:
        reliability: From `Scoreboard.breakdown`.
        n_events: Number of events its shares refer to.
        ece: Expected calibration error.
    """
    columns = {name: np.array(values) for name, values in reliability.items()}
    here = columns["share"] > 0
    confidence, accuracy, error = (columns[name][here] for name in ("confidence", "accuracy", "accuracy_se"))
    middle, width = (columns["low"] + columns["high"])[here] / 2, 0.9 / len(here)
    figure = _figure(_SIZE)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.08})
    above.plot([0, 1], [0, 1], "--", color=PALE, label="as sure as it is right")
    known = ~np.isnan(error)
    bars = np.minimum(_NORMAL975 * error[known], [accuracy[known], 1.0 - accuracy[known]])  # they end at 0 and at 1
    above.errorbar(confidence[known], accuracy[known], bars, fmt="o", color=_BLUE, capsize=3, label="95 % interval")
    above.plot(confidence[~known], accuracy[~known], "o", mfc="none", color=_BLUE, label="too few events for one")
    above.set(ylabel="share that came true", ylim=(-0.02, 1.02), xlim=(middle.min(initial=0.5) - width, 1.01))
    above.legend(loc="upper left", frameon=False)
    below.bar(middle, columns["share"][here] * n_events, width, color=_BLUE)
    below.set(ylabel="events", xlabel="confidence of the prediction")
    _title(above, f"Reliability: calibration error {_number(ece)}, {n_events:,} events")
    return figure


def draw_confusion(confusion: Mapping[str, Any], n_events: int) -> Figure:
    """Draw true against predicted directions, each cell with its share of all events.

    Args:
        confusion: From `Scoreboard.breakdown`.
        n_events: Number of events its shares refer to.
    """
    share, classes = np.array(confusion["share"]), confusion["classes"]
    figure = _figure(_SIZE)
    chart = figure.subplots()
    chart.imshow(share, cmap="Blues", vmin=0.0, vmax=max(0.5, share.max()), aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        of_row = value / share[i].sum() if share[i].sum() else math.nan
        text = f"{value:.1%}\n{_number(of_row, '.0%')} of what went {classes[i]}"
        chart.text(j, i, text, ha="center", va="center", color="white" if value > 0.3 else INK, fontsize=10)
    chart.set_xticks(range(len(classes)), [f"predicted {name}" for name in classes])
    chart.set_yticks(range(len(classes)), [f"went {name}" for name in classes], rotation=90, va="center")
    _title(chart, f"What came, and what was predicted: {n_events:,} events")
    return figure


def draw_hours(by_series: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw event accuracy by series and UTC hour, with its standard error and number of events.

    Args:
        by_series: The `hour` groups of `Scoreboard.breakdown`, by the name of the series.
    """
    accuracy = np.full((len(by_series), 24), np.nan)
    figure = _figure((11.5, 1.7 + 0.55 * len(by_series)), left=0.1)
    chart = figure.subplots()
    for i, groups in enumerate(by_series.values()):
        for hour, scores in groups.items():
            accuracy[i, int(hour)] = scores["event_accuracy"]
            _write_cell(chart, int(hour), i, scores)
    chart.imshow(accuracy, cmap="RdBu", vmin=0.2, vmax=0.8, aspect="auto")  # white is a coin's
    chart.set_xticks(range(24))
    chart.set_yticks(range(len(by_series)), list(by_series))
    chart.set_xlabel("UTC hour of the close at which the prediction was made")
    _title(chart, "Event accuracy by series and hour, its standard error, and how many events (blue: above one half)")
    return figure


def draw_delays(counts: IntArray, median: float, most: float) -> Figure:
    """Draw the delay from predictions to their verdicts.

    Args:
        counts: Number of verdicts after 0, 1, 2, ... bars, shape (n,), at least one.
        median, most: The median and the 95 % quantile, in bars.
    """
    total = counts.sum()
    shown = int(np.searchsorted(np.cumsum(counts), 0.995 * total)) + 1
    width = -(-shown // _MOST_DELAYS)
    binned = np.add.reduceat(counts[:shown], np.arange(0, shown, width))
    figure = _figure(_SIZE)
    chart = figure.subplots()
    chart.bar(np.arange(len(binned)) * width + (width - 1) / 2, 100.0 * binned / total, 0.9 * width, color=_BLUE)
    for value, name, line in ((median, "median", "-"), (most, "95 %", "--")):
        chart.axvline(value, color=INK, linestyle=line, label=f"{name}: {_number(value, '.0f')} bars")
    by = f", in groups of {width}" if width > 1 else ""
    chart.set(xlabel=f"bars from a prediction to its verdict{by}", ylabel="share of verdicts, %")
    chart.legend(frameon=False)
    _title(chart, f"Label delay: {total:,} verdicts, the longest {len(counts) - 1:,} bars")
    return figure


def _figure(size: tuple[float, float], left: float = 0.12) -> Figure:
    """Return an empty figure with fixed margins: a layout engine would take twice the time."""
    figure = Figure(figsize=size)
    figure.subplots_adjust(left=left, right=0.98, top=1 - 0.4 / size[1], bottom=0.6 / size[1])
    return figure


def _title(chart: Axes, text: str) -> None:
    chart.set_title(text, loc="left", weight="bold", fontsize=11, y=1.01)  # an automatic position costs a tenth


def _write_cell(chart: Axes, x: int, y: int, scores: Mapping[str, Any]) -> None:
    accuracy, error = scores["event_accuracy"], scores["accuracy_se"]
    bars = "" if math.isnan(error) else f"\N{PLUS-MINUS SIGN}{100 * error:.0f}"
    colour = "white" if abs(accuracy - 0.5) > 0.19 else INK
    chart.text(
        x, y, f"{accuracy:.0%}{bars}\nn {scores['n_events']:,}", ha="center", va="center", size=7.5, color=colour
    )


def _number(value: float, form: str = ".3f") -> str:
    return "unknown" if math.isnan(value) else format(value, form)
