"""Answer from what a body found in a window, the channels of its last bar, and the side inputs."""

import torch
from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least, check_number


class Head(nn.Module):
    """Map a body's findings, the window's last bar and its side inputs to logits, by one hidden layer.

    The last bar and the side inputs come here past the body: they are features of one bar, without a time axis.

    Args:
        n_hidden: H, what the body found.
        n_features: F, channels of a window.
        n_side: S, side inputs; 0 for none.
        n_classes: C.
        width: Hidden units.
        dropout: Share of hidden units dropped.

    Raises:
        InputError: If a number lies outside its range.
    """

    def __init__(self, n_hidden: int, n_features: int, n_side: int, n_classes: int, width: int, dropout: float) -> None:
        super().__init__()
        check_shape(n_features, n_side, n_classes)
        check_at_least("width", width, 1)
        check_number("dropout", dropout, 0.0, 1.0)
        self.n_side = n_side
        self.layers = nn.Sequential(
            nn.Linear(n_hidden + n_features + n_side, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, n_classes),
        )

    def forward(self, hidden: Tensor, window: Tensor, side: Tensor | None) -> Tensor:
        """Return logits, (B, H), (B, T, F) and (B, S) -> (B, C)."""
        logits: Tensor = self.layers(torch.cat([hidden, *last_bar(window, side, self.n_side)], dim=1))
        return logits


def last_bar(window: Tensor, side: Tensor | None, n_side: int) -> list[Tensor]:
    """Return what a net knows of the last bar alone: its channels (B, F) and, where there are any, its side (B, S).

    Raises:
        InputError: If a net that was made for side inputs gets none, or another number of them.
    """
    got = 0 if side is None else side.shape[1]
    if got != n_side and n_side:
        raise InputError(f"`side` must hold the {n_side} side inputs that the net was made for (`n_side`), got {got}.")
    return [window[:, -1], side] if n_side and side is not None else [window[:, -1]]


def check_shape(n_features: int, n_side: int, n_classes: int) -> None:
    """Refuse numbers of channels, side inputs or classes that cannot be."""
    check_at_least("n_features", n_features, 1)
    check_at_least("n_side", n_side, 0)
    check_at_least("n_classes", n_classes, 2)
