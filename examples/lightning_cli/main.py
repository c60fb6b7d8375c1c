"""A LightningCLI that walks through a file of bars; needs `pip install "jsonargparse[signatures]"`.

python examples/lightning_cli/main.py fit --config examples/lightning_cli/config.yaml --data.path bars/ETHUSDT_1h.csv
"""

from pathlib import Path

from lightning.pytorch.cli import LightningCLI

from trendtrain.callbacks import TrendValidation, WalkProgress
from trendtrain.data import PivotDataModule, Walk
from trendtrain.importing import read_bars
from trendtrain.models import TrendModule


class FileOfBars(PivotDataModule):
    """The walk through the bars of one file.

    Args:
        path: A file of bars; its name gives symbol and timeframe.
        window: Bars in a window.
        step: Length of a walk step, such as `256bars` or `1d`.
        steps: How many walk steps; None for all.
        seed: Of the draws of the replay.
    """

    def __init__(
        self, path: Path, window: int = 96, step: str = "256bars", steps: int | None = None, seed: int = 0
    ) -> None:
        series, bars = read_bars(path)
        super().__init__({series: bars}, window=window, walk=Walk(step=step, steps=steps), seed=seed)


def main() -> None:
    """Run the command line, and print the event accuracy of a fit."""
    trend = TrendValidation()
    defaults = {"max_epochs": -1, "callbacks": [trend, WalkProgress()], "logger": False, "enable_checkpointing": False}
    LightningCLI(TrendModule, FileOfBars, trainer_defaults=defaults, save_config_callback=None)
    print(f"event accuracy {trend.summary()['event_accuracy']:.4f}")


if __name__ == "__main__":
    main()
