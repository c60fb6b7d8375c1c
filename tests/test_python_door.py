"""Training from Python, without Hydra's command line: from a DataFrame, from names of options, and again."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

from trendtrain.compose import compose_config
from trendtrain.errors import InputError
from trendtrain.market import Bars, synthetic_market
from trendtrain.reports.summary import Summary
from trendtrain.storage import BarStore, open_database
from trendtrain.train import train

BARS = synthetic_market(1_200, seed=0, timeframe="1h")
SMALL: dict[str, Any] = {
    "model": "mlp",
    "walk": {"steps": 2, "step": "128bars"},
    "trainer": {"accelerator": "cpu", "enable_progress_bar": False},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scores(summary: Summary) -> dict[str, Any]:
    """What the run found, without names and times."""
    values = json.loads((summary.folder / "summary.json").read_text())
    return {
        key: value
        for key, value in values.items()
        if key not in ("name", "wall_seconds", "config", "series", "breakdown")
    }


def test_a_frame_trains_and_gives_a_summary(here: Path) -> None:
    summary = train(data=BARS.to_dataframe(), seed=1, **SMALL)
    assert summary.folder == Path("runs") / summary.values["name"]
    assert summary.values["config"]["seed"] == 1
    assert list(summary.values["series"]) == ["DATA"]
    assert "mlp" in summary.values["name"]
    assert repr(summary).startswith(f"Summary(run {summary.values['name']}; status finished after 2 steps; event accu")
    assert len(repr(summary)) < 300
    assert f"<td>{summary.values['name']}</td>" in summary._repr_html_()


def test_the_form_in_which_bars_are_given_changes_no_number(here: Path) -> None:
    BARS.to_dataframe().to_csv("ETHUSDT_1h.csv")
    forms = [BARS, BARS.to_dataframe(), {("ETHUSDT", "1h"): BARS.to_dataframe()}, "ETHUSDT_1h.csv"]
    first, *others = [scores(train(data=form, **SMALL)) for form in forms]
    assert others == [first] * 3


def test_bars_of_memory_are_in_the_database_for_reports(here: Path) -> None:
    train(data=BARS.to_dataframe(), **SMALL)
    train(data=BARS[:900], **SMALL)
    train(data={("ETHUSDT", "1h"): BARS[:900]}, **SMALL)
    train(data={("ETHUSDT", "1h"): BARS[200:]}, **SMALL)
    engine = open_database("sqlite:///trendtrain.db")
    stored = [len(BarStore(engine).load(symbol, "1h")) for symbol in ("DATA", "ETHUSDT")]
    engine.dispose()
    assert stored == [900, 1200]


def test_a_composed_configuration_trains_without_hydras_command_line(here: Path) -> None:
    options = {**SMALL, "data.source.n_bars": 1500}
    ours = train(compose_config(**options), here / "one")
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("train", ["model=mlp", "walk.steps=2", "walk.step=128bars", "data.source.n_bars=1500"])
    theirs = train(cfg)
    assert ours.folder == here / "one"
    assert theirs.folder == Path("runs") / theirs.values["name"]
    assert scores(ours) == scores(theirs)


def test_a_run_goes_on_from_python(here: Path) -> None:
    options = {**SMALL, "callbacks.checkpoint.every_n_steps": 1}
    train(None, here / "run", data=BARS, **options)
    whole = train(data=BARS, **(options | {"walk": {"steps": 4, "step": "128bars"}}))
    longer = train(None, here / "run", data=BARS, **(options | {"walk": {"steps": 4, "step": "128bars"}}), ckpt="last")
    assert scores(longer) == scores(whole)


def test_values_of_python_become_those_of_the_configuration() -> None:
    cfg = compose_config(
        model="cnn",
        experiment=None,
        data={"symbols": ["SYNTH-A", 'SYNTH "B"'], "check_causal": False},
        run={"name": "true"},
        labels={"max_gap": None, "flat_band": 1e-3},
        **{"model.net.kernels": (4, 24), "trainer.limit_train_batches": 3},
    )
    assert (cfg.data.symbols, cfg.data.check_causal) == (["SYNTH-A", 'SYNTH "B"'], False)
    assert (cfg.run.name, cfg.labels.max_gap, cfg.labels.flat_band) == ("true", None, 0.001)
    assert (cfg.model.net.kernels, cfg.trainer.limit_train_batches) == ([4, 24], 3)


MISTAKES = {
    "key": ({"modle": "mlp"}, "`modle` must be a known key, got modle; did you mean `model`"),
    "choice": ({"model": "mpl"}, "`model` must be one of .*, got 'mpl'; did you mean `mlp`"),
    "inner key": ({"walk": {"stepz": 3}}, "`walk.stepz` must be .*; did you mean `walk.step`"),
    "sweep": ({"experiment": "model_comparison"}, r"`experiment` must be a single run here .*, got model_comparison"),
    "no frame": ({"data": [1]}, "`frame` must be a pandas DataFrame, got list"),
    "no file": ({"data": "none.csv"}, "`data.path` must name a file or folder that exists"),
    "both": ({"cfg": True, "seed": 1}, "`cfg` must come without other arguments but `folder`, got seed too"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_no_run(name: str, here: Path) -> None:
    options, message = MISTAKES[name]
    options = {"cfg": compose_config()} | {"seed": 1} if "cfg" in options else options
    with pytest.raises(InputError, match=message) as caught:
        train(**options)
    assert "\n" not in str(caught.value)
    assert not (here / "runs").exists()


def test_bars_need_a_frame_with_a_time() -> None:
    frame = BARS.to_dataframe().reset_index(drop=True)
    with pytest.raises(InputError, match="`frame`"):
        train(data=frame, **SMALL)
    assert len(Bars.from_dataframe(BARS.to_dataframe())) == len(BARS)
