"""A small net on the features of the last bar alone: the reference for the others."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.models.layers import check_shape, last_bar


class MlpNet(nn.Module):
    """Map the side inputs of each window's last bar to logits; where there are none, the last bar's channels.

    It trains in seconds and sees only the last bar of a window: a net that reads whole windows must beat it.

    The defaults fit the inputs that `PivotDataModule` gives by default.

    Args:
        n_features: F, channels of a window.
        n_classes: C.
        n_side: S, side inputs; 0 for none.
        widths: Units of each hidden layer; none for a linear model.
        dropout: Share of units dropped after each hidden layer.

    Raises:
        InputError: If a number lies outside its range.

    Example:
        >>> import torch
        >>> MlpNet()(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        n_features: int = 8,
        n_classes: int = 2,
        n_side: int = 24,
        widths: Sequence[int] = (64, 32),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_shape(n_features, n_side, n_classes)
        check_number("dropout", dropout, 0.0, 1.0)
        if not isinstance(widths, Sequence) or isinstance(widths, str):
            raise InputError(f"`widths` must be a list of integers, got {widths!r}.")
        for width in widths:
            check_at_least("widths", width, 1)
        self.n_side = n_side
        sizes = [n_side or n_features, *widths]
        layers = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.GELU(), nn.Dropout(dropout))]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return the logits at each window's last bar, (B, T, F) and (B, S) -> (B, C)."""
        logits: Tensor = self.layers(last_bar(window, side, self.n_side)[-1])
        return logits
