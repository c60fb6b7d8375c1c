"""Turn a walk's scores and newest bars into pictures for TensorBoard."""

import gc
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from tensorboard.compat.proto.summary_pb2 import Summary

from trendtrain.charts.pivot_chart import NONE, PENDING, Stretch, draw_stretch
from trendtrain.charts.score_charts import draw_confusion, draw_delays, draw_hours, draw_reliability
from trendtrain.market.bars import Bars, IntArray, Series
from trendtrain.market.directions import FLAT, UNKNOWN
from trendtrain.market.labels import Labels, label_bars
from trendtrain.market.lines import Lines
from trendtrain.market.pivots import Pivots, find_pivots
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

_N_BARS: Final = 240  # drawn in a pivot chart
_BEFORE: Final = 300  # looked at besides, so that its first pivots are those of the whole series
_MOST_SERIES: Final = 12  # in a heat map
_MOST_CHARTS: Final = 4  # pivot charts: one of each of the first series
_DOTS: Final = 90  # an inch


@runtime_checkable
class HasBars(Protocol):
    """A datamodule whose bars can be drawn."""

    series: Mapping[Series, Bars]
    labeler: Any


def draw_pictures(step: WalkStep, datamodule: Any) -> list[Summary.Value]:
    """Return the pictures as TensorBoard stores them; scores once there is a verdict, pivots where there are bars.

    Args:
        step: The step after which to draw.
        datamodule: Where the bars are, if it is one of ours.
    """
    with style.context("default"), collection_held():
        return [_picture(tag, figure) for tag, figure in _figures(step, datamodule)]


@contextmanager
def collection_held() -> Iterator[None]:
    """Collect no garbage inside the block: pictures make so much that all of torch would be searched in between."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _figures(step: WalkStep, datamodule: Any) -> Iterator[tuple[str, Figure]]:
    if step.board.n_events:
        yield from _score_figures(step)
    if isinstance(datamodule, HasBars):
        stretches = (
            newest_stretch(step, name, datamodule.series[name], datamodule.labeler) for name in step.labels.series
        )
        for stretch in islice((stretch for stretch in stretches if len(stretch.bars)), _MOST_CHARTS):  # begun by now
            yield f"figures/pivots/{stretch.series.symbol}/{stretch.series.timeframe}", draw_stretch(stretch)


def _picture(tag: str, figure: Figure) -> Summary.Value:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS, pil_kwargs={"compress_level": 1})
    png = file.getvalue()
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))  # inches times dots need not be whole
    picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary.Value(tag=tag, image=picture)


def _score_figures(step: WalkStep) -> Iterator[tuple[str, Figure]]:
    board, metrics, n_events = step.board, step.metrics, step.board.n_events
    breakdown, scores = board.breakdown(), board.scores()
    yield "figures/reliability", draw_reliability(breakdown["reliability"], n_events, metrics["ece"])
    yield "figures/confusion", draw_confusion(breakdown["confusion"], n_events)
    delay = scores["label_delay_bars"]
    yield "figures/delays", draw_delays(board.delays(), delay["p50"], delay["p95"])
    names = [" ".join(series) for series in step.labels.series][:_MOST_SERIES]
    hours = [board.breakdown(i)["hour"] for i in range(len(names))] if len(names) > 1 else [breakdown["hour"]]
    yield "figures/accuracy_by_hour", draw_hours(dict(zip(names, hours, strict=True)))


def newest_stretch(step: WalkStep, name: Series, bars: Bars, labeler: Any) -> Stretch:
    """Return the newest bars of a series as they were known when the step ended, with what was predicted at them."""
    offset = int(step.labels.offset[step.labels.series.index(name)])
    stop = int(np.searchsorted(bars.close_time, step.now, side="right"))
    start = max(0, stop - _N_BARS - _BEFORE)
    part = bars[start:stop]
    direction, outcome = _predicted(step, offset + start, offset + stop)
    return Stretch(
        series=name,
        bars=part,
        pivots=_pivots(labeler, part),
        lines=_lines(step.labels, offset + start, offset + stop),
        first=max(0, len(part) - _N_BARS),
        direction=direction,
        outcome=outcome,
    )


def _predicted(step: WalkStep, start: int, stop: int) -> tuple[IntArray, IntArray]:
    """Return what was predicted at each row from `start` to `stop`, and what came of it."""
    direction, outcome = np.full(stop - start, NONE), np.full(stop - start, NONE)
    scored = step.board.scored()
    here = (scored.row >= start) & (scored.row < stop)
    row = scored.row[here] - start
    direction[row], outcome[row] = scored.direction[here], np.where(scored.is_correct[here], CORRECT, WRONG)
    waiting = step.pending[(step.pending.row >= start) & (step.pending.row < stop)]
    direction[waiting.row - start], outcome[waiting.row - start] = waiting.direction, PENDING
    seen = np.flatnonzero(outcome != NONE)
    rows = np.arange(start + (seen[0] if len(seen) else stop - start), stop)  # the board keeps no void predictions
    is_void = step.labels.known(step.now, rows) & (outcome[rows - start] == NONE)
    truth = step.labels.direction[rows]
    outcome[rows[is_void & (truth == FLAT)] - start] = VOID_FLAT
    outcome[rows[is_void & (truth == UNKNOWN)] - start] = VOID_GAP
    return direction, outcome


def _lines(labels: Labels, start: int, stop: int) -> Lines:
    """Return the lines that became known at rows from `start` to `stop`; bars count from `start`."""
    lines = labels.lines[(labels.lines.known_at >= start) & (labels.lines.known_at < stop)]
    bars = (lines.first_bar - start, lines.last_bar - start, lines.first_price, lines.last_price)
    return Lines(lines.kind, *bars, lines.start_time, lines.end_time, lines.known_at - start, lines.direction)


def _pivots(labeler: Any, bars: Bars) -> tuple[Pivots, Pivots]:
    """Return highs and lows by the labeler's rules; by the default ones where it is not ours."""
    options = dict(labeler.keywords) if isinstance(labeler, partial) and labeler.func is label_bars else {}
    options.pop("flat_band", None)
    return find_pivots(bars, **options)
