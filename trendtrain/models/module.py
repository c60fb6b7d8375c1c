"""Train any net on weighted batches of known labels."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from trendtrain.errors import check_number
from trendtrain.market.directions import UNKNOWN


class TrendModule(pl.LightningModule):
    """Fit a net by AdamW on the weighted cross-entropy of its logits.

    Args:
        net: Any module (B, T, F) -> (B, C).
        lr: Learning rate.
        weight_decay: Decoupled weight decay.

    Raises:
        InputError: If a rate is negative or no number.
    """

    def __init__(self, net: nn.Module, lr: float = 1e-3, weight_decay: float = 1e-2) -> None:
        super().__init__()
        check_number("lr", lr, 0.0)
        check_number("weight_decay", weight_decay, 0.0)
        self.net = net
        self.lr = lr
        self.weight_decay = weight_decay
        self._losses: list[Tensor] = []

    def forward(self, window: Tensor) -> Tensor:
        """Return logits, (B, T, F) -> (B, C)."""
        logits: Tensor = self.net(window)
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return the loss of a batch, normalised by its weights, and the logits, which tell the replay what is hard."""
        logits = self(batch["window"])
        loss = weighted_cross_entropy(logits, batch["label"], batch["weight"])
        self._losses.append(loss.detach())
        return {"loss": loss, "logits": logits.detach()}

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss: once, since logging each step costs as much as a small batch."""
        walk_step = float(self.current_epoch)  # "step" is the x of the chart, as in all others
        self.log_dict({"train/loss": torch.stack(self._losses).mean(), "step": walk_step})
        self._losses.clear()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return the logits of a batch of the stream."""
        return {"logits": self(batch["window"])}

    def configure_optimizers(self) -> Any:
        """Return AdamW over all parameters."""
        return torch.optim.AdamW(self.parameters(), lr=self.lr, weight_decay=self.weight_decay)


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * cross-entropy) / sum(w) over the rows with a label; 0 where their weights are all 0.

    Args:
        logits: Shape (B, C).
        label: Class, shape (B,); a row of UNKNOWN counts nothing.
        weight: At least 0, shape (B,).
    """
    losses = nn.functional.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="none")
    weight = weight * (label != UNKNOWN)
    return (weight * losses).sum() / weight.sum().clamp_min(1e-8)
