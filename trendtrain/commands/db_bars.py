"""`trendtrain db compact` and `trendtrain db export`: look after stored bars."""

import argparse
from pathlib import Path

from trendtrain.commands.options import add_db, open_existing


def add_compact(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `compact` and its options."""
    parser = actions.add_parser("compact", help="merge small blocks of bars, such as those of single live bars")
    add_db(parser)
    parser.set_defaults(run=compact)


def add_export(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `export` and its options."""
    parser = actions.add_parser("export", help="the bars of a series into a file")
    parser.add_argument("symbol", help="symbol of the series, such as BTCUSDT")
    parser.add_argument("timeframe", help="its timeframe, such as 5m")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .parquet or .csv")
    parser.add_argument(
        "--start", metavar="TIME", help="first open time, as 2024-01-31T12:00; by default the first bar"
    )
    parser.add_argument("--end", metavar="TIME", help="open time to stop before; by default after the last bar")
    add_db(parser)
    parser.set_defaults(run=export)


def compact(options: argparse.Namespace) -> int:
    """Merge small blocks, and say how many there were and are."""
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.store import BarStore

    engine = open_existing(options.db)
    try:
        done = BarStore(engine).compact()
    finally:
        engine.dispose()
    for one in done:
        show(f"{' '.join(one.series)}: {one.before:,} blocks, now {one.after:,}")
    if not done:
        show("no bars")
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a series to a file, and say how many bars it holds."""
    from trendtrain.reports.terminal import show
    from trendtrain.storage.bars.files import write_bars
    from trendtrain.storage.bars.store import BarStore

    engine = open_existing(options.db)
    try:
        bars = BarStore(engine).load(options.symbol, options.timeframe, options.start, options.end)
    finally:
        engine.dispose()
    write_bars(bars, options.out)
    show(f"{len(bars):,} bars of {options.symbol} {options.timeframe} written to {options.out}")
    return 0
