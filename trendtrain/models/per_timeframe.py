"""One model with a net of its own for each timeframe."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.models.layers import is_traced

_NEAR = 1e-3  # timeframes 0.1 % apart are one


class PerTimeframe(nn.Module):
    """Give each timeframe its own copy of a net: series are pooled within a timeframe, not across.

    The last side input, log2(timeframe in minutes) / 10, selects the copy. Copies start with the same weights.

    Args:
        net: Takes windows and side inputs, (B, T, F) and (B, S) -> (B, C).
        timeframes: Those of the data, such as `["1m", "5m"]`.

    Raises:
        InputError: If there are no timeframes, or one comes twice; in `forward`, if a row is of another.

    Example:
        >>> from trendtrain.models import MlpNet
        >>> net = PerTimeframe(MlpNet(), timeframes=["1m", "2m"])
        >>> side = torch.zeros(5, 24)  # minute bars
        >>> net(torch.zeros(5, 96, 8), side).shape
        torch.Size([5, 2])
    """

    timeframe_code: Tensor

    def __init__(self, net: nn.Module, timeframes: Sequence[str]) -> None:
        super().__init__()
        if not timeframes or len(set(timeframes)) < len(timeframes):
            raise InputError(f"`timeframes` must name each timeframe once, got {list(timeframes)}.")
        minutes = [float(parse_timeframe(name) / np.timedelta64(1, "m")) for name in timeframes]
        self.nets = nn.ModuleList(deepcopy(net) for _ in timeframes)
        self.register_buffer("timeframe_code", torch.tensor(minutes).log2() / 10.0, persistent=False)

    def forward(self, window: Tensor, side: Tensor) -> Tensor:
        """Return the logits of each row's own net, (B, T, F) and (B, S) -> (B, C)."""
        distance, which = (side[:, -1:] - self.timeframe_code).abs().min(dim=1)
        if is_traced() or torch.compiler.is_exporting():  # no branch on values: each net takes all rows
            every = torch.stack([net(window, side) for net in self.nets], dim=1)  # (B, C) each -> (B, nets, C)
            is_own = torch.arange(len(self.nets), device=which.device) == which[:, None]  # (B, nets)
            return (every * is_own[:, :, None]).sum(dim=1)
        if len(distance) and distance.max() > _NEAR:
            minutes = 2.0 ** (10.0 * side[distance.argmax(), -1].item())
            raise InputError(f"`timeframes` must name each timeframe of the data, got bars of {minutes:g} minutes too.")
        rows = [torch.nonzero(which == i)[:, 0] for i in range(len(self.nets))]
        parts = zip(self.nets, rows, strict=True)
        logits = [net(window[part], side[part]) for net, part in parts if len(part)]
        return torch.cat(logits)[torch.cat(rows).argsort()] if logits else self.nets[0](window, side)
