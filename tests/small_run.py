"""Walk through small markets, as `trendtrain train` does."""

from pathlib import Path
from types import SimpleNamespace

import torch
from hydra import compose, initialize_config_module

from trendtrain.train import train

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

SMALL = (
    "data.window=12",
    "model.net.kernels=[3,4]",
    "model.net.width=8",
    "replay.n_batches=2",
    "replay.batch_size=32",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
)
MARKET = ("data.source.n_bars=3000", "walk.step=128bars")


def walk(folder: Path, *overrides: str) -> SimpleNamespace:
    """Walk through small markets, and return the summary's values, the folder and the database's URL."""
    url = f"sqlite:///{folder.parent / 'train.db'}"
    folder.mkdir(parents=True, exist_ok=True)
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("train", [*SMALL, *MARKET, "logger=none", f"db.url={url}", f"run.name={folder.name}", *overrides])
    summary = train(cfg, folder)
    return SimpleNamespace(values=summary.values, folder=folder, url=url)
