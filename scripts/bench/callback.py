#!/usr/bin/env python
"""Time what the callback costs per batch of 256, over the same Trainer without it.

./scripts/bench/callback.py [--batches 400] [--runs 5] [--json FILE]

A foreign module and loader, validated in one pass. Timed is the processor time of the pass, on one thread, and so
mostly blind to what else the machine does, without that of the module's own step: it varies from run to run by more
than the callback costs, and is the same work with and without. The judging of all predictions and the metrics at the
end of the pass are shared among its batches. Runs with and without take turns; the cost is the median of their
differences (`with_step_us`: the same of the whole pass). `copy` is what a callback costs that only copies rows and
logits into a buffer it allocated beforehand. Three sizes of model.
"""

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trendtrain.callbacks import TrendValidation
from trendtrain.market import Labels, label_bars, synthetic_market

BATCH = 256
WIDTHS = {"small": 16, "medium": 256, "large": 1024}


class Stranger(pl.LightningModule):
    """A user's module of two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        )
        self.seconds = 0.0

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Return the logits."""
        start = time.thread_time()
        logits = self.net(batch[0])
        self.seconds += time.thread_time() - start
        return logits


class Copies(pl.Callback):
    """The limit: copy rows and logits into a buffer."""

    def __init__(self, n_rows: int) -> None:
        self.rows, self.logits = torch.empty(n_rows, dtype=torch.int64), torch.empty(n_rows, 2)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Copy."""
        here = slice(batch_idx * BATCH, batch_idx * BATCH + len(outputs))
        self.rows[here], self.logits[here] = batch[1], outputs


class Clock(pl.Callback):
    """Time the pass: last in the list, it starts after all others and ends after them."""

    def on_validation_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start."""
        self.start = time.thread_time()

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop."""
        self.seconds = time.thread_time() - self.start


def seconds(module: Stranger, loader: DataLoader[Any], *callbacks: pl.Callback) -> tuple[float, float]:
    """Return the seconds of one pass, and of the module's own steps in it."""
    clock, module.seconds = Clock(), 0.0
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[*callbacks, clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.validate(module, loader, verbose=False)
    return clock.seconds, module.seconds


def compare(name: str, labels: Labels, n_batches: int, n_runs: int) -> dict[str, Any]:
    """Return the medians for one model."""
    torch.manual_seed(0)
    module, n_rows = Stranger(WIDTHS[name]), n_batches * BATCH
    data = TensorDataset(torch.randn(n_rows, 64), torch.arange(n_rows))
    loader = DataLoader(data, batch_sampler=None, batch_size=None, sampler=_Slices(n_batches))
    kinds = {"without": list, "with": lambda: [TrendValidation(labels)], "copy": lambda: [Copies(n_rows)]}
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(n_runs + 1):
        for kind, make in kinds.items():
            taken[kind].append(seconds(module, loader, *make()))
    whole, step = (  # the first run warms up
        {kind: [value[i] / n_batches * 1e6 for value in values[1:]] for kind, values in taken.items()} for i in (0, 1)
    )
    around = {kind: [a - b for a, b in zip(whole[kind], step[kind], strict=True)] for kind in kinds}
    cost = _more(around, "with")
    return {
        "model": name,
        "parameters": sum(one.numel() for one in module.parameters()),
        "batch_us": statistics.median(whole["without"]),
        "callback_us": statistics.median(cost),
        "callback_us_least": min(cost),
        "callback_us_most": max(cost),
        "with_step_us": statistics.median(_more(whole, "with")),
        "copy_us": statistics.median(_more(around, "copy")),
    }


def _more(taken: dict[str, list[float]], kind: str) -> list[float]:
    return [a - b for a, b in zip(taken[kind], taken["without"], strict=True)]


class _Slices(torch.utils.data.Sampler[list[int]]):
    """Whole batches as slices, so that the loader gathers nothing and hides no difference."""

    def __init__(self, n_batches: int) -> None:
        self.n_batches = n_batches

    def __iter__(self) -> Any:
        return (slice(i * BATCH, (i + 1) * BATCH) for i in range(self.n_batches))

    def __len__(self) -> int:
        return self.n_batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=400)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    labels = label_bars(synthetic_market(options.batches * BATCH, seed=0))
    rows = [compare(name, labels, options.batches, options.runs) for name in WIDTHS]
    for row in rows:
        print(
            "  ".join(
                f"{key} {value:.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; target: callback_us <= 60")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
