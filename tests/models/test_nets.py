"""What every net of ours promises, whatever it is made of."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.models import CnnNet, DuelingQNet, MlpNet, TransformerNet, TrendModule

WINDOW, N_FEATURES, N_SIDE = 12, 4, 5

MAKERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": partial(MlpNet, widths=(16, 16)),
    "cnn": partial(CnnNet, window=WINDOW, width=16, kernels=(3, 4)),
    "dqn": partial(DuelingQNet, window=WINDOW, width=16, kernels=(3, 4)),
    "transformer": partial(TransformerNet, window=WINDOW, width=16, patch=3, n_heads=2),
}
READS_WINDOWS = ["cnn", "dqn", "transformer"]

every_net = pytest.mark.parametrize("name", list(MAKERS))


def net_of(name: str, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    defaults = {"n_features": N_FEATURES, "n_side": N_SIDE} | ({} if name == "dqn" else {"dropout": 0.0})
    return MAKERS[name](**(defaults | options)).eval()


def inputs(n: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, WINDOW, N_FEATURES, generator=random), torch.randn(n, N_SIDE, generator=random)


@every_net
@pytest.mark.parametrize(("n_classes", "n_side"), [(2, 0), (3, 0), (2, 5), (3, 5)])
def test_windows_and_sides_become_logits(name: str, n_classes: int, n_side: int) -> None:
    window, side = inputs(7)
    logits = net_of(name, n_classes=n_classes, n_side=n_side)(window, side if n_side else None)
    assert logits.shape == (7, n_classes)


@every_net
def test_a_net_without_side_inputs_takes_windows_alone(name: str) -> None:
    window, side = inputs(3)
    net = net_of(name, n_side=0)
    torch.testing.assert_close(net(window, side), net(window), rtol=0, atol=0)


@every_net
def test_the_answer_depends_on_every_side_input(name: str) -> None:
    window, side = inputs(4)
    side.requires_grad_()
    net_of(name)(window, side)[:, 1].sum().backward()
    assert (side.grad.abs() > 0).all()


@every_net
def test_the_answer_depends_on_the_last_bar_where_there_is_no_side(name: str) -> None:
    window, _ = inputs(4)
    window.requires_grad_()
    net_of(name, n_side=0)(window)[:, 1].sum().backward()
    assert (window.grad[:, -1].abs() > 0).all()


@pytest.mark.parametrize("name", READS_WINDOWS)
def test_a_net_of_windows_depends_on_every_bar(name: str) -> None:
    window, side = inputs(4)
    window.requires_grad_()
    net_of(name)(window, side)[:, 1].sum().backward()
    assert (window.grad.abs() > 0).all()


@pytest.mark.parametrize(("name", "size"), [("cnn", 3), ("transformer", 3)])
def test_what_is_found_up_to_a_bar_does_not_change_with_later_ones(name: str, size: int) -> None:
    """Inside the net too: cnn's first layer and the transformer's body keep a time axis, of patches of `size` bars."""
    net, (window, _), (other, _) = net_of(name), inputs(4, seed=1), inputs(4, seed=2)
    body = net.body[0] if name == "cnn" else net.body
    for n_patches in range(1, WINDOW // size):
        changed = torch.cat([window[:, : n_patches * size], other[:, n_patches * size :]], dim=1)
        torch.testing.assert_close(body(changed)[:, :n_patches], body(window)[:, :n_patches], rtol=0, atol=0)
        assert not torch.isclose(body(changed)[:, n_patches:], body(window)[:, n_patches:]).all(dim=2).any()


@every_net
def test_the_answer_to_one_window_does_not_depend_on_its_batch(name: str) -> None:
    window, side = inputs(16)
    net = net_of(name)
    torch.testing.assert_close(net(window, side)[3:4], net(window[3:4], side[3:4]), rtol=1e-5, atol=1e-6)


@every_net
def test_no_layer_mixes_the_windows_of_a_batch(name: str) -> None:
    forbidden = (nn.modules.batchnorm._NormBase, nn.SyncBatchNorm)
    assert not any(isinstance(module, forbidden) for module in net_of(name).modules())


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_dropout_acts_in_training_alone(name: str) -> None:
    net, (window, side) = net_of(name, dropout=0.5), inputs(8)
    torch.testing.assert_close(net(window, side), net(window, side), rtol=0, atol=0)
    net.train()
    assert not torch.equal(net(window, side), net(window, side))


@every_net
def test_the_same_seed_gives_the_same_net(name: str) -> None:
    window, side = inputs(3)
    torch.testing.assert_close(net_of(name)(window, side), net_of(name)(window, side), rtol=0, atol=0)


@every_net
def test_random_labels_of_one_batch_are_learned_by_heart(name: str) -> None:
    net, (window, side) = net_of(name), inputs(32)
    label = torch.randint(2, (32,), generator=torch.Generator().manual_seed(3))
    batch = {"window": window, "side": side, "label": label, "weight": torch.ones(32)}
    module = TrendModule(net, lr=1e-2, use_side=True)
    optimizer = module.configure_optimizers()
    for _ in range(200):
        optimizer.zero_grad()
        loss = module.training_step(batch, 0)["loss"]
        loss.backward()
        optimizer.step()
    assert loss < 0.01


@every_net
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_features": 0}, "`n_features` must be an integer of at least 1, got 0"),
        ({"n_side": -1}, "`n_side` must be an integer of at least 0, got -1"),
        ({"n_classes": 1}, "`n_classes` must be an integer of at least 2, got 1"),
    ],
)
def test_a_net_that_cannot_be_is_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        net_of(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"dropout": 1.5}, r"`dropout` must be a number from 0\.0 to 1\.0, got 1\.5"),
        ("cnn", {"dropout": 1.5}, r"`dropout` must be a number from 0\.0 to 1\.0, got 1\.5"),
        ("mlp", {"widths": 5}, "`widths` must be a list of integers, got 5"),
        ("mlp", {"widths": [8, 0]}, "`widths` must be an integer of at least 1, got 0"),
        ("cnn", {"kernels": [4, 4]}, r"`kernels` must multiply to the window \(12\), got \[4, 4\]; \[4, 3\] fit"),
        ("cnn", {"window": 13}, r"`kernels` must multiply to the window \(13\), got \[3, 4\]"),
        ("cnn", {"kernels": [-3, -4]}, "`kernels` must be an integer of at least 1, got -3"),
        ("cnn", {"width": 0}, "`width` must be an integer of at least 1, got 0"),
        ("transformer", {"patch": 5}, r"`patch` must divide `window` \(12\), got 5"),
        ("transformer", {"patch": 0}, "`patch` must be an integer of at least 1, got 0"),
        ("transformer", {"n_heads": 3}, r"`n_heads` must divide `width` \(16\), got 3"),
        ("transformer", {"n_layers": 0}, "`n_layers` must be an integer of at least 1, got 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        net_of(name, **options)


@every_net
@pytest.mark.parametrize("n_given", [0, 4])
def test_side_inputs_that_are_missing_are_refused(name: str, n_given: int) -> None:
    window, side = inputs(3)
    with pytest.raises(InputError, match=rf"`side` must hold the 5 side inputs .* got {n_given}"):
        net_of(name)(window, side[:, :n_given] if n_given else None)


def test_a_linear_model_is_an_mlp_without_hidden_layers() -> None:
    net, (window, side) = net_of("mlp", widths=[]), inputs(3)
    (linear,) = net.layers
    torch.testing.assert_close(net(window, side), side @ linear.weight.T + linear.bias)
