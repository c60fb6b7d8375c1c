"""AdamW and the schedule of its learning rate."""

from collections.abc import Iterable
from functools import partial
from math import cos, pi
from typing import Any

import torch
from torch import nn

from trendtrain.errors import check_at_least, check_number


def check_rates(lr: float, weight_decay: float, lr_warmup: int, lr_cosine: int | None) -> None:
    """Raise an `InputError` if `adamw` cannot use an argument."""
    check_number("lr", lr, 0.0)
    check_number("weight_decay", weight_decay, 0.0)
    check_at_least("lr_warmup", lr_warmup, 0)
    if lr_cosine is not None:
        check_at_least("lr_cosine", lr_cosine, lr_warmup + 1)


def adamw(
    parameters: Iterable[nn.Parameter], lr: float, weight_decay: float, lr_warmup: int, lr_cosine: int | None
) -> Any:
    """Return AdamW in the form Lightning expects, with a schedule by batch if one is asked for.

    Args:
        parameters: Parameters to train.
        lr: Learning rate.
        weight_decay: Decoupled weight decay: a batch takes away lr * weight_decay of each weight.
        lr_warmup: Batches in which the rate rises to `lr`, in a straight line.
        lr_cosine: Batches after which it has fallen to 0, along half a cosine; None to stay at `lr`, for a stream
            without an end.
    """
    parameters = list(parameters)
    # One kernel for all parameters. On a GPU the default is as fast, and the fused one cannot clip gradients in fp16.
    is_fused = all(one.device.type == "cpu" for one in parameters)
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=is_fused or None)
    # Otherwise Lightning refuses to clip gradients in mixed precision: the fused kernel could unscale them as well.
    optimizer._step_supports_amp_scaling = False
    if not lr_warmup and lr_cosine is None:
        return optimizer
    factor = partial(rate_factor, n_warmup=lr_warmup, n_batches=lr_cosine)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(batch: int, n_warmup: int, n_batches: int | None) -> float:
    """Return the factor of the learning rate for a batch, counted from 0.

    Example:
        >>> [round(rate_factor(batch, 2, 6), 2) for batch in range(8)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0, 0.0]
    """
    if batch < n_warmup:
        return (batch + 1) / n_warmup
    if n_batches is None:
        return 1.0
    return 0.5 + 0.5 * cos(pi * min(1.0, (batch - n_warmup) / (n_batches - n_warmup)))
