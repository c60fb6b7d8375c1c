"""`trendtrain import`: bars into the database, with a quality report."""

import argparse
import json
from pathlib import Path

from trendtrain.commands.options import add_db, add_json, storing_database


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("import", help="bars into the database, with a quality report")
    files = "CSV, Parquet, Feather or JSON files, packed with zip or gzip or not, or folders of them"
    parser.add_argument("path", nargs="+", type=Path, help=files)
    parser.add_argument("--symbol", help="symbol of the bars; by default from the file's name, as in ETHUSDT_1h.csv")
    parser.add_argument("--timeframe", help="their timeframe, such as 5m; by default from their times")
    parser.add_argument(
        "--layout",
        help="how the files are laid out, such as binance (docs/importing.md lists all); by default detected",
    )
    zone = "time zone of times written without one, such as EET or America/New_York; by default the layout's"
    parser.add_argument("--timezone", help=zone)
    strict = (
        "refuse rows out of order, conflicts, broken prices, bars off the grid, and bars that differ from stored ones"
    )
    parser.add_argument("--strict", action="store_true", help=strict)
    add_db(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import, and show a report on each file."""
    from trendtrain.importing import ReadOptions, find_files, import_files
    from trendtrain.reports.report import import_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore

    files = [file for path in options.path for file in find_files(path, options.layout)]
    read = ReadOptions(options.symbol, options.timeframe, options.layout, options.timezone)
    with storing_database(options.db) as engine:
        reports = import_files(BarStore(engine), files, read, strict=options.strict, may_replace=not options.strict)
    if options.json:
        show_json([json.loads(report.as_json()) for report in reports])
    else:
        show(import_table(reports))
    return 0
