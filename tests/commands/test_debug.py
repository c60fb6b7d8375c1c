"""Options for looking closer: short runs, a profile, and callbacks of Lightning beside ours."""

from pathlib import Path

import pytest
import torch
from train_runs import RunIn

from trendtrain.storage import open_database
from trendtrain.storage.database_info import database_info

FEW = ("data.source.n_bars=2500", "data.symbols=SYNTH", "walk.step=128bars")


def trained(folder: Path, *overrides: str) -> RunIn:
    run = RunIn(folder / "run")
    run.overrides = [one for one in run.overrides if not one.startswith(("walk.", "replay.n_b"))]
    assert run.here(*FEW, *overrides) == 0
    return run


def run_status(run: RunIn) -> str:
    """Return how the ledger says that the run ended."""
    engine = open_database(run.url)
    (one,) = database_info(engine).runs
    engine.dispose()
    return one.status


@pytest.mark.parametrize(
    ("option", "steps", "status"),
    [("debug=default", 3, "finished"), ("debug=limit", 10, "finished"), ("debug=fdr", 1, "partial")],
)
def test_a_short_run_ends_early(option: str, steps: int, status: str, tmp_path: Path) -> None:
    run = trained(tmp_path, option)
    assert (run.summary()["steps"], run.summary()["status"]) == (steps, status)
    assert run_status(run) == status


def test_a_profile_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained(tmp_path, "debug=profiler", "walk.steps=2")
    assert "run_training_epoch" in (tmp_path / "fit-profile.txt").read_text()


@pytest.mark.full
def test_a_net_memorises_a_few_bars(tmp_path: Path) -> None:
    run = trained(tmp_path, "debug=overfit", "model.lr=3e-3")
    losses = [value for _, _, value in run.charts("train/loss")["train/loss"]]
    assert losses[-1] < 0.2 * losses[0]


def test_callbacks_of_lightning_join_ours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    several = "callbacks=[model_summary,learning_rate,early_stopping]"
    run = trained(tmp_path, several, "callbacks.early_stopping.patience=2", "model.lr=0.0", "walk.step=32bars")
    assert "Trainable params" in capfd.readouterr().out
    assert {value for _, _, value in run.charts("lr-AdamW")["lr-AdamW"]} == {0.0}
    assert run.summary()["status"] == run_status(run) == "stopped"  # before the end of the bars
    checkpoint = torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["PivotDataModule"]["step"] == run.summary()["steps"]
