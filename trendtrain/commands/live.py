"""`trendtrain live status`: how a live run is."""

import argparse
import json
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from trendtrain.commands.options import existing_database
from trendtrain.errors import EXIT_FAILED, InputError

ACTIONS: Final = ("status",)
_SECONDS_BETWEEN: Final = 1.0


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its actions; without one of them, its arguments are Hydra's."""
    live = commands.add_parser("live", help="the same on bars as they close; takes Hydra overrides such as feed=ccxt")
    actions = live.add_subparsers(required=True, metavar="ACTION")
    parser = actions.add_parser("status", help="how a live run is; exit code 0 where it is healthy, 1 where not")
    parser.add_argument("folder", metavar="RUN_FOLDER", nargs="?", type=Path, help="by default the newest in runs/")
    parser.add_argument("--db", help="database URL of its ledger; by default what its folder says")
    parser.add_argument("--json", action="store_true", help="as JSON, an object a line")
    parser.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    parser.set_defaults(run=status)


def status(options: argparse.Namespace) -> int:
    """Show how a live run is, and return 0 where it is healthy, otherwise 1."""
    from trendtrain.live.status import newest_folder, read_facts

    folder = options.folder or newest_folder()
    with existing_database(options.db or _database(read_facts(folder))) as engine:
        if options.watch:
            return _watch(folder, engine, options.json)
        found = _status(folder, engine)
        _show(found, options.json)
    return EXIT_FAILED if found["problems"] else 0


def _watch(folder: Path, engine: Any, as_json: bool) -> int:
    from rich.live import Live

    from trendtrain.live.status_table import status_table

    found = _status(folder, engine)
    with nullcontext() if as_json else Live(auto_refresh=False, screen=sys.stdout.isatty()) as screen:
        try:
            while True:
                if screen is None:
                    _show(found, as_json)
                else:
                    screen.update(status_table(found), refresh=True)
                time.sleep(_SECONDS_BETWEEN)
                found = _status(folder, engine)
        except KeyboardInterrupt:  # the way to end it
            return EXIT_FAILED if found["problems"] else 0


def _status(folder: Path, engine: Any) -> dict[str, Any]:
    from trendtrain.live.status import add_ledger, problems, read_facts

    facts = read_facts(folder)
    return {**add_ledger(facts, engine), "problems": problems(facts)}


def _show(found: dict[str, Any], as_json: bool) -> None:
    from trendtrain.live.status_table import status_table
    from trendtrain.reports.terminal import show

    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()
    else:
        show(status_table(found))


def _database(facts: dict[str, Any]) -> str:
    """Return where the run says that its ledger is.

    Raises:
        InputError: If it needs a password, which no file keeps.
    """
    from sqlalchemy import make_url

    url = str(facts["db"])
    if make_url(url).password is not None:
        raise InputError(f"`--db` must name the ledger where it needs a password, which no file keeps, got {url}.")
    return url
