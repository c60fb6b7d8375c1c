import numpy as np
import torch

from trendtrain.data.arena import Arena
from trendtrain.data.windows import WindowDataset
from trendtrain.features import bar_features, skill_features
from trendtrain.market import synthetic_market
from trendtrain.replay import Draw
from trendtrain.stream.inputs import InputTracker

WINDOW = 24


def batch_of(transitions: bool = False) -> dict[str, torch.Tensor]:
    arena = Arena(WINDOW)
    arena.append(0, InputTracker(bar_features, skill_features, None).update(synthetic_market(600, seed=2)))
    draw = Draw(
        row=np.array([51, 60, 33]),
        weight=np.array([1.0, 2.0, 3.0]),
        label=np.array([1, 0, 1]),
        known_at=np.array([80, 90, 40]),
        change=np.array([0.1, -0.2, 0.3]),
    )
    return WindowDataset(arena, transitions)[draw]


def test_a_batch_has_the_shapes_and_types_of_the_contract() -> None:
    assert {name: (tuple(value.shape), value.dtype) for name, value in batch_of().items()} == {
        "window": ((3, WINDOW, 8), torch.float32),
        "side": ((3, 24), torch.float32),
        "label": ((3,), torch.int64),
        "row": ((3,), torch.int64),
        "weight": ((3,), torch.float32),
    }


def test_a_batch_holds_the_rows_weights_and_labels_of_its_draw() -> None:
    batch = batch_of()
    assert batch["row"].tolist() == [51, 60, 33]
    assert batch["weight"].tolist() == [1.0, 2.0, 3.0]
    assert batch["label"].tolist() == [1, 0, 1]


def test_transitions_add_the_next_window_and_the_gain() -> None:
    plain, batch = batch_of(), batch_of(transitions=True)
    assert set(batch) - set(plain) == {"next_window", "next_side", "gain"}
    assert batch["next_window"].shape == batch["window"].shape
    assert batch["gain"].dtype == torch.float32
