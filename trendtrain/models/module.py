"""Train any net on weighted batches of known labels."""

from torch import Tensor, nn

from trendtrain.market.directions import UNKNOWN
from trendtrain.models.base import Batch, NetModule, head_of, weighted_mean


class TrendModule(NetModule):
    """Fit a net by AdamW on the weighted cross-entropy of its logits; `NetModule` lists the arguments.

    Example:
        >>> import torch
        >>> from trendtrain.models import MlpNet
        >>> module = TrendModule(MlpNet(n_features=8), lr=3e-4)
        >>> module(torch.zeros(5, 96, 8)).shape
        torch.Size([5, 2])
    """

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the weighted cross-entropy of a batch and its logits; of two heads, those of each row's own."""
        logits = self(batch["window"], batch.get("side"), head_of(self.net, batch))
        return weighted_cross_entropy(logits, batch["label"], batch["weight"]), logits


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * cross-entropy) / sum(w) over the rows with a label; 0 where their weights are all 0.

    Args:
        logits: Shape (B, C).
        label: Class, shape (B,); a row of UNKNOWN counts nothing.
        weight: At least 0, shape (B,).
    """
    losses = nn.functional.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="none")
    return weighted_mean(losses, weight * (label != UNKNOWN))
