"""Nets with two heads: each row teaches its own, and the answer is the mean of both."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.models import CnnNet, DuelingQNet, MlpNet, PerTimeframe, QModule, TransformerNet, TrendModule
from trendtrain.models.head import answer_of

WINDOW, N_FEATURES, N_SIDE = 12, 4, 5

MAKERS: dict[str, Callable[..., nn.Module]] = {
    "mlp": partial(MlpNet, widths=(16, 16)),
    "cnn": partial(CnnNet, window=WINDOW, width=16, kernels=(3, 4)),
    "transformer": partial(TransformerNet, window=WINDOW, width=16, patch=3, n_heads=2),
}

every_net = pytest.mark.parametrize("name", list(MAKERS))


def net_of(name: str, two_heads: bool = True, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    defaults = {"n_features": N_FEATURES, "n_side": N_SIDE, "dropout": 0.0}
    return MAKERS[name](**(defaults | options), two_heads=two_heads)


def inputs(n: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, WINDOW, N_FEATURES, generator=random), torch.randn(n, N_SIDE, generator=random)


def batch_of(n: int, **others: Tensor) -> dict[str, Tensor]:
    window, side = inputs(n)
    return {"window": window, "side": side, "label": torch.arange(n) % 2, "weight": torch.ones(n)} | others


def last_linear(net: nn.Module) -> nn.Linear:
    layers: nn.Sequential = net.head.layers if hasattr(net, "head") else net.layers
    return layers[-1]


@given(st.integers(0, 2**31), st.sampled_from([2, 3]), st.sampled_from([0.1, 3.0, 300.0]))
def test_the_answer_is_the_mean_of_the_probabilities_of_both(seed: int, n_classes: int, scale: float) -> None:
    outputs = scale * torch.randn(6, 2 * n_classes, generator=torch.Generator().manual_seed(seed))
    answer = answer_of(outputs, None, two_heads=True)
    first, second = (part.double().softmax(dim=1) for part in (outputs[:, :n_classes], outputs[:, n_classes:]))
    torch.testing.assert_close(answer.double().exp(), (first + second) / 2.0, rtol=1e-4, atol=1e-6)
    assert torch.isfinite(answer).all()
    torch.testing.assert_close(answer.softmax(dim=1), answer.exp(), rtol=1e-4, atol=1e-6)  # logits themselves


def test_a_row_gets_the_logits_of_its_own_head() -> None:
    outputs, head = torch.arange(24.0).view(4, 6), torch.tensor([1, 0, 0, 1])
    expected = torch.stack([row[3:] if own else row[:3] for row, own in zip(outputs, head.tolist(), strict=True)])
    torch.testing.assert_close(answer_of(outputs, head, two_heads=True), expected, rtol=0, atol=0)


def test_one_head_is_left_as_it_is() -> None:
    outputs = torch.arange(8.0).view(4, 2)
    assert answer_of(outputs, None, two_heads=False) is outputs


@every_net
@pytest.mark.parametrize(("n_classes", "n_side"), [(2, 0), (3, 5)])
def test_every_net_answers_as_its_outputs_say(name: str, n_classes: int, n_side: int) -> None:
    net = net_of(name, n_classes=n_classes, n_side=n_side).eval()
    window, side = inputs(7)
    given = (window, side if n_side else None)
    first, second = (net(*given, head=torch.full((7,), own)) for own in (0, 1))
    assert first.shape == second.shape == (7, n_classes)
    assert not torch.isclose(first, second).any()
    torch.testing.assert_close(net(*given).exp(), (first.softmax(dim=1) + second.softmax(dim=1)) / 2.0)


@every_net
@pytest.mark.parametrize("own", [0, 1])
def test_a_row_teaches_its_own_head_alone(name: str, own: int) -> None:
    net = net_of(name)
    batch = batch_of(6, head=torch.full((6,), own))
    TrendModule(net, use_side=True).loss(batch)[0].backward()
    for gradient in (last_linear(net).weight.grad, last_linear(net).bias.grad):
        other, taught = gradient[2 - 2 * own :][:2], gradient[2 * own :][:2]
        assert (other == 0.0).all()
        assert (taught != 0.0).any(dim=-1).all()


@every_net
def test_each_row_of_a_mixed_batch_teaches_as_it_does_alone(name: str) -> None:
    def gradient(rows: list[int]) -> Tensor:
        net, whole = net_of(name), batch_of(6, head=torch.tensor([0, 1, 1, 0, 1, 0]))
        part = {key: values[rows] for key, values in whole.items()}
        (TrendModule(net, use_side=True).loss(part)[0] * len(rows)).backward()
        return torch.cat([weights.grad.flatten() for weights in net.parameters()])

    torch.testing.assert_close(gradient([*range(6)]), sum(gradient([row]) for row in range(6)), rtol=1e-4, atol=1e-6)


@every_net
def test_later_bars_change_no_answer_of_two_heads(name: str) -> None:
    """A window ends at its bar: answers to the windows of a longer series begin with those of the shorter."""
    net, (series, side) = net_of(name).eval(), inputs(1)
    series = torch.cat([series[0], inputs(1, seed=2)[0][0]])  # 24 bars
    windows = series.unfold(0, WINDOW, 1).transpose(1, 2)  # (13, T, F)
    changed = series.clone()
    changed[18:] += 5.0
    ours, theirs = (net(w, side.expand(13, -1)) for w in (windows, changed.unfold(0, WINDOW, 1).transpose(1, 2)))
    torch.testing.assert_close(ours[:7], theirs[:7], rtol=0, atol=0)
    assert name == "mlp" or not torch.isclose(ours[7:], theirs[7:]).all()


@every_net
def test_training_returns_the_logits_that_were_learned_and_validation_the_mean(name: str) -> None:
    net = net_of(name).eval()
    batch = batch_of(6, head=torch.tensor([0, 1, 1, 0, 1, 0]))
    module = TrendModule(net, use_side=True)
    torch.testing.assert_close(
        module.training_step(batch, 0)["logits"], net(batch["window"], batch["side"], batch["head"])
    )
    module.temperature.fill_(2.0)
    del batch["head"]
    torch.testing.assert_close(module.validation_step(batch, 0)["logits"], net(batch["window"], batch["side"]) / 2.0)


@every_net
def test_without_two_heads_a_net_has_the_weights_it_had(name: str) -> None:
    torch.manual_seed(0)
    plain = MAKERS[name](n_features=N_FEATURES, n_side=N_SIDE, dropout=0.0).state_dict()
    for key, weights in net_of(name, two_heads=False).state_dict().items():
        torch.testing.assert_close(plain[key], weights, rtol=0, atol=0)
    more = sum(w.numel() for w in net_of(name).parameters()) - sum(w.numel() for w in plain.values())
    assert more == 2 * 17  # one more head of 16 weights and a bias for each of 2 classes


def test_a_net_of_the_users_own_may_have_two_heads() -> None:
    class Own(nn.Module):
        two_heads = True

        def forward(self, window: Tensor, head: Tensor | None = None) -> Tensor:
            return answer_of(window[:, -1], head, two_heads=True)

    batch = batch_of(6, head=torch.tensor([0, 1, 1, 0, 1, 0]))
    logits = TrendModule(Own()).loss(batch)[1]
    torch.testing.assert_close(logits, answer_of(batch["window"][:, -1], batch["head"], two_heads=True))


class Alone(nn.Module):
    """A net of the user's own, of windows alone."""

    def forward(self, window: Tensor) -> Tensor:
        return window[:, -1, :2]


