#!/usr/bin/env python
"""Time the whole walk-forward against a hand-written torch loop that does the same forward and backward work.

./scripts/bench_training.py [--models cnn mlp] [--steps 60] [--runs 5] [--profile] [--json FILE] [key=value]

Ours is `trendtrain train` from the first batch to the last: replay, delayed labels, judging, scores, ledger, charts and
checkpoints as they come by default. The loop is what one would write without any of that: all windows made beforehand
and kept in memory, rows drawn at random from the known half, AdamW, clipped gradients, and a prediction of the next
bars after every 8 batches. Both take the same net, batches and number of predictions, on one thread, in turns; a sample
is a row trained on or predicted. `--profile` says where our time goes.
"""

import argparse
import cProfile
import io
import pstats
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from bench_rows import Row, show_rows
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig

from trendtrain.data import PivotDataModule
from trendtrain.market import Series, planted_market
from trendtrain.models.module import weighted_cross_entropy


class Clock(pl.Callback):
    """Note when the walk starts and ends."""

    seconds = 0.0
    profile: cProfile.Profile | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start."""
        if Clock.profile is not None:
            Clock.profile.enable()
        self.start = time.perf_counter()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop."""
        Clock.seconds = time.perf_counter() - self.start
        if Clock.profile is not None:
            Clock.profile.disable()


def config_of(model: str, folder: Path, options: argparse.Namespace) -> DictConfig:
    """Return the configuration of a run; it may be changed on the command line."""
    overrides = [
        f"model={model}",
        "experiment=planted",
        f"data.source.n_bars={options.bars}",
        f"walk.steps={options.steps}",
        f"db.url=sqlite:///{folder / 'run.db'}",
        "trainer.enable_progress_bar=false",
        "+callbacks.clock._target_=__main__.Clock",
        *options.overrides,
    ]
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        return compose("train", overrides)


def ours(cfg: DictConfig, folder: Path) -> float:
    """Return the seconds of our walk."""
    from trendtrain.train import train

    folder.mkdir()
    train(cfg, folder)
    return Clock.seconds


class Loop:
    """The hand-written loop."""

    def __init__(self, cfg: DictConfig) -> None:
        bars = planted_market(cfg.data.source.n_bars, seed=0)
        datamodule = PivotDataModule({Series("LOOP", "1m"): bars}, window=cfg.data.window)
        datamodule.setup()
        rows = torch.arange(cfg.data.window - 1, len(bars))
        self.device = "cuda" if torch.cuda.is_available() and cfg.trainer.accelerator in ("auto", "gpu") else "cpu"
        dataset = datamodule.train_dataloader().dataset
        self.inputs = {key: values.to(self.device) for key, values in dataset.windows.gather(rows).items()}
        self.label = torch.from_numpy(datamodule.labels.direction[rows.numpy()].astype("int64")).to(self.device)
        self.module = instantiate(cfg.model).to(self.device)
        self.batch, self.n_batches, self.n_steps = cfg.replay.batch_size, cfg.replay.n_batches, cfg.walk.steps

    def run(self) -> float:
        """Return the seconds of the loop."""
        net, use_side = self.module.net, self.module.use_side
        optimizer = torch.optim.AdamW(net.parameters(), lr=self.module.lr, weight_decay=self.module.weight_decay)
        half, length = len(self.label) // 2, 256
        weight = torch.ones(self.batch, device=self.device)
        losses, answers = [], []
        start = time.perf_counter()
        for step in range(self.n_steps):
            net.train()
            for _ in range(self.n_batches):
                row = torch.randint(half, (self.batch,), device=self.device)
                logits = self._logits(net, row, use_side)
                loss = weighted_cross_entropy(logits, self.label[row], weight)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                losses.append(loss.detach())
            net.eval()
            with torch.no_grad():
                following = torch.arange(half + step * length, half + (step + 1) * length, device=self.device)
                answers.append(self._logits(net, following, use_side).cpu())
        return time.perf_counter() - start

    def _logits(self, net: torch.nn.Module, row: torch.Tensor, use_side: bool) -> torch.Tensor:
        window = self.inputs["window"].index_select(0, row)
        return net(window, self.inputs["side"].index_select(0, row)) if use_side else net(window)


def compare(model: str, options: argparse.Namespace) -> Row:
    """Return the medians of ours and the loop for one model."""
    times: dict[str, list[float]] = {"ours": [], "loop": []}
    with tempfile.TemporaryDirectory() as name:
        cfg = config_of(model, Path(name), options)
        loop = Loop(cfg)
        for i in range(options.runs + 1):
            times["ours"].append(ours(cfg, Path(name) / str(i)))
            times["loop"].append(loop.run())
    seconds = {kind: statistics.median(values[1:]) for kind, values in times.items()}  # the first warms up
    n_samples = options.steps * (cfg.replay.n_batches * cfg.replay.batch_size + 256)
    return {
        "job": model,
        "parameters": sum(one.numel() for one in loop.module.net.parameters()),
        "device": loop.device,
        "ours samples/s": n_samples / seconds["ours"],
        "loop samples/s": n_samples / seconds["loop"],
        "ratio": seconds["loop"] / seconds["ours"],
        "us more a batch": (seconds["ours"] - seconds["loop"]) / options.steps / cfg.replay.n_batches * 1e6,
    }


def profiled(model: str, options: argparse.Namespace) -> str:
    """Return the functions that take most of our walk's time."""
    Clock.profile = cProfile.Profile()
    with tempfile.TemporaryDirectory() as name:
        ours(config_of(model, Path(name), options), Path(name) / "run")
    text = io.StringIO()
    pstats.Stats(Clock.profile, stream=text).sort_stats("tottime").print_stats(25)
    Clock.profile = None
    return text.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["cnn"])
    parser.add_argument("--bars", type=int, default=60_000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*", help="of `trendtrain train`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.profile:
        print("\n".join(profiled(model, options) for model in options.models))
    show_rows([compare(model, options) for model in options.models], options.json)


if __name__ == "__main__":
    main()
