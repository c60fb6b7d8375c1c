"""One model over several symbols and timeframes, side inputs and all."""

from functools import partial

import lightning.pytorch as pl
import numpy as np
import torch

from trendtrain.callbacks import TrendValidation
from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Series, synthetic_market
from trendtrain.models import CnnNet, TrendModule
from trendtrain.replay import make_sampler, weigh
from trendtrain.stream.tape import BAR_BITS

torch.set_num_threads(1)

SERIES = {
    Series(symbol, timeframe): synthetic_market(n_bars, seed, timeframe)
    for seed, (symbol, timeframe, n_bars) in enumerate(
        [("A", "5m", 1500), ("A", "15m", 500), ("B", "5m", 1500), ("B", "15m", 500)]
    )
}
MINUTES = {"5m": 5, "15m": 15}


class Seen(pl.Callback):
    """Keep the rows and the timeframe that each batch showed."""

    def __init__(self) -> None:
        self.train: list[torch.Tensor] = []
        self.stream: list[torch.Tensor] = []

    def on_train_batch_end(self, trainer: object, module: object, outputs: object, batch: dict, index: int) -> None:
        self.train.append(torch.stack([batch["row"].double(), batch["side"][:, -1].double()]))

    def on_validation_batch_end(
        self, trainer: object, module: object, outputs: object, batch: dict, index: int
    ) -> None:
        self.stream.append(torch.stack([batch["row"].double(), batch["side"][:, -1].double()]))


def test_one_model_learns_from_and_predicts_two_symbols_on_two_timeframes() -> None:
    datamodule = PivotDataModule(
        SERIES,
        window=12,
        walk=Walk(start=0.3, step="90bars", warmup=1),
        replay=partial(make_sampler, batch_size=64, n_batches=2, weigh=weigh),
    )
    datamodule.setup()
    validation, seen = TrendValidation(), Seen()
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=-1, callbacks=[validation, seen], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    net = CnnNet(datamodule.n_features, 12, width=8, kernels=(3, 4), n_side=datamodule.n_side)
    trainer.fit(TrendModule(net, use_side=True), datamodule)
    assert datamodule.stream.is_done
    minutes = np.array([MINUTES[series.timeframe] for series in datamodule.stream.series])
    for batches in (seen.train, seen.stream):
        row, timeframe = torch.cat(batches, dim=1).numpy()
        of_series = row.astype(int) >> BAR_BITS
        assert set(of_series) == {0, 1, 2, 3}
        np.testing.assert_allclose(timeframe, np.log2(minutes[of_series]) / 10, rtol=1e-6)
    by_series = validation.summary()["series"]
    for (symbol, timeframe), bars in SERIES.items():
        n_predicted = int((bars.close_time > datamodule.stream.feed.start).sum())
        assert by_series[symbol][timeframe]["stats"]["total_predictions"] == n_predicted
        assert by_series[symbol][timeframe]["stats"]["validated_predictions"] > 100


def test_a_series_has_the_windows_and_side_inputs_it_has_alone() -> None:
    together = PivotDataModule(SERIES, window=12, walk=Walk(start=0.99, warmup=0))
    together.setup()
    for number, name in enumerate(together.stream.series):
        alone = PivotDataModule({name: SERIES[name]}, window=12, walk=Walk(start=0.99, warmup=0))
        alone.setup()
        bars = torch.tensor([11, 12, 200, 400])
        ours = together.arena.gather(bars + (number << BAR_BITS))
        theirs = alone.arena.gather(bars)
        for key in ("window", "side"):
            torch.testing.assert_close(ours[key], theirs[key], rtol=0, atol=0)
