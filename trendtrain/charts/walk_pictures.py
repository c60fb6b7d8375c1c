"""Choose the figures of a walk, and turn them into pictures for TensorBoard."""

import gc
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final, Protocol, runtime_checkable

from matplotlib.figure import Figure
from tensorboard.compat.proto.summary_pb2 import Summary

from trendtrain.charts.look import dark
from trendtrain.charts.recent_chart import draw_recent, recent_bars
from trendtrain.charts.recent_predictions import MOST_SERIES, RecentPredictions
from trendtrain.charts.score_charts import (
    draw_confusion,
    draw_delays,
    draw_hours,
    draw_lead,
    draw_reliability,
    draw_rules,
)
from trendtrain.market.bars import Bars
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.edge import course_of
from trendtrain.validation.score import DIFFERENCES, FEWEST_BLOCKS, SHARES

_MOST_HOURS: Final = 12  # in a heat map
_DOTS: Final = 140  # an inch


@runtime_checkable
class HasBars(Protocol):
    """A datamodule whose bars can be drawn."""

    labeler: Any

    def newest_bars(self) -> Sequence[Bars | None]:
        """Return the newest bars of each series by its number; None before its first."""


def draw_pictures(step: WalkStep, datamodule: Any, predictions: RecentPredictions) -> list[Summary]:
    """Return the pictures in TensorBoard's format: scores once there is a verdict, pivots where there are bars.

    Args:
        step: The step after which to draw.
        datamodule: Where the bars are, if it is one of ours.
        predictions: The newest predictions.
    """
    with dark(), _no_garbage_collection():
        return [_picture(tag, figure) for tag, figure in _figures(step, datamodule, predictions)]


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Collect no garbage inside the block: pictures make so much that all objects of torch would be searched."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _figures(step: WalkStep, datamodule: Any, predictions: RecentPredictions) -> Iterator[tuple[str, Figure]]:
    if step.board.n_events:
        yield from _score_figures(step)
    if isinstance(datamodule, HasBars):
        all_series = (
            recent_bars(step, i, bars, datamodule.labeler, predictions)
            for i, bars in enumerate(datamodule.newest_bars())
            if bars is not None  # begun by now
        )
        for recent in islice((recent for recent in all_series if len(recent.bars)), MOST_SERIES):  # begun by now
            yield f"figures/pivots/{recent.series.symbol}/{recent.series.timeframe}", draw_recent(recent)


def _picture(tag: str, figure: Figure) -> Summary:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DOTS, pil_kwargs={"compress_level": 1})
    png = file.getvalue()
    width, height = (int.from_bytes(png[at : at + 4]) for at in (16, 20))  # inches times dots need not be whole
    picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=tag, image=picture)])


def _score_figures(step: WalkStep) -> Iterator[tuple[str, Figure]]:
    board, metrics, n_events = step.board, step.metrics, step.board.n_events
    breakdown, scores, events = board.breakdown(), board.scores(), board.events()
    time, block = events.known_time.astype("datetime64[ms]"), events.block
    columns = dict(zip(("model", *board.baselines), [events.values[:, 0], *events.values[:, 2:].T], strict=True))
    yield "figures/rules", draw_rules({name: course_of(own, time, block, SHARES) for name, own in columns.items()})
    if (best := scores["best_baseline"]) is not None:
        lead, width = columns["model"] - columns[best["name"]], max(FEWEST_BLOCKS, int(block.max()) // 10)
        so_far, recent = (course_of(lead, time, block, DIFFERENCES, one) for one in (None, width))
        yield "figures/lead", draw_lead(so_far, recent, best["name"], f"newest {width} blocks")
    yield "figures/reliability", draw_reliability(breakdown["reliability"], n_events, metrics["ece"])
    yield "figures/confusion", draw_confusion(breakdown["confusion"], n_events)
    delay = scores["label_delay_bars"]
    yield "figures/delays", draw_delays(board.delays(), delay["p50"], delay["p95"])
    names = [" ".join(series) for series in step.series][:_MOST_HOURS]
    hours = [board.breakdown(i)["hour"] for i in range(len(names))] if len(names) > 1 else [breakdown["hour"]]
    yield "figures/accuracy_by_hour", draw_hours(dict(zip(names, hours, strict=True)))
