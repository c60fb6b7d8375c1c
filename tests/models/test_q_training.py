"""Q-learning in the walk: a resumed run goes on as if it had never stopped, exploring and warming up alike."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from trendtrain.callbacks import AverageWeights, FitTemperature, ReseedGenerators, TrendValidation, WalkCheckpoint
from trendtrain.data import PivotDataModule, Walk
from trendtrain.market import Series, synthetic_market
from trendtrain.models import CnnNet, QModule


class Watch(pl.Callback):
    """Remember whether the target drops units while the net is trained."""

    def __init__(self) -> None:
        self.drops: set[tuple[bool, bool]] = set()

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        kinds = [any(m.training for m in net.modules() if isinstance(m, nn.Dropout)) for net in parts_of(pl_module)]
        self.drops.add((kinds[0], kinds[1]))


def parts_of(module: QModule) -> tuple[nn.Module, nn.Module]:
    return module.net, module.target


def walk(folder: Path, max_epochs: int, ckpt: Path | None = None) -> Watch:
    torch.manual_seed(0)
    net = CnnNet(8, 12, n_side=24, width=8, kernels=(3, 4), dropout=0.3)
    module = QModule(net, use_side=True, epsilon=0.5, lr_warmup=60, reward="gain")
    series = {Series("A", "5m"): synthetic_market(1500, seed=0)}
    datamodule = PivotDataModule(series, window=12, walk=Walk(step="90bars", warmup=0), transitions=True)
    watch, checkpoint = Watch(), WalkCheckpoint(folder, every_n_steps=4)
    trainer = pl.Trainer(
        callbacks=[TrendValidation(), ReseedGenerators(0), FitTemperature(), AverageWeights(0.9), checkpoint, watch],
        max_epochs=max_epochs,
        accelerator="cpu",
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    trainer.fit(module, datamodule, ckpt_path=ckpt, weights_only=True)
    return watch


def test_a_resumed_run_is_one_that_never_stopped(tmp_path: Path) -> None:
    watch = walk(tmp_path / "whole", 8)
    walk(tmp_path / "cut", 4)
    walk(tmp_path / "cut", 8, ckpt=tmp_path / "cut" / "last.ckpt")
    whole, resumed = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "cut"))
    assert whole["lr_schedulers"] == resumed["lr_schedulers"] != []
    for key in ("state_dict", "current_model_state"):
        assert any(name.startswith("target.") for name in whole[key])
        for name, values in whole[key].items():
            torch.testing.assert_close(resumed[key][name], values, rtol=0, atol=0)
    assert watch.drops == {(True, False)}  # goals are sure of themselves
