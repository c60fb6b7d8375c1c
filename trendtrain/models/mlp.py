"""The reference: a small net on features of the last bar alone."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.models.head import answer_of, check_shape, last_bar, n_outputs


class MlpNet(nn.Module):
    """Map the side inputs of each window's last bar to logits; where there are none, the last bar's channels.

    It trains in seconds and sees nothing of a window but its last bar: a net that reads windows must beat it.

    Args:
        n_features: F, channels of a window.
        n_classes: C.
        n_side: S, side inputs; 0 for none.
        widths: Units of each hidden layer; none for a linear model.
        dropout: Share of units dropped after each hidden layer.
        two_heads: Whether the last layer answers twice, for rows drawn by two half-lives: see `answer_of`.

    Raises:
        InputError: If a number lies outside its range.

    Example:
        >>> import torch
        >>> net = MlpNet(n_features=8, n_side=24)
        >>> net(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int = 2,
        n_side: int = 0,
        widths: Sequence[int] = (64, 32),
        dropout: float = 0.1,
        two_heads: bool = False,
    ) -> None:
        super().__init__()
        check_shape(n_features, n_side, n_classes)
        check_number("dropout", dropout, 0.0, 1.0)
        if not isinstance(widths, Sequence) or isinstance(widths, str):
            raise InputError(f"`widths` must be a list of integers, got {widths!r}.")
        for width in widths:
            check_at_least("widths", width, 1)
        self.n_side = n_side
        self.two_heads = two_heads
        sizes = [n_side or n_features, *widths]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.GELU(), nn.Dropout(dropout))]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_outputs(n_classes, two_heads)))

    def forward(self, window: Tensor, side: Tensor | None = None, head: Tensor | None = None) -> Tensor:
        """Return the logits of the answer at each window's last bar, (B, T, F), (B, S) and (B,) -> (B, C)."""
        return answer_of(self.layers(last_bar(window, side, self.n_side)[-1]), head, self.two_heads)
