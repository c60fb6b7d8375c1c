import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trendtrain.configs
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf

from trendtrain.data import PivotDataModule
from trendtrain.market import PivotRules, Series, random_walk
from trendtrain.models import CnnNet, TwoHeads
from trendtrain.models.module import NetModule
from trendtrain.parts import fill_counts
from trendtrain.replay import ReplaySampler
from trendtrain.storage import BarStore, open_database

FOLDER = Path(trendtrain.configs.__file__).parent
FILES = sorted(FOLDER.rglob("*.yaml"))
OPTIONS = [f"{file.parent.name}={file.stem}" for file in FILES if file.parent != FOLDER and file.stem[0] != "_"]
NO_ONE_LOGGER = ("logger=none", "logger=many", "debug=default", "debug=fdr")
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[\w/]+):(?P<rest>.*)$")


def composed(*overrides: str) -> DictConfig:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        main = "live" if any(override.startswith("feed=") for override in overrides) else "train"
        return compose(main, list(overrides))


def targets(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every node that has a `_target_`, and where it stands."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield path, node
        for key, value in node.items():
            yield from targets(value, f"{path}.{key}".strip("."))


def test_every_group_has_options() -> None:
    groups = {option.split("=")[0] for option in OPTIONS}
    assert groups == {
        "callbacks",
        "data",
        "debug",
        "experiment",
        "feed",
        "labels",
        "logger",
        "model",
        "replay",
        "trainer",
        "walk",
    }


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes(option: str) -> None:
    config = composed(option)
    OmegaConf.resolve(config)
    assert not OmegaConf.missing_keys(config)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_names_arguments_that_exist(option: str) -> None:
    config = OmegaConf.to_container(composed(option), resolve=True)
    found = dict(targets(config))
    assert {"data.source", "model", "model.net", "labels", "walk", "replay", "trainer"} <= set(found)
    for path, node in found.items():
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        takes_any = any(p.kind == inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        unknown = {key for key in node if not key.startswith("_")} - set(parameters)
        assert takes_any or not unknown, f"{path}: {unknown}"


@pytest.mark.parametrize("option", [option for option in OPTIONS if not option.startswith("trainer=")])
def test_every_option_instantiates(option: str) -> None:
    config = composed(option)
    fill_counts(config)
    for group in ("labels", "model", "replay", "walk", "callbacks"):
        assert instantiate(config[group]) is not None
    assert callable(instantiate(config.data.source))
    assert callable(instantiate(config.data.features))
    assert callable(instantiate(config.logger)) or option in NO_ONE_LOGGER


def test_the_trainer_instantiates() -> None:
    trainer = instantiate(composed("trainer.accelerator=cpu").trainer, callbacks=[], logger=False)
    assert trainer.max_epochs == -1


@pytest.mark.parametrize("source", ["synthetic", "files", "database"])
def test_every_source_gives_the_bars_of_a_run(source: str, tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'bars.db'}")
    store = BarStore(engine)
    store.write("A", "5m", random_walk(50, seed=0, timeframe="5m"))
    file = tmp_path / "A_5m.csv"
    file.write_text("time,open,high,low,close\n2024-01-01 00:00,1,1,1,1\n2024-01-01 00:05,1,1,1,1\n")
    config = composed(f"data={source}", *([f"data.path={file}"] if source == "files" else []))
    series = instantiate(config.data.source)(store)
    engine.dispose()
    assert set(PivotDataModule(series).history.series) == {Series("SYNTH" if source == "synthetic" else "A", "5m")}


def test_the_replay_of_the_datamodule_is_that_of_the_configuration() -> None:
    configured = instantiate(composed().replay)(seed=0)
    default = PivotDataModule({}).make_replay(seed=0)
    assert type(configured) is type(default) is ReplaySampler
    for name in ("batch_size", "n_batches", "beta"):
        assert getattr(configured, name) == getattr(default, name)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("replay=")])
def test_every_replay_makes_a_sampler_whose_memory_is_as_large_as_told(option: str) -> None:
    sampler = instantiate(composed(option, "replay.max_bars=300").replay)(seed=0)
    assert type(sampler) is ReplaySampler
    assert sampler.memory.max_bars == 300


def test_each_configuration_has_one_name_for_its_run_also_without_hydra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HydraConfig, "initialized", lambda: False)  # a run in this process may have left its own
    first, second = composed(), composed()
    assert first.run.name == first.copy().run.name == OmegaConf.to_container(first, resolve=True)["run"]["name"]
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{6}", first.run.name)
    assert first.run.name != second.run.name


