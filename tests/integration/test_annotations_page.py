"""The page on annotations runs as it stands."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from old_annotations import market, old_annotation, write_json
from pages import blocks

from trendtrain.annotations.small_form import parse_annotation
from trendtrain.cli import main

PAGE = "docs/annotations.md"


def test_the_commands_and_the_code_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    markets = {"5m": market("5m"), "1h": market("1h")}
    write_json(tmp_path / "old" / "all.json", [old_annotation(markets, number, 200, 220) for number in range(3)])
    (command,) = blocks(PAGE, "bash")
    assert main(shlex.split(command)[1:]) == 0
    names: dict[str, Any] = {}
    exec("\n".join(blocks(PAGE, "python")), names)
    assert (len(names["bars"]), len(names["hours"]), len(next(iter(names["loader"]))["label"])) == (71, 3, 3)
    names["engine"].dispose()


def test_the_small_form_shown_is_one() -> None:
    (text,) = blocks(PAGE, "json")
    assert parse_annotation(text).more == {"notes": "a field of your own"}
