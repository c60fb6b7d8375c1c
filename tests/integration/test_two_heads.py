"""`trendtrain train model=two_heads replay.half_life=[...]`: it resumes, and predicts the mean of both heads."""

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from arenas import arena_of
from train_runs import RunIn

from trendtrain.callbacks import WalkStep
from trendtrain.cli import main
from trendtrain.features import bar_features, skill_features
from trendtrain.models import CnnNet, TwoHeads, load_weights
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.table_files import write_bars

torch.set_num_threads(1)  # small nets: on busy cores a second thread costs tenfold, and gains nothing

WINDOW = 12


class StopAtFive(pl.Callback):
    """Press Ctrl-C once, after step 5."""

    is_due = False

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        if StopAtFive.is_due and step.index == 5:
            StopAtFive.is_due = False
            signal.raise_signal(signal.SIGINT)


OPTIONS = (
    "model=two_heads",
    "replay.half_life=[20,null]",
    "replay.batch_size=33",
    "data.source.n_bars=3000",
    "walk.warmup=2",
    "walk.steps=8",
    "callbacks.checkpoint.every_n_steps=3",
    f"+callbacks.stop._target_={__name__}.StopAtFive",
)


def run_in(folder: Path, *overrides: str) -> RunIn:
    """Return a run whose options of the net go to the net inside `TwoHeads`."""
    run = RunIn(folder, *OPTIONS, *overrides)
    run.overrides = [override.replace("model.net.", "model.net.net.") for override in run.overrides]
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunIn:
    """A run that never stopped."""
    run = run_in(tmp_path_factory.mktemp("two_heads"))
    assert run.here() == 0
    return run


@pytest.fixture(autouse=True)
def _handlers_stay() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def test_a_stopped_run_of_two_heads_goes_on_as_if_never_stopped(whole: RunIn, tmp_path: Path) -> None:
    run = run_in(tmp_path / "run")
    StopAtFive.is_due = True
    assert run.here() == 130
    assert run.summary()["steps"] == 6
    assert run.here("ckpt=last") == 0
    assert (run.summary(), run.ledger(), run.state()) == (whole.summary(), whole.ledger(), whole.state())
    assert run.charts("trend/", "replay/") == whole.charts("trend/", "replay/")


def test_a_checkpoint_of_two_heads_predicts_the_mean_of_both(whole: RunIn, tmp_path: Path) -> None:
    engine = open_database(whole.url)
    bars = BarStore(engine).load("SYNTH-A", "5m")
    engine.dispose()
    write_bars(bars, tmp_path / "A_5m.csv")
    out = tmp_path / "said.csv"
    assert main(["predict", "--ckpt", str(whole.checkpoint), str(tmp_path / "A_5m.csv"), "--out", str(out)]) == 0
    up = np.genfromtxt(out, delimiter=",", skip_header=1, usecols=5)
    net = TwoHeads(partial(CnnNet, 8, WINDOW, n_side=24, width=8, kernels=(3, 4), dropout=0.0))
    load_weights(net, whole.checkpoint)
    arena = arena_of(bars, window=WINDOW, features=bar_features, side=skill_features, max_gap=5)
    batch = arena.gather(torch.arange(100, 130))
    first, second = net(**{name: torch.cat([rows, rows]) for name, rows in batch.items()}).softmax(dim=1).chunk(2)
    temperature = torch.load(whole.checkpoint, weights_only=True)["state_dict"]["temperature"]
    expected = (((first + second) / 2.0).log() / temperature).softmax(dim=1)[:, 1]
    np.testing.assert_allclose(up[100:130], expected.detach().numpy(), rtol=1e-4)
    assert not torch.isclose(first, second).any()


def test_a_net_of_one_head_starts_none_of_two(whole: RunIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunIn(tmp_path / "run", *OPTIONS[1:], "logger=none")
    assert run.here(f"init_from={whole.checkpoint}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    rule = "`init_from` must hold a net of the same shape"
    assert f"{rule}, got missing for head.layers.0.weight, which is (8, 40) here" in line
    assert run_in(tmp_path / "like", "logger=none", "walk.steps=1").here(f"init_from={whole.checkpoint}") == 0
