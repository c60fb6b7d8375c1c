"""On real bars: fast equals slow, the future changes nothing, and chunks change nothing."""

from typing import Any

import numpy as np
import pytest
from law_checks import (
    assert_baselines_survive_cut,
    assert_chunks_change_nothing,
    assert_features_survive_cut,
    assert_labels_equal_reference,
    assert_labels_in_chunks_change_nothing,
    assert_labels_survive_cut,
    assert_lines_equal_reference,
    assert_pivots_equal_reference,
    assert_pivots_survive_cut,
    assert_windows_survive_cut,
)

from trendtrain.market import Bars

WILLIAMS: dict[str, Any] = {}
OTHER: dict[str, Any] = {"strength": (2, 1, 1), "tie": "strict", "inside": "skip", "max_gap": 2}
EVERY = [
    {"strength": strength, "tie": tie, "inside": inside, "max_gap": max_gap}
    for strength in ((1, 1), (2, 2, 1))
    for tie in ("plateau", "strict")
    for inside in ("keep", "skip")
    for max_gap in (None, 0, 5)
]


def assert_equal_reference(bars: Bars, flat_band: float, **options: Any) -> None:
    assert_pivots_equal_reference(bars, **options)
    assert_lines_equal_reference(bars, flat_band=flat_band, **options)
    assert_labels_equal_reference(bars, flat_band=flat_band, **options)


@pytest.mark.parametrize(("flat_band", "options"), [(0.0, WILLIAMS), (5e-4, OTHER)], ids=["default", "other"])
def test_real_pivots_lines_and_labels_equal_the_reference(
    real_bars: Bars, flat_band: float, options: dict[str, Any]
) -> None:
    assert_equal_reference(real_bars, flat_band, **options)


@pytest.mark.parametrize("options", [WILLIAMS, OTHER], ids=["default", "other"])
def test_real_bars_cut_anywhere_keep_what_was_known(real_bars: Bars, options: dict[str, Any]) -> None:
    for cut in np.random.default_rng(0).integers(1, len(real_bars) + 1, 6).tolist():
        assert_pivots_survive_cut(real_bars, cut, **options)
        assert_labels_survive_cut(real_bars, cut, flat_band=5e-4, **options)
        assert_baselines_survive_cut(real_bars, cut, **options)


@pytest.mark.parametrize("max_gap", [None, 3])
def test_real_features_windows_and_answers_do_not_see_the_future(real_bars: Bars, max_gap: int | None) -> None:
    for cut in np.random.default_rng(1).integers(96, min(1500, len(real_bars)) + 1, 2).tolist():
        assert_features_survive_cut(real_bars, cut, max_gap)
        assert_windows_survive_cut(real_bars, cut, max_gap, window=32)


@pytest.mark.parametrize("options", [WILLIAMS, OTHER], ids=["default", "other"])
@pytest.mark.parametrize(("n_bars", "size"), [(300, 1), (1500, 7), (3000, 1009), (3000, 3000)])
def test_real_bars_in_chunks_change_nothing(real_bars: Bars, n_bars: int, size: int, options: dict[str, Any]) -> None:
    bars = real_bars[:n_bars]
    assert_chunks_change_nothing(bars, list(range(size, len(bars), size)), **options)


@pytest.mark.full
@pytest.mark.parametrize("options", EVERY, ids=lambda options: "-".join(map(str, options.values())))
def test_whole_files_equal_the_reference(whole_bars: Bars, options: dict[str, Any]) -> None:
    assert_equal_reference(whole_bars, 5e-4, **options)


@pytest.mark.full
@pytest.mark.parametrize("options", [WILLIAMS, OTHER], ids=["default", "other"])
@pytest.mark.parametrize("size", [1, 7, 1009])
def test_whole_files_in_chunks_change_nothing(whole_bars: Bars, size: int, options: dict[str, Any]) -> None:
    """What a chunk made known is never taken back, and all of it together is what one call over all bars gives."""
    bars = whole_bars[: 20_000 * size]
    edges = list(range(size, len(bars), size))
    assert_chunks_change_nothing(bars, edges, **options)
    assert_labels_in_chunks_change_nothing(bars, edges, flat_band=5e-4, **options)


@pytest.mark.full
def test_whole_files_cut_anywhere_keep_what_was_known(seven_bars: Bars) -> None:
    for cut in np.random.default_rng(2).integers(96, len(seven_bars) + 1, 40).tolist():
        for options in (WILLIAMS, OTHER):
            assert_pivots_survive_cut(seven_bars, cut, **options)
            assert_labels_survive_cut(seven_bars, cut, flat_band=5e-4, **options)
            assert_baselines_survive_cut(seven_bars, cut, **options)
            assert_features_survive_cut(seven_bars, cut, options.get("max_gap"))
