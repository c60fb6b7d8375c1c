"""The `trendtrain` command: pass the arguments to a subcommand, and print an expected error as one line."""

import argparse
import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from trendtrain.commands import annotations, db, import_bars, label, predict, stats
from trendtrain.commands.errors import report_error
from trendtrain.commands.train import run_overrides
from trendtrain.errors import EXIT_CTRL_C, TRY_AGAIN, CostWarning, InputError, StorageError, is_disk_fault

_COMMANDS = (import_bars, label, predict, stats, annotations, db)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; an error that the user can act on is one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["train"]:
            return _run(partial(run_overrides, arguments[1:]))
        options = _parser().parse_args(arguments)
        return _run(partial(options.run, options))
    except (InputError, StorageError) as error:
        return report_error(error)
    except OSError as error:
        if not is_disk_fault(error):
            raise
        return report_error(StorageError(f"The disk failed: {error}. {TRY_AGAIN}"))
    except KeyboardInterrupt:
        return EXIT_CTRL_C


def _run(command: Callable[[], int]) -> int:
    """Run a command; say so where compiling its loops takes noticeable time."""
    from trendtrain.market.compiled import compilation_notice

    with compilation_notice(_tell), warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return int(command())


def _tell(text: str) -> None:
    sys.stderr.write(f"trendtrain: {text}\n")


def _show_warning(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print a warning of ours as one line, and any other as Python does."""
    if issubclass(category, CostWarning):
        _tell(str(message))
    else:
        sys.stderr.write(warnings.formatwarning(message, category, *place[:2]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trendtrain", description="Train trend models on delayed labels.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help="the main job; takes Hydra overrides such as data=files data.path=FILE")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
