"""`TwoHeads`: each half of a training batch trains its own head, and the prediction is the mean of both."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trendtrain.models import CnnNet, MlpNet, PerTimeframe, TransformerNet, TrendModule, TwoHeads

WINDOW, N_FEATURES, N_SIDE = 12, 4, 5

MAKERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": partial(MlpNet, widths=(16, 16)),
    "cnn": partial(CnnNet, window=WINDOW, width=16, kernels=(3, 4)),
    "transformer": partial(TransformerNet, window=WINDOW, width=16, patch=3, n_heads=2),
}

every_net = pytest.mark.parametrize("name", list(MAKERS))


def net_of(name: str, n_classes: int = 2, **options: Any) -> TwoHeads:
    torch.manual_seed(0)
    defaults = {"n_features": N_FEATURES, "n_side": N_SIDE, "dropout": 0.0}
    return TwoHeads(partial(MAKERS[name], **(defaults | options)), n_classes)


class Outputs(nn.Module):
    """A net without parameters, whose outputs are the window itself."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()

    def forward(self, window: Tensor) -> Tensor:
        return window[:, -1]


def inputs(n: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, WINDOW, N_FEATURES, generator=random), torch.randn(n, N_SIDE, generator=random)


def batch_of(n: int) -> dict[str, Tensor]:
    window, side = inputs(n)
    return {"window": window, "side": side, "label": torch.arange(n) % 2, "weight": torch.ones(n)}


def last_linear(net: TwoHeads) -> nn.Linear:
    layers: nn.Sequential = net.net.head.layers if hasattr(net.net, "head") else net.net.layers
    return layers[-1]


@given(st.integers(0, 2**31), st.sampled_from([2, 3]), st.sampled_from([0.1, 3.0, 300.0]))
def test_the_prediction_is_the_mean_of_both_probabilities(seed: int, n_classes: int, scale: float) -> None:
    outputs = scale * torch.randn(6, 2 * n_classes, generator=torch.Generator().manual_seed(seed))
    logits = TwoHeads(Outputs, n_classes).eval()(outputs[:, None])
    first, second = (part.double().softmax(dim=1) for part in (outputs[:, :n_classes], outputs[:, n_classes:]))
    torch.testing.assert_close(logits.double().exp(), (first + second) / 2.0, rtol=1e-4, atol=1e-6)
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits.softmax(dim=1), logits.exp(), rtol=1e-4, atol=1e-6)  # logits themselves


@pytest.mark.parametrize(("n", "n_first"), [(4, 2), (5, 3), (1, 1), (2, 1), (33, 17)])
def test_in_training_each_half_of_a_batch_has_its_own_head(n: int, n_first: int) -> None:
    outputs = torch.arange(4.0 * n).view(n, 4)
    logits = TwoHeads(Outputs)(outputs[:, None])
    assert torch.equal(logits, torch.cat([outputs[:n_first, :2], outputs[n_first:, 2:]]))


@every_net
@pytest.mark.parametrize(("n_classes", "n_side"), [(2, 0), (3, 5)])
def test_every_net_may_have_two_heads(name: str, n_classes: int, n_side: int) -> None:
    net = net_of(name, n_classes, n_side=n_side)
    window, side = inputs(7)
    rows = (torch.cat([window, window]), torch.cat([side, side]) if n_side else None)
    first, second = net(*rows).chunk(2)
    assert first.shape == second.shape == (7, n_classes)
    assert not torch.isclose(first, second).any()
    logits = net.eval()(window, side if n_side else None)
    torch.testing.assert_close(logits.exp(), (first.softmax(dim=1) + second.softmax(dim=1)) / 2.0)


@every_net
def test_a_row_trains_the_body_and_its_own_head_alone(name: str) -> None:
    def gradients(weight: Tensor) -> tuple[Tensor, Tensor]:
        net, batch = net_of(name), batch_of(6)
        TrendModule(net, use_side=True).loss(batch | {"weight": weight})[0].backward()
        return last_linear(net).weight.grad, torch.cat([w.grad.flatten() for w in net.parameters()])

    halves = [torch.tensor([1.0] * 3 + [0.0] * 3), torch.tensor([0.0] * 3 + [1.0] * 3)]
    for own, half in enumerate(halves):
        head, _ = gradients(half)
        assert (head[2 - 2 * own :][:2] == 0.0).all()
        assert (head[2 * own :][:2] != 0.0).any(dim=-1).all()
    both = sum(gradients(half)[1] for half in halves) / 2.0
    torch.testing.assert_close(gradients(torch.ones(6))[1], both, rtol=1e-4, atol=1e-6)


@every_net
def test_training_returns_the_logits_that_were_learned_and_validation_the_mean(name: str) -> None:
    module, batch = TrendModule(net_of(name), use_side=True), batch_of(6)
    torch.testing.assert_close(module.training_step(batch, 0)["logits"], module.net(batch["window"], batch["side"]))
    module.temperature.fill_(2.0)
    module.eval()
    mean = module.net(batch["window"], batch["side"])
    torch.testing.assert_close(module.validation_step(batch, 0)["logits"], mean / 2.0)
    assert not torch.isclose(mean, module.train().net(batch["window"], batch["side"])).any()


def test_a_second_head_is_all_it_adds() -> None:
    plain = MAKERS["cnn"](n_features=N_FEATURES, n_side=N_SIDE)
    more = sum(w.numel() for w in net_of("cnn").parameters()) - sum(w.numel() for w in plain.parameters())
    assert more == 2 * 17  # 16 weights and a bias for each of 2 classes


def test_each_timeframe_may_have_two_heads_of_its_own() -> None:
    make = partial(MlpNet, n_features=N_FEATURES, n_side=N_SIDE, dropout=0.0)
    net = TwoHeads(lambda n_classes: PerTimeframe(make(n_classes=n_classes), ["1m", "5m"]))
    copies = net.net
    random = torch.Generator().manual_seed(2)
    for copy in copies.nets:  # trained apart, they differ
        nn.init.normal_(copy.layers[0].weight, generator=random)
    window, side = inputs(4)
    which = torch.tensor([1, 0, 1, 0])
    side[:, -1] = copies.timeframe_code[which]
    outputs = torch.cat([copies.nets[own](window[i : i + 1], side[i : i + 1]) for i, own in enumerate(which)])
    torch.testing.assert_close(net(window, side), torch.cat([outputs[:2, :2], outputs[2:, 2:]]))
