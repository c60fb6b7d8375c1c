"""The training commands and configurations that the pages of docs/ show run as they stand, on few bars."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pages import MY_NET, SMALL, write_bars

from trendtrain.cli import main
from trendtrain.market import label_bars, random_walk
from trendtrain.replay import Lessons, make_sampler, weigh

DOCS = Path(__file__).parents[2] / "docs"
TIMEFRAMES = ("1m", "5m", "15m")
IN_ORDER = ("labels", "models", "runs", "start")  # tests/integration/test_pages.py runs their blocks


def commands() -> list[str]:
    """All commands that train, in blocks and in the text."""
    found: list[str] = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text().replace("\\\n", "")
        found += re.findall(r"^trendtrain train .*$", text, re.M) if page.stem not in IN_ORDER else []
        found += [line.replace("\n", " ") for line in re.findall(r"`(trendtrain train [^`]*)`", text)]
    return [
        line
        for line in dict.fromkeys(found)
        if "=NAME" not in line and "[key" not in line and line != "trendtrain train data=files"
    ]


def block(page: str, language: str, start: str) -> str:
    """Return the block of a page that begins so."""
    found = re.findall(rf"```{language}\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.S)
    (one,) = [text for text in found if text.startswith(start)]
    return str(one)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder with files of bars, and with all that the pages say to write."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for group in ("model", "experiment"):
        Path("myconfigs", group).mkdir(parents=True, exist_ok=True)
    for where in ("bars", "FOLDER"):
        write_bars(
            Path(where), *(f"{symbol}_{timeframe}" for symbol in ("ETHUSD", "BTCUSD") for timeframe in TIMEFRAMES)
        )
    Path("mynet.py").write_text(MY_NET)
    parts = [
        block("features", "python", start) for start in ("import numpy as np\n\n", "from functools import partial")
    ]
    Path("myfeatures.py").write_text("\n".join(parts))
    Path("mine.py").write_text(block("replay", "python", "import numpy as np\n\n\ndef weigh_late"))
    Path("myconfigs/model/per_timeframe.yaml").write_text(block("models", "yaml", "# myconfigs/model"))
    Path("myconfigs/experiment/mine.yaml").write_text(block("replay", "yaml", "# @package _global_"))
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_a_training_command_of_the_docs_runs(command: str, folder: Path) -> None:
    words = shlex.split(command.replace("=FILE ", "=bars/ETHUSD_5m.csv "))[1:]
    small = [*SMALL, f"db.url=sqlite:///{folder / 'run.db'}"]
    if not any("data=files" in word or "crypto_pooled" in word for word in words):
        small.append("data.source.n_bars=3000")
    if "crypto_pooled" in command:
        small += ["data.symbols=[ETHUSD,BTCUSD]", "walk.start=0.25"]
    words = ["seed=0,1" if word == "seed=0,1,2" else word for word in words]
    assert main([*words, *small]) == 0


def test_the_docs_show_what_is_run_here() -> None:
    assert len(commands()) >= 8


def test_a_dataset_of_single_bars_is_drawn_from() -> None:
    bars = random_walk(500, seed=0)
    labels, sampler = label_bars(bars), make_sampler(batch_size=16, n_batches=3, weigh=weigh)
    known = np.flatnonzero(labels.direction >= 0)
    sampler.add(Lessons(known, labels.event[known], labels.direction[known]))
    names: dict[str, Any] = {"data": bars.close.astype(np.float32), "sampler": sampler}
    exec(block("replay", "python", "import torch"), names)
    batches = list(names["loader"])
    assert len(batches) == 3
    for close, label, weight, row in batches:
        np.testing.assert_array_equal(close, bars.close[row].astype(np.float32))
        np.testing.assert_array_equal(label, labels.direction[row])
        assert (weight == 1.0).all()
