"""The checks that users run on their own functions: each cheat is caught and named, and honest functions pass."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from generated import label_options, pivot_options, some_bars
from hypothesis import given, settings
from law_checks import Array

from trendtrain.errors import InputError
from trendtrain.features import bar_features, price_levels, volatility_unit
from trendtrain.laws import CausalityError, check_causal, check_chunks
from trendtrain.market import Bars, Labels, PivotTracker, label_bars, random_walk, synthetic_market

WALK = random_walk(400, seed=4)
MARKET = synthetic_market(2500, seed=3, missing=0.03, tick=0.05)


def centred_average(bars: Bars) -> Array:
    return np.convolve(bars.close, [0.25, 0.5, 0.25], mode="same")


def next_return(bars: Bars) -> Array:
    return np.column_stack([bars.close, np.diff(bars.close, append=bars.close[-1:])])


def scaled_by_its_mean(bars: Bars) -> Array:
    return np.asarray(bars.close / bars.close.mean())


def label_at_once(bars: Bars) -> Labels:
    """Label each bar by the return of the next five, and say that it is known after one."""
    direction = np.full(len(bars), -1)
    known_at, event = direction.copy(), direction.copy()
    n = max(0, len(bars) - 5)
    direction[:n] = bars.close[5:] > bars.close[:-5] if n else 0
    known_at[:n], event[:n] = np.arange(n) + 1, np.arange(n)
    return Labels.of_bars(bars, direction, known_at, event)


def label_after_five(bars: Bars) -> Labels:
    labels = label_at_once(bars)
    known_at = np.where(labels.known_at >= 0, labels.known_at + 4, -1)
    return Labels.of_bars(bars, labels.direction, known_at, labels.event)


def with_labels(change: Callable[[Labels, int], Labels]) -> Callable[[Bars], Labels]:
    return lambda bars: change(label_bars(bars), len(bars))


# Honest functions pass


@given(some_bars(min_bars=1), label_options())
@settings(max_examples=20)
def test_our_labels_pass_with_any_options(bars: Bars, options: dict[str, Any]) -> None:
    check_causal(partial(label_bars, **options), bars, chunks=(3,))


@pytest.mark.parametrize("fn", [bar_features, price_levels, volatility_unit, label_bars, label_after_five])
def test_honest_functions_pass(fn: Callable[[Bars], Any]) -> None:
    check_causal(fn, MARKET, chunks=(7, 1009))


def test_nan_equals_nan() -> None:
    check_causal(lambda bars: np.where(np.arange(len(bars)) < 20, np.nan, bars.close), WALK)


def test_times_integers_and_truths_may_be_features() -> None:
    empty = np.datetime64("NaT", "ms")
    check_causal(lambda bars: np.where(bars.close > bars.open, bars.close_time, empty), WALK)
    check_causal(lambda bars: np.arange(len(bars)), WALK)
    check_causal(lambda bars: bars.close > bars.open, WALK)


# Cheats are caught and named


def caught(fn: Callable[[Bars], Any], bars: Bars = WALK, **options: Any) -> str:
    with pytest.raises(CausalityError) as error:
        check_causal(fn, bars, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_centred_average_is_caught_at_the_last_bar_of_the_cut() -> None:
    bars = WALK[:100]
    alone, whole = centred_average(bars[:40])[39], centred_average(bars)[39]
    assert caught(centred_average, bars, cuts=[40], chunks=()) == (
        f"`centred_average` looks ahead at cut 40: value at bar 39 is {alone} from those 40 bars alone, "
        f"but all 100 bars say that {whole} was known by then."
    )


def test_the_column_that_looks_ahead_is_named() -> None:
    assert "`next_return` looks ahead at cut 1: column 1 at bar 0 is 0.0 from" in caught(next_return)


def test_a_scaling_by_the_whole_is_caught_at_the_first_bar() -> None:
    assert "looks ahead at cut 1: value at bar 0 is 1.0 from" in caught(scaled_by_its_mean)


def test_the_first_bar_that_changed_is_named_whatever_its_column() -> None:
    def fn(bars: Bars) -> Array:
        values = np.zeros((len(bars), 2))
        if len(bars) > 90:
            values[50:, 0] = values[30:, 1] = 1.0
        return values

    assert "column 1 at bar 30 is 0.0 from those 80 bars alone, but all 400 bars say that 1.0" in caught(
        fn, cuts=[80], chunks=()
    )


def test_one_bit_is_a_difference() -> None:
    def fn(bars: Bars) -> Array:
        return np.nextafter(bars.close, np.inf) if len(bars) == len(WALK) else bars.close

    assert "value at bar 0" in caught(fn)


def test_a_negative_zero_is_not_zero() -> None:
    assert "is 0.0 from those" in caught(lambda bars: np.full(len(bars), 0.0 if len(bars) < 400 else -0.0))


def test_a_nan_that_later_becomes_a_number_is_caught() -> None:
    def filled_back(bars: Bars) -> Array:
        return np.where(np.arange(len(bars)) < len(bars) - 1, bars.close, np.nan)

    assert "value at bar 0 is nan from those 1 bars" in caught(filled_back)


def test_a_change_of_dtype_is_caught() -> None:
    def fn(bars: Bars) -> Array:
        return np.zeros(len(bars), np.int64 if len(bars) < 400 else np.float64)

    assert "dtype at bar 0 is int64 from those 1 bars alone, but all 400 bars say that float64" in caught(fn)


def test_a_change_of_columns_is_caught() -> None:
    assert "shape at bar 0 is (1,) from" in caught(lambda bars: np.zeros((len(bars), min(len(bars), 9))))


def test_a_function_that_answers_the_same_bars_differently_is_caught_at_the_last_cut() -> None:
    random = np.random.default_rng(0)
    assert "looks ahead at cut 400: " in caught(lambda bars: random.random(len(bars)), cuts=[400], chunks=())


def test_an_answer_written_into_the_same_memory_does_not_hide_a_look_ahead() -> None:
    memory = np.zeros(400)

    def fn(bars: Bars) -> Array:
        memory[: len(bars)] = scaled_by_its_mean(bars)
        return memory[: len(bars)]

    assert "value at bar 0" in caught(fn)


def test_a_label_said_to_be_known_too_early_is_caught() -> None:
    message = caught(label_at_once)
    assert "`label_at_once` looks ahead at cut 2: direction at bar 0 is -1 from those 2 bars alone" in message


def test_a_label_that_appears_before_it_is_known_is_caught() -> None:
    def early(labels: Labels, n_bars: int) -> Labels:
        direction = np.where(labels.run_direction < 0, 1, labels.run_direction).astype(np.int8)
        return replace(labels, run_direction=direction)

    assert "direction at bar 0 is 1 from those 1 bars alone, but all 400 bars say that -1" in caught(with_labels(early))


def test_a_label_known_at_a_bar_that_is_not_there_is_caught() -> None:
    def late(labels: Labels, n_bars: int) -> Labels:
        known_at = np.where(labels.run_known_at < 0, n_bars, labels.run_known_at)
        return replace(labels, run_known_at=known_at)

    assert "known_at at bar 0 is 1 from those 1 bars alone, but all 400 bars say that -1" in caught(with_labels(late))


def test_an_event_that_is_renumbered_is_caught() -> None:
    def renumbered(labels: Labels, n_bars: int) -> Labels:
        top = labels.run_event.max(initial=0)
        return replace(labels, run_event=np.where(labels.run_event < 0, -1, top - labels.run_event))

    assert ": event at bar " in caught(with_labels(renumbered))


def test_a_line_whose_price_changes_is_caught_at_its_first_bar() -> None:
    def moved(labels: Labels, n_bars: int) -> Labels:
        return replace(labels, lines=replace(labels.lines, first_price=labels.lines.first_price + (n_bars == 400)))

    first_bar = label_bars(WALK).lines.first_bar[0]
    assert f": lines.first_price at bar {first_bar} is " in caught(with_labels(moved))


def test_a_line_that_comes_late_is_caught() -> None:
    def without_last(labels: Labels, n_bars: int) -> Labels:
        return replace(labels, lines=labels.lines[: -1 if n_bars < 400 else None])

    assert ": the number of lines at bar " in caught(with_labels(without_last))


def test_a_look_ahead_past_the_small_cuts_is_caught_by_growing() -> None:
    def fn(bars: Bars) -> Array:
        return np.full(len(bars), float(len(bars) == 2018))

    assert "looks ahead at cut 2018: " in caught(fn, MARKET, cuts=[1])
    check_causal(fn, MARKET, cuts=[1], chunks=(7,))


# Which cuts


def sizes_tried(n_bars: int, **options: Any) -> list[int]:
    seen: list[int] = []

    def fn(bars: Bars) -> Array:
        seen.append(len(bars))
        return bars.close

    check_causal(fn, random_walk(n_bars, seed=0), **options)
    return seen[1:]


def test_small_random_and_all_bars_are_cut_by_default() -> None:
    sizes = sizes_tried(3000, chunks=())
    assert sizes[:50] == list(range(1, 51))
    assert sizes[-1] == 3000
    assert 140 <= len(sizes) <= 151  # a random cut may fall on another


def test_each_end_of_a_chunk_is_a_cut() -> None:
    assert sizes_tried(3000, cuts=[], chunks=(1009,)) == [1009, 2018]
    assert sizes_tried(3000, cuts=[5], chunks=(1,)) == list(range(1, 301))


def test_no_cut_is_shorter_than_the_shortest() -> None:
    assert min(sizes_tried(3000, shortest=30)) == 30
    assert min(sizes_tried(100, shortest=0)) == 0


def test_long_series_are_cut_less_often() -> None:
    assert sum(sizes_tried(200_000)) < 10_000_000


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fn": 3}, "`fn` must be a function of bars, got 3"),
        ({"bars": [1, 2]}, r"`bars` must be Bars, at least 1 of them, got \[1, 2\]"),
        ({"bars": WALK[:4], "shortest": 5}, "`bars` must be Bars, at least 5 of them, got 4 of them"),
        ({"cuts": 5}, "`cuts` must list integers, got 5"),
        ({"cuts": [0]}, "`cuts` must be an integer of at least 1, got 0"),
        ({"cuts": [401]}, "`cuts` must be at most the 400 bars there are, got 401"),
        ({"cuts": [1.5]}, "`cuts` must be an integer of at least 1, got 1.5"),
        ({"chunks": "7"}, "`chunks` must list integers, got '7'"),
        ({"chunks": [0]}, "`chunks` must be an integer of at least 1, got 0"),
        ({"shortest": -1}, "`shortest` must be an integer of at least 0, got -1"),
        ({"fn": lambda bars: None}, "`fn` must return Labels or numbers, .* 400 bars, got NoneType of object"),
        ({"fn": lambda bars: bars.close[20:]}, r"one row for each of 400 bars, got shape \(380,\)"),
        ({"fn": lambda bars: bars.close[:, None, None]}, r"got shape \(400, 1, 1\)"),
        ({"fn": lambda bars: label_bars(bars[1:])}, r"got shape \(399,\)"),
        (
            {"fn": lambda bars: label_bars(bars) if len(bars) > 9 else bars.close},
            "always return Labels or always arrays",
        ),
    ],
)
def test_a_bad_argument_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_causal(**{"fn": centred_average, "bars": WALK, **arguments})


def test_a_function_that_fails_on_few_bars_asks_for_shortest() -> None:
    def fn(bars: Bars) -> Array:
        if len(bars) < 3:
            raise KeyError("too short")
        return bars.close

    message = r"`fn` must accept any number of bars from `shortest` \(1\) on, but fn failed on the first 1: KeyError: "
    with pytest.raises(InputError, match=message):
        check_causal(fn, WALK)
    check_causal(fn, WALK, shortest=3)


# Trackers


@dataclass(frozen=True)
class Row:
    bar: Array
    value: Array
    kind: str = "mean"


class ChunkMean:
    """A tracker that says of each bar the mean of its chunk."""

    def update(self, bars: Bars) -> Row:
        return Row(np.arange(len(bars)), np.full(len(bars), bars.close.mean()))


class EveryChunk:
    """A tracker that returns one row a chunk."""

    def update(self, bars: Bars) -> tuple[Row]:
        return (Row(np.zeros(1), np.ones(1)),)


@given(some_bars(min_bars=1), pivot_options())
@settings(max_examples=20)
def test_our_pivots_pass_with_any_options(bars: Bars, options: dict[str, Any]) -> None:
    check_chunks(lambda: PivotTracker(**options), bars, chunks=(1, 7, 100))


def test_a_tracker_that_depends_on_its_chunks_is_named() -> None:
    mean, first = WALK[:7].close.mean(), WALK.close.mean()
    with pytest.raises(CausalityError) as error:
        check_chunks(ChunkMean, WALK, chunks=(7,))
    assert str(error.value) == (
        f"`ChunkMean` depends on its chunks: value of row 0 (bar 0) of Row 0 is {mean} fed 7 bars at a time, "
        f"but {first} fed all at once."
    )


def test_a_surplus_row_is_named() -> None:
    with pytest.raises(CausalityError, match=r"the number of rows of row 1 \(bar 0\.0\) of Row 0 is 4 fed 100 bars at"):
        check_chunks(EveryChunk, WALK, chunks=(100,))


class RunningHigh:
    """A tracker of features that writes each chunk into the same memory: the high so far, and since the last reset."""

    def __init__(self, resets: bool = False, pack: Callable[[Array], object] = lambda values: values) -> None:
        self.high, self.resets, self.pack = -np.inf, resets, pack
        self.memory = np.zeros((len(WALK), 2))

    def update(self, bars: Bars) -> object:
        self.memory[: len(bars), 0] = np.maximum.accumulate(np.maximum(bars.high, self.high))
        self.high = self.memory[len(bars) - 1, 0]
        self.memory[: len(bars), 1] = np.maximum.accumulate(bars.high) if self.resets else bars.close
        return self.pack(self.memory[: len(bars)])


@pytest.mark.parametrize(
    "pack",
    [
        lambda values: values,
        lambda values: values[:, 0],
        lambda values: (values, Row(values[:, 0], values)),
        lambda values: (values[:, 0], values[:, 1] > 0),
    ],
)
def test_a_tracker_of_arrays_passes(pack: Callable[[Array], object]) -> None:
    check_chunks(partial(RunningHigh, pack=pack), WALK)


def test_an_array_that_depends_on_its_chunks_is_named_by_row_and_column() -> None:
    row = int(np.flatnonzero(WALK.high[7:] < WALK.high[:7].max())[0]) + 7
    with pytest.raises(CausalityError, match=rf"chunks: column 1 of row {row} of ndarray 0 is .* fed 7 bars at a time"):
        check_chunks(partial(RunningHigh, resets=True), WALK, chunks=(7,))
    with pytest.raises(CausalityError, match=rf"chunks: value of row {row} of ndarray 1 is .* fed 7 bars at a time"):
        check_chunks(partial(RunningHigh, resets=True, pack=lambda v: (v[:, 0], v[:, 1])), WALK, chunks=(7,))


def test_an_array_with_a_row_a_chunk_is_named() -> None:
    with pytest.raises(CausalityError, match=r"the number of rows of row 1 of ndarray 0 is 4 fed 100 bars at a time"):
        check_chunks(lambda: Returning(np.ones((1, 3))), WALK, chunks=(100,))


def test_pivots_that_forget_between_chunks_are_caught() -> None:
    class Forgetful:
        def update(self, bars: Bars) -> object:
            return PivotTracker().update(bars)

    with pytest.raises(CausalityError, match=r"`Forgetful` depends on its chunks: .* of Pivots 0 is "):
        check_chunks(Forgetful, WALK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"make": 3}, "`make` must return a new tracker, got 3"),
        ({"bars": WALK[:0]}, "`bars` must be Bars, at least 1 of them, got 0 of them"),
        ({"chunks": (0,)}, "`chunks` must be an integer of at least 1, got 0"),
        ({"chunks": 3}, "`chunks` must list integers, got 3"),
        ({"make": lambda: Returning(3)}, "`update` must return arrays of numbers, or dataclasses of arrays, got int"),
        ({"make": lambda: Returning((Row,))}, "must return arrays of numbers, or dataclasses of arrays, got tuple"),
        ({"make": lambda: Returning(np.array(3.0))}, r"got float64 array of shape \(\)"),
        ({"make": lambda: Returning(np.array([None]))}, r"got object array of shape \(1,\)"),
    ],
)
def test_a_bad_argument_of_a_tracker_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_chunks(**{"make": PivotTracker, "bars": WALK, **arguments})


class Returning:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def update(self, bars: Bars) -> object:
        return self.answer
