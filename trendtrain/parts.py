"""Make the parts that a configuration names by `_target_`, with errors that name its keys."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from trendtrain.errors import InputError, check_at_least, check_choice, check_number, did_you_mean
from trendtrain.market.bars import Bars, Series
from trendtrain.market.labels import Labels

_N_PROBE_BARS = 100  # enough to count columns
_NEEDED = ("data", "data.source", "data.features", "labels", "model", "replay", "walk", "trainer", "callbacks")
_WORST = {"event_accuracy": -math.inf, "nll": math.inf, "ece": math.inf}
_LARGEST_SEED = 2**32 - 1  # of numpy's global generator


def check_config(cfg: DictConfig) -> None:
    """Raise an `InputError` if a part or a number of the configuration cannot be, before anything is loaded."""
    for key in _NEEDED:
        part = OmegaConf.select(cfg, key)
        if not isinstance(part, DictConfig):
            raise InputError(f"`{key}` must be a part of the configuration, got {part!r}.")
    if "net" in cfg.model and not isinstance(cfg.model.net, DictConfig):
        raise InputError(f"`model.net` must be a net with a `_target_`, got {cfg.model.net!r}.")
    check_choice("metric", cfg.metric, tuple(_WORST))
    check_at_least("seed", cfg.seed, 0)
    check_number("seed", cfg.seed, 0, _LARGEST_SEED)
    if cfg.trainer.get("max_epochs") is not None:
        check_at_least("trainer.max_epochs", cfg.trainer.max_epochs, -1)
    if isinstance(max_time := cfg.trainer.get("max_time"), int | float):
        raise InputError(f"`trainer.max_time` must be DD:HH:MM:SS or such as {{minutes: 90}}, got {max_time}.")
    check_at_least("n_threads", cfg.n_threads, 1)
    if cfg.n_classes not in (2, 3):
        raise InputError(f"`n_classes` must be 2 or 3, got {cfg.n_classes!r}.")
    if cfg.callbacks.get("validation") is None:
        raise InputError("`callbacks.validation` must be there: without it nothing is judged, got null.")


def drop_defaults(cfg: DictConfig) -> None:
    """Leave out what belongs to a default part, wherever the configuration names another that does not take it.

    `replay.weigh._target_=mine.weigh` leaves the default's `floor` beside it. A key goes if the chosen option gave it,
    with this value, to another `_target_`.

    Raises:
        InputError: If a part does not take another key.
    """
    for path, node in _parts(_raw(cfg)):
        taken = parameters(node["_target_"])
        for key in [key for key in node if not key.startswith("_") and taken is not None and key not in taken]:
            if _is_default(path, node, key):
                with open_dict(cfg):
                    del OmegaConf.select(cfg, path)[key]
            else:
                rule = f"must be left out (~{path}.{key}) for {node['_target_']}, which does not take it"
                raise InputError(f"`{path}.{key}` {rule}, got {node[key]!r}{did_you_mean(key, taken or ())}")


def fill_counts(cfg: DictConfig) -> None:
    """Fill in how many channels and side inputs a net has where the configuration leaves them out, from a few bars.

    Raises:
        InputError: If the features fail on synthetic bars.
    """
    if cfg.data.n_features is not None and cfg.data.n_side is not None:
        return
    from trendtrain.market.synthetic import synthetic_market
    from trendtrain.stream.inputs import InputTracker  # takes a quarter of a second, which no help text needs

    features, side = instantiate(cfg.data.features), instantiate(cfg.data.side)
    try:
        inputs = InputTracker(features, side, max_gap=None).update(synthetic_market(_N_PROBE_BARS, seed=0))
    except InputError:
        raise
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        rule = "must be given where `data.features` or `data.side` fails on bars that are not its own"
        raise InputError(f"`data.n_features` and `data.n_side` {rule}, got {cause}.") from error
    for name, count in (("n_features", inputs.n_features), ("n_side", inputs.n_side)):
        if cfg.data[name] is None:
            cfg.data[name] = count


def worst_value(metric: str) -> float:
    """Return the worst value of a metric, also of a name that is none: `train` refuses it."""
    return _WORST.get(metric, math.inf)


def make(cfg: DictConfig, key: str, kind: type) -> Any:
    """Return the part at a key.

    Raises:
        InputError: If it is not of that kind.
    """
    return check_kind(key, instantiate(OmegaConf.select(cfg, key)), kind)


def check_kind(key: str, part: Any, kind: type) -> Any:
    """Return a part, or raise an `InputError` if it is not of that kind."""
    if not isinstance(part, kind):
        raise InputError(f"`{key}` must be a {kind.__name__}, got {_what(part)}.")
    return part


def call(key: str, part: Any, **arguments: Any) -> Any:
    """Return what a part makes of what only the run has.

    Raises:
        InputError: If it does not take these arguments.
    """
    try:
        inspect.signature(part).bind(**arguments)
    except TypeError as error:
        raise InputError(f"`{key}` must take {', '.join(arguments)}, got {_what(part)}: {error}.") from error
    return part(**arguments)


def make_labeler(cfg: DictConfig) -> Callable[[Bars], Labels]:
    """Return the labeler."""
    labeler: Callable[[Bars], Labels] = _check_callable("labels", instantiate(cfg.labels))
    return labeler


def make_replay(cfg: DictConfig) -> Any:
    """Return what makes the sampler."""
    return _plain_partial(_check_callable("replay", instantiate(cfg.replay)))


def check_source(found: Any) -> Any:
    """Return what `data.source` gives, or raise an `InputError` if it is neither bars by series nor a history."""
    if isinstance(found, Mapping):
        for series, bars in found.items():
            if not isinstance(series, Series) or not isinstance(bars, Bars):
                got = f"{_what(series)} to {_what(bars)}"
                raise InputError(f"`data.source` must give a dict of Series to Bars, got {got}.")
    elif not hasattr(found, "load"):
        raise InputError(f"`data.source` must give a dict of Series to Bars, got {_what(found)}.")
    return found


def _check_callable(key: str, part: Any) -> Any:
    if not callable(part):
        raise InputError(f"`{key}` must be a function, or say `_partial_: true`, got {_what(part)}.")
    return part


def _plain_partial(made: Any) -> Any:
    """Return Hydra's partial as a plain one: Hydra's checks its arguments at every call, 0.1 ms a batch."""
    if not isinstance(made, partial):
        return made
    return partial(made.func, *made.args, **{name: _plain_partial(value) for name, value in made.keywords.items()})


def _what(part: Any) -> str:
    if part is None or isinstance(part, str | int | float):
        return repr(part)
    if isinstance(part, partial):
        return f"a partial of {getattr(part.func, '__name__', part.func)} (`_partial_: true`)"
    return str(getattr(part, "__name__", type(part).__name__))


def _raw(cfg: DictConfig) -> dict[str, Any]:
    """Return a configuration in plain types, without resolving what it refers to."""
    return OmegaConf.to_container(cfg, resolve=False)  # type: ignore[return-value]


def _parts(raw: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the parts that a configuration names, outer ones first, each with its key."""
    if isinstance(raw.get("_target_"), str):
        yield path, raw
    for key, inner in raw.items():
        if isinstance(inner, dict):
            yield from _parts(inner, f"{path}.{key}".lstrip("."))


