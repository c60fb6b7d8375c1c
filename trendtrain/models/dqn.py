"""Reinforcement learning: a deep Q-network whose action is the predicted direction and whose reward is the verdict."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trendtrain.errors import InputError, check_at_least, check_choice, check_number
from trendtrain.market.directions import UNKNOWN
from trendtrain.models.cnn import CnnNet
from trendtrain.models.module import Batch, NetModule, weighted_mean

Reward = Literal["verdict", "gain"]


class DuelingQNet(nn.Module):
    """Map windows to the value of predicting each class, (B, T, F) -> (B, C), as state value plus advantages.

    Q(s, a) = V(s) + A(s, a) - mean over actions of A(s, .) (Wang et al. 2016, arXiv 1511.06581), on the body of a
    `CnnNet`. There is no dropout: a bootstrap would learn its noise.

    Args:
        n_features, window, n_classes: As in `CnnNet`; a class is an action.
        **options: Other arguments of `CnnNet`, without `dropout`.

    Example:
        >>> import torch
        >>> DuelingQNet()(torch.zeros(5, 96, 8), torch.zeros(5, 24)).shape
        torch.Size([5, 2])
    """

    def __init__(self, n_features: int = 8, window: int = 96, n_classes: int = 2, **options: Any) -> None:
        super().__init__()
        check_at_least("n_classes", n_classes, 2)
        self.net = CnnNet(n_features, window, n_classes + 1, dropout=0.0, **options)

    def forward(self, window: Tensor, side: Tensor | None = None) -> Tensor:
        """Return the value of each class at each window's last bar, (B, T, F) and (B, S) -> (B, C)."""
        streams = self.net(window, side)
        value, advantage = streams[:, :1], streams[:, 1:]
        values: Tensor = value + advantage - advantage.mean(dim=1, keepdim=True)
        return values


class QModule(NetModule):
    """Fit a net's Q-values by double Q-learning on replayed transitions (van Hasselt et al. 2016, arXiv 1509.06461).

    State: the window (and side inputs) at a bar. Action: the predicted direction. Reward: its verdict. Next state: the
    window at the bar at which the verdict was known. The loss is the squared
    difference of Q(s, a) and r + discount * Q'(s', argmax_b Q(s', b)), weighted by the replay; the target network Q'
    is a slow average of the net.

    Q-values divided by the temperature are logits. With rewards of +-1 and two classes
    Q(UP) - Q(DOWN) = 2 (2p - 1), which for p near one half is the log-odds of p; so a temperature of 1 is a good start.

    Args:
        net: As in `NetModule`; its outputs are the Q-values.
        discount: What the value of the next state counts, 0 to below 1; 0 needs no transitions.
        target_rate: How far Q' moves towards the net after each batch (Polyak averaging), above 0 to 1.
        epsilon: Chance that the action at a replayed bar is random, in training only.
        reward: `verdict`: +1 for the true direction, -1 for another; `gain`: the same times the size of the
            line's price change, in volatility units (`batch["gain"]`).
        seed: Seed of the module's own generator of random actions.
        **options: Other arguments of `NetModule`.

    Raises:
        InputError: If a number lies outside its range, or a batch lacks what the arguments ask for.
    """

    def __init__(
        self,
        net: nn.Module,
        discount: float = 0.9,
        target_rate: float = 0.01,
        epsilon: float = 0.1,
        reward: Reward = "verdict",
        seed: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(net, **options)
        check_number("discount", discount, 0.0, 0.999)
        check_number("target_rate", target_rate, 1e-6, 1.0)
        check_number("epsilon", epsilon, 0.0, 1.0)
        check_choice("reward", reward, get_args(Reward))
        self.discount = discount
        self.target_rate = target_rate
        self.epsilon = epsilon
        self.reward = reward
        self.seed = seed
        self._random = torch.Generator().manual_seed(seed)
        follow = get_ema_multi_avg_fn(1.0 - target_rate)  # type: ignore[no-untyped-call]
        self.target = AveragedModel(net, multi_avg_fn=follow)
        self.target.requires_grad_(False)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the weighted squared error of a batch's Q-values, and all its Q-values."""
        values = self(batch["window"], batch.get("side"))
        goal = self._rewards(batch, values.shape[1]) + self.discount * self._next_value(batch)
        errors = (values - goal).square()  # not Huber's: Q is a mean of noisy rewards, which only squares find
        errors = errors.gather(1, self._actions(values.detach()))[:, 0]  # (B, C) -> (B,)
        return weighted_mean(errors, batch["weight"] * (batch["label"] != UNKNOWN)), values

    def on_fit_start(self) -> None:
        """Copy the net, whose weights may come from a checkpoint, to the target."""
        if not self.target.n_averaged:
            self.target.update_parameters(self.net)

    def on_train_start(self) -> None:
        """Switch off dropout in the target: its values are what the net learns."""
        self.target.eval()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the target towards the net."""
        self.target.update_parameters(self.net)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the generator of random actions."""
        checkpoint["exploration"] = self._random.get_state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state of the generator."""
        self._random.set_state(checkpoint["exploration"].cpu())

    def _rewards(self, batch: Batch, n_actions: int) -> Tensor:
        rewards = verdict_rewards(batch["label"], n_actions)
        return rewards * self._read(batch, "gain").abs()[:, None] if self.reward == "gain" else rewards

    def _actions(self, values: Tensor) -> Tensor:
        """Return the best action of each row, or with chance `epsilon` any action, (B, C) -> (B, 1)."""
        shape = (len(values), 1)
        random = torch.randint(values.shape[1], shape, generator=self._random).to(values.device)
        is_random = (torch.rand(shape, generator=self._random) < self.epsilon).to(values.device)
        return torch.where(is_random, random, values.argmax(dim=1, keepdim=True))

    @torch.no_grad()
    def _next_value(self, batch: Batch) -> Tensor | float:
        """Return the values of the next states, (B, 1): the net chooses the action, the target gives its value."""
        if self.discount == 0.0:
            return 0.0
        window, side = self._read(batch, "next_window"), batch.get("next_side")
        best = self(window, side).argmax(dim=1, keepdim=True)
        return self.logits_of(self.target, window, side).gather(1, best)

    def _read(self, batch: Batch, name: str) -> Tensor:
        if name not in batch:
            rule = "`data.transitions` must be true where `discount` is above 0 or `reward` is gain"
            raise InputError(f"{rule}, got batches without {name}.")
        return batch[name]


def verdict_rewards(label: Tensor, n_actions: int) -> Tensor:
    """Return +1 for the action that is the label and -1 for the others, (B,) -> (B, n_actions)."""
    actions = torch.arange(n_actions, device=label.device)
    return 2.0 * (label[:, None] == actions).float() - 1.0
