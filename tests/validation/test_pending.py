"""No prediction is lost, judged twice, or judged before its label is known."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from generated import label_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same

from trendtrain.errors import InputError
from trendtrain.market import Bars, Labels, label_bars, synthetic_market
from trendtrain.validation import Pending, Predictions, Verdicts
from trendtrain.validation.predictions import CORRECT, VOID_FLAT, VOID_GAP, WRONG

STEPS = st.lists(st.tuples(st.floats(0.0, 0.4), st.floats(0.0, 0.4)), min_size=1, max_size=8)
CLASSES = st.sampled_from([2, 3])


def predicted(n_bars: int, n_classes: int, seed: int) -> Predictions:
    """Return one prediction a bar in any order, as a stream of several series would give them."""
    random = np.random.default_rng(seed)
    probability, row = random.dirichlet(np.ones(n_classes), n_bars), random.permutation(n_bars)
    close_time = np.datetime64("2024-01-01", "ms") + row
    baselines = random.integers(0, 3, (n_bars, 4)).astype(np.int8)
    return Predictions(row, probability, row % 3, close_time, baselines, 1.0 + row / 7)


def chunks(predictions: Predictions, steps: list[tuple[float, float]]) -> list[tuple[Predictions, int]]:
    """Return what is added before each judging, and `now` at it; the last step brings and judges all."""
    n, result, start, now = len(predictions), [], 0, -1
    for share, pause in [*steps, (1.0, 1.0)]:
        end = min(n, start + round(share * n))
        now = min(n - 1, now + round(pause * n))
        result.append((predictions[np.arange(start, end)], now))
        start = end
    return result


def outcome_of(direction: int, truth: int, n_classes: int) -> int:
    if truth == -1:
        return VOID_GAP
    if truth == 2 and n_classes == 2:
        return VOID_FLAT
    return CORRECT if direction == truth else WRONG


def assert_verdicts_same(one: Verdicts, other: Verdicts) -> None:
    for name in ("row", "probability", "series", "close_time", "baselines", "temperature"):
        assert_same(getattr(one.predictions, name), getattr(other.predictions, name))
    for name in ("truth", "outcome", "event", "known_at", "known_time"):
        assert_same(getattr(one, name), getattr(other, name))
    assert_same(one.line, other.line)
    assert_same(one.lines.known_at, other.lines.known_at)


@given(some_bars(min_bars=1), label_options(), CLASSES, STEPS, st.integers(0, 2**32 - 1))
def test_buffer_equals_a_slow_list_of_waiting_predictions(
    bars: Bars, options: dict[str, Any], n_classes: int, steps: list[tuple[float, float]], seed: int
) -> None:
    labels, buffer = label_bars(bars, **options), Pending()
    predictions = predicted(len(bars), n_classes, seed)
    waiting: list[tuple[int, int]] = []
    counts: Counter[int] = Counter()
    n_made = 0
    for part, now in chunks(predictions, steps):
        buffer.add(part)
        n_made += len(part)
        waiting += zip(part.row.tolist(), part.direction.tolist(), strict=True)
        verdicts = buffer.judge(labels.known_labels(now))
        due = [(row, said) for row, said in waiting if 0 <= labels.known_at[row] <= now]
        waiting = [pair for pair in waiting if pair not in due]
        due.sort(key=lambda pair: (labels.known_at[pair[0]], labels.event[pair[0]], pair[0]))
        expected = [(row, said, outcome_of(said, int(labels.direction[row]), n_classes)) for row, said in due]
        got = zip(
            verdicts.row.tolist(), verdicts.predictions.direction.tolist(), verdicts.outcome.tolist(), strict=True
        )
        assert list(got) == expected
        counts.update(outcome for *_, outcome in expected)
        stats = buffer.stats
        assert stats.total == n_made == stats.validated + stats.pending + stats.void
        assert (stats.pending, stats.correct, stats.validated, stats.void) == (
            len(waiting),
            counts[CORRECT],
            counts[CORRECT] + counts[WRONG],
            counts[VOID_FLAT] + counts[VOID_GAP],
        )


@given(some_bars(min_bars=1), label_options(), CLASSES, STEPS, st.integers(0, 2**32 - 1))
def test_now_as_a_bar_and_as_its_close_time_judge_alike(
    bars: Bars, options: dict[str, Any], n_classes: int, steps: list[tuple[float, float]], seed: int
) -> None:
    labels, by_bar, by_time = label_bars(bars, **options), Pending(), Pending()
    for part, now in chunks(predicted(len(bars), n_classes, seed), steps):
        by_bar.add(part)
        by_time.add(part)
        time = bars.close_time[now] if now >= 0 else bars.open_time[0]
        assert_verdicts_same(by_bar.judge(labels.known_labels(now)), by_time.judge(labels.known_labels(time)))
    assert by_bar.stats == by_time.stats


@given(some_bars(min_bars=1), label_options(), CLASSES, STEPS, st.integers(0, 2**32 - 1))
def test_a_buffer_restored_at_every_step_equals_one_that_never_stopped(
    bars: Bars, options: dict[str, Any], n_classes: int, steps: list[tuple[float, float]], seed: int
) -> None:
    labels, steady, stopped = label_bars(bars, **options), Pending(), Pending()
    for part, now in chunks(predicted(len(bars), n_classes, seed), steps):
        restored = Pending()
        restored.load_state_dict(stopped.state_dict())
        stopped = restored
        steady.add(part)
        stopped.add(part)
        assert_verdicts_same(steady.judge(labels.known_labels(now)), stopped.judge(labels.known_labels(now)))
        assert steady.stats == stopped.stats


@given(some_bars(min_bars=1), label_options(), STEPS, st.integers(0, 2**32 - 1))
def test_what_travels_with_a_prediction_stays_with_it(
    bars: Bars, options: dict[str, Any], steps: list[tuple[float, float]], seed: int
) -> None:
    labels, buffer = label_bars(bars, **options), Pending()
    predictions = predicted(len(bars), 2, seed)
    made = dict(zip(predictions.row.tolist(), range(len(bars)), strict=True))
    for part, now in chunks(predictions, steps):
        buffer.add(part)
        verdicts = buffer.judge(labels.known_labels(now))
        for kept in (verdicts.predictions, buffer.pending):
            place = np.array([made[row] for row in kept.row.tolist()], dtype=np.int64)
            for name in ("probability", "series", "close_time", "baselines", "temperature"):
                assert_same(getattr(kept, name), getattr(predictions, name)[place])
        assert_same(verdicts.known_time, bars.close_time[verdicts.known_at])
        has_line = verdicts.line >= 0
        assert_same(has_line, verdicts.event >= 0)
        assert_same(verdicts.lines.known_at[verdicts.line[has_line]], verdicts.known_at[has_line])
        assert_same(verdicts.lines.direction[verdicts.line[has_line]], verdicts.truth[has_line])


@given(some_bars(min_bars=1), label_options(), STEPS, st.integers(0, 2**32 - 1))
def test_no_prediction_is_judged_before_its_label_is_known_nor_twice(
    bars: Bars, options: dict[str, Any], steps: list[tuple[float, float]], seed: int
) -> None:
    labels, buffer = label_bars(bars, **options), Pending()
    seen: list[int] = []
    for part, now in chunks(predicted(len(bars), 2, seed), steps):
        buffer.add(part)
        verdicts = buffer.judge(labels.known_labels(now))
        assert (verdicts.known_at <= now).all()
        assert (verdicts.known_at > verdicts.row).all()
        seen += verdicts.row.tolist()
    assert len(seen) == len(set(seen))
    assert sorted(seen) == np.flatnonzero(labels.known_at >= 0).tolist()


@pytest.fixture
def labels() -> Labels:
    return label_bars(synthetic_market(2000, seed=6, missing=0.02, tick=0.2), max_gap=2, flat_band=0.002)


def all_up(n_bars: int, n_classes: int) -> Predictions:
    probability = np.full((n_bars, n_classes), 0.1)
    probability[:, 1] = 0.8
    return Predictions(np.arange(n_bars), probability)


def test_nothing_is_judged_a_bar_before_the_first_label_is_known(labels: Labels) -> None:
    buffer = Pending()
    buffer.add(all_up(len(labels), 2))
    first = int(labels.known_at[labels.known_at >= 0].min())
    assert len(buffer.judge(labels.known_labels(first - 1))) == 0
    assert len(buffer.judge(labels.known_labels(labels.close_time[first] - np.timedelta64(1, "ms")))) == 0
    assert len(buffer.judge(labels.known_labels(first))) > 0


def test_flat_voids_a_prediction_between_two_classes(labels: Labels) -> None:
    buffer = Pending()
    buffer.add(all_up(len(labels), 2))
    verdicts = buffer.judge(labels.known_labels(len(labels) - 1))
    is_flat = verdicts.truth == 2
    assert is_flat.sum() > 20
    assert (verdicts.outcome[is_flat] == VOID_FLAT).all()
    assert not verdicts.is_validated[is_flat].any()


def test_flat_is_a_class_among_three(labels: Labels) -> None:
    buffer = Pending()
    probability = np.tile([0.1, 0.2, 0.7], (len(labels), 1))
    buffer.add(Predictions(np.arange(len(labels)), probability))
    verdicts = buffer.judge(labels.known_labels(len(labels) - 1))
    is_flat = verdicts.truth == 2
    assert (verdicts.outcome[is_flat] == CORRECT).all()
    assert (verdicts.outcome[(verdicts.truth == 0) | (verdicts.truth == 1)] == WRONG).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_hole_voids_whatever_the_classes(labels: Labels, n_classes: int) -> None:
    buffer = Pending()
    buffer.add(all_up(len(labels), n_classes))
    verdicts = buffer.judge(labels.known_labels(len(labels) - 1))
    is_gap = verdicts.truth == -1
    assert is_gap.sum() > 20
    assert (verdicts.outcome[is_gap] == VOID_GAP).all()
    assert (verdicts.event[is_gap] == -1).all()
    assert (verdicts.known_at[is_gap] > verdicts.row[is_gap]).all()


def test_what_has_no_label_at_the_end_stays_pending(labels: Labels) -> None:
    buffer = Pending()
    buffer.add(all_up(len(labels), 2))
    buffer.judge(labels.known_labels(len(labels) - 1))
    assert buffer.stats.pending == (labels.known_at < 0).sum() > 0


def test_accuracy_is_nan_before_the_first_verdict(labels: Labels) -> None:
    buffer = Pending()
    buffer.add(all_up(10, 2))
    assert np.isnan(buffer.stats.accuracy)
    assert np.isnan(buffer.stats.as_dict()["accuracy"])


def test_the_six_numbers_have_their_public_names() -> None:
    assert list(Pending().stats.as_dict()) == [
        "total_predictions",
        "validated_predictions",
        "correct_predictions",
        "accuracy",
        "pending_validations",
        "void_predictions",
    ]


def test_predictions_of_another_number_of_classes_are_refused() -> None:
    buffer = Pending()
    buffer.add(all_up(3, 2))
    with pytest.raises(InputError, match="`probability` must have 2 columns, got 3"):
        buffer.add(all_up(3, 3))


def test_a_loaded_state_replaces_what_was_waiting() -> None:
    buffer = Pending()
    buffer.add(all_up(5, 2))
    buffer.load_state_dict(Pending().state_dict())
    assert buffer.stats.total == 0
