import re

import pytest
import torch
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.models import CnnNet, MlpNet, TrendModule
from trendtrain.models.module import weighted_cross_entropy

LOGITS = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.5, 0.4], [1.0, 1.0]])
LABEL = torch.tensor([1, 0, 1, 0])


def loss_of(weight: list[float], label: Tensor = LABEL, logits: Tensor = LOGITS) -> Tensor:
    return weighted_cross_entropy(logits, label, torch.tensor(weight))


def test_the_loss_is_the_weighted_mean_of_cross_entropies() -> None:
    weight = [1.0, 2.0, 0.5, 3.0]
    chances = torch.softmax(LOGITS, dim=1)[torch.arange(4), LABEL]
    expected = sum(-w * torch.log(p) for w, p in zip(weight, chances, strict=True)) / sum(weight)
    torch.testing.assert_close(loss_of(weight), expected)


def test_rows_of_weight_zero_do_not_count() -> None:
    torch.testing.assert_close(loss_of([1.0, 1.0, 0.0, 0.0]), loss_of([1.0, 1.0], LABEL[:2], LOGITS[:2]))


def test_rows_without_a_label_do_not_count() -> None:
    label = torch.tensor([1, 0, -1, -1])
    torch.testing.assert_close(loss_of([1.0, 2.0, 1.0, 5.0], label), loss_of([1.0, 2.0], LABEL[:2], LOGITS[:2]))


def test_the_scale_of_the_weights_does_not_count() -> None:
    torch.testing.assert_close(loss_of([1.0, 2.0, 3.0, 4.0]), loss_of([10.0, 20.0, 30.0, 40.0]))


@pytest.mark.parametrize(("weight", "label"), [([0.0] * 4, LABEL), ([1.0] * 4, torch.full((4,), -1))])
def test_where_nothing_counts_the_loss_is_zero_and_gradients_finite(weight: list[float], label: Tensor) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = loss_of(weight, label, logits)
    loss.backward()
    assert loss == 0.0
    assert (logits.grad == 0.0).all()


def module_of(window: int = 12) -> TrendModule:
    torch.manual_seed(0)
    return TrendModule(CnnNet(4, window, width=16, kernels=(3, 4), dropout=0.0, n_side=0), lr=1e-2)


def test_validation_returns_the_logits_of_the_net() -> None:
    module = module_of().eval()
    window = torch.randn(5, 12, 4)
    outputs = module.validation_step({"window": window}, 0)
    torch.testing.assert_close(outputs["logits"], module.net(window))
    torch.testing.assert_close(module(window), module.net(window))


def test_answers_to_the_stream_are_divided_by_the_temperature() -> None:
    module, window = module_of().eval(), torch.randn(5, 12, 4)
    module.temperature.fill_(4.0)
    torch.testing.assert_close(module.validation_step({"window": window}, 0)["logits"], module.net(window) / 4.0)


def test_the_temperature_does_not_change_what_is_learned() -> None:
    module = module_of()
    batch = {"window": torch.randn(8, 12, 4), "label": torch.ones(8, dtype=torch.int64), "weight": torch.ones(8)}
    before = module.training_step(batch, 0)["loss"]
    module.temperature.fill_(4.0)
    assert module.training_step(batch, 0)["loss"] == before


def test_side_inputs_reach_the_net_where_they_are_asked_for() -> None:
    torch.manual_seed(0)
    net = MlpNet(4, n_side=3).eval()
    batch = {"window": torch.randn(5, 12, 4), "side": torch.randn(5, 3)}
    told = TrendModule(net, use_side=True).validation_step(batch, 0)["logits"]
    torch.testing.assert_close(told, net(batch["window"], batch["side"]))
    alone = nn.Sequential(nn.Flatten(), nn.Linear(48, 2))
    torch.testing.assert_close(TrendModule(alone).validation_step(batch, 0)["logits"], alone(batch["window"]))


def test_side_inputs_for_a_net_of_windows_are_refused() -> None:
    with pytest.raises(InputError, match="`use_side` must be false for a net that takes windows alone, got Sequential"):
        TrendModule(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), use_side=True)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (4, 6, 2)])
def test_a_net_that_answers_no_logits_is_told_what_it_must_answer(shape: tuple[int, ...]) -> None:
    class Answer(nn.Module):
        def forward(self, window: Tensor) -> Tensor:
            return torch.zeros(shape)

    with pytest.raises(InputError, match=re.escape(f"C at least 2, got {shape} for windows (4, 6, 8).")):
        TrendModule(Answer())(torch.zeros(4, 6, 8))


def test_validation_reads_nothing_but_windows() -> None:
    assert set(module_of().validation_step({"window": torch.zeros(1, 12, 4)}, 0)) == {"logits"}


def test_the_optimizer_has_the_rates_given() -> None:
    module = TrendModule(CnnNet(4, 12, kernels=(3, 4), n_side=0), lr=0.5, weight_decay=0.25)
    (group,) = module.configure_optimizers().param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    assert len(group["params"]) == len(list(module.net.parameters()))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({"lr_warmup": 4}, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
        ({"lr_cosine": 4}, [1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]),
        ({"lr_warmup": 2, "lr_cosine": 4}, [0.5, 1.0, 1.0, 0.5, 0.0, 0.0]),
    ],
)
def test_the_learning_rate_rises_and_falls_by_batch(rates: dict[str, int], expected: list[float]) -> None:
    configured = TrendModule(CnnNet(4, 12, kernels=(3, 4), n_side=0), lr=1.0, **rates).configure_optimizers()
    optimizer, plan = configured["optimizer"], configured["lr_scheduler"]
    assert plan["interval"] == "step"
    seen = []
    for _ in expected:
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        plan["scheduler"].step()
    assert seen == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": "abc"}, r"`lr` must be a number of at least 0\.0, got 'abc'"),
        ({"lr": -1.0}, r"`lr` must be a number of at least 0\.0, got -1\.0"),
        ({"lr_warmup": -1}, "`lr_warmup` must be an integer of at least 0, got -1"),
        ({"lr_warmup": 5, "lr_cosine": 5}, "`lr_cosine` must be an integer of at least 6, got 5"),
        ({"weight_decay": -1.0}, r"`weight_decay` must be a number of at least 0\.0, got -1\.0"),
    ],
)
def test_a_bad_rate_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrendModule(CnnNet(4, 12, kernels=(3, 4), n_side=0), **options)
