"""The page on the callback runs as it stands, from top to bottom."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import StrangersModule
from torch.utils.data import DataLoader, TensorDataset

from trendtrain.market import Bars, synthetic_market

torch.set_num_threads(1)

PAGE = (Path(__file__).parents[2] / "docs" / "callback.md").read_text()
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*logging interval.*")


def yours(bars: Bars) -> dict[str, Any]:
    """What the page says is the reader's."""
    torch.manual_seed(0)
    data = TensorDataset(torch.randn(len(bars), 8), torch.arange(len(bars)))
    return {
        "bars": bars,
        "module": StrangersModule(),
        "loader": DataLoader(data, 256),
        "train_loader": DataLoader(data, 256),
    }


def test_the_code_runs_block_after_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = yours(synthetic_market(2_000, seed=0, timeframe="5m"))
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(blocks) == 6
    for block in blocks:
        exec(block, names)
        names |= {"stopped": names["trainer"]} if "TrendEarlyStopping" in block else {}
    printed = capsys.readouterr().out
    assert 0.0 < names["trend"].summary()["event_accuracy"] < 1.0
    assert names["ledger"].stats("my-run")[0].stats.validated > 1_000
    assert float(names["best"].best_model_score) > 0.0
    assert names["stop"].wait_count > 0 or names["stopped"].current_epoch == 20
    assert "'validated_predictions': 1" in printed
    assert names["judge"].stats()["pending_validations"] == 0
    whole, (walk,) = names["trend"].summary(), [block for block in blocks if "WalkCheckpoint" in block]
    exec(walk.replace(", data)\n", ', data, ckpt_path="checkpoints/full.ckpt", weights_only=True)\n'), names)
    again = names["trend"].summary()
    assert names["trainer"].current_epoch > 1
    assert {name: again[name] for name in ("stats", "event_accuracy", "nll")} == {
        name: whole[name] for name in ("stats", "event_accuracy", "nll")
    }
    names["ledger"].engine.dispose()
