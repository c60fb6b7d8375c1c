"""Synthetic markets are reproducible and dirty enough, and the planted one's optimum is what it says."""

import math
from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from law_checks import assert_same, assert_same_fields

from trendtrain.errors import InputError
from trendtrain.market import (
    Bars,
    bayes_filter,
    flipping_market,
    foretold_market,
    label_bars,
    planted_market,
    random_signs,
    random_walk,
    synthetic_market,
)
from trendtrain.market.directions import UP
from trendtrain.stream.pass_judge import attach
from trendtrain.validation import Pending, Predictions, Scoreboard, baseline_directions
from trendtrain.validation.online_logistic import online_logistic

Market = Callable[[int, int], Bars]
MARKETS = [synthetic_market, random_walk, planted_market, flipping_market, foretold_market]


@pytest.mark.parametrize("market", MARKETS)
def test_the_same_seed_gives_the_same_bars(market: Market) -> None:
    assert_same_fields(market(500, 7), market(500, 7))


@pytest.mark.parametrize("market", MARKETS)
def test_another_seed_gives_other_bars(market: Market) -> None:
    assert (market(500, 7).close != market(500, 8).close).any()


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("n_bars", [1, 2, 1000])
def test_a_market_has_as_many_bars_as_asked_for(market: Market, n_bars: int) -> None:
    bars = market(n_bars, 0)
    assert len(bars) == n_bars
    assert all(len(getattr(bars, field.name)) == n_bars for field in fields(Bars) if field.name != "timeframe")


@pytest.mark.parametrize("market", MARKETS)
def test_no_market_touches_the_global_generator(market: Market) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    market(100, 0)
    assert_same(before, np.random.get_state()[1])  # noqa: NPY002


def test_a_synthetic_market_has_ties_inside_bars_and_missing_bars() -> None:
    bars = synthetic_market(5000, seed=0)
    assert (np.diff(bars.high) == 0).mean() > 0.02
    assert ((np.diff(bars.high) <= 0) & (np.diff(bars.low) >= 0)).mean() > 0.05
    n_slots = (bars.open_time[-1] - bars.open_time[0]) / bars.timeframe + 1
    assert 0.003 < 1 - len(bars) / n_slots < 0.03


def test_without_missing_bars_a_synthetic_market_has_no_hole() -> None:
    bars = synthetic_market(2000, seed=0, missing=0.0)
    assert (np.diff(bars.open_time) == bars.timeframe).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bars": 0}, "`n_bars` must be an integer of at least 1, got 0"),
        ({"n_bars": 10, "block": 0}, "`block` must be an integer of at least 1, got 0"),
        ({"n_bars": 10, "missing": 1.0}, r"`missing` must be a number from 0\.0 to 0\.9, got 1\.0"),
        ({"n_bars": 10, "tick": -1.0}, r"`tick` must be a number of at least 0\.0, got -1\.0"),
    ],
)
def test_a_bad_option_of_a_synthetic_market_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        synthetic_market(seed=0, **options)


def next_block_rises(n_bars: int, seed: int) -> np.ndarray:
    """Return whether the block after that of each bar drifts up: where a little more drift makes the bars rise more."""
    bars, twin = (synthetic_market(n_bars, seed, drift=drift, tick=0.0) for drift in (0.4, 0.4 + 1e-6))
    numbers = (bars.open_time - bars.open_time[0]) // bars.timeframe // 24
    rises = pd.Series(twin.close / twin.open > bars.close / bars.open)
    assert (rises.groupby(numbers).nunique() == 1).all()
    return rises.groupby(numbers).first().reindex(numbers + 1, fill_value=True).to_numpy()


def test_a_synthetic_market_leaves_its_average_after_low_volume_and_returns_after_high_volume() -> None:
    bars = synthetic_market(48_000, seed=0, missing=0.0)
    close = pd.Series(np.log(bars.close))
    side = np.sign(close - close.ewm(span=100, adjust=False).mean()).to_numpy()[23:-1:24]
    volume = np.log(bars.volume).reshape(-1, 24).mean(axis=1)[:-1]
    after = np.sign(np.diff(close[23::24]))
    leaves = np.where(volume < np.median(volume), 1.0, -1.0)
    assert np.mean(side * leaves * after > 0) > 0.94
    for alone in (side[1:], leaves[1:], after[:-1], side[1:] * after[:-1]):
        assert abs(np.mean(alone * after[1:])) < 4.0 / math.sqrt(len(after))


