"""The option of commands that take a trained model, and how its checkpoint is found."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from trendtrain.commands.options import own_files
from trendtrain.errors import InputError

if TYPE_CHECKING:
    from trendtrain.data.predict import Predictor


def add_ckpt(parser: argparse.ArgumentParser) -> None:
    """Add `--ckpt`."""
    parser.add_argument("--ckpt", type=Path, required=True, help="a run's folder, or a checkpoint of it")


def load_predictor(path: Path) -> "Predictor":
    """Return the model of a checkpoint, or of the last one of a run given by its folder.

    Raises:
        InputError: If it is neither.
    """
    import torch

    from trendtrain.data.predict import Predictor

    torch.set_num_threads(1)
    with own_files():
        return Predictor(_checkpoint(path))


def _checkpoint(path: Path) -> Path:
    from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint

    if not path.is_dir():
        return path
    last = WalkCheckpoint(path / "checkpoints").path
    if not last.exists():
        rule = "`--ckpt` must be a checkpoint, or the folder of a run that has written one"
        raise InputError(f"{rule}, got {path}, in which there is no {last.relative_to(path)}.")
    return last
