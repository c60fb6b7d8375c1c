"""`trendtrain label`: labels of files of bars, for use anywhere."""

import argparse
from pathlib import Path

from trendtrain.commands.options import add_files, add_json, add_out, real, whole


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("label", help="labels of a file of bars, one row a bar, as Parquet or CSV")
    add_files(parser)
    add_out(parser)
    parser.add_argument("--strength", type=whole, nargs="+", default=[1, 1], help="per level, two or more (1 1)")
    parser.add_argument("--tie", default="plateau", help="plateau or strict (%(default)s)")
    parser.add_argument("--inside", default="keep", help="keep or skip (%(default)s)")
    parser.add_argument("--flat-band", type=real, default=0.0, help="relative price change that is FLAT (%(default)s)")
    parser.add_argument("--max-gap", type=whole, help="missing bars that end a segment; by default none do")
    parser.add_argument("--plot", type=Path, help="FILE.png or FILE.html: bars, pivots and lines of one input file")
    parser.add_argument("--plot-bars", type=whole, help="bars to draw (300)")
    parser.add_argument("--plot-start", help="time of the first bar to draw; by default the last bars are drawn")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Label the files."""
    from trendtrain.commands.label_files import label_files

    return label_files(options)
