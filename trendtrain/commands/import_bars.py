"""`trendtrain import`: bars into the database, with a quality report."""

import argparse
import json

from trendtrain.commands.options import add_db, add_files, add_json, files_of, storing_database


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("import", help="bars into the database, with a quality report")
    add_files(parser)
    strict = (
        "refuse rows out of order, conflicts, broken prices, bars off the grid, and bars that differ from stored ones"
    )
    parser.add_argument("--strict", action="store_true", help=strict)
    add_db(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Import, and show a report on each file."""
    from trendtrain.importing import ReadOptions, import_files
    from trendtrain.reports.report import import_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore

    files = files_of(options)
    read = ReadOptions(options.symbol, options.timeframe, options.layout, options.timezone)
    with storing_database(options.db) as engine:
        reports = import_files(BarStore(engine), files, read, strict=options.strict, may_replace=not options.strict)
    if options.json:
        show_json([json.loads(report.as_json()) for report in reports])
    else:
        show(import_table(reports))
    return 0
