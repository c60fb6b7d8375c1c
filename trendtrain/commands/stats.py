"""`trendtrain stats`: the six numbers per model, symbol and timeframe."""

import argparse
import json
import sys

from trendtrain.commands.options import add_db


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("stats", help="the six numbers per model, symbol and timeframe")
    add_db(parser)
    parser.add_argument("--run", dest="run_id", help="a run's id, or all; by default the latest run")
    parser.add_argument("--json", action="store_true", help="as a list of objects in JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show the counts of the ledger."""
    from trendtrain.ledger_report import stats_table
    from trendtrain.storage.database import is_missing, open_database
    from trendtrain.storage.ledger import Ledger
    from trendtrain.terminal import show

    # A question makes no file.
    engine = open_database("sqlite://" if is_missing(options.db) else options.db)
    try:
        rows = Ledger(engine).stats(options.run_id)
    finally:
        engine.dispose()
    if options.json:
        sys.stdout.write(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
    else:
        show(stats_table(rows) if rows else f"No predictions yet in {options.db}.")
    return 0
