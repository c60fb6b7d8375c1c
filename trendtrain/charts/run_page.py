"""Describe a run in TensorBoard: its text page, its row among other runs, and the order of its charts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard.summary import custom_scalars, hparams

from trendtrain.charts.run_text import describe_run, flatten, headline, text_of

# What runs are compared by in the HParams table: final scores, and parts of the configuration.
_SCORES: Final = (
    "trend/event_accuracy",
    "trend/over_best",
    "trend/over_best_low",
    "trend/over_best_high",
    "trend/nll",
    "trend/ece",
)
_COMPARED: Final = ("n_classes", "data", "labels", "model", "replay", "walk")
_NOT_COMPARED: Final = (  # given elsewhere, or without effect on scores
    "data.source",
    "data.features",
    "data.resident",
    "data.n_",
    "model.net.n_",
    "model.net.window",
)
# TensorBoard sorts capitals first and shows five columns at once.
_HEADLINES: Final = {"data": "Data", "model": "Model", "lr": "Learning rate", "replay": "Replay", "seed": "Seed"}


def run_summaries(config: Mapping[str, Any], names: Sequence[str]) -> list[Summary]:
    """Return what TensorBoard shows of a run besides its points.

    Args:
        config: The resolved configuration; without one, the run has no row among the others.
        names: The scalars there are, without `trend/`.
    """
    parts = [text_pb("about this run", describe_run(config)), custom_scalars(chart_order(names))]
    return [*parts, *hparams(compared(config), dict.fromkeys(_SCORES, 0.0))[:2]] if config else parts


def run_end() -> Summary:
    """Return the note that a run ended well."""
    end: Summary = hparams({}, {})[2]
    return end


def compared(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the keys and values in which runs differ, flat, in plain types.

    Example:
        >>> compared({"seed": 1, "model": {"_target_": "mine.Net", "lr": 0.1, "path": None}, "n_threads": 2})
        {'Model': 'Net', 'Learning rate': 0.1, 'Seed': 1, 'model': 'Net', 'model.lr': 0.1}
    """
    told = {_HEADLINES[name]: value for name, value in headline(config).items()}
    parts = flatten(told | {name: config[name] for name in _COMPARED if name in config})
    return {
        key: value if isinstance(value, int | float) else text_of(value)
        for key, value in parts
        if not key.startswith(_NOT_COMPARED)
    }


def chart_order(names: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """Return the charts of the Custom Scalars page, in the format of `SummaryWriter.add_custom_scalars`.

    Args:
        names: The scalars there are, without `trend/`.
    """
    rules = [name for name in names if name.startswith("baseline_")]
    intervals = {"event accuracy, with its 95 % interval": ["Margin", _band("event_accuracy")]}
    if rules:
        intervals["model minus the best simple rule, with its 95 % interval"] = ["Margin", _band("over_best")]
    lines = {
        "event accuracy, recent": ["accuracy_fading"],
        "negative log-likelihood (a coin: 0.693)": ["nll"],
        "calibration error": ["ece"],
        "mean confidence of pending predictions": ["expected_accuracy"],
        "pending predictions": ["pending"],
        "bars from a prediction to its verdict, median": ["delay_bars"],
    }
    more = {title: ["Multiline", [f"^trend/{tag}$" for tag in tags]] for title, tags in lines.items()}
    return {"Skill": intervals, "More": more}


def _band(name: str) -> list[str]:
    return [f"trend/{name}_{part}" for part in ("mid", "low", "high")]
