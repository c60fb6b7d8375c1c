"""`trendtrain annotations`: annotated trades as small files beside the database."""

import argparse
from pathlib import Path

from trendtrain.commands.errors import report_error
from trendtrain.commands.options import add_db, storing_database
from trendtrain.errors import InputError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command, its one subcommand, and its options."""
    parser = commands.add_parser("annotations", help="annotated trades as small files beside the database")
    parts = parser.add_subparsers(required=True, metavar="COMMAND")
    migrate = parts.add_parser("migrate", help="annotations with embedded bars: the bars into the database")
    migrate.add_argument("src", nargs="+", type=Path, help="JSON files in the old form, or folders of them")
    migrate.add_argument("--out", type=Path, required=True, help="folder for the small files, one an annotation")
    add_db(migrate)
    migrate.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Migrate, show what was done, and print a line for each annotation that was left out."""
    from trendtrain.annotations.migration import migrate
    from trendtrain.annotations.store import AnnotationStore
    from trendtrain.commands.annotations_table import migration_table
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore

    with storing_database(options.db) as engine:
        report = migrate(options.src, AnnotationStore(options.out, BarStore(engine)))
    show(migration_table(report, options.out))
    exit_code = 0
    for problem in report.problems:
        exit_code = report_error(InputError(problem))
    return exit_code
