"""Train any net on weighted batches of known labels."""

import inspect
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.market.directions import UNKNOWN
from trendtrain.models.optimizer import adamw, check_rates


class TrendModule(pl.LightningModule):
    """Fit a net by AdamW on the weighted cross-entropy of its logits.

    Args:
        net: Any module (B, T, F) -> (B, C); with `use_side`, (B, T, F) and (B, S) -> (B, C).
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        lr_warmup: Batches in which the learning rate rises to `lr`; 0 for none.
        lr_cosine: Batches after which it has fallen to 0; None to stay at `lr`, for streams without an end.
        use_side: Whether the net takes a batch's `side` as well; it gets None where a batch has none.

    Attributes:
        temperature: What answers to the stream are divided by, to be set by calibration.

    Raises:
        InputError: If a rate is negative or no number, or the net cannot take what `use_side` says.
    """

    temperature: Tensor

    def __init__(
        self,
        net: nn.Module,
        lr: float = 1e-3,
        weight_decay: float = 1e-2,
        lr_warmup: int = 0,
        lr_cosine: int | None = None,
        use_side: bool = False,
    ) -> None:
        super().__init__()
        check_rates(lr, weight_decay, lr_warmup, lr_cosine)
        if use_side:
            check_takes_side(net)
        self.net = net
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_warmup = lr_warmup
        self.lr_cosine = lr_cosine
        self.use_side = use_side
        self.register_buffer("temperature", torch.ones(()))
        self._losses: list[Tensor] = []

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return logits, (B, T, F) and (B, S) -> (B, C)."""
        logits: Tensor = self.net(window, side) if self.use_side else self.net(window)
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return the loss of a batch, normalised by its weights, and the logits, which tell the replay what is hard."""
        logits = self(batch["window"], batch.get("side"))
        loss = weighted_cross_entropy(logits, batch["label"], batch["weight"])
        self._losses.append(loss.detach())
        return {"loss": loss, "logits": logits.detach()}

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss: once, since logging each step costs as much as a small batch."""
        walk_step = float(self.current_epoch)  # "step" is the x of the chart, as in all others
        self.log_dict({"train/loss": torch.stack(self._losses).mean(), "step": walk_step})
        self._losses.clear()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Return the calibrated logits of a batch of the stream."""
        return {"logits": self(batch["window"], batch.get("side")) / self.temperature}

    def configure_optimizers(self) -> Any:
        """Return AdamW over what is trained, and how its rate goes."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return adamw(trained, self.lr, self.weight_decay, self.lr_warmup, self.lr_cosine)


def check_takes_side(net: nn.Module) -> None:
    """Refuse side inputs for a net whose `forward` takes windows alone."""
    try:
        inspect.signature(net.forward).bind(None, None)
    except TypeError as error:
        name = type(net).__name__
        raise InputError(f"`use_side` must be false for a net that takes windows alone, got {name}.") from error


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * cross-entropy) / sum(w) over the rows with a label; 0 where their weights are all 0.

    Args:
        logits: Shape (B, C).
        label: Class, shape (B,); a row of UNKNOWN counts nothing.
        weight: At least 0, shape (B,).
    """
    losses = nn.functional.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="none")
    return weighted_mean(losses, weight * (label != UNKNOWN))


def weighted_mean(losses: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * loss) / sum(w), 0 where all weights are 0; shape (B,) both."""
    return (weight * losses).sum() / weight.sum().clamp_min(1e-8)
