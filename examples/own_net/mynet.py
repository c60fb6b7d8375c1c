"""A net of your own in the main job, by its name; no line of it knows trendtrain.

cd examples/own_net
trendtrain train '~model.net' +model.net._target_=mynet.Attention +model.net.width=16 walk.steps=5
"""

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Weigh the bars of a window by a learned score, and classify their mean.

    Args:
        n_features: F, the channels of a window.
        width: H.
        n_classes: C.
    """

    def __init__(self, n_features: int = 8, width: int = 32, n_classes: int = 2) -> None:
        super().__init__()
        self.embed = nn.Linear(n_features, width)
        self.score = nn.Linear(width, 1)
        self.head = nn.Linear(width, n_classes)

    def forward(self, window: Tensor) -> Tensor:
        """Return logits."""
        hidden = torch.tanh(self.embed(window))  # (B, T, F) -> (B, T, H)
        weight = self.score(hidden).softmax(dim=1)  # (B, T, H) -> (B, T, 1)
        return self.head((weight * hidden).sum(dim=1))  # (B, T, H) -> (B, C)
