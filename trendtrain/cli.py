"""The `trendtrain` command: pass the arguments to a subcommand, and print an expected error as one line."""

import argparse
import atexit
import gc
import os
import re
import select
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from trendtrain import __version__
from trendtrain.commands import (
    annotations,
    completion,
    db,
    evaluate,
    export,
    import_bars,
    label,
    live,
    predict,
    report,
    stats,
)
from trendtrain.commands.errors import report_error, report_own
from trendtrain.commands.train import announce, run_overrides
from trendtrain.errors import (
    EXIT_CLOSED_PIPE,
    EXIT_CTRL_C,
    EXIT_FAILED,
    EXIT_MISTAKE,
    TRY_AGAIN,
    CostWarning,
    InputError,
    StorageError,
    did_you_mean,
    is_disk_fault,
)

_COMMANDS = (live, import_bars, label, predict, evaluate, export, stats, report, annotations, db, completion)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code; an error that the user can act on is one line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    atexit.register(gc.freeze)  # the process ends: to collect what it leaves takes seconds, and frees nothing of use
    try:
        exit_code = _run_command(arguments)
        sys.stdout.flush()
        return exit_code
    except (InputError, StorageError) as error:
        return report_error(error)
    except BrokenPipeError:
        if not _is_read_no_more():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CLOSED_PIPE
    except OSError as error:
        if not is_disk_fault(error):
            raise
        return report_error(StorageError(f"The disk failed: {error}. {TRY_AGAIN}"))
    except KeyboardInterrupt:
        return EXIT_CTRL_C
    except Exception as error:
        if not report_own(error):
            raise
        return EXIT_FAILED


def _is_read_no_more() -> bool:
    """Return whether nobody reads what is printed, as behind `| head`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _run_command(arguments: list[str]) -> int:
    command, overrides = arguments[:1], arguments[1:]
    if command == ["train"] or (command == ["live"] and not _names_action(overrides)):
        announce(overrides)
        return _run(partial(run_overrides, overrides, "train" if command == ["train"] else "live"))
    options = _parser().parse_args(arguments)
    return _run(partial(options.run, options))


def _names_action(arguments: list[str]) -> bool:
    """Return whether the arguments of `live` begin with an action of it, or with what was probably meant as one."""
    word = next(iter(arguments), "")
    return word.isalpha() and did_you_mean(word, live.ACTIONS) != "."  # no override is a bare word


def _run(command: Callable[[], int]) -> int:
    """Run a command; say so where compiling its loops takes noticeable time."""
    os.environ.setdefault("NUMBA_OPT", "1")  # compiles in six sevenths of the time; the loops are as fast as with 3
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


class _Parser(argparse.ArgumentParser):
    """A parser that names the command or the option which was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print one line, and exit; the usage too where something is missing."""
        if message.startswith("the following arguments are required"):
            super().error(message)
        unknown = re.search(r"invalid choice: '([^']*)'|unrecognized arguments: (-\S+)", message)
        words = list(_words(self))
        hint = did_you_mean(next(filter(None, unknown.groups())), words) if unknown else "."
        self.exit(EXIT_MISTAKE, f"{self.prog}: error: {message}{hint}\n")


def _words(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options and commands of a parser, and those of its commands."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices
            for inner in action.choices.values():
                yield from _words(inner)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="trendtrain", description="Train trend models on delayed labels.")
    parser.add_argument("--version", action="version", version=f"trendtrain {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help="the main job; takes Hydra overrides such as data=files data.path=FILE")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
