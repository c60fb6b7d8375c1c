"""Q-learning against tables of known value, and its parts one by one."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trendtrain.errors import InputError
from trendtrain.models import DuelingQNet, QModule
from trendtrain.models.dqn import verdict_rewards

DOWN, UP = 0, 1
CHANCE_UP = np.array([0.9, 0.2, 0.6, 0.35])  # of each state of a small market
MOVES = np.array([[0.1, 0.6, 0.2, 0.1], [0.3, 0.1, 0.5, 0.1], [0.2, 0.2, 0.2, 0.4], [0.7, 0.1, 0.1, 0.1]])


def table() -> nn.Module:
    """A net that has one value for each state and action: windows are one bar, one-hot."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))


def module_of(net: nn.Module | None = None, **options: Any) -> QModule:
    return QModule(net or table(), **({"lr": 0.05, "weight_decay": 0.0} | options))


def one_hot(state: Any) -> Tensor:
    return torch.eye(4)[torch.as_tensor(state)][:, None, :]  # (B, 1, 4)


def transitions(n: int, random: np.random.Generator) -> dict[str, Tensor]:
    state = random.integers(4, size=n)
    following = (random.random((n, 1)) > MOVES[state].cumsum(axis=1)).sum(axis=1).clip(max=3)
    label = (random.random(n) < CHANCE_UP[state]).astype(np.int64)
    return {
        "window": one_hot(state),
        "next_window": one_hot(following),
        "label": torch.from_numpy(label),
        "weight": torch.ones(n),
    }


def known_values(discount: float) -> np.ndarray:
    """Solve the small market by value iteration, Q(s, a) = r(s, a) + discount * sum of P(s, s') max Q(s', .)."""
    reward = np.column_stack([1.0 - 2.0 * CHANCE_UP, 2.0 * CHANCE_UP - 1.0])
    values = np.zeros((4, 2))
    for _ in range(500):
        values = reward + discount * (MOVES @ values.max(axis=1))[:, None]
    return values


def train(module: QModule, n_batches: int, n_rows: int = 256) -> None:
    """Do what Lightning does with a module."""
    configured, random = module.configure_optimizers(), np.random.default_rng(0)
    optimizer, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    for i in range(n_batches):
        batch = transitions(n_rows, random)
        outputs = module.training_step(batch, i)
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
        schedule.step()
        module.on_train_batch_end(outputs, batch, i)


@pytest.mark.parametrize("discount", [0.0, 0.8])
def test_the_values_are_those_of_the_solved_market(discount: float) -> None:
    torch.manual_seed(1)
    module = module_of(discount=discount, epsilon=0.3, target_rate=0.05, lr_cosine=1200)
    train(module, 1200)
    with torch.no_grad():
        learned = module(one_hot(range(4))).numpy()
    np.testing.assert_allclose(learned, known_values(discount), atol=0.06)


def test_a_dueling_net_finds_the_solution_too() -> None:
    torch.manual_seed(1)
    net = DuelingQNet(n_features=4, window=1, width=16, kernels=[1], n_side=0)
    module = module_of(net, lr=3e-3, discount=0.8, epsilon=0.3, target_rate=0.05, lr_cosine=1200)
    train(module, 1200)
    with torch.no_grad():
        learned = module(one_hot(range(4))).numpy()
    np.testing.assert_allclose(learned, known_values(0.8), atol=0.15)


def test_the_net_chooses_the_next_action_and_the_target_values_it() -> None:
    module = module_of(discount=0.5, epsilon=0.0)
    (linear,) = (part for part in module.net if isinstance(part, nn.Linear))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]]))
        module.target.module[1].weight.copy_(torch.tensor([[5.0, 6.0, 0.0, 0.0], [7.0, 8.0, 0.0, 0.0]]))
    batch = {
        "window": one_hot([0, 1]),
        "next_window": one_hot([1, 0]),  # the net prefers DOWN in 1 and UP in 0
        "label": torch.tensor([DOWN, DOWN]),
        "weight": torch.ones(2),
    }
    loss, values = module.loss(batch)
    assert values.tolist() == [[0.0, 2.0], [1.0, 0.0]]
    # row 0 answers UP, wrong: 2 - (-1 + 0.5 * 6) = 0; row 1 answers DOWN, right: 1 - (1 + 0.5 * 7) = -3.5
    assert loss.item() == pytest.approx((0.0**2 + 3.5**2) / 2)


def test_only_the_value_of_the_action_taken_is_learned() -> None:
    module = module_of(discount=0.0, epsilon=0.0)
    batch = transitions(1, np.random.default_rng(0))
    loss, values = module.loss(batch)
    (gradient,) = torch.autograd.grad(loss, values)
    assert (gradient[0] != 0).tolist() == [action == values[0].argmax() for action in (DOWN, UP)]


