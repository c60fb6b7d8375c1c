"""`trendtrain stats`: the scores of runs, and of runs side by side."""

import argparse
from pathlib import Path
from typing import Any

from trendtrain.commands.options import add_db, add_json, existing_database
from trendtrain.errors import InputError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("stats", help="accuracy and counts per model, symbol and timeframe; runs compared")
    add_db(parser)
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--run", dest="run_id", metavar="RUN", help="a run, or all; by default the latest run")
    chosen.add_argument(
        "--compare", nargs="+", metavar="RUN", help="two runs or more side by side: each against the first, by line"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show what the ledger holds; a run is its name, or its folder."""
    from trendtrain.reports.ledger_report import comparison_table, stats_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.ledger.ledger import Ledger

    with existing_database(options.db) as engine:
        if options.compare is not None:
            comparison = Ledger(engine).compare([run_id(name) for name in options.compare if _may_be_run(name)])
            found: Any = comparison.as_dict()
            table = comparison_table(comparison)
        else:
            ledger = Ledger(engine)
            rows = ledger.stats(None if options.run_id is None else run_id(options.run_id))
            found = [row.as_dict() for row in rows]
            hint = " by this run; --run all shows those of others" if not rows and ledger.stats("all") else ""
            table = stats_table(rows) if rows else f"No predictions yet in {options.db}{hint}."
    if options.json:
        show_json(found)
    else:
        show(table)
    return 0


def _may_be_run(name: str) -> bool:
    """Return whether a name is not that of what a sweep writes beside its runs, as multirun/DATE/TIME/* gives it."""
    from trendtrain.reports.sweep import CHARTS

    return not (Path(name).is_file() or Path(name).name == CHARTS)


def run_id(name: str) -> str:
    """Return the name of a run given by it or by its folder.

    Raises:
        InputError: If it is a folder without a run.
    """
    from trendtrain.reports.run_file import RunFile, has_run

    if not Path(name).is_dir():
        return name
    if not has_run(Path(name)):
        raise InputError(f"`run` must be a run's name or its folder, got {name}, which has no run.json.")
    return RunFile.read(Path(name)).name