def parameters(target: str) -> set[str] | None:
    """Return the parameters that a part takes; None where it takes any, or nothing tells."""
    try:
        taken = inspect.signature(get_object(target)).parameters.values()
    except Exception:  # what cannot be found is said when it is made
        return None
    return None if any(one.kind == one.VAR_KEYWORD for one in taken) else {one.name for one in taken}


def _is_default(path: str, node: dict[str, Any], key: str) -> bool:
    """Return whether the chosen option of a group, or one that it builds on, gave a key to a part of another name."""
    group, _, inner = path.partition(".")
    found = [OmegaConf.select(option, inner) if inner else option for option in _options(group)]
    given = [_raw(one) for one in found if isinstance(one, DictConfig)]
    is_other = node["_target_"] not in {one.get("_target_") for one in given}
    return is_other and any(key in one and one[key] == node[key] for one in given)


def _options(group: str) -> list[DictConfig]:
    """Return our configurations of the chosen option of a group, and those it builds on; all where Hydra chose none."""
    folder = files("trendtrain.configs") / group
    choice = HydraConfig.get().runtime.choices.get(group) if HydraConfig.initialized() else None
    names = [choice] if choice else [file.name.removesuffix(".yaml") for file in folder.iterdir()]
    options: list[DictConfig] = []
    while names:
        file = folder / f"{names.pop()}.yaml"
        if file.is_file():
            option = DictConfig(OmegaConf.create(file.read_text()))
            names += [name for name in option.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
            options.append(option.get(group, option))  # where its package is the whole configuration
    return options
