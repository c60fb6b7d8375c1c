"""`trendtrain eval`: how well a trained model does on other bars."""

import argparse

from trendtrain.commands.checkpoints import add_ckpt, load_predictor
from trendtrain.commands.options import add_files, add_json, files_of


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("eval", help="judge a trained model on other bars; what it trained on is left out")
    add_files(parser)
    add_ckpt(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge each file's bars, and show the scores beside the best simple rule's."""
    from trendtrain.commands.predict import unseen
    from trendtrain.evaluate import evaluate
    from trendtrain.importing import read_bars
    from trendtrain.reports.evaluation import evaluation_lines
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show

    given = (options.symbol, options.timeframe, options.layout, options.timezone)
    series = dict(read_bars(file, *given) for file in files_of(options))
    predictor = load_predictor(options.ckpt)
    scores = evaluate(predictor, series)
    if options.json:
        show_json([name._asdict() | one for name, one in scores.items()])
        return 0
    for name, one in scores.items():
        show("\n".join(evaluation_lines(name, one)))
    for line in unseen(predictor, list(series)):
        show(line)
    return 0
