from collections.abc import Callable

import numpy as np
import pytest

from trendtrain.errors import InputError
from trendtrain.importing.quality import QualityReport, describe
from trendtrain.market.bars import Bars, Series

SERIES = Series("BTCUSDT", "1m")
MakeBars = Callable[..., Bars]


def bars_with(high: list[float], volume: list[float]) -> Bars:
    time = np.arange(len(high)).astype("datetime64[m]")
    ones = np.ones(len(high))
    return Bars(time, ones, np.array(high), ones, ones, np.array(volume), np.timedelta64(1, "m"))


def test_span_and_holes_are_counted_in_bars(make_bars: MakeBars) -> None:
    report = describe(SERIES, make_bars([0, 1, 5, 6, 8]))
    assert (report.n_bars, report.n_missing, report.longest_hole) == (5, 4, 3)
    assert (report.first, report.last) == (np.datetime64("2024-01-01T00:00"), np.datetime64("2024-01-01T00:08"))


def test_flat_bars_and_equal_highs_are_counted() -> None:
    report = describe(SERIES, bars_with([1.0, 2.0, 2.0, 1.0, 1.0], [1.0] * 5))
    assert (report.n_flat, report.equal_highs) == (3, 0.5)


@pytest.mark.parametrize(("volume", "share"), [([0.0, 2.0], 0.5), ([0.0, 0.0], 1.0), ([np.nan, np.nan], None)])
def test_zero_volume_is_a_share_only_where_volume_is_supplied(volume: list[float], share: float | None) -> None:
    assert describe(SERIES, bars_with([1.0, 1.0], volume)).zero_volume == share


def test_one_bar_has_no_holes_and_no_neighbours(make_bars: MakeBars) -> None:
    report = describe(SERIES, make_bars([0]))
    assert isinstance(report, QualityReport)
    assert (report.n_missing, report.longest_hole) == (0, 0)
    assert np.isnan(report.equal_highs)


def test_no_bars_are_refused(make_bars: MakeBars) -> None:
    with pytest.raises(InputError, match="`bars` must hold at least one bar of BTCUSDT 1m, got none"):
        describe(SERIES, make_bars([]))


def test_holes_of_one_length_are_counted(make_bars: MakeBars) -> None:
    report = describe(SERIES, make_bars([0, 1, 5, 6, 8, 12]))
    assert (report.n_holes, report.n_longest, report.longest_hole) == (3, 2, 3)
    assert (describe(SERIES, make_bars([0, 1, 2])).n_holes, describe(SERIES, make_bars([0, 1])).n_longest) == (0, 0)


def closing_at(closes: list[float]) -> Bars:
    time, prices = np.arange(len(closes)).astype("datetime64[m]"), np.array(closes)
    return Bars(time, prices, prices, prices, prices, prices, np.timedelta64(1, "m"))


def test_a_split_and_a_move_of_fifty_medians_are_jumps() -> None:
    restless = np.exp(np.cumsum(np.tile([0.05, -0.05], 40)))
    assert describe(SERIES, closing_at(restless.tolist())).n_jumps == 0
    assert describe(SERIES, closing_at([*restless, *(restless / 2)])).n_jumps == 1
    calm = np.exp(np.cumsum(np.tile([0.0001, -0.0001], 40)))
    assert describe(SERIES, closing_at([*calm, *(calm * 1.004)])).n_jumps == 0
    assert describe(SERIES, closing_at([*calm, *(calm * 1.006)])).n_jumps == 1
    assert describe(SERIES, closing_at([1.0, 1.0, 1.0])).n_jumps == 0
