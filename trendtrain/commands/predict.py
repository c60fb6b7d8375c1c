"""`trendtrain predict`: the predictions of a trained model for files of bars."""

import argparse
from pathlib import Path

from trendtrain.commands.options import add_json, own_files
from trendtrain.errors import InputError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("predict", help="predictions of a trained model for files of bars; no database needed")
    parser.add_argument("path", nargs="+", type=Path, help="CSV, Parquet, Feather or JSON files, or folders of them")
    parser.add_argument("--ckpt", type=Path, required=True, help="a run's folder, or a checkpoint of it")
    out = "FILE.parquet or FILE.csv; of several files a folder, for a SYMBOL_TIMEFRAME.parquet each"
    parser.add_argument("--out", type=Path, required=True, help=out)
    parser.add_argument("--format", help="of the files in a folder: parquet or csv (parquet)")
    parser.add_argument("--symbol", help="as in import")
    parser.add_argument("--timeframe", help="as in import")
    parser.add_argument("--layout", help="as in import")
    parser.add_argument("--timezone", help="of times written without one, as in import")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict at every bar of every file, then write everything, and show the newest prediction of each series."""
    import torch

    from trendtrain.commands.out_files import make_folder_of, read_all
    from trendtrain.data.predict import Predictor
    from trendtrain.importing import find_files
    from trendtrain.reports.prediction_table import newest_table, newest_values, prediction_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.table_files import write_table

    torch.set_num_threads(1)
    files = [file for path in options.path for file in find_files(path, options.layout)]
    read, targets = read_all(options, files)
    with own_files():
        predictor = Predictor(_checkpoint(options.ckpt))
    everything = [(series, bars, predictor.predict(bars)) for series, bars in read]
    make_folder_of(targets, options.out)
    for (_, bars, predicted), target in zip(everything, targets, strict=True):
        write_table(prediction_table(bars, predicted), target)
    if options.json:
        show_json(newest_values(everything, targets))
    else:
        show(newest_table(everything, targets))
    return 0


def _checkpoint(path: Path) -> Path:
    """Return a checkpoint, or the last of a run given by its folder."""
    from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint

    if not path.is_dir():
        return path
    last = WalkCheckpoint(path / "checkpoints").path
    if not last.exists():
        rule = "`--ckpt` must be a checkpoint, or the folder of a run that has written one"
        raise InputError(f"{rule}, got {path}, in which there is no {last.relative_to(path)}.")
    return last
