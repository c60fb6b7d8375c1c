"""Draw a model's verdicts beside those of simple rules, and by confidence, class, hour and delay, for TensorBoard."""

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from trendtrain.charts.look import THUMBNAIL, ink, muted, paper
from trendtrain.charts.run_figures import COLOURS
from trendtrain.market.bars import IntArray, TimeArray
from trendtrain.validation.edge import Course

_BLUE, _ORANGE = COLOURS[:2]
_DEEP_BLUE: Final = "#005a8f"  # text stands out from it
_ACCURACY: Final = ("event_accuracy", "accuracy_se")
_NORMAL975: Final = 1.96
_MOST_DELAYS: Final = 60  # bars of the histogram of delays


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
    figure = _figure()
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1], "hspace": 0.08})
    above.plot([0, 1], [0, 1], "--", color=muted(), label="perfect calibration")
    known = ~np.isnan(error)
    bars = np.minimum(_NORMAL975 * error[known], [accuracy[known], 1.0 - accuracy[known]])  # they end at 0 and at 1
    if known.any():
        above.errorbar(confidence[known], accuracy[known], bars, fmt="o", color=_BLUE, capsize=3, label="95 % interval")
    if not known.all():
        above.plot(confidence[~known], accuracy[~known], "o", mfc="none", color=_BLUE, label="too few events")
    above.set(ylabel="share correct", ylim=(-0.02, 1.02), xlim=(middle.min(initial=0.5) - width, 1.01))
    below.bar(middle, columns["share"][here] * n_events, width, color=_BLUE)
    below.set(ylabel="events", xlabel="confidence of the prediction")
    _title(above, f"Reliability: calibration error {_number(ece)}, {n_events:,} events")
    _legend(figure, above)
    return figure


def draw_confusion(confusion: Mapping[str, Any], n_events: int) -> Figure:
    """Draw true against predicted directions, each cell with its share of all events.

    Args:
        confusion: From `Scoreboard.breakdown`.
        n_events: Number of events its shares refer to.
    """
    share, classes = np.array(confusion["share"]), confusion["classes"]
    figure = _figure(bottom=0.12)
    chart = figure.subplots()
    most = max(0.5, share.max())
    colours = LinearSegmentedColormap.from_list("shares", [paper(), _DEEP_BLUE])
    chart.imshow(share, cmap=colours, vmin=0.0, vmax=most, aspect="auto")
    for (i, j), value in np.ndenumerate(share):
        of_row = value / share[i].sum() if share[i].sum() else math.nan
        text = f"{value:.1%}\n{_number(of_row, '.0%')} of {classes[i]}"
        chart.text(j, i, text, ha="center", va="center", fontsize=13)
    chart.set_xticks(range(len(classes)), [f"predicted {name}" for name in classes])
    chart.set_yticks(range(len(classes)), [f"true {name}" for name in classes], rotation=90, va="center")
    _title(chart, f"True and predicted directions: {n_events:,} events")
    return figure