@pytest.mark.parametrize("net", [Alone(), MlpNet(N_FEATURES)])
def test_rows_for_two_heads_are_refused_by_a_net_of_one(net: nn.Module) -> None:
    rule = "`net` must have `two_heads` where `replay.half_life` is a list of two"
    with pytest.raises(InputError, match=f"{rule}, got {type(net).__name__} without them"):
        TrendModule(net).training_step(batch_of(4, head=torch.tensor([0, 0, 1, 1])), 0)


def test_a_net_of_two_heads_refuses_to_learn_without_them() -> None:
    message = "`replay.half_life` must be a list of two for a net of two heads, got batches without `head`"
    with pytest.raises(InputError, match=message):
        TrendModule(net_of("cnn"), use_side=True).training_step(batch_of(4), 0)


@every_net
def test_a_net_of_one_head_takes_no_rows_for_two(name: str) -> None:
    with pytest.raises(InputError, match="`head` must be None for a net without `two_heads`, got one for each row"):
        net_of(name, two_heads=False)(*inputs(3), head=torch.zeros(3, dtype=torch.int64))


def test_q_learning_has_one_head() -> None:
    refused = pytest.raises(InputError, match=r"`two_heads` must be false, .* for Q-learning, .* got two")
    with refused:
        DuelingQNet(N_FEATURES, WINDOW, kernels=(3, 4), two_heads=True)
    with refused:
        QModule(net_of("cnn"), use_side=True)
    with refused:
        QModule(net_of("cnn", two_heads=False), use_side=True).loss(batch_of(2, head=torch.tensor([0, 1])))


def test_rows_of_each_timeframe_find_their_own_net_and_head() -> None:
    net = PerTimeframe(net_of("mlp"), ["1m", "5m"]).eval()
    random = torch.Generator().manual_seed(2)
    for copy in net.nets:  # trained apart, they differ
        nn.init.normal_(copy.layers[0].weight, generator=random)
    assert net.two_heads
    assert not PerTimeframe(net_of("mlp", two_heads=False), ["1m"]).two_heads
    batch = batch_of(4, head=torch.tensor([0, 0, 1, 1]))
    which = torch.tensor([1, 0, 1, 0])
    batch["side"][:, -1] = net.code[which]
    logits = TrendModule(net, use_side=True).loss(batch)[1]
    for row, own in enumerate(which.tolist()):
        given = (batch[key][row : row + 1] for key in ("window", "side", "head"))
        torch.testing.assert_close(logits[row : row + 1], net.nets[own](*given))
    with pytest.raises(InputError, match=r"`replay\.half_life` must be a list of two for a net of two heads"):
        TrendModule(net, use_side=True).loss({key: batch[key] for key in batch if key != "head"})
