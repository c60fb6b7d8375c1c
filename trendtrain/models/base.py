"""What all LightningModules of ours share: a net, its optimizer, its temperature, its loss in the charts."""

import inspect
from abc import ABC, abstractmethod
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.models.optimizer import adamw, check_rates

Batch = dict[str, Tensor]


class NetModule(pl.LightningModule, ABC):
    """Train a net by AdamW on a loss that a subclass gives, and answer to the stream with calibrated logits.

    Args:
        net: Any module (B, T, F) -> (B, C); with `use_side`, (B, T, F) and (B, S) -> (B, C).
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        lr_warmup: Batches in which the learning rate rises to `lr`; 0 for none.
        lr_cosine: Batches after which it has fallen to 0; None to stay at `lr`, for streams without an end.
        use_side: Whether the net takes a batch's `side` as well; it gets None where a batch has none.

    Attributes:
        temperature: What answers to the stream are divided by; calibration sets it.

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
            _check_takes_side(net)
        self.net = net
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_warmup = lr_warmup
        self.lr_cosine = lr_cosine
        self.use_side = use_side
        self.register_buffer("temperature", torch.ones(()))
        self._losses: list[Tensor] = []

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, normalised by its weights, and the logits of its rows."""

    def forward(self, window: Tensor, side: Tensor | None = None, head: Tensor | None = None) -> Tensor:
        """Return logits, (B, T, F), (B, S) and (B,) -> (B, C)."""
        return ask(self.net, window, side, self.use_side, head)

    def training_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Return the loss of a batch, and the logits, which tell the replay what is hard."""
        loss, logits = self.loss(batch)
        self._losses.append(loss.detach())
        return {"loss": loss, "logits": logits.detach()}

    def on_train_epoch_end(self) -> None:
        """Tell monitors and loggers the epoch's mean loss: where `self.log` would bring it, in half the time."""
        n_warmup = getattr(getattr(self.trainer, "datamodule", None), "n_warmup", 0)
        walk_step = self.current_epoch - n_warmup  # x of the chart, as in all others; the warm-up is left of 0
        loss = torch.stack(self._losses).mean()
        self._losses.clear()
        self.trainer.callback_metrics["train/loss"] = loss
        for logger in self.loggers:
            logger.log_metrics({"train/loss": loss.item()}, step=walk_step)
            logger.save()

    def validation_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Return the calibrated logits of a batch of the stream."""
        return {"logits": self(batch["window"], batch.get("side")) / self.temperature}

    def configure_optimizers(self) -> Any:
        """Return AdamW over the net, and how its rate goes."""
        return adamw(self.net.parameters(), self.lr, self.weight_decay, self.lr_warmup, self.lr_cosine)


def ask(net: nn.Module, window: Tensor, side: Tensor | None, use_side: bool, head: Tensor | None = None) -> Tensor:
    """Return what a net answers to windows, to side inputs if it takes them, by the head of each row if it has two.

    Raises:
        InputError: If these are no logits of two classes or more for each window.
    """
    given = (window, side) if use_side else (window,)
    answer: Tensor = net(*given) if head is None else net(*given, head=head)
    if answer.dim() != 2 or answer.shape[1] < 2:
        shapes = f"{tuple(answer.shape)} for windows {tuple(window.shape)}"
        raise InputError(f"`net` must map windows (B, T, F) to logits (B, C), C at least 2, got {shapes}.")
    return answer


def head_of(net: nn.Module, batch: Batch) -> Tensor | None:
    """Return which of a net's two heads each row of a training batch is for, (B,); None for a net without `two_heads`.

    Raises:
        InputError: If the batch is for two heads and the net has one, or the other way round.
    """
    head, two_heads = batch.get("head"), getattr(net, "two_heads", False)
    if head is None and two_heads:
        raise InputError("`replay.half_life` must be a list of two for a net of two heads, got batches without `head`.")
    if head is not None and not two_heads:
        rule = "`net` must have `two_heads` where `replay.half_life` is a list of two"
        raise InputError(f"{rule}, got {type(net).__name__} without them.")
    return head


def weighted_mean(losses: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * loss) / sum(w), 0 where all weights are 0; shape (B,) both."""
    return (weight * losses).sum() / weight.sum().clamp_min(1e-8)


def _check_takes_side(net: nn.Module) -> None:
    try:
        inspect.signature(net.forward).bind(None, None)
    except TypeError as error:
        name = type(net).__name__
        raise InputError(f"`use_side` must be false for a net that takes windows alone, got {name}.") from error