def test_who_is_told_the_next_block_of_a_synthetic_market_is_right_and_no_simple_rule_has_skill() -> None:
    bars = synthetic_market(60_000, seed=2)
    rules = {name: event_accuracy(bars, up) for name, up in baseline_directions(bars, label_bars(bars)).items()}
    assert event_accuracy(bars, next_block_rises(60_000, seed=2).astype(np.float64)) > 0.7
    assert all(abs(accuracy - 0.5) < 0.04 for accuracy in rules.values()), rules


def test_a_logistic_regression_sees_next_to_nothing_in_side_and_volume_and_much_in_their_product() -> None:
    bars = synthetic_market(60_000, seed=2)
    labels = label_bars(bars)
    close, volume = (pd.Series(np.log(values)) for values in (bars.close, bars.volume))
    distance = close - close.ewm(span=100, adjust=False).mean()
    excess = volume.rolling(4, min_periods=1).mean() - volume.ewm(span=200, adjust=False).mean()
    alone = [distance, np.sign(distance), excess, np.sign(excess), close.diff().fillna(0.0)]
    both = [*alone, np.sign(distance) * np.sign(excess)]
    blind, sees = (
        event_accuracy(bars, (online_logistic(np.column_stack(parts), labels) == UP).astype(np.float64))
        for parts in (alone, both)
    )
    assert abs(blind - 0.5) < 0.04
    assert sees > 0.62


def slow_chances(bars: Bars, drift: float, dwell: float) -> list[float]:
    """Filter the two states with the normal density of each bar's return."""
    up, chances, before = 0.5, [], math.log(bars.open[0])
    for close in bars.close.tolist():
        value = (math.log(close) - before) / 1e-3
        like_up, like_down = math.exp(-((value - drift) ** 2) / 2), math.exp(-((value + drift) ** 2) / 2)
        up = up * like_up / (up * like_up + (1 - up) * like_down)
        up = up * (1 - 1 / dwell) + (1 - up) / dwell
        chances.append(up)
        before = math.log(close)
    return chances


@pytest.mark.parametrize(("drift", "dwell"), [(0.21, 300.0), (0.5, 20.0)])
def test_bayes_filter_equals_a_slow_filter(drift: float, dwell: float) -> None:
    bars = planted_market(3000, seed=4, drift=drift, dwell=dwell)
    fast = bayes_filter(bars, drift, dwell)
    assert fast == pytest.approx(np.array(slow_chances(bars, drift, dwell)), abs=1e-9)


@pytest.mark.parametrize("cut", [1, 2, 500, 1999])
def test_bayes_filter_before_a_cut_stays(cut: int) -> None:
    bars = planted_market(2000, seed=4)
    assert_same(bayes_filter(bars)[:cut], bayes_filter(bars[:cut]))


def event_accuracy(bars: Bars, up: np.ndarray) -> float:
    labels, buffer = label_bars(bars), Pending()
    buffer.add(attach(Predictions(np.arange(len(bars)), np.column_stack([1 - up, up])), labels, {}))
    board = Scoreboard(labels.series, [])
    board.update(buffer.judge(labels.known_labels(now=len(bars) - 1)))
    return board.metrics()["event_accuracy"]


def test_bayes_filter_beats_six_tenths_of_the_events_of_a_planted_market() -> None:
    bars = planted_market(30_000, seed=0)
    assert event_accuracy(bars, bayes_filter(bars)) > 0.6


def test_bayes_filter_has_no_skill_on_a_random_walk() -> None:
    bars = random_walk(30_000, seed=0)
    assert abs(event_accuracy(bars, bayes_filter(bars)) - 0.5) < 0.04


