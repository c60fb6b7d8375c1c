"""`trendtrain predict`: the predictions of a trained model for files of bars."""

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trendtrain.commands.checkpoints import add_ckpt, load_predictor
from trendtrain.commands.options import add_files, add_json, add_out, files_of

if TYPE_CHECKING:
    from trendtrain.data.predict import Predictor
    from trendtrain.market.bars import BoolArray, Series


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("predict", help="predictions of a trained model for files of bars; no database needed")
    add_files(parser)
    add_ckpt(parser)
    add_out(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict at every bar of every file, then write everything, and show the newest prediction of each series."""
    from trendtrain.commands.out_files import make_folder_of, read_all
    from trendtrain.reports.prediction_table import newest_table, newest_values, prediction_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.table_files import write_table

    read, targets = read_all(options, files_of(options))
    predictor = load_predictor(options.ckpt)
    everything = [(series, bars, predictor.predict(bars)) for series, bars in read]
    in_sample = [predictor.in_sample(series, bars) for series, bars in read]
    make_folder_of(targets, options.out)
    for (_, bars, predicted), known, target in zip(everything, in_sample, targets, strict=True):
        write_table(prediction_table(bars, predicted, known), target)
    newest = newest_values(everything, targets)
    if options.json:
        show_json(newest)
        return 0
    show(newest_table(newest))
    names = [series for series, _ in read]
    for line in (*in_sample_lines(names, in_sample), *unseen(predictor, names)):
        show(line)
    return 0


def in_sample_lines(names: "Sequence[Series]", in_sample: "Sequence[BoolArray]") -> Iterator[str]:
    """Yield a line about the bars of each series that the run has trained on."""
    for series, known in zip(names, in_sample, strict=True):
        if n := int(known.sum()):
            rule = "the run may have trained on them (column in_sample), so they show no skill"
            yield f"in sample: {n:,} of {len(known):,} bars of {' '.join(series)}: {rule}."


def unseen(predictor: "Predictor", names: "Sequence[Series]") -> Iterator[str]:
    """Yield a line about symbols that the run has never seen, and one about timeframes."""
    for i, word in enumerate(("symbol", "timeframe")):
        seen = {series[i] for series in predictor.series}
        if new := sorted({series[i] for series in names} - seen):
            yield f"never seen: {word} {', '.join(new)}: the run was trained on {', '.join(sorted(seen))}."