@pytest.mark.parametrize(("epsilon", "low", "high"), [(0.0, 0.0, 0.0), (0.4, 0.17, 0.23), (1.0, 0.47, 0.53)])
def test_actions_are_tried_as_often_as_epsilon_says(epsilon: float, low: float, high: float) -> None:
    torch.manual_seed(0)
    values = torch.tensor([[0.0, 1.0]]).expand(10_000, 2)
    other = (module_of(epsilon=epsilon)._actions(values) == DOWN).float().mean()  # half of the tries hit the best
    assert low <= other <= high


def test_answers_to_the_stream_are_never_tried() -> None:
    module, batch = module_of(epsilon=1.0), transitions(50, np.random.default_rng(0))
    torch.testing.assert_close(module.validation_step(batch, 0)["logits"], module.net(batch["window"]))


def test_a_gain_scales_the_reward() -> None:
    module = module_of(discount=0.0, epsilon=0.0, reward="gain")
    batch = transitions(3, np.random.default_rng(0)) | {
        "label": torch.tensor([UP, DOWN, UP]),
        "gain": torch.tensor([3.0, -0.5, 0.0]),
    }
    loss, values = module.loss(batch)
    rewards = torch.tensor([[-3.0, 3.0], [0.5, -0.5], [0.0, 0.0]])
    taken = values.argmax(dim=1, keepdim=True)
    torch.testing.assert_close(loss, (values - rewards).gather(1, taken).square().mean())


def test_rewards_are_one_for_the_class_that_came() -> None:
    rewards = verdict_rewards(torch.tensor([0, 1, 2]), 3)
    assert rewards.tolist() == [[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]


def test_a_row_counts_as_its_importance_weight_says() -> None:
    module, batch = module_of(discount=0.0, epsilon=0.0), transitions(4, np.random.default_rng(0))
    single = [module.loss({name: values[i : i + 1] for name, values in batch.items()})[0].item() for i in range(4)]
    weight = np.array([1.0, 0.0, 2.5, 0.5])
    loss, _ = module.loss(batch | {"weight": torch.from_numpy(weight).float()})
    assert loss.item() == pytest.approx(np.average(single, weights=weight), rel=1e-5)


def test_rows_without_a_label_teach_nothing() -> None:
    module, batch = module_of(discount=0.0), transitions(4, np.random.default_rng(0))
    loss, values = module.loss(batch | {"label": torch.full((4,), -1)})
    assert loss == 0.0
    assert (torch.autograd.grad(loss, values)[0] == 0.0).all()


def test_the_target_follows_the_net_slowly_and_is_not_trained() -> None:
    module = module_of(target_rate=0.25)
    module.on_train_batch_end(None, None, 0)  # the first copies
    before = module.target.module[1].weight.clone()
    with torch.no_grad():
        module.net[1].weight.add_(1.0)
    module.on_train_batch_end(None, None, 1)
    torch.testing.assert_close(module.target.module[1].weight, before + 0.25)
    trained = {id(parameter) for group in module.configure_optimizers().param_groups for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in module.net.parameters()}


def test_a_value_is_the_state_value_plus_an_advantage_of_mean_zero() -> None:
    torch.manual_seed(0)
    net, window, side = (
        DuelingQNet(4, 12, n_classes=3, n_side=2, kernels=[3, 4]),
        torch.randn(5, 12, 4),
        torch.randn(5, 2),
    )
    streams, values = net.net(window, side), net(window, side)
    torch.testing.assert_close(values.mean(dim=1), streams[:, 0])
    torch.testing.assert_close(values[:, 2] - values[:, 1], streams[:, 3] - streams[:, 2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"discount": 1.0}, r"`discount` must be a number from 0\.0 to 0\.999, got 1\.0"),
        ({"target_rate": 0.0}, r"`target_rate` must be a number from 1e-06 to 1\.0, got 0\.0"),
        ({"epsilon": -0.1}, r"`epsilon` must be a number from 0\.0 to 1\.0, got -0\.1"),
        ({"reward": "profit"}, "`reward` must be one of verdict, gain, got 'profit'"),
        ({"lr": -1.0}, r"`lr` must be a number of at least 0\.0, got -1\.0"),
    ],
)
def test_a_bad_argument_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        module_of(**options)


@pytest.mark.parametrize(("options", "missing"), [({"discount": 0.5}, "next_window"), ({"reward": "gain"}, "gain")])
def test_batches_without_transitions_are_refused(options: dict[str, Any], missing: str) -> None:
    batch = transitions(3, np.random.default_rng(0))
    del batch["next_window"]
    with pytest.raises(InputError, match=rf"`data\.transitions` must be true .* got batches without {missing}"):
        module_of(**({"discount": 0.0} | options)).loss(batch)
