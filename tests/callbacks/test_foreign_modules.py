"""The callback inside a Trainer whose module and loaders know nothing of this project."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trendtrain.callbacks import TrendValidation
from trendtrain.errors import InputError
from trendtrain.market import Bars, Labels, label_bars, synthetic_market

Make = Callable[..., Any]

BARS: Bars = synthetic_market(900, seed=4)
LABELS: Labels = label_bars(BARS)
FIRST, LAST = 500, 800  # bars of the validation loader


class Foreign(pl.LightningModule):
    """A regression on two numbers a bar; what validation returns is up to the test."""

    def __init__(self, answer: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.answer = answer

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.layer(batch[0]).square().mean()

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        return self.answer(batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def loader(first: int, last: int) -> DataLoader:
    bars = torch.arange(first, last)
    return DataLoader(TensorDataset(torch.ones(last - first, 2), bars), batch_size=64)


def said_up(bars: Tensor) -> Tensor:
    """A rule to be judged: up on even bars."""
    return bars % 2 == 0


ANSWERS: dict[str, Callable[[Tensor], Tensor]] = {
    "logits": lambda bars: torch.stack([-3.0 * said_up(bars), 2.0 * said_up(bars) - 1.0], dim=1),
    "probabilities": lambda bars: torch.stack([0.8 - 0.6 * said_up(bars), 0.2 + 0.6 * said_up(bars)], dim=1),
    "class codes": lambda bars: said_up(bars).long(),
}


def fit(make_trainer: Make, answer: Callable[[Tensor], Any], n_epochs: int = 1, **options: Any) -> TrendValidation:
    given = {"labels": LABELS, "key": lambda batch: batch[1], "direction": lambda outputs: outputs} | options
    validation = TrendValidation(**given)
    make_trainer(validation, max_epochs=n_epochs).fit(Foreign(answer), loader(0, 100), loader(FIRST, LAST))
    return validation


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("n_epochs", [1, 3])
def test_each_pass_is_judged_anew(kind: str, n_epochs: int, make_trainer: Make) -> None:
    stats = fit(make_trainer, ANSWERS[kind], n_epochs).buffer.stats
    rows = np.arange(FIRST, LAST)
    is_known = (LABELS.known_at[rows] >= 0) & (LABELS.known_at[rows] <= LAST - 1)
    truth, said = LABELS.direction[rows], (rows + 1) % 2
    assert (stats.total, stats.pending) == (300, int((~is_known).sum()))
    assert stats.void == int((is_known & (truth == 2)).sum())
    assert stats.correct == int((is_known & (truth == said)).sum()) > 0


def test_probabilities_are_taken_as_they_are(make_trainer: Make) -> None:
    validation = fit(make_trainer, ANSWERS["probabilities"])
    assert set(np.round(validation.buffer.pending.confidence, 6)) == {0.8}


def test_logits_become_probabilities(make_trainer: Make) -> None:
    pending = fit(make_trainer, ANSWERS["logits"]).buffer.pending
    even = pending.row % 2 == 0
    np.testing.assert_allclose(pending.probability[even, 1], 1 / (1 + np.exp(-4.0)), rtol=1e-5)
    np.testing.assert_allclose(pending.probability[~even, 1], 1 / (1 + np.exp(1.0)), rtol=1e-5)


def test_class_codes_count_as_certain(make_trainer: Make) -> None:
    assert set(fit(make_trainer, ANSWERS["class codes"]).buffer.pending.confidence) == {1.0}


def test_class_codes_may_say_flat_in_some_batches_only(make_trainer: Make) -> None:
    labels = label_bars(BARS, flat_band=0.002)
    validation = fit(make_trainer, lambda bars: torch.where(bars < 600, 1, 2), labels=labels)
    rows = np.arange(FIRST, LAST)
    is_known = (labels.known_at[rows] >= 0) & (labels.known_at[rows] <= LAST - 1)
    is_correct = labels.direction[rows] == np.where(rows < 600, 1, 2)
    stats = validation.buffer.stats
    assert (stats.total, stats.void) == (300, 0)
    assert stats.correct == (is_known & is_correct).sum()


def test_training_goes_on_for_as_many_epochs_as_asked_for(make_trainer: Make) -> None:
    validation = TrendValidation(labels=LABELS, key=lambda batch: batch[1], direction=lambda outputs: outputs)
    trainer = make_trainer(validation, max_epochs=4)
    trainer.fit(Foreign(ANSWERS["logits"]), loader(0, 100), loader(FIRST, LAST))
    assert trainer.current_epoch == 4


def test_baselines_given_are_judged_beside_the_model(make_trainer: Make) -> None:
    baselines = {"same": (np.arange(len(BARS)) + 1) % 2}
    summary = fit(make_trainer, ANSWERS["logits"], baselines=baselines).summary()
    assert summary["baselines"]["same"]["event_accuracy"] == summary["event_accuracy"]
    assert summary["baselines"]["same"]["difference"] == 0.0


def test_metrics_can_be_monitored(make_trainer: Make) -> None:
    validation = TrendValidation(labels=LABELS, key=lambda batch: batch[1], direction=lambda outputs: outputs)
    trainer = make_trainer(validation, max_epochs=1)
    trainer.fit(Foreign(ANSWERS["logits"]), loader(0, 100), loader(FIRST, LAST))
    assert float(trainer.callback_metrics["trend/accuracy"]) == pytest.approx(validation.buffer.stats.accuracy)


def test_a_part_of_the_validation_may_be_left_out(make_trainer: Make) -> None:
    validation = TrendValidation(labels=LABELS, key=lambda batch: batch[1], direction=lambda outputs: outputs)
    trainer = make_trainer(validation, max_epochs=1, limit_val_batches=1)
    trainer.fit(Foreign(ANSWERS["logits"]), loader(0, 100), loader(FIRST, LAST))
    assert validation.buffer.stats.total == 64


BAD = {
    "no rows": (
        {"key": None},
        lambda bars: {"logits": torch.zeros(len(bars), 2)},
        r'`key` must be given where a batch does not hold bars as whole numbers of shape \(B,\): a dict.s "row", '
        r"the last item of a tuple, or the batch itself, got a list of 2 items",
    ),
    "rows of another form": (
        {"key": lambda batch: batch[0]},
        ANSWERS["logits"],
        r"`key` must give bar positions, whole numbers, got torch.float32",
    ),
    "rows twice": (
        {"key": lambda batch: batch[1] // 2},
        ANSWERS["logits"],
        r"`key` must give each bar once a pass, got bar 250 2 times: are these bar positions\?",
    ),
    "rows without a label": (
        {"key": lambda batch: batch[1] + 200},
        ANSWERS["logits"],
        r"`key` must give bars from 0 to 899, as labelled, got 700 to 999",
    ),
    "a loss": (
        {"direction": None},
        lambda bars: torch.tensor(0.5),
        r"`direction` must be given where a step returns no .*, got torch.float32 of shape \(\)",
    ),
    "nothing": ({"direction": None}, lambda bars: None, r"`direction` must be given where a step .*, got nothing"),
    "a tuple": (
        {"direction": None},
        lambda bars: (bars, bars),
        r"`direction` must be given where a step .*, got a tuple of 2 items",
    ),
    "other names": (
        {"direction": None},
        lambda bars: {"y": bars},
        r'`direction` must be given where a step returns no "logits" or "probabilities" or "direction", nor .* with y',
    ),
    "two forms": (
        {},
        lambda bars: torch.zeros(len(bars), 2 + (bars[0] > 600)),
        r"`direction` must give one form in all batches, got torch.float32 of shape \('B', 2\) and .* \('B', 3\)",
    ),
    "four classes": ({}, lambda bars: torch.zeros(len(bars), 4), r"`direction` must give logits or .*shape \(64, 4\)"),
    "one score": ({}, lambda bars: torch.zeros(len(bars)), r"`direction` must give logits .*got torch.float32"),
    "a strange code": (
        {},
        lambda bars: bars,
        r"`direction` must hold whole numbers from 0 to 2 as class codes \(down 0, up 1, flat 2\), got 500 at",
    ),
    "too few": ({}, lambda bars: torch.zeros(3, 2), r"`key` must give one row a prediction, got shapes \(64,\) and"),
    "infinite": ({}, lambda bars: torch.full((len(bars), 2), torch.inf), r"`direction` must give finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_named(case: str, make_trainer: Make) -> None:
    options, answer, message = BAD[case]
    given = {"labels": LABELS, "key": lambda batch: batch[1], "direction": lambda outputs: outputs} | options
    validation = TrendValidation(**{name: value for name, value in given.items() if value is not None})
    loaders = [loader(0, 100), loader(FIRST, LAST)]
    if case == "no rows":
        loaders = [DataLoader(TensorDataset(torch.ones(64, 2), torch.ones(64, 2)), batch_size=64)] * 2
    with pytest.raises(InputError, match=message):
        make_trainer(validation, max_epochs=1).fit(Foreign(answer), *loaders)
