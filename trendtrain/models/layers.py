"""Layers that several nets share: patches of neighbouring bars, and the head that turns hidden units into logits."""

import torch
from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least, check_number


class Patches(nn.Module):
    """Map each patch of neighbouring steps to one, (B, N, C) -> (B, N / size, D).

    It is a convolution whose stride equals its kernel, as one matrix product: on a CPU that takes half the time of
    `nn.Conv1d` (the default CNN, batch 256, forward and backward: 2.7 to 6 ms against 5 to 10).

    Args:
        n_in: C, channels of a step.
        n_out: D, channels of a patch.
        size: Steps a patch; N must be a multiple of it.
    """

    def __init__(self, n_in: int, n_out: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.linear = nn.Linear(size * n_in, n_out)

    def forward(self, steps: Tensor) -> Tensor:
        """Return the patches, in order."""
        n_rows = steps.shape[0]  # `len` would fix it in an exported net
        patches: Tensor = self.linear(steps.reshape(n_rows, -1, self.linear.in_features))
        return patches


class Head(nn.Module):
    """Map a body's output, the window's last bar and its side inputs to logits, by one hidden layer.

    The last bar and the side inputs bypass the body: they are features of one bar, without a time axis.

    Args:
        n_hidden: H, outputs of the body.
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
    """Return the inputs of the last bar: its channels (B, F) and, for a net with side inputs, those (B, S).

    Raises:
        InputError: If a net that was made for side inputs gets none, or another number of them.
    """
    got = 0 if side is None else side.shape[1]
    if got != n_side and n_side:
        raise InputError(f"`side` must hold the {n_side} side inputs that the net was made for (`n_side`), got {got}.")
    return [window[:, -1], side] if n_side and side is not None else [window[:, -1]]


def is_traced() -> bool:
    """Return whether `torch.jit.trace`, or an export to ONNX by it, records what is computed."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def check_shape(n_features: int, n_side: int, n_classes: int) -> None:
    """Raise an `InputError` if a number of channels, side inputs or classes is too small."""
    check_at_least("n_features", n_features, 1)
    check_at_least("n_side", n_side, 0)
    check_at_least("n_classes", n_classes, 2)
