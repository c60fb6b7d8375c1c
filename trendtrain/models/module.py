"""The LightningModules that train a net: `NetModule` is what all share, `TrendModule` fits class probabilities."""

import inspect
import json
from abc import ABC, abstractmethod
from functools import partial
from math import cos, pi
from typing import Any, Self

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.market.directions import UNKNOWN
from trendtrain.models.layers import is_traced

Batch = dict[str, Tensor]


class NetModule(pl.LightningModule, ABC):
    """Train a net by AdamW on the loss of a subclass, and predict the stream with calibrated logits.

    Args:
        net: Any module (B, T, F) -> (B, C), or (B, T, F) and `side` (B, S) -> (B, C).
        lr: Learning rate.
        weight_decay: Decoupled weight decay: a batch takes away lr * weight_decay of each weight.
        lr_warmup: Batches in which the learning rate rises to `lr`, in a straight line; 0 for none.
        lr_cosine: Batches after which it has fallen to 0, along half a cosine; None to stay at `lr`, for streams
            without an end.
        use_side: Whether the net takes a batch's `side` as well (None where a batch has none); None: if its `forward`
            has a parameter of that name.

    Attributes:
        temperature: Divides the logits of the stream; `FitTemperature` sets it.

    Raises:
        InputError: If a rate is negative or no number, or the net cannot take what `use_side` says.
    """

    temperature: Tensor

    def __init__(
        self,
        net: nn.Module,
        lr: float = 3e-4,
        weight_decay: float = 1e-2,
        lr_warmup: int = 0,
        lr_cosine: int | None = None,
        use_side: bool | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(net, nn.Module):
            raise InputError(f"`net` must be an nn.Module, got {net!r}.")
        check_number("lr", lr, 0.0)
        check_number("weight_decay", weight_decay, 0.0)
        check_at_least("lr_warmup", lr_warmup, 0)
        if lr_cosine is not None:
            check_at_least("lr_cosine", lr_cosine, lr_warmup + 1)
        if use_side:
            _check_takes_side(net)
        self.net = net
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_warmup = lr_warmup
        self.lr_cosine = lr_cosine
        self.use_side = _has_side(net) if use_side is None else use_side
        self.register_buffer("temperature", torch.ones(()))
        self._losses: list[Tensor] = []

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the loss of a batch, normalised by its weights, and the logits of its rows."""

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return logits, (B, T, F) and (B, S) -> (B, C)."""
        return self.logits_of(self.net, window, side)

    def logits_of(self, net: nn.Module, window: Tensor, side: Tensor | None) -> Tensor:
        """Return the logits of a net with the inputs of this module's, (B, T, F) and (B, S) -> (B, C).

        Raises:
            InputError: If these are not logits of two classes or more for each window.
        """
        logits: Tensor = net(window, side) if self.use_side else net(window)
        if is_traced():  # sizes are no numbers then
            return logits
        is_tensor = isinstance(logits, Tensor) and logits.is_floating_point()
        if not is_tensor or logits.dim() != 2 or logits.shape[0] != window.shape[0] or logits.shape[1] < 2:
            shapes = f"{_form(logits)} for windows {tuple(window.shape)}"
            raise InputError(f"`net` must map windows (B, T, F) to logits (B, C), C at least 2, got {shapes}.")
        return logits

    def training_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Return the loss of a batch and its logits, by which the replay weighs the rows anew."""
        loss, logits = self.loss(batch)
        self._losses.append(loss.detach())
        return {"loss": loss, "logits": logits.detach()}

    def on_train_epoch_end(self) -> None:
        """Give monitors and loggers the epoch's mean loss; `self.log` would take twice the time."""
        if not self._losses:  # stopped before the first batch
            return
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

    def predict_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Return the calibrated logits of a batch of any loader, for `Trainer.predict`."""
        return self.validation_step(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Log how well the rows of a batch with a known label are predicted, for `Trainer.test`."""
        outputs = self.validation_step(batch, batch_idx)
        if "label" not in batch:
            raise InputError(f"`batch` must hold a label of each row to be tested, got {', '.join(batch)}.")
        is_known = batch["label"] != UNKNOWN
        if is_known.any():
            logits, label = outputs["logits"][is_known], batch["label"][is_known]
            accuracy = (logits.argmax(dim=1) == label).float().mean()
            scores = {"test/nll": nn.functional.cross_entropy(logits, label), "test/accuracy": accuracy}
            self.log_dict(scores, batch_size=len(label))
        return outputs

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, map_location: Any = "cpu", **options: Any) -> Self:  # type: ignore[override]
        """Return the module of a run, its net made from the configuration in the checkpoint, with its last weights.

        Args:
            checkpoint_path: `checkpoints/last.ckpt` of a run; or a checkpoint of Lightning's, with `net`.
            map_location: The device of the weights.
            **options: `net`, and other arguments of the module, where the checkpoint is not of a run; arguments of
                Lightning's method.

        Raises:
            InputError: If the checkpoint is not of a run and no `net` is given, or it is of another module.
        """
        if "net" in options:
            return super().load_from_checkpoint(checkpoint_path, map_location, **options)
        state = torch.load(checkpoint_path, map_location=map_location, weights_only=True)
        if "config" not in state:
            rule = "be that of a run of `trendtrain train`, or come with `net`: the net that was trained"
            raise InputError(f"`checkpoint_path` must {rule}, got {checkpoint_path} alone.")
        module = instantiate(OmegaConf.create(json.loads(state["config"])).model)
        if not isinstance(module, cls):
            got = type(module).__name__
            raise InputError(f"`checkpoint_path` must be of a {cls.__name__}, got one of a {got}: its class reads it.")
        module.load_state_dict(state["state_dict"])
        module.on_load_checkpoint(state)
        return module

    def configure_optimizers(self) -> Any:
        """Return AdamW over the net's parameters, with a schedule by batch if one is asked for."""
        parameters = list(self.net.parameters())
        # One kernel for all parameters. On a GPU the default is as fast, and the fused one cannot clip fp16 gradients.
        is_fused = all(one.device.type == "cpu" for one in parameters)
        optimizer = torch.optim.AdamW(parameters, self.lr, weight_decay=self.weight_decay, fused=is_fused or None)
        # Otherwise Lightning refuses to clip gradients in mixed precision: the fused kernel could unscale them as well.
        optimizer._step_supports_amp_scaling = False
        if not self.lr_warmup and self.lr_cosine is None:
            return optimizer
        factor = partial(rate_factor, n_warmup=self.lr_warmup, n_batches=self.lr_cosine)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class TrendModule(NetModule):
    """Fit a net by AdamW on the weighted cross-entropy of its logits; `NetModule` lists the arguments.

    Example:
        >>> import torch
        >>> from trendtrain.models import MlpNet
        >>> module = TrendModule(MlpNet(), lr=1e-3)
        >>> module(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the weighted cross-entropy of a batch and its logits."""
        logits = self(batch["window"], batch.get("side"))
        return weighted_cross_entropy(logits, batch["label"], batch["weight"]), logits


def weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * cross-entropy) / sum(w) over the rows with a label; 0 where their weights are all 0.

    Args:
        logits: Shape (B, C).
        label: Class, shape (B,); a row of UNKNOWN does not count.
        weight: At least 0, shape (B,).

    Raises:
        InputError: On a CPU, if a label is none of the C classes.
    """
    try:
        losses = nn.functional.cross_entropy(logits, label, ignore_index=UNKNOWN, reduction="none")
    except IndexError as error:
        got = f"{int(label.max()) + 1} and a model of {logits.shape[1]}"
        raise InputError(f"`n_classes` must be what the model tells apart, got {got}.") from error
    return weighted_mean(losses, weight * (label != UNKNOWN))


def weighted_mean(losses: Tensor, weight: Tensor) -> Tensor:
    """Return sum(w * loss) / sum(w), 0 where all weights are 0; shape (B,) both."""
    return (weight * losses).sum() / weight.sum().clamp_min(1e-8)


def rate_factor(batch: int, n_warmup: int, n_batches: int | None) -> float:
    """Return the factor of the learning rate for a batch, counted from 0.

    Example:
        >>> [round(rate_factor(batch, 2, 6), 2) for batch in range(8)]
        [0.5, 1.0, 1.0, 0.85, 0.5, 0.15, 0.0, 0.0]
    """
    if batch < n_warmup:
        return (batch + 1) / n_warmup
    if n_batches is None:
        return 1.0
    return 0.5 + 0.5 * cos(pi * min(1.0, (batch - n_warmup) / (n_batches - n_warmup)))


def _form(logits: object) -> str:
    if not isinstance(logits, Tensor):
        return type(logits).__name__
    return f"{'' if logits.is_floating_point() else f'{logits.dtype} '}{tuple(logits.shape)}"


def _has_side(net: nn.Module) -> bool:
    net = getattr(net, "_orig_mod", net)  # of a compiled one, whose own signature tells nothing
    return "side" in inspect.signature(net.forward).parameters


def _check_takes_side(net: nn.Module) -> None:
    try:
        inspect.signature(net.forward).bind(None, None)
    except TypeError as error:
        name = type(net).__name__
        raise InputError(f"`use_side` must be false for a net that takes windows alone, got {name}.") from error
