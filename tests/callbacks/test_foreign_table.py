"""Each form of batch and output, in each loop, precision and namespace, is judged alike by the defaults."""

import itertools
import os

import pytest
from strangers import (
    BATCHES,
    LABELS,
    LOOPS,
    NAMESPACES,
    OUTPUTS,
    PRECISIONS,
    expected_stats,
    make_loader,
    make_module,
    make_trainer,
    run,
)

from trendtrain.callbacks import TrendValidation

ALL = list(itertools.product(NAMESPACES, PRECISIONS, LOOPS, BATCHES, OUTPUTS))
# Each two columns of the table meet; TRENDTRAIN_FULL=1 tries all of it.
SOME = [
    row for i, row in enumerate(ALL) if (i + i // len(OUTPUTS) + i // (len(OUTPUTS) * len(BATCHES))) % len(OUTPUTS) == 0
]
TABLE = ALL if os.environ.get("TRENDTRAIN_FULL") == "1" else SOME


@pytest.mark.parametrize(("namespace", "precision", "loop", "batch", "output"), TABLE)
def test_strangers_are_judged_alike(namespace: str, precision: str, loop: str, batch: str, output: str) -> None:
    pl = NAMESPACES[namespace]
    validation = TrendValidation(labels=LABELS)
    trainer = make_trainer(pl, validation, precision=precision)
    run(trainer, loop, make_module(pl, OUTPUTS[output]), make_loader(BATCHES[batch]))
    assert validation.buffer.stats == expected_stats()
    confidence = {1.0} if "codes" in output or output == "claims" else {0.9526, 0.9241}
    near = 0.01 if "bf16" in precision else 1e-4
    assert all(min(abs(one - each) for each in confidence) < near for one in validation.buffer.pending.confidence)
    if loop != "predict":
        assert float(trainer.callback_metrics["trend/pending"]) == expected_stats().pending


def test_the_table_tries_every_pair_of_forms() -> None:
    for one, two in itertools.combinations(range(5), 2):
        assert {(row[one], row[two]) for row in SOME} == {(row[one], row[two]) for row in ALL}
