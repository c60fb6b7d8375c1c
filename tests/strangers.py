"""Modules, loaders and trainers that know nothing of this project, for the tests of the callback."""

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import lightning.pytorch
import pytorch_lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from trendtrain.market import label_bars, synthetic_market
from trendtrain.validation import TrendStats

LABELS = label_bars(synthetic_market(300, seed=4))
FIRST, LAST = 100, 220
Named = namedtuple("Named", ["x", "row"])

NAMESPACES = {"lightning.pytorch": lightning.pytorch, "pytorch_lightning": pytorch_lightning}
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true")
LOOPS = ("fit", "validate", "test", "predict")
BATCHES: dict[str, Callable[[Tensor], Any]] = {
    "dict": lambda row: {"x": torch.ones(len(row), 3), "row": row, "y": row % 2},
    "tuple": lambda row: (torch.ones(len(row), 3), row % 2, row),
    "list": lambda row: [torch.ones(len(row), 3), row.int()],
    "named tuple": lambda row: Named(torch.ones(len(row), 3), row),
    "tensor": lambda row: row,
}
OUTPUTS: dict[str, Callable[[Tensor, Tensor], Any]] = {
    "logits": lambda logits, is_up: logits,
    "dict of logits": lambda logits, is_up: {"loss": logits.sum(), "logits": logits},
    "probabilities": lambda logits, is_up: logits.softmax(dim=1),
    "dict of probabilities": lambda logits, is_up: {"probabilities": logits.softmax(dim=1)},
    "codes": lambda logits, is_up: is_up.long(),
    "dict of codes": lambda logits, is_up: {"direction": is_up.int()},
    "claims": lambda logits, is_up: is_up,
}


def rows_of(batch: Any) -> Tensor:
    """The user's own way to the bars of a batch."""
    if isinstance(batch, Tensor):
        return batch
    return batch["row"] if isinstance(batch, dict) else batch[-1]


def make_module(pl: Any, output: Callable[[Tensor, Tensor], Any]) -> Any:
    """A stranger's module: it says up at every third bar, through a layer that takes part in mixed precision."""

    class Stranger(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2, bias=False)
            nn.init.eye_(self.layer.weight)

        def said(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
            is_up = rows_of(batch) % 3 == 0
            steep = torch.where(is_up, 1.5, -1.25).to(self.layer.weight.dtype)
            return output(self.layer(torch.stack([-steep, steep], dim=1)), is_up)

        validation_step = test_step = predict_step = said

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = self.layer.weight.square().sum()
            if not self.trainer.barebones:
                self.log("loss", loss, on_epoch=True, on_step=False, batch_size=1)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.0)

    return Stranger()


def make_trainer(pl: Any, *callbacks: Any, **options: Any) -> Any:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    defaults = {"accelerator": "cpu", "max_epochs": 1, "enable_progress_bar": False, **quiet}
    return pl.Trainer(callbacks=list(callbacks), **(defaults | options))


def make_loader(batch: Callable[[Tensor], Any], first: int = FIRST, last: int = LAST) -> DataLoader:
    return DataLoader(torch.arange(first, last), batch_size=50, collate_fn=lambda rows: batch(torch.stack(rows)))


def run(trainer: Any, loop: str, module: Any, *loaders: DataLoader) -> None:
    given = loaders[0] if len(loaders) == 1 else list(loaders)
    if loop == "fit":
        trainer.fit(module, loaders[0], given)
    else:
        getattr(trainer, loop)(module, given, **({} if loop == "predict" else {"verbose": False}))


def expected_stats(first: int = FIRST, last: int = LAST) -> TrendStats:
    """What should come of it, the slow way."""
    validated = correct = void = pending = 0
    for row in range(first, last):
        if not 0 <= LABELS.known_at[row] < last:
            pending += 1
        elif LABELS.direction[row] == 2:
            void += 1
        else:
            validated += 1
            correct += int(LABELS.direction[row] == (row % 3 == 0))
    return TrendStats(validated, correct, void, pending)
