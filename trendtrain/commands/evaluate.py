"""`trendtrain eval`: how well a trained model does on other bars."""

import argparse

from trendtrain.commands.checkpoints import add_bars, load_predictor
from trendtrain.commands.options import add_json


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("eval", help="judge a trained model on other bars; what it trained on is left out")
    add_bars(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Judge each file's bars, and show the scores beside the best simple rule's."""
    from trendtrain.commands.predict import unseen
    from trendtrain.evaluate import evaluate
    from trendtrain.importing import find_files, read_bars
    from trendtrain.reports.evaluation import evaluation_lines
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show

    files = [file for path in options.path for file in find_files(path, options.layout)]
    given = (options.symbol, options.timeframe, options.layout, options.timezone)
    series = dict(read_bars(file, *given) for file in files)
    predictor = load_predictor(options.ckpt)
    scores = evaluate(predictor, series)
    if options.json:
        found = [{"symbol": name.symbol, "timeframe": name.timeframe, **one} for name, one in scores.items()]
        show_json(found)
        return 0
    for name, one in scores.items():
        show("\n".join(evaluation_lines(name, one)))
    for line in unseen(predictor, list(series)):
        show(line)
    return 0
