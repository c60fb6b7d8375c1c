"""Each block of code on a page of the docs runs in some test; here run commands in order, and sessions of Python."""

import doctest
import re
import shlex
import zipfile
from pathlib import Path

import pytest
from pages import MY_NET, ROOT, SMALL, blocks, commands, write_bars

from trendtrain.cli import main
from trendtrain.market import random_walk

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
IN_ORDER = ["database", "importing", "labels", "models", "report", "runs", "scores", "start"]
RUN_BY = {  # the tests that run the blocks of a page in a language; `text` is what is not to be run
    **{(f"docs/{name}.md", "bash"): "integration/test_pages.py" for name in IN_ORDER},
    **{(f"docs/{name}.md", "pycon"): "integration/test_pages.py" for name in ("database", "labels", "look_ahead")},
    ("CONTRIBUTING.md", "bash"): "integration/test_readme.py",
    ("README.md", "bash"): "integration/test_readme.py",
    ("README.md", "python"): "integration/test_readme.py",
    ("docs/annotations.md", "bash"): "integration/test_annotations_page.py",
    ("docs/annotations.md", "json"): "integration/test_annotations_page.py",
    ("docs/annotations.md", "python"): "integration/test_annotations_page.py",
    ("docs/callback.md", "python"): "integration/test_callback_page.py",
    ("docs/containers.md", "bash"): "scripts/test_containers.py",
    ("docs/experiments.md", "bash"): "integration/test_recipes.py",
    ("docs/features.md", "bash"): "integration/test_recipes.py",
    ("docs/features.md", "python"): "integration/test_recipes.py",
    ("docs/labels.md", "python"): "integration/test_pages.py",
    ("docs/ledger.md", "bash"): "storage/ledger/test_docs.py",
    ("docs/ledger.md", "python"): "storage/ledger/test_docs.py",
    ("docs/ledger.md", "sql"): "storage/ledger/test_docs.py",
    ("docs/live.md", "bash"): "integration/test_live_page.py",
    ("docs/live.md", "sql"): "integration/test_live_page.py",
    ("docs/models.md", "python"): "integration/test_pages.py",
    ("docs/models.md", "yaml"): "integration/test_pages.py",
    **{
        ("docs/operations.md", language): "live/test_operations_page.py"
        for language in ("bash", "python", "sql", "yaml")
    },
    ("docs/own_trainer.md", "bash"): "test_examples.py",
    ("docs/own_trainer.md", "python"): "integration/test_own_trainer_page.py",
    ("docs/replay.md", "bash"): "integration/test_recipes.py",
    ("docs/replay.md", "python"): "integration/test_recipes.py",
    ("docs/replay.md", "yaml"): "integration/test_recipes.py",
    ("docs/runs.md", "python"): "integration/test_pages.py",
    ("docs/skill.md", "bash"): "integration/test_recipes.py",
    ("docs/start.md", "python"): "integration/test_pages.py",
    ("docs/tensorboard.md", "bash"): "integration/test_pages.py",
    ("docs/tensorboard.md", "yaml"): "integration/test_pages.py",
}


def languages(page: str) -> list[str]:
    return re.findall(r"^ *```(.*)$", (ROOT / page).read_text(), flags=re.MULTILINE)[::2]


def test_every_block_is_run_by_a_test_that_names_its_page() -> None:
    found = {(page, language) for page in PAGES for language in languages(page) if language != "text"}
    assert found == set(RUN_BY)
    for (page, _), test in RUN_BY.items():
        text = (ROOT / "tests" / test).read_text()
        assert Path(page).name in text or f'"{Path(page).stem}"' in text or 'DOCS.glob("*.md")' in text, test


@pytest.mark.parametrize("page", [page for page in PAGES if "pycon" in languages(page)])
def test_a_session_of_python_prints_what_the_page_says(page: str) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=flags)
    assert done.attempted > 0
    assert done.failed == 0


def prepare(page: str, folder: Path) -> None:
    """Write what the page takes for granted."""
    write_bars(folder / "bars", "ETHUSDT_1h", "ETHUSDT_5m")
    write_bars(folder, "ETHUSDT_1h", "ETHUSDT_5m", n_bars=100)
    write_bars(folder, "EURUSD_15m", n_bars=100)
    (folder / "EURUSD_15m.csv").rename(folder / "EURUSD_M15.csv")
    with zipfile.ZipFile(folder / "day.zip", "w") as file:
        file.write(folder / "ETHUSDT_5m.csv", "ETHUSDT_5m.csv")
    (folder / "mynet.py").write_text(MY_NET)
    for block in blocks(page, "python") if page != "docs/models.md" else []:
        (folder / "mylabels.py").write_text(block)
        exec(block, {"frame": random_walk(1_500, seed=0, timeframe="1h").to_dataframe()})
    for name in {
        "docs/scores.md": ("one", "two", "three"),
        "docs/models.md": ("mine",),
        "docs/report.md": ("NAME", "A", "B"),
    }.get(page, ()):
        assert main(["train", "model=cnn", "data.source.n_bars=3000", f"run.name={name}", *SMALL]) == 0
    if page == "docs/models.md":
        exec(blocks(page, "python")[0], {})
        (folder / "myconfigs" / "model").mkdir(parents=True)
        (folder / "myconfigs" / "model" / "per_timeframe.yaml").write_text(blocks(page, "yaml")[0])


def arguments(command: str) -> list[str]:
    """Return what follows `trendtrain`, made small and harmless."""
    words = shlex.split(command, comments=True)[1:]
    if words[0] == "train":
        files = any("data=" in word for word in words)
        return [*words, *SMALL, *([] if files else ["data.source.n_bars=3000"])]
    words = [str(path) for word in words for path in (sorted(Path().glob(word)) if "*" in word else [word])]
    words = ["sqlite:///other.db" if "USER@HOST" in word else word for word in words]
    return [*words, "--yes"] if words[:2] == ["db", "delete"] else words


@pytest.mark.parametrize("name", IN_ORDER)
def test_the_commands_of_a_page_run_in_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    page = f"docs/{name}.md"
    prepare(page, tmp_path)
    mine = [command for command in commands(page) if command.startswith("trendtrain ")]
    assert {command for command in commands(page) if command not in mine} <= {"tensorboard --logdir runs"}
    assert mine
    for command in mine:
        capfd.readouterr()
        assert main(arguments(command)) == 0, f"{command}\n{capfd.readouterr().err}"


def test_tensorboard_is_started_as_in_the_readme() -> None:
    assert commands("docs/tensorboard.md") == [line for line in commands("README.md") if "tensorboard" in line]


def test_a_logger_of_ones_own_writes_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = blocks("docs/tensorboard.md", "yaml")
    experiment = tmp_path / "mine" / "experiment" / "csv_logger.yaml"
    experiment.parent.mkdir(parents=True)
    experiment.write_text(f"# @package _global_\n{block}")
    words = ["--config-dir", "mine", "experiment=csv_logger", "data.source.n_bars=3000", "run.name=logged"]
    assert main(["train", *words, *(word for word in SMALL if not word.startswith("logger"))]) == 0
    assert list((tmp_path / "runs" / "logged").rglob("metrics.csv"))