def draw_hours(by_series: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw event accuracy by UTC hour: of one series with 95 % intervals, of several as a heat map.

    Args:
        by_series: The `hour` groups of `Scoreboard.breakdown`, by the name of the series.
    """
    names, groups = list(by_series), list(by_series.values())
    if len(names) == 1:
        figure = _figure()
        chart = figure.subplots()
        hours = [int(hour) for hour in groups[0]]
        accuracy, error = (np.array([one[key] for one in groups[0].values()]) for key in _ACCURACY)
        chart.axhline(0.5, color=muted(), linewidth=1.0)
        chart.errorbar(hours, accuracy, _NORMAL975 * np.nan_to_num(error), fmt="o", color=_BLUE, capsize=2)
        chart.set(xlim=(-0.7, 23.7), ylabel="event accuracy, 95 % interval")
        _title(chart, f"{names[0]}: accuracy by hour")
    else:
        figure = Figure(figsize=THUMBNAIL, layout="constrained")  # names of series differ in length
        chart = figure.subplots()
        table = np.full((len(names), 24), np.nan)
        for i, group in enumerate(groups):
            for hour, scores in group.items():
                table[i, int(hour)] = scores["event_accuracy"]
        colours = LinearSegmentedColormap.from_list("accuracy", [_ORANGE, paper(), _BLUE])
        picture = chart.imshow(table, cmap=colours, vmin=0.2, vmax=0.8, aspect="auto")
        figure.colorbar(picture, ax=chart, format="{x:.0%}", pad=0.02)
        chart.set_yticks(range(len(names)), names, fontsize=10 if len(names) <= 6 else 9)
        _title(chart, "Event accuracy by hour")
    chart.set_xticks(range(0, 24, 4))
    chart.set_xlabel("UTC hour of the prediction")
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
    figure = _figure()
    chart = figure.subplots()
    chart.bar(np.arange(len(binned)) * width + (width - 1) / 2, 100.0 * binned / total, 0.9 * width, color=_BLUE)
    for value, name, line in ((median, "median", "-"), (most, "95 %", "--")):
        chart.axvline(value, color=ink(), linestyle=line, label=f"{name}: {_number(value, '.0f')} bars")
    by = f", in groups of {width}" if width > 1 else ""
    chart.set(xlabel=f"bars from a prediction to its verdict{by}", ylabel="share of verdicts, %")
    _legend(figure, chart)
    _title(chart, f"Label delay: {total:,} verdicts, the longest {len(counts) - 1:,} bars")
    return figure


def draw_rules(courses: Mapping[str, Course]) -> Figure:
    """Draw event accuracy so far, of the model (the first) and of each rule in its own colour, at market time."""
    figure = _figure(bottom=0.29)
    chart = figure.subplots()
    chart.axhline(0.5, color=muted(), linewidth=1.0)
    for (name, one), colour in zip(courses.items(), cycle(COLOURS)):
        width, mark = (2.6 if name == "model" else 1.5), ("o" if len(one) == 1 else None)
        chart.plot(one.time, one.mean, color=colour, linewidth=width, marker=mark, label=name)
    _time_axis(chart, courses["model"].time)
    _title(chart, "Event accuracy so far, on the same verdicts")
    _legend(figure, chart)
    return figure


def draw_lead(so_far: Course, recent: Course, rule: str, window: str) -> Figure:
    """Draw the lead over the best simple rule with its 95 % interval, so far and in a window, at market time."""
    figure = _figure(left=0.18)
    charts = figure.subplots(2, 1, sharex=True, gridspec_kw={"hspace": 0.12})
    for chart, course, name in zip(charts, (so_far, recent), ("so far", window), strict=True):
        chart.axhline(0.0, color=muted(), linewidth=1.0)
        chart.fill_between(course.time, course.low, course.high, color=_BLUE, alpha=0.35, linewidth=0)
        chart.plot(course.time, course.mean, color=ink(), linewidth=1.8, marker="o" if len(course) == 1 else None)
        chart.set_ylabel(name)
        chart.yaxis.set_major_formatter("{x:+.1%}")
    _time_axis(charts[1], so_far.time)
    _title(charts[0], f"Model minus {rule}, 95 % interval")
    return figure


def _time_axis(chart: Axes, time: TimeArray) -> None:
    """Mark four times: dates, or minutes where all is within three days; names of months and years would be cut off."""
    first, last = time[0], time[-1]
    ticks = np.unique(first + (last - first) * np.array([8, 36, 64, 92]) // 100)
    is_short = last - first < np.timedelta64(3, "D")
    names = np.datetime_as_string(ticks, unit="m" if is_short else "D")
    chart.set_xticks(ticks, [name[5:].replace("T", "\n") if is_short else name for name in names])


def _figure(bottom: float = 0.22, left: float = 0.14) -> Figure:
    """Return an empty figure with fixed margins: a layout engine would take twice the time."""
    figure = Figure(figsize=THUMBNAIL)
    figure.subplots_adjust(left=left, right=0.975, top=0.91, bottom=bottom)
    return figure


def _legend(figure: Figure, chart: Axes) -> None:
    """Put the legend below the chart, off its data."""
    figure.legend(*chart.get_legend_handles_labels(), loc="lower center", ncols=3, columnspacing=1.2)


def _title(chart: Axes, text: str) -> None:
    # An automatic position costs a tenth.
    chart.set_title(text, loc="left", weight="bold", y=1.01, x=-0.12, parse_math=False)


def _number(value: float, form: str = ".3f") -> str:
    return "unknown" if math.isnan(value) else format(value, form)
