"""A run's checkpoint becomes its module again, compiled or not, and a stock Trainer predicts and tests with it."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader
from train_runs import RunIn

from trendtrain.data.predict import Predictor
from trendtrain.errors import InputError
from trendtrain.market import random_walk
from trendtrain.models import CnnNet, TrendModule, load_weights
from trendtrain.models.dqn import QModule

LABELS = (0, 1, 1, -1, 0, 1)
ROWS = [{"window": torch.randn(12, 8), "side": torch.randn(24), "label": torch.tensor(label)} for label in LABELS]


def compiled(**options: int) -> torch.nn.Module:
    """Return a compiled net; without a compiler of machine code."""
    return torch.compile(CnnNet(**options), backend="eager")  # type: ignore[return-value]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A short run of a compiled net."""
    module = ModuleType("compiled_nets")
    vars(module)["compiled"] = compiled
    sys.modules["compiled_nets"] = module
    run = RunIn(tmp_path_factory.mktemp("run"))
    assert run.here("data.source.n_bars=3000", "walk.steps=2", "model.net._target_=compiled_nets.compiled") == 0
    return SimpleNamespace(path=run.checkpoint, folder=run.folder)


def plain_net(path: Path) -> CnnNet:
    net = CnnNet(n_features=8, window=12, n_side=24, width=8, kernels=(3, 4)).eval()
    load_weights(net, path)
    return net


def batch() -> dict[str, torch.Tensor]:
    return {name: torch.stack([row[name] for row in ROWS]) for name in ROWS[0]}


def test_a_module_is_made_from_its_checkpoint_alone(run: SimpleNamespace) -> None:
    module, one = TrendModule.load_from_checkpoint(run.path).eval(), batch()
    expected = plain_net(run.path)(one["window"], one["side"])
    torch.testing.assert_close(module(one["window"], one["side"]), expected)
    assert module.use_side
    assert module.temperature == torch.load(run.path, weights_only=True)["state_dict"]["temperature"]


def test_a_stock_trainer_predicts_and_tests_with_it(run: SimpleNamespace, tmp_path: Path) -> None:
    module = TrendModule.load_from_checkpoint(str(run.path))
    trainer = pl.Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False)
    loader = DataLoader(ROWS, batch_size=4)  # type: ignore[arg-type]
    said = torch.cat([part["logits"] for part in trainer.predict(module, loader)])  # type: ignore[union-attr]
    one = batch()
    torch.testing.assert_close(said, plain_net(run.path)(one["window"], one["side"]) / module.temperature)
    (scores,) = trainer.test(module, loader, verbose=False)
    is_known = one["label"] >= 0
    logits, label = said[is_known], one["label"][is_known]
    assert scores["test/accuracy"] == pytest.approx((logits.argmax(1) == label).float().mean().item())
    assert scores["test/nll"] == pytest.approx(torch.nn.functional.cross_entropy(logits, label).item(), rel=1e-5)
    with pytest.raises(InputError, match="`batch` must hold a label of each row to be tested, got window, side"):
        trainer.test(module, DataLoader([{k: row[k] for k in ("window", "side")} for row in ROWS]), verbose=False)


def test_a_compiled_net_predicts_from_its_checkpoint(run: SimpleNamespace) -> None:
    bars = random_walk(200, seed=0)
    predictor = Predictor(run.path)
    compiled_said = predictor.predict(bars).probability
    predictor.module.net = plain_net(run.path)
    assert compiled_said[11:] == pytest.approx(predictor.predict(bars).probability[11:], abs=1e-6)


def test_a_checkpoint_of_another_module_or_without_a_run_is_refused(run: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`checkpoint_path` must be of a QModule, got one of a TrendModule"):
        QModule.load_from_checkpoint(run.path)
    net, foreign = CnnNet(n_features=8, window=12, kernels=(3, 4), n_side=0), tmp_path / "lightning.ckpt"
    trainer = pl.Trainer(default_root_dir=tmp_path, accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.strategy.connect(TrendModule(net))
    trainer.save_checkpoint(foreign)
    with pytest.raises(InputError, match=r"must be that of a run of `trendtrain train`, or come with `net`.*alone"):
        TrendModule.load_from_checkpoint(foreign)
    other = TrendModule.load_from_checkpoint(foreign, net=CnnNet(n_features=8, window=12, kernels=(3, 4), n_side=0))
    torch.testing.assert_close(other.net.state_dict(), net.state_dict())
