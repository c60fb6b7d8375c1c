"""A Trainer, a module and loaders that were there before; the five lines marked `# +` judge it on delayed labels.

python examples/existing_trainer.py
"""

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from trendtrain.callbacks import TrendValidation  # +
from trendtrain.market import Bars, label_bars  # +

WINDOW = 32


def read_prices(n_bars: int = 6_000) -> dict[str, np.ndarray]:
    """Stand in for your own file: hourly bars whose trend changes every few days."""
    random = np.random.default_rng(0)
    drift = np.repeat(random.choice([-0.002, 0.002], n_bars // 60), 60)
    close = 100.0 * np.exp(np.cumsum(drift + random.normal(0.0, 0.005, n_bars)))
    open_ = np.concatenate([[100.0], close[:-1]])
    spread = 1.0 + np.abs(random.normal(0.0, 0.002, n_bars))
    high, low = np.maximum(open_, close) * spread, np.minimum(open_, close) / spread
    time = np.datetime64("2024-01-01", "ms") + np.arange(n_bars) * np.timedelta64(1, "h")
    return {"time": time, "open": open_, "high": high, "low": low, "close": close, "volume": np.ones(n_bars)}


class NextDay(pl.LightningModule):
    """Guess from the last 32 returns whether the price will be higher a day later."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(WINDOW, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))

    def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the loss."""
        returns, is_higher, _ = batch
        return torch.nn.functional.cross_entropy(self.net(returns), is_higher)

    def validation_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the logits."""
        return self.net(batch[0])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam."""
        return torch.optim.Adam(self.parameters(), lr=0.01)


def main() -> None:
    """Train, and print how accurate the predictions were as trend predictions."""
    torch.manual_seed(0)
    prices = read_prices()
    close = torch.tensor(prices["close"]).log()
    returns = (close.diff().unfold(0, WINDOW, 1) * 100).float()[:-24]  # the last 32 returns at bars 32, 33, ...
    bar = torch.arange(WINDOW, WINDOW + len(returns))
    data = TensorDataset(returns, (close[bar + 24] > close[bar]).long(), bar)
    train = DataLoader(torch.utils.data.Subset(data, range(4_000)), batch_size=64, shuffle=True)
    validate = DataLoader(torch.utils.data.Subset(data, range(4_032, len(data))), batch_size=256)
    trend = TrendValidation(labels=label_bars(Bars(*prices.values(), timeframe=np.timedelta64(1, "h"))))  # +
    trainer = pl.Trainer(
        max_epochs=2,
        callbacks=[trend],  # +
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(NextDay(), train, validate)
    print(trend.summary()["stats"], trend.summary()["event_accuracy"])  # +


if __name__ == "__main__":
    main()
