import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from trendtrain.callbacks import AverageWeights, LedgerWriter, TrendValidation, WalkCheckpoint
from trendtrain.cli import main
from trendtrain.errors import InputError
from trendtrain.live.handover import PARAMETERS_FILE, publish
from trendtrain.live.log import LOG
from trendtrain.live.versions import KeepVersions, roll_back
from trendtrain.reports.run_file import RunFile
from trendtrain.storage import Ledger, open_database
from trendtrain.storage.ledger import registry

Make = Callable[..., Any]


@pytest.fixture
def walk(tmp_path: Path, make_trainer: Make, make_module: Make, make_datamodule: Make) -> Callable[..., Any]:
    """Walk some epochs on from the last checkpoint, and keep a version with each checkpoint."""
    folder = tmp_path / "run" / "checkpoints"
    url = f"sqlite:///{tmp_path / 'run.db'}"
    RunFile.save(RunFile(name="run-1", config={}), _made(folder.parent))

    def run(n_epochs: int, **options: Any) -> SimpleNamespace:
        engine = open_database(url)
        ledger = Ledger(engine)
        parts = (
            TrendValidation(),
            LedgerWriter(ledger, "run-1"),
            WalkCheckpoint(folder, every_n_steps=2),
            KeepVersions(folder, "run-1", ledger, **{"every": "1h", **options}),
            AverageWeights(decay=0.9),
        )
        trainer, module = make_trainer(*parts, max_epochs=n_epochs), make_module()
        last = folder / "last.ckpt"
        trainer.fit(module, make_datamodule(), ckpt_path=last if last.exists() else None, weights_only=True)
        with engine.connect() as connection:
            versions = registry.versions(connection)
        return SimpleNamespace(
            folder=folder, url=url, ledger=ledger, versions=versions, trainer=trainer, module=module, last=last
        )

    return run


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def state(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def test_each_checkpoint_that_is_due_becomes_a_version(walk: Callable[..., Any]) -> None:
    run = walk(8)
    assert [one.version for one in run.versions] == [1, 2, 3, 4]
    assert [one.parameters for one in run.versions] == [4, 8, 12, 16]
    assert [one.end_time for one in run.versions] == [*(one.start_time for one in run.versions[1:]), None]
    for one in run.versions:
        found = state(run.folder / one.checkpoint)
        assert (found["global_step"], found["PivotDataModule"]["now"]) == (one.parameters, one.start_time)


def test_versions_are_as_far_apart_as_was_asked_and_old_checkpoints_go(walk: Callable[..., Any]) -> None:
    run = walk(8, every="1d", keep=1)  # two steps last 15 hours
    assert [one.parameters for one in run.versions] == [4, 12]
    assert [one.checkpoint for one in run.versions] == [None, "version-2.ckpt"]
    assert sorted(file.name for file in run.folder.glob("version-*")) == ["version-2.ckpt"]
    run = walk(10, every="1d", keep=1)  # a run that goes on counts from the last version on
    assert [one.parameters for one in run.versions] == [4, 12, 20]


def test_a_rollback_brings_back_weights_and_optimizer_and_nothing_else(walk: Callable[..., Any]) -> None:
    run = walk(8)
    before, wanted = state(run.last), state(run.folder / "version-2.ckpt")
    version = roll_back(run.ledger, "run-1", run.folder, 2)
    after = state(run.last)
    for name in ("state_dict", "current_model_state", "optimizer_states"):
        torch.testing.assert_close(after[name], wanted[name], rtol=0, atol=0)
        with pytest.raises(AssertionError):
            torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    for name in ("PivotDataModule", "global_step", "epoch"):
        assert repr(after[name]) == repr(before[name])
    assert (version.version, version.reason) == (6, "rollback to version 2")
    torch.testing.assert_close(state(run.folder / "version-5.ckpt")["state_dict"], before["state_dict"])
    gone_on = walk(10)
    assert gone_on.trainer.global_step == 20
    assert [one.reason for one in gone_on.versions] == [*["saved"] * 4, "before a rollback", version.reason, "saved"]


def test_a_rollback_of_a_process_that_trains_hands_the_old_parameters_over(walk: Callable[..., Any]) -> None:
    run = walk(8)
    path = run.folder.parent / PARAMETERS_FILE
    publish(path, 999, np.datetime64("2024-01-01"), state(run.last)["state_dict"])
    roll_back(run.ledger, "run-1", run.folder, 2)
    published, last = state(path), state(run.last)
    torch.testing.assert_close(published["state_dict"], last["state_dict"], rtol=0, atol=0)
    assert (published["number"], published["known_by"]) == (last["global_step"], last["PivotDataModule"]["now"])


def test_a_version_without_a_checkpoint_is_refused(walk: Callable[..., Any]) -> None:
    run = walk(8, keep=2)
    for version in (1, 9):
        rule = rf"`to` must be a version of run-1 whose checkpoint is there \(3, 4\), got {version}\."
        with pytest.raises(InputError, match=rule):
            roll_back(run.ledger, "run-1", run.folder, version)


def test_a_file_system_without_links_copies(
    walk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    with caplog.at_level(logging.INFO, LOG):
        run = walk(2)
    assert state(run.folder / "version-1.ckpt")["global_step"] == 4
    assert "version 1 of CnnNet is kept" in caplog.text


def test_the_command_lists_rolls_back_and_refuses_while_a_run_runs(
    walk: Callable[..., Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    run = walk(4)
    folder = str(run.folder.parent)
    assert main(["live", "models", "list", "--db", run.url]) == 0
    assert "version-2.ckpt" in capsys.readouterr().out
    status = {"state": "running", "pid": os.getpid(), "host": os.uname().nodename}
    (run.folder.parent / "live.json").write_text(json.dumps(status))
    rollback = ["live", "models", "rollback", folder, "--to", "1", "--db", run.url]
    assert main(rollback) == 2
    assert "must be that of a run which has stopped" in capsys.readouterr().err
    (run.folder.parent / "live.json").write_text(json.dumps(status | {"state": "interrupted"}))
    assert main(rollback) == 0
    assert "run-1 goes on as version 4, which is version 1" in capsys.readouterr().out
    main(["live", "models", "list", "--db", run.url, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert (found["active"], found["tests"], len(found["versions"])) == (None, [], 4)


def test_a_shadow_that_shares_nothing_is_refused(walk: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    run = walk(4)
    assert main(["live", "models", "promote", "run-2", "--over", "run-1", "--db", run.url]) == 2
    assert "`compare` must name some of run-1, got 'run-2'" in capsys.readouterr().err
