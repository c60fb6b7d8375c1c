"""The page on annotations runs as it stands."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from old_annotations import market, old_annotation, write_json

from trendtrain.annotations.small_form import parse_annotation

PAGE = (Path(__file__).parents[2] / "docs" / "annotations.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_commands_and_the_code_run_one_after_the_other(tmp_path: Path) -> None:
    markets = {"5m": market("5m"), "1h": market("1h")}
    write_json(tmp_path / "old" / "all.json", [old_annotation(markets, number, 200, 220) for number in range(3)])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    (command,) = blocks("bash")
    code = "\n".join([*blocks("python"), "print(len(bars), len(hours), len(next(iter(loader))['label']))"])
    for arguments in (shlex.split(command), [sys.executable, "-c", code]):
        done = subprocess.run(
            arguments, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-3:] == ["71", "3", "3"]


def test_the_small_form_shown_is_one() -> None:
    (text,) = blocks("json")
    assert parse_annotation(text).more == {"notes": "a field of your own"}
