"""`trendtrain export`: a trained net for other runtimes."""

import argparse
from pathlib import Path

from trendtrain.commands.checkpoints import add_ckpt, load_predictor


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("export", help="a trained net for other runtimes: ONNX, or torch.export")
    add_ckpt(parser)
    parser.add_argument("--out", type=Path, required=True, help="FILE.onnx or FILE.pt2")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the net, and say what goes in and comes out."""
    from trendtrain.data.export import export_net
    from trendtrain.reports.terminal import show

    shapes = export_net(load_predictor(options.ckpt), options.out)
    show(f"written: {options.out}")
    for name, shape in shapes.items():
        show(f"  {name:<7} float32 ({', '.join(map(str, shape))})")
    return 0
