"""What a live run is made of."""

from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from streams import SERIES

from trendtrain.live import run
from trendtrain.stream import HeldBars, Walk


@pytest.mark.parametrize(("max_bars", "most"), [("40", 40), ("null", 1024)])
def test_no_step_of_late_bars_is_longer_than_the_bars_that_are_kept(max_bars: str, most: int) -> None:
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("live", [f"live.max_bars={max_bars}"])
    parts = run._Parts(cfg)
    source = SimpleNamespace(series=tuple(SERIES), clock=lambda: None)
    parts._made = lambda store: (source, HeldBars(SERIES))  # type: ignore[method-assign, assignment, return-value]
    made: dict[str, Any] = parts(None)  # type: ignore[arg-type]
    feed = made["feed"](SimpleNamespace(walk=Walk("2024-01-01")))
    assert feed._room == most
    assert made["max_bars"] == cfg.live.max_bars
