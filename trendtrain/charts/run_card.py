"""Say what a run is, in the forms that TensorBoard shows: a page, a table row, and an order of charts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_COMPARED: Final = ("n_classes", "data", "labels", "model", "replay", "walk")
_NOT_COMPARED: Final = (  # said elsewhere, or without effect on scores
    "data.source",
    "data.features",
    "data.resident",
    "data.n_",
    "model.net.n_",
    "model.net.window",
)

_PROMISES: Final = """\
**What this run promises**

- *No fact from the future.* A prediction at the close of a bar uses that bar and earlier ones; a label is used from
  the close on at which both pivots of its line are certain, and neither lies before the prediction.
- *One line, one observation.* Event accuracy is the mean over judging lines of the share each found correct; its
  interval comes from blocks of lines close in time, and is missing while there are fewer than 8 blocks.
- *Simple rules on the same verdicts.* Each `baseline_...` answered at the same bars and was judged by the same lines.
  A model that is not above the best of them has learned nothing worth having.
- *Market time.* The Wall axis shows when a number could be known: the close of the step's last bar.
"""


def describe_run(config: Mapping[str, Any]) -> str:
    """Return a page in Markdown: what a run promises, and its configuration as a table.

    Example:
        >>> describe_run({"labels": {"strength": [1, 1]}}).splitlines()[-1]
        '| labels.strength | 1, 1 |'
    """
    if not config:
        return _PROMISES
    rows = "\n".join(f"| {key} | {_escape(_text(value))} |" for key, value in flatten(config))
    return f"{_PROMISES}\n**Configuration**\n\n| key | value |\n| --- | --- |\n{rows}"


def compared(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Return what tells one run from another, flat, in plain types.

    Example:
        >>> compared({"seed": 1, "model": {"_target_": "mine.Net", "lr": 0.1, "path": None}, "n_threads": 2})
        {'Learning rate': 0.1, 'Seed': 1, 'model': 'Net', 'model.lr': 0.1}
    """
    parts = flatten(_headline(config) | {name: config[name] for name in _COMPARED if name in config})
    telling = {key: value for key, value in parts if not key.startswith(_NOT_COMPARED)}
    return {key: value if isinstance(value, int | float) else _text(value) for key, value in telling.items()}


def _headline(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what runs differ in most; TensorBoard sorts by name, capitals first, and shows five columns at once."""
    model, replay = config.get("model", {}), dict(config.get("replay", {}).get("weigh", {}))
    weigh = str(replay.pop("_target_", "")).rpartition(".")[2]
    how = ", ".join(f"{key} {value}" for key, value in replay.items() if key != "_partial_")
    named = {
        "Learning rate": model.get("lr"),
        "Model": str(model.get("net", {}).get("_target_", "")).rpartition(".")[2] or None,
        "Replay": f"{weigh} {how}".strip() or None,
        "Seed": config.get("seed"),
    }
    return {name: value for name, value in named.items() if value is not None}


def flatten(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value with its dotted key; a part goes by the class or function it names, what is null is left out."""
    for name, value in config.items():
        key = f"{path}{name}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{key}.")
        elif name == "_target_":
            yield path.removesuffix("."), str(value).rpartition(".")[2]
        elif name != "_partial_" and value is not None:
            yield key, value


def chart_order(names: Sequence[str]) -> dict[str, dict[str, list[Any]]]:
    """Return the charts that the Custom Scalars page opens on, in the words of `SummaryWriter.add_custom_scalars`.

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
