"""Say in words what a run promises, and flatten its configuration for tables."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_NO_FUTURE: Final = """\
A prediction at the close of a bar uses that bar and earlier ones. A label is used from the close at which both pivots \
of its line are certain; both pivots lie after the predicted bar."""
_UNCHECKED: Final = """\
A label is used from the close at which its own rule says that it is known. Whether {parts} look ahead was not \
checked: `trendtrain.laws.check_causal` does."""
_SAMPLED: Final = """\
A label is used from the close at which it is known. {parts} are not the package's own: before the run they were \
called on bars cut off at several places, and gave the same for every earlier bar."""
_OTHERS: Final = (
    (
        "One line, one observation.",
        "A line judges many predictions. Event accuracy is the mean over lines of the share of correct predictions."
        " Its interval comes from blocks of lines close in time, and is missing while there are fewer than 8 blocks.",
    ),
    (
        "Simple rules on the same verdicts.",
        "Each `baseline_...` predicted at the same bars and was judged by the same lines. A model that is not better"
        " than the best of them shows no skill.",
    ),
    ("Market time.", "Each number has the time at which it was known: the close of the step's last bar."),
)


def promises(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a run guarantees, each as a headline and its explanation; code is in backticks."""
    return [_about_the_future(config), *_OTHERS]


def describe_run(config: Mapping[str, Any]) -> str:
    """Return a page in Markdown: what a run guarantees, and its configuration as a table.

    Example:
        >>> describe_run({"labels": {"strength": [1, 1]}}).splitlines()[-1]
        '| labels.strength | 1, 1 |'
    """
    listed = "\n".join(f"- *{headline}* {text}" for headline, text in promises(config))
    promised = f"**What this run promises**\n\n{listed}\n"
    if not config:
        return promised
    rows = "\n".join(f"| {key} | {_escape(text_of(value))} |" for key, value in flatten(config))
    return f"{promised}\n**Configuration**\n\n| key | value |\n| --- | --- |\n{rows}"


def _about_the_future(config: Mapping[str, Any]) -> tuple[str, str]:
    """Return the promise that no function looks ahead: our own ones are tested, others checked on a sample, or not."""
    data = config.get("data", {})
    parts = {"labels": config.get("labels"), "data.features": data.get("features"), "data.side": data.get("side")}
    if data and parts["data.side"] is None:
        del parts["data.side"]  # left out
    named = [(name, path) for name, part in parts.items() for path in _targets(part or {})]
    unchecked = [f"`{name}` ({_escape(path)})" for name, path in named if not path.startswith("trendtrain.")]
    told = " and ".join(unchecked)
    if not unchecked:
        return "No fact from the future.", _NO_FUTURE
    if data.get("check_causal"):
        return "No fact from the future.", _SAMPLED.format(parts=told)
    return "Not checked: facts from the future.", _UNCHECKED.format(parts=told)


def _targets(part: Mapping[str, Any]) -> Iterator[str]:
    """Yield the function or class that a part names, and those of the parts inside it."""
    yield part.get("_target_", "not given")
    for inner in part.values():
        if isinstance(inner, Mapping) and "_target_" in inner:
            yield from _targets(inner)


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


def headline(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells runs apart at a glance: `data`, `model`, `lr`, `replay` with its options, `seed`, where given.

    The data of a live run are those of its feed.

    Example:
        >>> headline({"seed": 1, "replay": {"weigh": {"_target_": "mine.by_age", "half": 9}}})
        {'replay': 'by_age half 9', 'seed': 1}
        >>> headline({"feed": {"exchange": "binance", "symbols": ["BTC/USDT", "ETH/USDT"], "timeframes": "1m"}})
        {'data': 'binance BTC/USDT, ETH/USDT 1m'}
    """
    model = config.get("model", {})
    net = (model.get("net") or {}).get("_target_") or model.get("_target_") or ""
    feed = config.get("feed") or {}
    data = feed if "timeframes" in feed else config.get("data") or {}  # a replay has no bars of its own
    source = data.get("exchange") or data.get("path") or (data.get("source") or {}).get("market")
    parts = [text_of(part) for part in (source, data.get("symbols"), data.get("timeframes")) if part]
    named = {
        "data": " ".join(parts) or None,
        "model": str(net).rpartition(".")[2] or None,
        "lr": model.get("lr"),
        "replay": _replay(config.get("replay", {})) or None,
        "seed": config.get("seed"),
    }
    return {name: value for name, value in named.items() if value is not None}


def _replay(config: Mapping[str, Any]) -> str:
    """Return the name of the option for `replay`, or the function of one's own, and its options."""
    options = {key: value for key, value in (config.get("weigh") or {}).items() if key != "_partial_"}
    weigh = str(options.pop("_target_", ""))
    if weigh == "trendtrain.replay.weigh" and options == {"wrong": 1.0}:
        return "uniform"
    names = {"weigh_by_gradient": "gradient", "weigh": "incorrect" if config.get("beta") else "naive"}
    name = names[weigh.rpartition(".")[2]] if weigh.startswith("trendtrain.replay.") else weigh.rpartition(".")[2]
    return f"{name} {', '.join(f'{key} {value}' for key, value in options.items())}".strip()


def text_of(value: Any) -> str:
    """Return a value of a configuration as text, a list without brackets."""
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _escape(text: str) -> str:
    return text.replace("|", "\\|")
