import numpy as np
import pytest
import torch

from trendtrain.data.arena import build_arena
from trendtrain.data.windows import WindowDataset, Windows
from trendtrain.errors import InputError
from trendtrain.features import bar_features, skill_features, volatility_unit
from trendtrain.market import Bars, synthetic_market
from trendtrain.replay import Draw

BARS = synthetic_market(600, seed=2)
WINDOW = 24


def dataset_of(bars: Bars, window: int = WINDOW) -> WindowDataset:
    return WindowDataset(Windows(build_arena([bars], bar_features, skill_features, None), window))


def draw_of(*rows: int) -> Draw:
    return Draw(np.array(rows), np.arange(1.0, len(rows) + 1))


def slow_window(bars: Bars, row: int) -> np.ndarray:
    """The documented formula, number by number."""
    features, unit = bar_features(bars), volatility_unit(bars)[row]
    window = []
    for j in range(WINDOW - 1, -1, -1):
        levels = [bars.close[row - j], bars.high[row - j], bars.low[row - j]]
        scaled = [(np.log(level) - np.log(bars.close[row])) / (unit * np.sqrt(j + 2)) for level in levels]
        window.append([*(min(8.0, max(-8.0, value)) for value in scaled), *features[row - j]])
    return np.array(window)


def test_windows_are_their_formula() -> None:
    rows = [WINDOW - 1, WINDOW, 100, 333, 598, 599]
    window = dataset_of(BARS)[draw_of(*rows)]["window"]
    expected = np.stack([slow_window(BARS, row) for row in rows])
    np.testing.assert_allclose(window.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_levels_are_clipped() -> None:
    price = np.r_[np.ones(50), np.full(10, 1e6)]
    time = BARS.open_time[0] + np.arange(60) * BARS.timeframe
    bars = Bars(time, price, price, price, price, price, BARS.timeframe)
    levels = dataset_of(bars)[draw_of(59)]["window"][0, :, :3]
    assert levels.min() == -8.0


def test_a_batch_has_the_shapes_and_types_of_the_contract() -> None:
    batch = dataset_of(BARS)[draw_of(50, 60, 50)]
    assert {name: (tuple(value.shape), value.dtype) for name, value in batch.items()} == {
        "window": ((3, WINDOW, 8), torch.float32),
        "side": ((3, 24), torch.float32),
        "label": ((3,), torch.int64),
        "row": ((3,), torch.int64),
        "weight": ((3,), torch.float32),
    }


def test_a_batch_holds_the_rows_weights_and_labels_of_its_draw() -> None:
    batch = dataset_of(BARS)[draw_of(51, 60, 33)._replace(label=np.array([1, 0, 1], dtype=np.int8))]
    assert batch["row"].tolist() == [51, 60, 33]
    assert batch["weight"].tolist() == [1.0, 2.0, 3.0]
    assert batch["label"].tolist() == [1, 0, 1]


def test_without_labels_every_label_is_unknown() -> None:
    assert dataset_of(BARS)[draw_of(51, 60)]["label"].tolist() == [-1, -1]


def test_a_window_does_not_depend_on_later_bars() -> None:
    rows = draw_of(100, 299)
    torch.testing.assert_close(dataset_of(BARS[:300])[rows]["window"], dataset_of(BARS)[rows]["window"], rtol=0, atol=0)


def test_a_window_does_not_depend_on_the_price_scale() -> None:
    prices = (7.0 * getattr(BARS, name) for name in ("open", "high", "low", "close"))
    scaled = Bars(BARS.open_time, *prices, BARS.volume, BARS.timeframe)
    rows = draw_of(100, 299)
    torch.testing.assert_close(dataset_of(scaled)[rows]["window"], dataset_of(BARS)[rows]["window"], rtol=0, atol=1e-5)


def test_handing_out_a_batch_changes_nothing() -> None:
    dataset = dataset_of(BARS)
    first = dataset[draw_of(100, 101)]["window"]
    first.zero_()
    np.testing.assert_allclose(dataset[draw_of(100)]["window"][0], slow_window(BARS, 100), rtol=1e-5, atol=1e-5)


def test_the_number_of_channels_is_told() -> None:
    windows, batch = dataset_of(BARS).windows, dataset_of(BARS)[draw_of(50)]
    assert windows.n_features == batch["window"].shape[2] == 8
    assert windows.n_side == batch["side"].shape[1] == 24


def test_fewer_bars_than_a_window_are_refused() -> None:
    message = "`window` must be at most the number of bars, got 601 for 600 bars"
    with pytest.raises(InputError, match=message):
        dataset_of(BARS, window=601)
