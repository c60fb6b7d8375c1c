"""`trendtrain db`: inspect and maintain a database."""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

from trendtrain.commands.options import add_db, add_json, check_is_kept, existing_database, whole
from trendtrain.errors import InputError

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_Actions: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_parser(commands: _Actions) -> None:
    """Add the command, its actions and their options."""
    parser = commands.add_parser("db", help="inspect and maintain a database")
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    add_json(_add(actions, "info", info, "schema version, series, runs, and how many rows each table has"))
    _add(actions, "upgrade", upgrade, "bring the tables of an older trendtrain to this one's version")
    _add_prune(actions)
    _add(actions, "compact", compact, "merge small blocks of bars, such as those of single live bars")
    _add_export(actions)
    _add_delete(actions)


def _add(
    actions: _Actions, name: str, run: Callable[[argparse.Namespace], int], description: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=description)
    add_db(parser)
    parser.set_defaults(run=run)
    return parser


def _add_prune(actions: _Actions) -> None:
    parser = _add(actions, "prune", prune, "delete runs from the ledger, with all they wrote; bars stay")
    parser.add_argument("--older-than", metavar="AGE", help="runs that last wrote longer ago, such as 36h, 90D, 12w")
    parser.add_argument("--keep-runs", metavar="N", type=whole, help="all but the N runs started last")


def _add_export(actions: _Actions) -> None:
    parser = _add(actions, "export", export, "the bars of a series into a file")
    _add_range(parser)
    parser.add_argument("--out", type=Path, required=True, help="file to write, .parquet or .csv")


def _add_delete(actions: _Actions) -> None:
    parser = _add(actions, "delete", delete, "delete bars of a series, all or those of a time")
    _add_range(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _add_range(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("symbol", help="symbol of the series, such as BTCUSDT")
    parser.add_argument("timeframe", help="its timeframe, such as 5m")
    start = "first open time, as 2024-01-31T12:00; by default the first bar"
    parser.add_argument("--start", metavar="TIME", help=start)
    parser.add_argument("--end", metavar="TIME", help="open time to stop before; by default after the last bar")


def info(options: argparse.Namespace) -> int:
    """Show what the database holds."""
    from trendtrain.reports.ledger_report import info_table
    from trendtrain.reports.summary import show_json
    from trendtrain.reports.terminal import show
    from trendtrain.storage.database_info import database_info
    from trendtrain.storage.schema_version import VERSION

    with existing_database(options.db) as engine:
        url, found = str(engine.url), database_info(engine)
    if options.json:
        show_json({"url": url, "version": VERSION, **asdict(found)})
    else:
        show(info_table(url, VERSION, found))
    return 0


def upgrade(options: argparse.Namespace) -> int:
    """Upgrade the database, and print its version before."""
    from sqlalchemy import make_url

    from trendtrain.reports.terminal import show
    from trendtrain.storage.database import upgrade_database
    from trendtrain.storage.schema_version import VERSION

    check_is_kept(options.db)
    before = upgrade_database(options.db)
    url = make_url(options.db)
    if before == VERSION:
        show(f"{url} has schema version {VERSION} already.")
    else:
        show(f"{url}: from {'nothing' if before is None else f'schema version {before}'} to {VERSION}.")
    return 0


def prune(options: argparse.Namespace) -> int:
    """Delete runs, and print which."""
    from trendtrain.reports.terminal import show
    from trendtrain.storage.ledger.ledger import Ledger

    age = None if options.older_than is None else _age(options.older_than)
    with existing_database(options.db) as engine:
        deleted = Ledger(engine).prune(age, options.keep_runs)
    show(f"deleted: {', '.join(deleted) or 'no run'}")
    return 0


def compact(options: argparse.Namespace) -> int:
    """Merge small blocks, and print their numbers before and after."""
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore

    with existing_database(options.db) as engine:
        done = BarStore(engine).compact()
    for one in done:
        show(f"{' '.join(one.series)}: {one.before:,} blocks, now {one.after:,}")
    if not done:
        show("no bars")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a series to a file, and print how many bars it holds."""
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore
    from trendtrain.storage.table_files import write_bars

    with existing_database(options.db) as engine:
        bars = BarStore(engine).load(options.symbol, options.timeframe, options.start, options.end)
    write_bars(bars, options.out)
    show(f"{len(bars):,} bars of {options.symbol} {options.timeframe} written to {options.out}")
    return 0


def delete(options: argparse.Namespace) -> int:
    """Delete bars of a series when the user agrees, and print how many there were."""
    from trendtrain.market.timeframe import format_timeframe
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore

    with existing_database(options.db) as engine:
        store, chosen = BarStore(engine), (options.symbol, options.timeframe, options.start, options.end)
        bars = store.load(*chosen)
        series = f"{options.symbol} {format_timeframe(bars.timeframe)}"
        found = f"{len(bars):,} bars of {series}, {bars.open_time[0]} to {bars.open_time[-1]}"
        if not options.yes and not _agrees(f"Delete {found}, from {engine.url}?"):
            show("nothing deleted")
            return 0
        n_deleted = store.delete(*chosen)
    show(f"{n_deleted:,} bars of {series} deleted")
    return 0


def _agrees(question: str) -> bool:
    """Ask on the terminal.

    Raises:
        InputError: If nobody is there to answer.
    """
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stderr.write("\n")
        raise InputError("`--yes` must be given where nobody can answer, got no answer.")
    return answer.strip().lower() in ("y", "yes")


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([hdw])", text.lower())
    if match is None:
        raise InputError(f"`--older-than` must be hours, days or weeks such as 36h, 90D, 12w, got {text!r}.")
    return int(match[1]) * _UNITS[match[2]]
