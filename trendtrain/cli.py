"""The `trendtrain` command: hand the arguments to a subcommand, and turn a mistake into one line."""

import argparse
import sys

from trendtrain.commands import annotations, db, import_bars, label, predict, stats
from trendtrain.commands.errors import say
from trendtrain.commands.train import run_overrides
from trendtrain.errors import InputError

_COMMANDS = (import_bars, label, predict, stats, annotations, db)
_EXIT_CTRL_C = 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command; a user's mistake is one line and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["train"]:
            return run_overrides(arguments[1:])
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except InputError as error:
        return say(error)
    except KeyboardInterrupt:
        return _EXIT_CTRL_C


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trendtrain", description="Train trend models on delayed labels.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help="the main job; takes Hydra overrides such as data=files data.path=FILE")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
