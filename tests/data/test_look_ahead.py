from functools import partial
from typing import Any

import numpy as np
import pytest

from trendtrain.data import PivotDataModule, Walk
from trendtrain.data.look_ahead import is_ours
from trendtrain.errors import InputError
from trendtrain.features import BarFeatures, Lookback, bar_features
from trendtrain.market import Bars, Labels, Series, label_bars, synthetic_market

SERIES = {Series("A", "5m"): synthetic_market(1500, seed=0)}


def set_up(**options: Any) -> None:
    PivotDataModule(SERIES, window=12, walk=Walk(start=0.3, step="50bars"), **options).setup()


def honest(bars: Bars) -> np.ndarray:
    return np.column_stack([bars.close, np.maximum.accumulate(bars.high)])


def next_close(bars: Bars) -> np.ndarray:
    """One bar ahead; at the last bar, where there is no next one, the bar's own."""
    return np.append(bars.close[1:], bars.close[-1])[:, None]


def scaled_by_all(bars: Bars) -> np.ndarray:
    return (bars.close / bars.close.mean())[:, None]


class PeeksInside:
    """A tracker that sees one bar ahead inside each chunk."""

    def update(self, bars: Bars) -> np.ndarray:
        return next_close(bars)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class ForgetsChunks(PeeksInside):
    """A tracker whose average starts anew with each chunk."""

    def update(self, bars: Bars) -> np.ndarray:
        return np.cumsum(bars.close)[:, None]


def labels_known_too_early(bars: Bars) -> Labels:
    """The direction of the next 20 bars, said to be known after 10."""
    bar = np.arange(len(bars))
    known_at = np.where(bar + 10 < len(bars), bar + 10, -1)
    is_up = bars.close[np.minimum(bar + 20, len(bars) - 1)] > bars.close
    return Labels.of_bars(bars, np.where(known_at >= 0, is_up, -1), known_at, known_at)


@pytest.mark.parametrize("part", [honest, bar_features, BarFeatures, partial(honest)])
def test_honest_parts_pass(part: Any) -> None:
    set_up(features=part, side=part, baselines={"mine": lambda bars: (bars.close > bars.open).astype(int)})


@pytest.mark.parametrize("is_checked", [True, False])
def test_a_baseline_of_wrong_length_is_named(is_checked: bool) -> None:
    with pytest.raises(InputError, match=r"^`baselines\['mine'\]` must give a finite row for each of \d+ bars"):
        set_up(baselines={"mine": lambda bars: np.ones(len(bars) - 1, dtype=int)}, check_causal=is_checked)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": next_close}, "`data.features` must not look ahead .*: `next_close` looks ahead at cut 750: "),
        ({"side": scaled_by_all}, "`data.side` must not look ahead .*: `scaled_by_all` looks ahead at cut 750: "),
        ({"features": PeeksInside}, "`data.features` must not look ahead .*: `PeeksInside` looks ahead"),
        ({"features": ForgetsChunks}, "`data.features` must not look ahead .*: `ForgetsChunks` looks ahead"),
        ({"labeler": labels_known_too_early}, "`labels` must not look ahead .*: `labels_known_too_early` looks ahead"),
        (
            {"baselines": {"mine": lambda bars: np.append(bars.close[1:] > bars.close[:-1], False).astype(int)}},
            r"`baselines\['mine'\]` must not look ahead",
        ),
    ],
)
def test_a_part_that_looks_ahead_is_refused_before_training(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        set_up(**options)
    set_up(**options, check_causal=False)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (label_bars, True),
        (partial(label_bars, max_gap=3), True),
        (BarFeatures, True),
        (honest, False),
        (partial(honest), False),
        (lambda bars: bars.close, False),
        (partial(bar_features, honest), False),
    ],
)
def test_what_is_the_packages_own_is_known(part: Any, expected: bool) -> None:
    assert is_ours(part) == expected


def change(bars: Bars, n: int = 20) -> np.ndarray:
    """How far the close moved over n bars."""
    return bars.close - bars.close[np.maximum(np.arange(len(bars)) - n, 0)]


@pytest.mark.parametrize("key", ["features", "side"])
def test_a_lookback_that_is_too_small_is_refused(key: str) -> None:
    message = (
        f"`data.{key}` must give the same, to the last bit, from its lookback of 20 bars .*: `Lookback` depends on"
    )
    with pytest.raises(InputError, match=message):
        set_up(**{key: partial(Lookback, change, 20)})
    set_up(**{key: partial(Lookback, change, lookback=21)})
    set_up(**{key: partial(Lookback, change, 20)}, check_causal=False)


def test_the_lookback_of_our_own_averages_is_never_enough() -> None:
    with pytest.raises(
        InputError, match=r"`data.features` must give the same, to the last bit, from its lookback of 400 bars"
    ):
        set_up(features=partial(Lookback, bar_features, 400))


def test_the_function_of_a_lookback_that_looks_ahead_is_named() -> None:
    with pytest.raises(InputError, match=r"`data.features` must not look ahead .*: `next_close` looks ahead"):
        set_up(features=partial(Lookback, next_close, 5))
