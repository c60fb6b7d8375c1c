"""The page on a Trainer of one's own runs as it stands, from top to bottom."""

import pytest
import torch
from pages import blocks

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*logging interval.*")
CODE = blocks("docs/own_trainer.md", "python")
OURS = ("trendtrain", "trend", "PivotDataModule", "labels", "sampler", "known", "Lessons")


def test_the_code_judges_and_trains_on_a_foreign_trainer(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    exec("\n".join(CODE), {})
    lines = capsys.readouterr().out.splitlines()
    (stats,) = [eval(line) for line in lines if line.startswith("{")]
    assert stats["total_predictions"] == 979
    parts = ("validated_predictions", "pending_validations", "void_predictions")
    assert sum(stats[part] for part in parts) == 979
    accuracies = [float(line) for line in lines if line.startswith("0.")]
    assert len(accuracies) == 2
    assert all(0.3 < accuracy < 0.8 for accuracy in accuracies)


@pytest.mark.parametrize(("block", "most"), [(0, 6), (1, 10), (2, 10)])
def test_using_the_package_takes_few_lines(block: int, most: int) -> None:
    ours = [line for line in CODE[block].splitlines() if any(word in line for word in OURS)]
    assert 0 < len(ours) <= most
