"""What callbacks of a live run ask of its trainer."""

import lightning.pytorch as pl
import numpy as np

from trendtrain.callbacks.listeners import HasStream
from trendtrain.market.rules import PivotRules
from trendtrain.stream.stream import Stream
from trendtrain.stream.tape import label_rules


def stream_of(trainer: pl.Trainer) -> Stream | None:
    """Return the stream that a trainer walks; None where it walks none, or not yet."""
    datamodule = getattr(trainer, "datamodule", None)
    return datamodule.stream if isinstance(datamodule, HasStream) else None


def clock_of(trainer: pl.Trainer) -> np.datetime64 | None:
    """Return what time it is in the market; None where bars are history."""
    stream = stream_of(trainer)
    return None if stream is None else stream.feed.clock()


def pivot_rules_of(trainer: pl.Trainer) -> PivotRules | None:
    """Return the rules of the pivots that make labels; None where a user's own function makes them."""
    labeler = getattr(getattr(trainer, "datamodule", None), "labeler", None)
    return label_rules(labeler) if callable(labeler) else None
