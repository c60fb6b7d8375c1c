"""`trendtrain db`: look at a database, and look after it."""

import argparse

from trendtrain.commands.options import add_db


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command, its actions and their options."""
    parser = commands.add_parser("db", help="look at a database, and look after it")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    _add_info(actions)
    _add_upgrade(actions)


def _add_info(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("info", help="what the database holds")
    add_db(parser)
    parser.set_defaults(run=info)


def _add_upgrade(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = actions.add_parser("upgrade", help="bring the tables of an older trendtrain to this one's version")
    add_db(parser)
    parser.set_defaults(run=upgrade)


def info(options: argparse.Namespace) -> int:
    """Show what the database holds."""
    from sqlalchemy import func, select

    from trendtrain.report import show
    from trendtrain.storage.database import open_database
    from trendtrain.storage.schema import metadata

    engine = open_database(options.db)
    try:
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                show(f"{table.name}: {connection.scalar(select(func.count()).select_from(table)):,} rows")
    finally:
        engine.dispose()
    return 0


def upgrade(options: argparse.Namespace) -> int:
    """Upgrade the database."""
    from trendtrain.report import show
    from trendtrain.storage.database import open_database

    open_database(options.db).dispose()
    show(f"{options.db} is up to date.")
    return 0
