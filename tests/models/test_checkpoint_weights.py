"""Checkpoints that open without Lightning, and start other runs."""

from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from trendtrain.callbacks import AverageWeights, TrendValidation, WalkCheckpoint
from trendtrain.callbacks.ledger_writer import model_class
from trendtrain.data import PivotDataModule, Walk
from trendtrain.errors import InputError
from trendtrain.market import Series, synthetic_market
from trendtrain.models import DuelingQNet, MlpNet, QModule, TrendModule, load_weights
from trendtrain.train import train

QUICK = [
    "model=mlp",
    "data.source.n_bars=3000",
    "replay.n_batches=2",
    "walk.steps=3",
    "walk.warmup=0",
    "db.url=sqlite://",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "logger=none",
]


def run(folder: Path, *overrides: str) -> None:
    folder.mkdir()
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        train(compose("train", [*QUICK, *overrides]), folder)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "first"
    run(folder)
    return folder / "checkpoints" / "last.ckpt"


def test_a_checkpoint_opens_in_plain_torch_with_the_same_answers(checkpoint: Path) -> None:
    window, side = torch.randn(5, 96, 8), torch.randn(5, 24)
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    module = TrendModule(MlpNet(8, n_side=24), use_side=True).eval()
    module.load_state_dict(state)
    net = MlpNet(n_features=8, n_side=24).eval()
    net.load_state_dict({name.removeprefix("net."): w for name, w in state.items() if name.startswith("net.")})
    torch.testing.assert_close(net(window, side), module(window, side), rtol=0, atol=0)


def test_a_bare_net_gets_what_the_run_predicted_with(tmp_path: Path) -> None:
    datamodule = PivotDataModule({Series("A", "5m"): synthetic_market(1500, seed=0)}, walk=Walk(steps=3, warmup=0))
    module = TrendModule(MlpNet(8, n_side=24), lr=1e-2, use_side=True)
    parts = (TrendValidation(), AverageWeights(0.9), WalkCheckpoint(tmp_path))
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = pl.Trainer(
        callbacks=list(parts),
        max_epochs=3,
        accelerator="cpu",
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        **quiet,
    )
    trainer.fit(module, datamodule)
    net = MlpNet(n_features=8, n_side=24)
    load_weights(net, tmp_path / "last.ckpt")
    window, side = torch.randn(5, 96, 8), torch.randn(5, 24)
    torch.testing.assert_close(net.eval()(window, side), module.eval()(window, side), rtol=0, atol=0)


def test_a_run_starts_from_the_net_of_another(checkpoint: Path, tmp_path: Path) -> None:
    run(tmp_path / "second", f"init_from={checkpoint}", "model.lr=0.0", "model.weight_decay=0.0")
    first, second = (
        torch.load(path, weights_only=True)["state_dict"]
        for path in (checkpoint, tmp_path / "second" / "checkpoints" / "last.ckpt")
    )
    for name in first:
        if name.startswith("net."):
            torch.testing.assert_close(second[name], first[name], rtol=1e-6, atol=1e-7)


def test_a_target_network_starts_as_the_net_it_follows() -> None:
    module = QModule(DuelingQNet(4, 12, kernels=[3, 4], n_side=0))
    with torch.no_grad():
        for weights in module.net.parameters():
            weights.add_(1.0)
    module.on_fit_start()
    for ours, theirs in zip(module.target.module.parameters(), module.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`path` must be a checkpoint file, got .*none\.ckpt: there is none"):
        load_weights(MlpNet(8, n_side=0), tmp_path / "none.ckpt")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x80\x02}q\x00."])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "odd.ckpt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"`init_from` must be a checkpoint of a run, got .*odd\.ckpt"):
        load_weights(MlpNet(8, n_side=0), file, "init_from")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"net.a": np.float64(1.0)}}, tmp_path / "odd.ckpt")
    with pytest.raises(InputError, match="`path` must be a checkpoint of a run"):
        load_weights(MlpNet(8, n_side=0), tmp_path / "odd.ckpt")


def test_a_module_without_a_net_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"layer.weight": torch.ones(2)}}, tmp_path / "theirs.ckpt")
    with pytest.raises(InputError, match="`path` must be a checkpoint of a module with a `net`"):
        load_weights(MlpNet(8, n_side=0), tmp_path / "theirs.ckpt")


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ([64, 16], r"got \(32, 64\) for layers\.3\.weight, which is \(16, 64\) here"),
        ([64], r"got \(32, 64\) for layers\.3\.weight, which is \(2, 64\) here"),
        (
            [64, 32, 2],
            r"got \(2, 32\) for layers\.6\.weight, which is \(2, 32\) here|got missing for layers\.9\.weight",
        ),
    ],
)
def test_a_net_of_another_shape_is_refused(checkpoint: Path, widths: list[int], message: str) -> None:
    with pytest.raises(InputError, match=rf"`path` must hold a net of the same shape, {message}"):
        load_weights(MlpNet(8, n_side=24, widths=widths), checkpoint)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch itself, when `torch.compile` loads
@pytest.mark.parametrize("saves_compiled", [False, True])
@pytest.mark.parametrize("loads_compiled", [False, True])
def test_a_compiled_net_has_the_names_of_the_net(saves_compiled: bool, loads_compiled: bool, tmp_path: Path) -> None:
    nets = [MlpNet(n_features=2, n_side=3, widths=(4,)) for _ in range(2)]
    saved, loaded = (
        torch.compile(net) if is_compiled else net
        for net, is_compiled in zip(nets, (saves_compiled, loads_compiled), strict=True)
    )
    state = {f"net.{name}": value for name, value in saved.state_dict().items()}
    assert any("_orig_mod." in name for name in state) is saves_compiled
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    load_weights(loaded, tmp_path / "a.ckpt")
    for name, value in nets[0].state_dict().items():
        assert torch.equal(nets[1].state_dict()[name], value)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of torch itself, when `torch.compile` loads
def test_a_compiled_net_is_named_by_its_own_class() -> None:
    net = MlpNet(n_features=2, n_side=3, widths=(4,))
    assert model_class(TrendModule(torch.compile(net))) is MlpNet  # type: ignore[arg-type]