def test_bayes_filter_knows_where_the_drift_goes() -> None:
    """Calibration of the next bar's sign: the mean chance of up, through the drift, is the share of up bars."""
    bars = planted_market(60_000, seed=1, drift=0.5, dwell=100.0)
    chance = bayes_filter(bars, 0.5, 100.0)[:-1]
    returns = np.diff(np.log(bars.close)) / 1e-3
    expected = 0.5 * (2 * chance - 1)
    for part in (chance < 0.2, (chance > 0.4) & (chance < 0.6), chance > 0.8):
        assert returns[part].mean() == pytest.approx(expected[part].mean(), abs=4 / math.sqrt(part.sum()))


def test_a_flipping_market_is_the_planted_one_before_it_flips() -> None:
    flipping, planted = flipping_market(3000, seed=2, block=2000), planted_market(3000, seed=2)
    np.testing.assert_allclose(flipping.close[:2000], planted.close[:2000])
    assert not np.allclose(flipping.close[2000:], planted.close[2000:])


def test_what_calls_the_trend_before_a_flip_is_wrong_after_it_and_right_again_after_the_next() -> None:
    bars = flipping_market(36_000, seed=0, block=12_000)
    close = np.log(bars.close)
    follows = (close > pd.Series(close).ewm(span=100, adjust=False).mean().to_numpy()).astype(np.float64)
    blocks = [slice(start, start + 12_000) for start in (0, 12_000, 24_000)]
    accuracy = [event_accuracy(bars[block], follows[block]) for block in blocks]
    assert min(accuracy[0], accuracy[2]) > 0.62
    assert accuracy[1] < 0.45


def test_a_reverting_block_stays_as_near_to_where_it_began_as_its_pull_says() -> None:
    bars = flipping_market(60_000, seed=3, block=30_000, pull=0.05)
    distance = np.log(bars.close[30_000:] / bars.open[30_000])
    assert distance.std() == pytest.approx(1e-3 / math.sqrt(1.0 - 0.95**2), rel=0.1)
    assert abs(distance.mean()) < 3e-4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_bars": 0}, "`n_bars` must be an integer of at least 1, got 0"),
        ({"block": 0}, "`block` must be an integer of at least 1, got 0"),
        ({"dwell": 0.5}, r"`dwell` must be a number of at least 1\.0, got 0\.5"),
        ({"pull": 1.5}, r"`pull` must be a number from 0\.0 to 1\.0, got 1\.5"),
    ],
)
def test_a_bad_option_of_a_flipping_market_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        flipping_market(**{"n_bars": 10, "seed": 0, **options})


def test_volume_foretells_the_drift_as_far_ahead_as_asked() -> None:
    lag, bars = 30, foretold_market(50_000, seed=0, lag=30)
    returns = np.diff(np.log(bars.close), prepend=np.log(bars.open[:1])) / 1e-3
    volume = np.log(bars.volume)
    told = np.sign(volume - np.median(volume))
    assert np.mean(told[:-lag] * returns[lag:]) == pytest.approx(0.4, abs=0.05)
    assert abs(np.mean(told[: -3 * lag] * returns[3 * lag :])) < 0.03


def test_random_signs_keep_sizes_and_times_and_mirror_the_shape_of_bars() -> None:
    bars = synthetic_market(2_000, seed=0)
    mirrored = random_signs(bars, seed=1)
    assert_same(mirrored.open_time, bars.open_time)
    assert_same(mirrored.volume, bars.volume)
    moves, before = (np.log(one.close / one.open) for one in (mirrored, bars))
    np.testing.assert_allclose(abs(moves), abs(before), atol=1e-12)
    is_same = moves * before > 1e-20
    assert 0.4 < is_same.sum() / (abs(before) > 1e-12).sum() < 0.6
    up, was_up = np.log(mirrored.high / mirrored.open), np.log(bars.high / bars.open)
    was_down = np.log(bars.open / bars.low)
    moved = abs(before) > 1e-12
    np.testing.assert_allclose(up[moved], np.where(is_same, was_up, was_down)[moved], atol=1e-12)


def test_random_signs_leave_nothing_of_a_planted_drift() -> None:
    bars = planted_market(30_000, seed=0)

    def momentum(market: Bars) -> float:
        returns = np.diff(np.log(market.close)) / 1e-3
        return float(np.mean(returns[20:] * np.convolve(returns, np.ones(20) / 20, "valid")[:-1]))

    assert momentum(bars) > 0.02
    assert abs(momentum(random_signs(bars, seed=0))) < 0.01
