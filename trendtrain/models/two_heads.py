"""Two heads on one net, each trained on its own half of a batch."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


class TwoHeads(nn.Module):
    """Map windows to the mean of two heads' probabilities, (B, T, F) -> (B, C).

    It goes with `replay.half_life` as a list of two: the first half of a training batch is drawn by the first
    half-life, the second half by the second. In training mode each half of the rows gets the logits of its own head;
    both train the body. In evaluation mode every row gets log((p_1 + p_2) / 2), class by class.

    The mean is one of probabilities: Q-values (`QModule`) cannot be averaged this way.

    Args:
        net: Makes the net, given `n_classes`: its outputs (B, 2 C) are the first head's logits, then the second's.
        n_classes: C.

    Example:
        >>> from trendtrain.models import MlpNet
        >>> net = TwoHeads(MlpNet)
        >>> net(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def __init__(self, net: Callable[..., nn.Module], n_classes: int = 2) -> None:
        super().__init__()
        self.net = net(n_classes=2 * n_classes)

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return logits, (B, T, F) and (B, S) -> (B, C); as `ReplaySampler`, give an odd row to the first half."""
        outputs: Tensor = self.net(window) if side is None else self.net(window, side)
        first, second = outputs.chunk(2, dim=1)  # (B, 2 C) -> (B, C) each
        if self.training:
            return torch.cat([first.tensor_split(2)[0], second.tensor_split(2)[1]])
        both = torch.stack([first.log_softmax(dim=1), second.log_softmax(dim=1)])
        return both.logsumexp(dim=0) - math.log(2.0)
