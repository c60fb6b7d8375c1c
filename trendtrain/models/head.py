"""Answer from what a body found in a window, the channels of its last bar, and the side inputs."""

import math

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
        two_heads: Whether the last layer answers twice: see `answer_of`.

    Raises:
        InputError: If a number lies outside its range.
    """

    def __init__(
        self,
        n_hidden: int,
        n_features: int,
        n_side: int,
        n_classes: int,
        width: int,
        dropout: float,
        two_heads: bool = False,
    ) -> None:
        super().__init__()
        check_shape(n_features, n_side, n_classes)
        check_at_least("width", width, 1)
        check_number("dropout", dropout, 0.0, 1.0)
        self.n_side = n_side
        self.two_heads = two_heads
        self.layers = nn.Sequential(
            nn.Linear(n_hidden + n_features + n_side, width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, n_outputs(n_classes, two_heads)),
        )

    def forward(self, hidden: Tensor, window: Tensor, side: Tensor | None, head: Tensor | None = None) -> Tensor:
        """Return logits, (B, H), (B, T, F), (B, S) and (B,) -> (B, C)."""
        outputs = self.layers(torch.cat([hidden, *last_bar(window, side, self.n_side)], dim=1))
        return answer_of(outputs, head, self.two_heads)


def n_outputs(n_classes: int, two_heads: bool) -> int:
    """Return how many outputs a net's last layer has."""
    return 2 * n_classes if two_heads else n_classes


def answer_of(outputs: Tensor, head: Tensor | None, two_heads: bool) -> Tensor:
    """Return the logits (B, C) of a net whose last layer gave `outputs`.

    Of two heads each row teaches its own, and the answer is the mean of both: log((p_1 + p_2) / 2), class by class.

    Args:
        outputs: Shape (B, C); of two heads (B, 2 C), the first head's before the second's.
        head: Which head each row is for, 0 or 1, shape (B,); None for the answer of both.
        two_heads: Whether there are two.

    Raises:
        InputError: If rows are for heads that the net does not have.

    Example:
        >>> outputs = torch.tensor([[0.6, 0.4, 0.2, 0.8]]).log()
        >>> answer_of(outputs, None, two_heads=True).exp()
        tensor([[0.4000, 0.6000]])
        >>> answer_of(outputs, torch.tensor([1]), two_heads=True).exp()
        tensor([[0.2000, 0.8000]])
    """
    if not two_heads:
        if head is not None:
            raise InputError("`head` must be None for a net without `two_heads`, got one for each row.")
        return outputs
    first, second = outputs.chunk(2, dim=1)
    if head is not None:
        return torch.where(head[:, None] == 0, first, second)
    both = torch.stack([first.log_softmax(dim=1), second.log_softmax(dim=1)])
    return both.logsumexp(dim=0) - math.log(2.0)


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
