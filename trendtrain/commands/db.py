"""`trendtrain db`: look at a database, and look after it."""

import argparse
import re
from datetime import timedelta

from trendtrain.commands.db_bars import add_compact, add_export
from trendtrain.commands.options import add_db, open_existing, whole
from trendtrain.errors import InputError

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command, its actions and their options."""
    parser = commands.add_parser("db", help="look at a database, and look after it")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_info(actions)
    _add_upgrade(actions)
    _add_prune(actions)
    add_compact(actions)
    add_export(actions)


def _add_info(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("info", help="schema version, series, runs, and how many rows each table has")
    add_db(parser)
    parser.set_defaults(run=info)


def _add_upgrade(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("upgrade", help="bring the tables of an older trendtrain to this one's version")
    add_db(parser)
    parser.set_defaults(run=upgrade)


def _add_prune(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("prune", help="delete runs from the ledger, with all they wrote; bars stay")
    parser.add_argument("--older-than", metavar="AGE", help="runs that last wrote longer ago, such as 36h, 90D, 12w")
    parser.add_argument("--keep-runs", metavar="N", type=whole, help="all but the N runs started last")
    add_db(parser)
    parser.set_defaults(run=prune)


def info(options: argparse.Namespace) -> int:
    """Show what the database holds."""
    from trendtrain.reports.ledger_report import contents_table
    from trendtrain.reports.terminal import show
    from trendtrain.storage.contents import contents_of
    from trendtrain.storage.versions import VERSION

    engine = open_existing(options.db)
    try:
        show(contents_table(str(engine.url), VERSION, contents_of(engine)))
    finally:
        engine.dispose()
    return 0


def upgrade(options: argparse.Namespace) -> int:
    """Upgrade the database, and say from which version."""
    from sqlalchemy import make_url

    from trendtrain.reports.terminal import show
    from trendtrain.storage.database import upgrade_database
    from trendtrain.storage.versions import VERSION

    before = upgrade_database(options.db)
    url = make_url(options.db)
    if before == VERSION:
        show(f"{url} has schema version {VERSION} already.")
    else:
        show(f"{url}: from {'nothing' if before is None else f'schema version {before}'} to {VERSION}.")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Delete runs, and say which."""
    from trendtrain.reports.terminal import show
    from trendtrain.storage.ledger.ledger import Ledger

    age = None if options.older_than is None else _age(options.older_than)
    engine = open_existing(options.db)
    try:
        deleted = Ledger(engine).prune(age, options.keep_runs)
    finally:
        engine.dispose()
    show(f"deleted: {', '.join(deleted) or 'no run'}")
    return 0


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text.lower())
    if match is None:
        raise InputError(f"`--older-than` must be hours, days or weeks such as 36h, 90D, 12w, got {text!r}.")
    return int(match[1]) * _UNITS[match[2]]
