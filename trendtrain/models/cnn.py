"""A causal convolutional net over a window of bars."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Final

from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least
from trendtrain.models.layers import Head, Patches

_LARGEST_HINT: Final = 6


class CnnNet(nn.Module):
    """Map windows to class logits, (B, T, F) -> (B, C), with dilated causal convolutions.

    Each layer's kernel equals its stride: that is a stack of convolutions whose dilations multiply up (1, 4, 16, ...),
    evaluated only where the last bar needs it, at an eighth of the cost of evaluating it everywhere.
    The last bar's channels, and side inputs, reach the head directly.

    The defaults fit the inputs that `PivotDataModule` gives by default.

    Args:
        n_features: F, channels of a window.
        window: T, bars of a window: the product of `kernels`.
        n_classes: C.
        n_side: S, side inputs of the last bar; 0 for none: the net then takes windows alone.
        width: Hidden channels.
        kernels: Kernel of each layer.
        dropout: Share of hidden units dropped before the head.

    Raises:
        InputError: If a number lies outside its range, or the kernels do not cover the window.

    Example:
        >>> import torch
        >>> CnnNet()(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        n_features: int = 8,
        window: int = 96,
        n_classes: int = 2,
        n_side: int = 24,
        width: int = 32,
        kernels: Sequence[int] = (4, 4, 6),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_at_least("window", window, 1)
        for kernel in kernels:
            check_at_least("kernels", kernel, 1)
        if prod(kernels) != window:
            fit = f"{_kernels_of(window)} fit"
            raise InputError(f"`kernels` must multiply to the window ({window}), got {list(kernels)}; {fit}.")
        self.head = Head(width, n_features, n_side, n_classes, width, dropout)
        channels = pairwise([n_features, *[width] * len(kernels)])
        layers = zip(channels, kernels, strict=True)
        self.body = nn.Sequential(*(nn.Sequential(Patches(a, b, kernel), nn.GELU()) for (a, b), kernel in layers))

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return the logits at each window's last bar, (B, T, F) and (B, S) -> (B, C)."""
        hidden = self.body(window)[:, -1]  # (B, T, F) -> (B, H)
        logits: Tensor = self.head(hidden, window, side)
        return logits


def _kernels_of(window: int) -> list[int]:
    """Return small kernels that multiply to a window, its prime factors from the smallest on, up to 6 at once.

    Example:
        >>> _kernels_of(64), _kernels_of(96), _kernels_of(97)
        ([4, 4, 4], [4, 4, 6], [97])
    """
    kernels = [1]
    factor, rest = 2, window
    while rest > 1:
        if rest % factor:
            factor += 1
            continue
        rest //= factor
        if kernels == [1] or kernels[-1] * factor <= _LARGEST_HINT:
            kernels[-1] *= factor
        else:
            kernels.append(factor)
    return kernels
