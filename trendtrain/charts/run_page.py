"""Describe a run in TensorBoard: its text page, its row among other runs, and the order of its charts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard.summary import custom_scalars, hparams

# What runs are compared by in the HParams table: final scores, and parts of the configuration.
_SCORES: Final = ("trend/event_accuracy", "trend/over_best", "trend/nll", "trend/ece")
_COMPARED: Final = ("n_classes", "data", "labels", "model", "replay", "walk")
_NOT_COMPARED: Final = (  # given elsewhere, or without effect on scores
    "data.source",
    "data.features",
    "data.resident",
    "data.n_",
    "model.net.n_",
    "model.net.window",
)

_NO_FUTURE: Final = """\
- *No fact from the future.* A prediction at the close of a bar uses that bar and earlier ones; a label is used from
  the close on at which both pivots of its line are certain, and neither lies before the prediction.
"""
_UNCHECKED: Final = """\
- *Not checked: facts from the future.* A label is used from the close on at which its own rule says that it is known.
  Whether {parts} look ahead was not checked: `trendtrain.laws.check_causal` does.
"""
_SAMPLED: Final = """\
- *No fact from the future.* A label is used from the close on at which it is known. {parts} are not the package's own:
  before the run they were called on bars cut off at several places, and gave the same for every earlier bar.
"""
_PROMISES: Final = """\
**What this run promises**

{future}\
- *One line, one observation.* Event accuracy is the mean over judging lines of the share each found correct; its
  interval comes from blocks of lines close in time, and is missing while there are fewer than 8 blocks.
- *Simple rules on the same verdicts.* Each `baseline_...` predicted at the same bars and was judged by the same lines.
  A model that is not above the best of them has learned nothing worth having.
- *Market time.* The Wall axis shows when a number could be known: the close of the step's last bar.
"""


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


def describe_run(config: Mapping[str, Any]) -> str:
    """Return a page in Markdown: what a run guarantees, and its configuration as a table.

    Example:
        >>> describe_run({"labels": {"strength": [1, 1]}}).splitlines()[-1]
        '| labels.strength | 1, 1 |'
    """
    promises = _PROMISES.format(future=_about_the_future(config))
    if not config:
        return promises
    rows = "\n".join(f"| {key} | {_escape(_text(value))} |" for key, value in flatten(config))
    return f"{promises}\n**Configuration**\n\n| key | value |\n| --- | --- |\n{rows}"


def _about_the_future(config: Mapping[str, Any]) -> str:
    """Return the promise that no function looks ahead: our own ones are tested, others checked on a sample, or not."""
    data = config.get("data", {})
    parts = {"labels": config.get("labels"), "data.features": data.get("features"), "data.side": data.get("side")}
    if data and parts["data.side"] is None:
        del parts["data.side"]  # left out
    named = [(name, path) for name, part in parts.items() for path in _targets(part or {})]
    unchecked = [f"`{name}` ({_escape(path)})" for name, path in named if not path.startswith("trendtrain.")]
    if not unchecked:
        return _NO_FUTURE
    return (_SAMPLED if data.get("check_causal") else _UNCHECKED).format(parts=" and ".join(unchecked))


def _targets(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the function or class that a part names, and those of the parts inside it."""
    yield part.get("_target_", "not given")
    for inner in part.values():
        if isinstance(inner, Mapping) and "_target_" in inner:
            yield from _targets(inner)


def compared(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the keys and values in which runs differ, flat, in plain types.

    Example:
        >>> compared({"seed": 1, "model": {"_target_": "mine.Net", "lr": 0.1, "path": None}, "n_threads": 2})
        {'Learning rate': 0.1, 'Seed': 1, 'model': 'Net', 'model.lr': 0.1}
    """
    parts = flatten(_headline(config) | {name: config[name] for name in _COMPARED if name in config})
    return {
        key: value if isinstance(value, int | float) else _text(value)
        for key, value in parts
        if not key.startswith(_NOT_COMPARED)
    }


def _headline(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys in which runs differ most; TensorBoard sorts capitals first and shows five columns at once."""
    model, replay = config.get("model", {}), dict(config.get("replay", {}).get("weigh", {}))
    weigh = str(replay.pop("_target_", "")).rpartition(".")[2]
    options = ", ".join(f"{key} {value}" for key, value in replay.items() if key != "_partial_")
    named = {
        "Learning rate": model.get("lr"),
        "Model": str(model.get("net", {}).get("_target_", "")).rpartition(".")[2] or None,
        "Replay": f"{weigh} {options}".strip() or None,
        "Seed": config.get("seed"),
    }
    return {name: value for name, value in named.items() if value is not None}


def flatten(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is not null with its dotted key; the value of a part is the class or function it names."""
    for name, value in config.items():
        key = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{key}.")
        elif name == "_target_":
            yield path.removesuffix("."), str(value).rpartition(".")[2]
        elif name != "_partial_" and value is not None:
            yield key, value


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
        "model against simple rules, on the same verdicts": ["event_accuracy", *rules],
        "event accuracy, of all events and of late": ["event_accuracy", "accuracy_fading"],
        "negative log-likelihood (0.693: a coin)": ["nll"],
        "calibration error": ["ece"],
        "expected accuracy of what is waiting, and accuracy so far": ["expected_accuracy", "accuracy"],
        "predictions that wait for their label": ["pending"],
        "bars from a prediction to its verdict, median": ["delay_bars"],
    }
    more = {title: ["Multiline", [f"^trend/{tag}$" for tag in tags]] for title, tags in lines.items()}
    return {"Skill": intervals, "More": more}


def _band(name: str) -> list[str]:
    return [f"trend/{name}_{part}" for part in ("mid", "low", "high")]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
