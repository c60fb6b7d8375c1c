"""What `trendtrain train --help` prints: the choices, and the keys that are set most often."""

import textwrap
from typing import Final

from trendtrain.keys import choices_of, defaults_of, main_configuration

_HEAD: Final = """\
usage: trendtrain {command} [KEY=VALUE ...] [--multirun] [--cfg job]

Train a model on bars step by step: predict new bars, judge earlier predictions, learn from the verdicts.

Choices (KEY=NAME, the default first):
"""
_TAIL: Final = """
Keys that are set most often:
  data.path=FILE_OR_FOLDER  bars of your own, with data=files
  db.url=URL                database of bars and results (sqlite:///trendtrain.db)
  run.name=NAME             name of the run: its folder is runs/NAME
  seed=N                    of weights, draws and synthetic bars (0)
  walk.start=0.25           where the stream starts: a share of the time, or a date
  walk.step=1d              length of a step: a time, or a number such as 256bars
  walk.steps=N              how many steps at most
  trainer.accelerator=gpu   any argument of a Lightning Trainer; one that is new takes a +: +trainer.max_time=...
  ckpt=last                 go on with the run in hydra.run.dir=FOLDER

All keys with their values: --cfg job. Two values or more (--multirun model=mlp,cnn) make a sweep.
"""
_OF_LIVE: Final = """
trendtrain live status --help, live models --help: how a live run is, and which model predicts.
"""


def train_help(command: str) -> str:
    """Return the help of `trendtrain train`, or of `live`, which takes the same and `feed=`."""
    lines = []
    feed = {"feed": "replay"} if command == "live" else {}
    for group, default in (defaults_of(main_configuration()) | feed).items():
        choices = choices_of(group)
        if len(choices) > 1:
            names = ", ".join(sorted(choices, key=lambda name: name != default))
            lines += textwrap.wrap(f"  {group:<12}{names}", 80, subsequent_indent=14 * " ")
    text = "\n".join(lines)
    return f"{_HEAD.format(command=command)}{text}\n{_TAIL}{_OF_LIVE if feed else ''}"
