#!/usr/bin/env python
"""Time the whole walk-forward against a hand-written torch loop that does the same forward and backward work.

./scripts/bench/training.py [--models cnn mlp] [--steps 115] [--runs 5] [--profile] [--json FILE] [key=value]

Ours is `trendtrain train` from the first batch of the walk to the last, without its warm-up: replay, delayed labels,
judging, scores, ledger, charts and checkpoints as they come by default. The loop is what one would write without any of
that: all windows made beforehand and kept in memory, rows drawn at random from the known half, AdamW, clipped
gradients, and a prediction of the next bars after every 8 batches. `trainer` does the work of the loop in a Lightning
Trainer without a callback or a logger: what is lost there, no callback can win back. All take the same net, batches and
number of predictions, on one thread, in turns; a sample is a row trained on or predicted. `--profile` says where our
time goes.
"""

import argparse
import cProfile
import io
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rows import Row, show_rows

from trendtrain.data.arena import Arena
from trendtrain.features import bar_features, skill_features
from trendtrain.market import label_bars, planted_market
from trendtrain.stream.inputs import InputTracker


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
        "walk.warmup=0",
        f"db.url=sqlite:///{folder / 'run.db'}",
        "trainer.enable_progress_bar=false",
        "+callbacks.clock._target_=__main__.Clock",
        *options.overrides,
    ]
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        return compose("train", overrides)


def ours(cfg: DictConfig, folder: Path) -> float:
    """Return the seconds of our walk."""
    from trendtrain.parts import fill_counts
    from trendtrain.train import train

    folder.mkdir()
    fill_counts(cfg)
    train(OmegaConf.merge(cfg, {"run": {"name": folder.name}}), folder)  # type: ignore[arg-type]
    return Clock.seconds


class Loop:
    """The hand-written loop, and the same work in a Trainer without any callback."""

    def __init__(self, cfg: DictConfig) -> None:
        bars = planted_market(cfg.data.source.n_bars, seed=0)
        tracker, arena = InputTracker(bar_features, skill_features, None), Arena(cfg.data.window)
        arena.append(0, tracker.update(bars))
        rows = torch.arange(cfg.data.window - 1, len(bars))
        self.cfg = cfg
        self.device = "cuda" if torch.cuda.is_available() and cfg.trainer.accelerator in ("auto", "gpu") else "cpu"
        labels, inputs = label_bars(bars), arena.gather(rows)
        if cfg.data.transitions:  # of what has no label yet, nothing that follows is drawn
            following = torch.from_numpy(labels.known_at.copy()).clamp_min(cfg.data.window - 1)[rows]
            inputs |= {f"next_{name}": values for name, values in arena.gather(following).items()}
        inputs["label"] = torch.from_numpy(labels.direction[rows.numpy()].astype("int64"))
        inputs["weight"] = torch.ones(len(rows))
        self.inputs = {name: values.to(self.device) for name, values in inputs.items()}
        self.batch, self.n_batches, self.n_steps = cfg.replay.batch_size, cfg.replay.n_batches, cfg.walk.steps
        self.half = len(rows) // 2

    def run(self) -> float:
        """Return the seconds of the loop."""
        module = instantiate(self.cfg.model).to(self.device)
        optimizer = torch.optim.AdamW(module.net.parameters(), lr=module.lr, weight_decay=module.weight_decay)
        module.on_fit_start()
        losses, answers = [], []
        start = time.perf_counter()
        for step in range(self.n_steps):
            module.train()
            for i in range(self.n_batches):
                batch = self.drawn()
                loss, _ = module.loss(batch)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.net.parameters(), 1.0)
                optimizer.step()
                module.on_train_batch_end(None, batch, i)  # a target network follows
                losses.append(loss.detach())
            module.eval()
            with torch.no_grad():
                batch = self.following(step)
                answers.append(module(batch["window"], batch.get("side")).cpu())
        return time.perf_counter() - start

    def run_in_trainer(self) -> float:
        """Return the seconds of a stock Trainer that does the same, and nothing for us."""
        off = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        trainer = pl.Trainer(
            accelerator=self.cfg.trainer.accelerator,
            max_epochs=self.n_steps,
            gradient_clip_val=1.0,
            num_sanity_val_steps=0,
            callbacks=[Clock()],
            **dict.fromkeys(off, False),
        )
        steps = iter(range(self.n_steps))
        draws = Batches(self.n_batches, self.drawn)
        trainer.fit(instantiate(self.cfg.model), draws, Batches(1, lambda: self.following(next(steps))))
        return Clock.seconds

    def drawn(self) -> dict[str, torch.Tensor]:
        """Return a batch of random rows of the known half."""
        row = torch.randint(self.half, (self.batch,), device=self.device)
        return {name: values.index_select(0, row) for name, values in self.inputs.items()}

    def following(self, step: int) -> dict[str, torch.Tensor]:
        """Return the bars of a step."""
        part = slice(self.half + step * 256, self.half + (step + 1) * 256)
        return {name: values[part] for name, values in self.inputs.items() if name in ("window", "side")}


class Batches:
    """A loader of so many batches."""

    def __init__(self, n_batches: int, make: Callable[[], Any]) -> None:
        self.n_batches, self.make = n_batches, make

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Any]:
        return (self.make() for _ in range(self.n_batches))


def compare(model: str, options: argparse.Namespace) -> Row:
    """Return the medians of ours, a bare Trainer and the loop for one model."""
    times: dict[str, list[float]] = {"ours": [], "trainer": [], "loop": []}
    with tempfile.TemporaryDirectory() as name:
        cfg = config_of(model, Path(name), options)
        loop = Loop(cfg)
        for i in range(options.runs + 1):
            times["ours"].append(ours(cfg, Path(name) / str(i)))
            times["trainer"].append(loop.run_in_trainer())
            times["loop"].append(loop.run())
    seconds = {kind: statistics.median(values[1:]) for kind, values in times.items()}  # the first warms up
    n_samples = options.steps * (cfg.replay.n_batches * cfg.replay.batch_size + 256)
    return {
        "job": model,
        "parameters": sum(one.numel() for one in instantiate(cfg.model.net).parameters()),
        "device": loop.device,
        **{f"{kind} samples/s": n_samples / taken for kind, taken in seconds.items()},
        "ratio": seconds["loop"] / seconds["ours"],
        "trainer's ratio": seconds["loop"] / seconds["trainer"],
        "ms more a batch": (seconds["ours"] - seconds["loop"]) / options.steps / cfg.replay.n_batches * 1e3,
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
    parser.add_argument("--steps", type=int, default=115, help="of the walk: 115 are all that 60,000 bars have")
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
