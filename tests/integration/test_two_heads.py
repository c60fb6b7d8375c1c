"""`trendtrain train replay=two_heads`: it goes on after a stop, predicts, and says what does not fit it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from train_runs import RunIn

from trendtrain.callbacks import WalkStep
from trendtrain.cli import main
from trendtrain.data.arena import build_arena
from trendtrain.data.windows import Windows
from trendtrain.features import bar_features, skill_features
from trendtrain.models import CnnNet, load_weights
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.bars.files import write_bars

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
    "replay=two_heads",
    "replay.half_life=[20,null]",
    "replay.batch_size=33",
    "data.source.n_bars=3000",
    "walk.warmup=2",
    "walk.steps=8",
    "callbacks.checkpoint.every_n_steps=3",
    f"+callbacks.stop._target_={__name__}.StopAtFive",
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunIn:
    """A run that never stopped."""
    run = RunIn(tmp_path_factory.mktemp("two_heads"), *OPTIONS)
    assert run.here() == 0
    return run


@pytest.fixture(autouse=True)
def _handlers_stay() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def test_a_stopped_run_of_two_heads_goes_on_as_if_never_stopped(whole: RunIn, tmp_path: Path) -> None:
    run = RunIn(tmp_path / "run", *OPTIONS)
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
    net = CnnNet(8, WINDOW, n_side=24, width=8, kernels=(3, 4), two_heads=True).eval()
    load_weights(net, whole.checkpoint)
    batch = Windows(build_arena([bars], bar_features, skill_features, 5), WINDOW).gather(torch.arange(100, 130))
    first, second = (net(**batch, head=torch.full((30,), own)).softmax(dim=1) for own in (0, 1))
    temperature = torch.load(whole.checkpoint, weights_only=True)["state_dict"]["temperature"]
    expected = (((first + second) / 2.0).log() / temperature).softmax(dim=1)[:, 1]
    np.testing.assert_allclose(up[100:130], expected.detach().numpy(), rtol=1e-4)
    assert not torch.isclose(first, second).any()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model=dqn",), "`two_heads` must be false, and `replay.half_life` one half-life, for Q-learning"),
        (("model.net.two_heads=false",), "`net` must have `two_heads` where `replay.half_life` is a list of two"),
        (("replay.half_life=700",), "`replay.half_life` must be a list of two for a net of two heads"),
    ],
)
def test_what_does_not_go_with_two_heads_is_refused(
    overrides: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert RunIn(tmp_path / "run", *OPTIONS, "logger=none").here(*overrides) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_net_of_one_head_starts_none_of_two(whole: RunIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunIn(tmp_path / "run", *OPTIONS, "logger=none", "replay=gradient", "replay.half_life=20")
    assert run.here(f"init_from={whole.checkpoint}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    rule = "`init_from` must hold a net of the same shape"
    assert f"{rule}, got (4, 8) for head.layers.3.weight, which is (2, 8) here" in line
    assert RunIn(tmp_path / "like", *OPTIONS, "logger=none", "walk.steps=1").here(f"init_from={whole.checkpoint}") == 0