def test_the_uniform_replay_weighs_all_alike() -> None:
    config = composed("replay=uniform")
    assert config.replay.weigh.wrong == 1.0
    assert composed("replay=incorrect").replay.weigh.wrong == 3.0


def test_two_heads_are_those_of_the_default_net() -> None:
    one, two = composed(), composed("model=two_heads")
    fill_counts(two)
    one.data, one, two = two.data, one.model, two.model
    net = instantiate(two).net
    assert isinstance(net, TwoHeads)
    assert {**two.net.net, "n_classes": two.net.n_classes} == {**one.net, "_partial_": True}
    two.net = one.net
    assert two == one


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 0),
        ("db.url", "sqlite:///trendtrain.db"),
        ("walk.start", 0.25),
        ("walk.step", "256bars"),
        ("walk.steps", None),
        ("data.symbols", "SYNTH"),
        ("data.timeframes", "5m"),
        ("labels.strength", [1, 1]),
        ("labels.tie", "plateau"),
        ("labels.inside", "keep"),
        ("labels.max_gap", None),
        ("labels.flat_band", 0.0),
        ("n_classes", 2),
    ],
)
def test_promised_keys_have_their_default(key: str, value: object) -> None:
    assert OmegaConf.select(composed(), key, throw_on_missing=True) == value


DEFAULTS = ["seed=0", *(option for option in OPTIONS if option.startswith("model="))]
TAKES_MORE = {  # what a part passes on, by the class or function that takes it
    "trendtrain.market.label_bars": PivotRules,
    "trendtrain.models.TrendModule": NetModule,
    "trendtrain.models.QModule": NetModule,
    "trendtrain.models.DuelingQNet": CnnNet,
    "trendtrain.replay.make_sampler": ReplaySampler,
}


@pytest.mark.parametrize("option", DEFAULTS)
def test_a_default_in_python_is_that_of_the_configuration(option: str) -> None:
    config = OmegaConf.to_container(composed(option), resolve=False)
    n_compared = 0
    for path, node in targets(config):
        made = [TAKES_MORE.get(node["_target_"]), get_object(node["_target_"])]
        parameters = {name: one for part in made if part for name, one in inspect.signature(part).parameters.items()}
        for key, value in node.items():
            is_plain = not key.startswith("_") and not isinstance(value, dict) and "${" not in str(value)
            if not is_plain or not node["_target_"].startswith("trendtrain.") or path == "data.source":
                continue
            default = parameters[key].default
            if default is not inspect.Parameter.empty:  # what must be given has none
                n_compared += 1
                assert (list(default) if isinstance(default, tuple) else default) == value, f"{path}.{key}"
    assert n_compared > 20


def test_the_datamodule_has_the_defaults_of_the_configuration() -> None:
    config, ours = composed(), PivotDataModule(dict.fromkeys([Series("A", "1m")], random_walk(9, seed=0)))
    for key in ("window", "check_causal", "resident", "transitions"):
        assert getattr(ours, key) == config.data[key], key
    assert ours.walk == instantiate(config.walk)
    assert (ours.n_classes, ours.seed, ours.max_gap) == (config.n_classes, config.seed, config.labels.max_gap)
    one, other = ours.make_replay(seed=0), instantiate(config.replay)(seed=0)
    for key in ("batch_size", "n_batches", "beta", "half_lives", "forgets"):
        assert getattr(one, key) == getattr(other, key), key
    assert str(vars(one.detector)) == str(vars(other.detector))


def undocumented(file: Path) -> list[str]:
    """Return the keys whose meaning no comment tells, on their line, above them, or at the node they stand in."""
    missing, parents = [], [(-1, file.read_text().startswith("#") and file.parent.name in ("experiment", "debug"))]
    lines = file.read_text().splitlines()
    for i, line in enumerate(lines):
        match = _KEY.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        parents = [parent for parent in parents if parent[0] < indent]
        is_told = "#" in match["rest"] or parents[-1][1]
        is_plain = match["key"].startswith("_") or match["key"] in ("defaults", "hydra") or "${" in match["rest"]
        has_children = match["rest"].strip() == "" and i + 1 < len(lines)
        if not (is_told or is_plain or has_children):
            missing.append(f"{file.name}:{i + 1}: {match['key']}")
        parents.append((indent, is_told))
    return missing


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_key_says_what_it_means(file: Path) -> None:
    assert undocumented(file) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_every_file_begins_with_what_it_is(file: Path) -> None:
    first, *more = file.read_text().splitlines()
    assert (more[0] if first.startswith("# @package") else first).startswith("# ")
