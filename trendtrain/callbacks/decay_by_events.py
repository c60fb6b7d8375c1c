"""Set the weight decay by the number of events there are to learn from."""

import math

import lightning.pytorch as pl

from trendtrain.callbacks.listeners import HasStream
from trendtrain.errors import InputError, check_number


class DecayByEvents(pl.Callback):
    """Keep the optimizer's weight decay at prior_events / N, N the events that the replay draws from.

    The mean loss of N events under a Gaussian prior on the weights w is mean(loss) + prior_events / N * |w|^2 / 2: the
    more events, the less the prior counts, whereas a constant decay counts ever more. AdamW subtracts
    lr * weight_decay of each weight a batch, which is such a term up to the scale that it gives gradients. The best
    `prior_events` depends on the market and the net, but not on the number of events (Loshchilov & Hutter 2019,
    arXiv 1711.05101; Wang & Aitchison 2024, arXiv 2405.13698: the best decay is proportional to 1 / data). A half-life
    h bounds N at about h / ln 2; events that a change cut off the memory do not count. Two half-lives give the mean of
    their decays.

    The decay is set when an epoch starts, from the memory alone: a resumed run needs no state. Groups of parameters
    without decay (0) stay without.

    Args:
        prior_events: The decay times the events, such as 3.0 * 10,000. Above 0.

    Raises:
        InputError: If `prior_events` is below 1e-6; in training, if there is no replay, or no parameters have a decay.

    Example:
        >>> DecayByEvents(prior_events=30_000.0).decay(n_events=10_000, half_life=None)
        3.0
    """

    def __init__(self, prior_events: float) -> None:
        check_number("prior_events", prior_events, 1e-6)
        self.prior_events = prior_events

    def decay(self, n_events: int, half_life: float | None) -> float:
        """Return the weight decay for so many events in memory, and their half-life in events."""
        return self.prior_events / effective_events(n_events, half_life)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the decay."""
        datamodule = getattr(trainer, "datamodule", None)
        if not isinstance(datamodule, HasStream):
            raise InputError("`DecayByEvents` must have a replay whose events it counts, got a Trainer without one.")
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        decayed = [group for group in groups if group.get("weight_decay")]
        if not decayed:
            raise InputError("`DecayByEvents` must have an optimizer with a `weight_decay` above 0, got none.")
        replay = datamodule.stream.replay
        decays = [self.decay(replay.memory.n_events, half_life) for half_life in replay.half_lives]
        for group in decayed:
            group["weight_decay"] = sum(decays) / len(decays)


def effective_events(n_events: int, half_life: float | None) -> float:
    """Return the effective number of events, the sum of 2^(-age / half_life), at least 1.

    Example:
        >>> effective_events(500, None), round(effective_events(100_000, 2800.0)), round(2800 / math.log(2))
        (500.0, 4040, 4040)
    """
    if half_life is None:
        return float(max(n_events, 1))
    rate = math.log(2.0) / half_life
    return max(math.expm1(-rate * n_events) / math.expm1(-rate), 1.0)
