"""`trendtrain stats`: the six numbers per model, symbol and timeframe."""

import argparse

from trendtrain.commands.options import add_db


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("stats", help="the six numbers per model, symbol and timeframe")
    add_db(parser)
    parser.add_argument("--run", dest="run_id", help="a run's id, or all; by default the latest run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the counts of the ledger."""
    from trendtrain.report import show, stats_table
    from trendtrain.storage.database import open_database
    from trendtrain.storage.ledger import Ledger

    engine = open_database(options.db)
    try:
        rows = Ledger(engine).stats(options.run_id)
    finally:
        engine.dispose()
    show(stats_table(rows) if rows else f"No predictions yet in {options.db}.")
    return 0
