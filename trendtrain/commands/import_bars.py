"""`trendtrain import`: bars into the database, with a quality report."""

import argparse
from pathlib import Path

from trendtrain.commands.options import add_db


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("import", help="bars into the database, with a quality report")
    parser.add_argument("path", nargs="+", type=Path, help="CSV, Parquet, Feather or JSON files, or folders of them")
    parser.add_argument("--symbol", help="symbol of the bars; by default from the file's name, as in ETHUSDT_1h.csv")
    parser.add_argument("--timeframe", help="their timeframe, such as 5m; by default from their times")
    add_db(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import, and show a report on each file."""
    from trendtrain.report import import_table, show
    from trendtrain.storage.bars import BarStore
    from trendtrain.storage.database import open_database
    from trendtrain.storage.importers import find_files, import_files

    files = [file for path in options.path for file in find_files(path)]
    engine = open_database(options.db)
    try:
        reports = import_files(BarStore(engine), files, options.symbol, options.timeframe)
    finally:
        engine.dispose()
    show(import_table(reports))
    return 0
