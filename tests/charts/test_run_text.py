"""The text page promises what was checked, and nothing more."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from trendtrain.charts.run_text import describe_run, headline
from trendtrain.compose import compose_config

OURS: dict[str, Any] = {
    "labels": {"_target_": "trendtrain.market.label_bars"},
    "data": {
        "features": {"_target_": "trendtrain.features.bar_features"},
        "side": {"_target_": "trendtrain.features.skill_features"},
    },
}
PROMISE = "- *No fact from the future.* "


def with_part(part: str, value: Any) -> dict[str, Any]:
    if part == "labels":
        return OURS | {"labels": value}
    return OURS | {"data": OURS["data"] | {part.removeprefix("data."): value}}


@pytest.mark.parametrize("config", [OURS, with_part("data.side", None)])
def test_our_own_functions_are_promised_not_to_look_ahead(config: dict[str, Any]) -> None:
    assert PROMISE in describe_run(config)
    assert "Not checked" not in describe_run(config)


@pytest.mark.parametrize("part", ["labels", "data.features", "data.side"])
@pytest.mark.parametrize("path", ["mine.look", "trendtrain_mine.look", "functools.partial"])
def test_a_users_function_is_named_as_not_checked(part: str, path: str) -> None:
    page = describe_run(with_part(part, {"_target_": path}))
    assert PROMISE not in page
    assert (
        f"Whether `{part}` ({path}) look ahead was not checked: `trendtrain.laws.check_causal` does."
        in page.replace("\n", " ")
    )


def test_a_users_function_inside_a_part_of_ours_is_named() -> None:
    inside = {"_target_": "trendtrain.features.Lookback", "function": {"_target_": "mine.look"}, "lookback": 5}
    page = describe_run(with_part("data.side", inside)).replace("\n", " ")
    assert "Whether `data.side` (mine.look) look ahead was not checked" in page
    inside["function"] = OURS["data"]["features"]
    assert PROMISE in describe_run(with_part("data.side", inside))


@pytest.mark.parametrize("config", [{}, {"seed": 3}, {"labels": None, "data": {}}])
def test_a_run_that_names_no_functions_gets_no_promise(config: dict[str, Any]) -> None:
    assert PROMISE not in describe_run(config)
    assert "*Not checked: facts from the future.*" in describe_run(config)


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ("gradient", "gradient floor 0.1"),
        ("incorrect", "incorrect wrong 3.0"),
        ("naive", "naive wrong 3.0"),
        ("uniform",) * 2,
    ],
)
def test_a_replay_is_named_as_its_option(choice: str, named: str) -> None:
    config: Any = OmegaConf.to_container(
        compose_config(replay=choice, data="synthetic", run={"name": "a"}), resolve=True
    )
    assert headline(config)["replay"] == named
    config["replay"]["weigh"]["_target_"] = "mine.weigh"
    assert headline(config)["replay"].startswith("weigh ")
