"""`trendtrain live status` and `trendtrain live models`: how a live run is, and which model predicts."""

import argparse
import json
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from trendtrain.commands.options import add_db, existing_database, whole
from trendtrain.errors import EXIT_FAILED, InputError, check_at_least

ACTIONS: Final = ("status", "models")
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
    _add_models(actions.add_parser("models", help="versions of models, going back to one, promoting a shadow"))


def _add_models(models: argparse.ArgumentParser) -> None:
    actions = models.add_subparsers(required=True, metavar="ACTION")
    parser = actions.add_parser("list", help="the versions that were kept, and the tests of shadows")
    add_db(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=list_models)
    parser = actions.add_parser("rollback", help="let a run that has stopped go on with an earlier version")
    parser.add_argument("folder", metavar="RUN_FOLDER", type=Path, help="folder of the run")
    parser.add_argument("--to", metavar="VERSION", type=whole, required=True, help="number of the version")
    add_db(parser)
    parser.set_defaults(run=rollback)
    help_text = "make a shadow the active run, if it is better on the same events; exit code 0 if so, 1 if not"
    parser = actions.add_parser("promote", help=help_text)
    parser.add_argument("run_name", metavar="RUN", help="the run that is a shadow, or its folder")
    parser.add_argument("--over", metavar="RUN", required=True, help="the run that is active, or its folder")
    events = "least events of both since the last look (%(default)s)"
    parser.add_argument("--min-events", metavar="N", type=whole, default=100, help=events)
    add_db(parser)
    parser.set_defaults(run=promote)


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


def list_models(options: argparse.Namespace) -> int:
    """Show the versions of models and the tests of shadows."""
    from trendtrain.live.models_table import models_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.ledger import registry

    with existing_database(options.db) as engine, engine.connect() as connection:
        versions, tests = registry.versions(connection), registry.promotion_test_rows(connection)
    if options.json:
        found = {"versions": [asdict(one) for one in versions], "tests": [asdict(one) for one in tests]}
        show_json({"active": registry.active_run(tests), **found})
    else:
        show(models_table(versions, tests))
    return 0


def rollback(options: argparse.Namespace) -> int:
    """Put the weights of an earlier version into the last checkpoint of a run, and print how it goes on."""
    from trendtrain.live.handover import TRAINER_FOLDER
    from trendtrain.live.monitor import STATUS_FILE
    from trendtrain.live.status import is_running, read_facts
    from trendtrain.live.versions import roll_back
    from trendtrain.reports.run_file import RunFile
    from trendtrain.reports.terminal import show
    from trendtrain.storage.ledger.ledger import Ledger

    check_at_least("to", options.to, 1)
    name = RunFile.read(options.folder).name
    if (options.folder / STATUS_FILE).exists() and is_running(read_facts(options.folder)):
        raise InputError(f"`RUN_FOLDER` must be that of a run which has stopped, got {options.folder}, which runs.")
    apart = options.folder / TRAINER_FOLDER
    folder = apart if apart.exists() else options.folder
    with existing_database(options.db) as engine:
        version = roll_back(Ledger(engine), name, folder / "checkpoints", options.to)
    show(f"{name} goes on as version {version.version}, which is version {options.to}, when it is started again.")
    return 0


def promote(options: argparse.Namespace) -> int:
    """Promote a shadow by the paired test, print the result, and return 0 if it was promoted, otherwise 1."""
    from trendtrain.commands.stats import run_id
    from trendtrain.live.models_table import test_line
    from trendtrain.reports.terminal import show
    from trendtrain.storage.ledger import registry
    from trendtrain.storage.ledger.ledger import now_ms

    check_at_least("min_events", options.min_events, 0)
    names = (run_id(options.run_name), run_id(options.over))
    with existing_database(options.db) as engine, engine.begin() as connection:
        test = registry.look(connection, *names, options.min_events, now_ms())
    show(test_line(test))
    return 0 if test.is_promoted else EXIT_FAILED


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
