"""The blocks of code on the pages of the docs, and what they leave to the reader."""

import re
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from trendtrain.market import random_walk

ROOT = Path(__file__).parents[1]
SMALL = (
    *("walk.steps=1", "walk.warmup=0", "replay.n_batches=2", "replay.batch_size=32", "trainer.accelerator=cpu"),
    *("trainer.enable_progress_bar=false", "logger=none", "hydra/launcher=basic"),
)
MY_NET = """
from torch import nn

class MyNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(96 * 8, 2))
"""


class StrangersModule(pl.LightningModule):
    """A module that knows nothing of trends."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(8, 2)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1] % 2)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.net(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a page in that language: of `README.md`, `docs/start.md`, ..."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """Return the lines of the blocks of commands."""
    text = "".join(blocks(page, "bash")).replace("\\\n", "")
    return [line for line in text.splitlines() if line]


def write_bars(folder: Path, *series: str, n_bars: int = 1_500) -> None:
    """Write files such as `ETHUSDT_1h.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in series:
        bars = random_walk(n_bars, seed=0, timeframe=name.partition("_")[2])
        columns = {part: getattr(bars, part) for part in ("open", "high", "low", "close", "volume")}
        time = bars.open_time + np.timedelta64(4 * 365 + 1, "D")  # from 2024-01-01 on
        pd.DataFrame({"open_time": time, **columns}).to_csv(folder / f"{name}.csv", index=False)
