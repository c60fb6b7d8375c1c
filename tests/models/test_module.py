import pytest
import torch
from torch import Tensor

from trendtrain.errors import InputError
from trendtrain.models import CnnNet, TrendModule
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
    return TrendModule(CnnNet(4, window, width=16, kernels=(3, 4), dropout=0.0), lr=1e-2)


def test_a_small_batch_can_be_learned_by_heart() -> None:
    module, random = module_of(), torch.Generator().manual_seed(3)
    batch = {
        "window": torch.randn(32, 12, 4, generator=random),
        "label": torch.randint(2, (32,), generator=random),
        "weight": torch.ones(32),
    }
    optimizer = module.configure_optimizers()
    for _ in range(150):
        optimizer.zero_grad()
        loss = module.training_step(batch, 0)["loss"]
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_validation_returns_the_logits_of_the_net() -> None:
    module = module_of().eval()
    window = torch.randn(5, 12, 4)
    outputs = module.validation_step({"window": window}, 0)
    torch.testing.assert_close(outputs["logits"], module.net(window))
    torch.testing.assert_close(module(window), module.net(window))


def test_validation_reads_nothing_but_windows() -> None:
    assert set(module_of().validation_step({"window": torch.zeros(1, 12, 4)}, 0)) == {"logits"}


def test_the_optimizer_has_the_rates_given() -> None:
    module = TrendModule(CnnNet(4, 12, kernels=(3, 4)), lr=0.5, weight_decay=0.25)
    (group,) = module.configure_optimizers().param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    assert len(group["params"]) == len(list(module.net.parameters()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": "abc"}, r"`lr` must be a number of at least 0\.0, got 'abc'"),
        ({"lr": -1.0}, r"`lr` must be a number of at least 0\.0, got -1\.0"),
        ({"weight_decay": -1.0}, r"`weight_decay` must be a number of at least 0\.0, got -1\.0"),
    ],
)
def test_a_bad_rate_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrendModule(CnnNet(4, 12, kernels=(3, 4)), **options)
