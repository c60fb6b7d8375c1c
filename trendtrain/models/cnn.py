"""A causal convolutional net over a window of bars."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least, check_number


class CnnNet(nn.Module):
    """Map windows to class logits, (B, T, F) -> (B, C), with dilated causal convolutions.

    Each layer's kernel equals its stride: that is a stack of convolutions whose dilations multiply up (1, 4, 16, ...),
    evaluated only where the answer at the last bar needs it, at an eighth of the cost of evaluating it everywhere.
    The last bar's features also reach the head directly.

    Args:
        n_features: F, channels of a window.
        window: T, bars of a window: the product of `kernels`.
        n_classes: C.
        width: Hidden channels.
        kernels: Kernel of each layer.
        dropout: Share of hidden units dropped before the head.

    Raises:
        InputError: If a number lies outside its range, or the kernels do not cover the window.
    """

    def __init__(
        self,
        n_features: int,
        window: int,
        n_classes: int = 2,
        width: int = 32,
        kernels: Sequence[int] = (4, 4, 6),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_at_least("width", width, 1)
        check_number("dropout", dropout, 0.0, 1.0)
        if torch.tensor(kernels).prod() != window:
            raise InputError(f"`kernels` must multiply to the window ({window}), got {list(kernels)}.")
        channels = [n_features, *[width] * len(kernels)]
        layers = [
            nn.Sequential(nn.Conv1d(c_in, c_out, kernel, stride=kernel), nn.GELU())
            for c_in, c_out, kernel in zip(channels[:-1], channels[1:], kernels, strict=True)
        ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(width + n_features, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, n_classes)
        )

    def forward(self, window: Tensor) -> Tensor:
        """Return the logits of the answer at each window's last bar."""
        hidden = self.body(window.transpose(1, 2))[:, :, -1]  # (B, T, F) -> (B, H)
        logits: Tensor = self.head(torch.cat([hidden, window[:, -1]], dim=1))  # (B, H + F) -> (B, C)
        return logits
