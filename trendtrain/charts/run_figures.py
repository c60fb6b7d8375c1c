"""Draw the scores of a run as interactive figures."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go

from trendtrain.charts.page import axis, figure
from trendtrain.market.bars import AnyArray, FloatArray, IntArray
from trendtrain.validation.edge import Course

# Of the model, then of each rule; each stands out from either background, and from the others (after Okabe & Ito 2008).
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#a07cc5", "#b8860b", "#c2528b", "#7a7f87", "#8c6d46")
_WRONG: Final = "#c2528b"
_BAND: Final = "rgba(0,114,178,0.22)"
_MOST_TEXTS: Final = 26  # columns of a heat map with a number in each cell
_MOST_DELAYS: Final = 80  # bars of the histogram
_MOST_ALARMS: Final = 100
_NORMAL975: Final = 1.96
_PERCENT: Final = {"tickformat": ".0%"}


def draw_edge(so_far: Course, recent: Course, window: str, history: Mapping[str, AnyArray]) -> go.Figure:
    """Draw the lead over a rule with its interval, so far and in a window, with each change that was noticed.

    Args:
        so_far: The lead of all events so far.
        recent: The lead in a moving window.
        window: That window in words.
        history: From `RunHistory.arrays`.
    """
    data = [*_band(so_far, "y", "so far", COLOURS[0]), *_band(recent, "y2", window, COLOURS[0])]
    shapes = [_level("y", 0.0), _level("y2", 0.0), *_alarms(history)]
    points = {"tickformat": "+.1%"}
    return figure(
        data,
        height=560,
        shapes=shapes,
        hovermode="x unified",
        xaxis=axis(type="date", anchor="y2"),
        yaxis=axis("so far", domain=(0.54, 1), **points),
        yaxis2=axis(window, domain=(0, 0.46), **points),
        showlegend=bool(len(history.get("alarm_now", ()))),
    )


def draw_rules(courses: Mapping[str, Course]) -> go.Figure:
    """Draw event accuracy so far, of the model (the first) and of each rule in its own colour."""
    data = [
        go.Scatter(x=one.time, y=one.mean, name=name, line={"color": colour_of(i), "width": 3 if i == 0 else 1.8})
        for i, (name, one) in enumerate(courses.items())
    ]
    shapes = [_level("y", 0.5)]
    return figure(data, hovermode="x unified", shapes=shapes, xaxis=axis(type="date"), yaxis=axis("", **_PERCENT))


def colour_of(place: int) -> str:
    """Return the colour of the model, place 0, or of a rule."""
    return COLOURS[place % len(COLOURS)]


def draw_groups(rows: Mapping[str, Mapping[str, Mapping[str, Any]]], columns: Sequence[str], title: str) -> go.Figure:
    """Draw event accuracy by row and column as a heat map, whose middle, the page's own colour, is one half.

    Args:
        rows: The scores of each row's columns, as `Scoreboard.breakdown` gives them for a group.
        columns: The columns in their order.
        title: Of the horizontal axis.
    """
    accuracy = np.full((len(rows), len(columns)), np.nan)
    notes = [["" for _ in columns] for _ in rows]
    for i, (row, groups) in enumerate(rows.items()):
        for j, column in enumerate(columns):
            if column in groups:
                accuracy[i, j] = groups[column]["event_accuracy"]
                notes[i][j] = f"{row}, {column}<br>{_scores_text(groups[column])}"
    scale = [[0.0, COLOURS[1]], [0.5, "var(--card)"], [1.0, COLOURS[0]]]
    percent = [["" if np.isnan(one) else f"{100 * one:.0f}" for one in row] for row in accuracy]
    texts = {"text": percent, "texttemplate": "%{text}"} if len(columns) <= _MOST_TEXTS else {}
    look = {"zmin": 0.2, "zmax": 0.8, "colorscale": scale, "showscale": False, "xgap": 2, "ygap": 2}
    about = {"hovertext": notes, "hoverinfo": "text"}
    cells = go.Heatmap(x=list(columns), y=list(rows), z=accuracy, **about, **texts, **look)
    down = axis(type="category", autorange="reversed", showgrid=False)
    across = axis(title, type="category", showgrid=False)
    return figure([cells], height=110 + 34 * len(rows), xaxis=across, yaxis=down)


def draw_reliability(reliability: Mapping[str, Sequence[float]], n_events: int) -> go.Figure:
    """Draw the share of correct predictions by confidence with its interval, above the number of events.

    Args:
        reliability: From `Scoreboard.breakdown`.
        n_events: Number of events its shares refer to.
    """
    columns = {name: np.array(values) for name, values in reliability.items()}
    here = columns["share"] > 0
    low, high, share, confidence, accuracy, error = (
        columns[name][here] for name in ("low", "high", "share", "confidence", "accuracy", "accuracy_se")
    )
    half = _NORMAL975 * error
    above, below = (np.minimum(half, room) for room in (1.0 - accuracy, accuracy))
    bars = {"array": above, "arrayminus": below, "symmetric": False, "color": COLOURS[0]}
    look = {"mode": "markers", "marker": {"size": 9, "color": COLOURS[0]}, "name": "share correct, 95 % interval"}
    edge = {"dash": "dot", "color": "var(--muted)"}
    data = [
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=edge, name="perfect calibration", hoverinfo="skip"),
        go.Scatter(x=confidence, y=accuracy, error_y=bars, **look),
        go.Bar(x=(low + high) / 2, y=share * n_events, yaxis="y2", marker={"color": COLOURS[0]}, showlegend=False),
    ]
    least = float(low.min(initial=0.5))
    return figure(
        data,
        height=420,
        xaxis=axis("confidence of the prediction", anchor="y2", range=(least, 1.01), **_PERCENT),
        yaxis=axis("share correct", domain=(0.32, 1), range=(0, 1.02), **_PERCENT),
        yaxis2=axis("events", domain=(0, 0.24)),
    )


def draw_delays(counts: IntArray, median: float, most: float) -> go.Figure:
    """Draw the delay from predictions to their verdicts.

    Args:
        counts: Number of verdicts after 0, 1, 2, ... bars, shape (n,), at least one.
        median, most: The median and the 95 % quantile, in bars.
    """
    total = counts.sum()
    shown = int(np.searchsorted(np.cumsum(counts), 0.995 * total)) + 1
    width = -(-shown // _MOST_DELAYS)
    binned = np.add.reduceat(counts[:shown], np.arange(0, shown, width)) / total
    middle = np.arange(len(binned)) * width + (width - 1) / 2
    marks = [(median, f"median, {median:.0f} bars", "solid"), (most, f"95 %, {most:.0f} bars", "dash")]
    lines = [
        go.Scatter(x=[x, x], y=[0, binned.max()], mode="lines", line={"color": "var(--ink)", "dash": dash}, name=name)
        for x, name, dash in marks
    ]
    data = [go.Bar(x=middle, y=binned, marker={"color": COLOURS[0]}, showlegend=False, name="share"), *lines]
    by = f", in groups of {width}" if width > 1 else ""
    x = axis(f"bars from a prediction to its verdict{by}")
    return figure(data, height=420, bargap=0.05, xaxis=x, yaxis=axis("share of verdicts", **_PERCENT))


def draw_replay(history: Mapping[str, AnyArray]) -> go.Figure:
    """Draw the share of wrong predictions in the replay's memory, in what it drew, and live.

    Args:
        history: From `RunHistory.arrays`.
    """
    time, live, span = _live(history)
    parts = [
        ("in the memory", _smooth(history["wrong_in_memory"], span), COLOURS[0], None),
        ("in the draws", _smooth(history["wrong_in_draws"], span), COLOURS[1], None),
        ("live, when judged", 1.0 - live, "var(--ink)", "dot"),
    ]
    data = [
        go.Scatter(x=time, y=values, name=name, mode="lines", line={"color": colour, "width": 2, "dash": dash})
        for name, values, colour, dash in parts
    ]
    shapes = [_level("y", 0.5), *_alarms(history)]
    y = axis("share wrong", **_PERCENT)
    return figure(data, hovermode="x unified", shapes=shapes, xaxis=axis(type="date"), yaxis=y)


def _live(history: Mapping[str, AnyArray]) -> tuple[AnyArray, FloatArray, int]:
    """Return times, live accuracy over a moving window of a twentieth of the walk, and that window in points."""
    span = max(1, len(history["now"]) // 20)
    time = history["now"].astype("datetime64[ms]")
    judged, correct = (_over(history[name], span) for name in ("validated", "correct"))
    with np.errstate(invalid="ignore"):
        live: FloatArray = correct / np.where(judged > 0, judged, np.nan)
    return time, live, span


def _over(counts: FloatArray, span: int) -> FloatArray:
    """Return how much a running count grew over the last `span` points."""
    before = np.concatenate([np.zeros(min(span, len(counts))), counts[:-span]])
    grown: FloatArray = counts - before
    return grown


def _smooth(values: FloatArray, span: int) -> FloatArray:
    """Return the mean over the last `span` points, without those that are NaN."""
    known = ~np.isnan(values)
    total = _over(np.cumsum(np.where(known, values, 0.0)), span)
    count = _over(np.cumsum(known.astype(float)), span)
    smooth: FloatArray = total / np.where(count > 0, count, np.nan)
    return smooth


def _band(course: Course, yaxis: str, name: str, colour: str) -> list[go.Scatter]:
    known = ~np.isnan(course.low)
    time, low, high = course.time[known], course.low[known], course.high[known]
    edge = {"mode": "lines", "line": {"width": 0}, "yaxis": yaxis, "showlegend": False}
    line = {"mode": "lines" if len(course) > 1 else "markers", "line": {"color": colour, "width": 2}}
    return [
        go.Scatter(x=time, y=low, name=f"{name}, low end", **edge),
        go.Scatter(x=time, y=high, name=f"{name}, high end", fill="tonexty", fillcolor=_BAND, **edge),
        go.Scatter(x=course.time, y=course.mean, name=name, yaxis=yaxis, showlegend=False, **line),
    ]


def _level(yaxis: str, value: float) -> dict[str, Any]:
    line = {"color": "var(--muted)", "width": 1}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "yref": yaxis, "y0": value, "y1": value, "line": line}


def _alarms(history: Mapping[str, AnyArray]) -> list[dict[str, Any]]:
    """Return a line for each of the newest alarms: dashed where the replay went on, solid where it forgot."""
    now, is_cut = (history.get(f"alarm_{name}", np.zeros(0))[-_MOST_ALARMS:] for name in ("now", "is_cut"))
    shapes, named = [], set()
    for time, cut in zip(now.astype("datetime64[ms]").astype(str), is_cut.astype(bool), strict=True):
        name = "change noticed, memory cut" if cut else "change noticed"
        line = {"color": _WRONG, "width": 2, "dash": "solid" if cut else "dash"}
        legend = {"name": name, "showlegend": name not in named, "legendgroup": name}
        shapes.append(
            {"type": "line", "x0": time, "x1": time, "yref": "paper", "y0": 0, "y1": 1, "line": line} | legend
        )
        named.add(name)
    return shapes


def _scores_text(scores: Mapping[str, Any]) -> str:
    error = "" if np.isnan(scores["accuracy_se"]) else f" ± {scores['accuracy_se']:.3f}"
    return f"event accuracy {scores['event_accuracy']:.3f}{error}, {scores['n_events']:,} events"
