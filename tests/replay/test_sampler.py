import io
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sampler_examples import (
    ALL_VERDICTS,
    EVENT,
    IS_WRONG,
    LESSONS,
    N_EVENTS,
    N_ROWS,
    QUANTITY,
    STRATEGIES,
    flat,
    sampler_of,
    slow_chances,
    unweighted_mean,
    verdicts_of,
)
from slow_memory import surprise

from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.errors import InputError
from trendtrain.replay import Lessons, ReplaySampler, make_sampler, weigh, weigh_by_gradient
from trendtrain.validation import ChangeDetector, Predictions, Verdicts

HALF_LIVES = (None, 15.0)
CASES = [(strategy, half_life) for strategy in STRATEGIES for half_life in HALF_LIVES]


def lessons_of(rows: np.ndarray) -> Lessons:
    return Lessons(*(values[rows] for values in LESSONS[:3]))


def chance_of_up(rows: np.ndarray, is_correct: np.ndarray) -> np.ndarray:
    """Return predictions of rows whose label is UP, shape (n, 2)."""
    up = np.where(is_correct, 0.9, 0.1)
    return np.stack([1.0 - up, up], axis=1)


def weighted_means(sampler: ReplaySampler) -> np.ndarray:
    return np.array([(draw.weight * QUANTITY[draw.row]).mean() for draw in sampler])


@pytest.mark.parametrize(("strategy", "half_life"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_draws_of_every_strategy_follow_their_law(seed: int, strategy: str, half_life: float | None) -> None:
    sampler = sampler_of(strategy=strategy, half_life=half_life, seed=seed)
    rows = np.concatenate([draw.row for draw in sampler])
    assert abs(surprise(rows, slow_chances(half_life, STRATEGIES[strategy](ALL_VERDICTS)))) < 4.0


@pytest.mark.parametrize(("strategy", "half_life"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_the_weighted_mean_is_unbiased_where_beta_is_one(seed: int, strategy: str, half_life: float | None) -> None:
    means = weighted_means(sampler_of(beta=1.0, strategy=strategy, half_life=half_life, seed=seed))
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - unweighted_mean(half_life)) < 4.0 * error


def test_the_weighted_mean_is_biased_where_beta_is_zero() -> None:
    means = weighted_means(sampler_of(beta=0.0))
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert means.mean() - unweighted_mean() > 20.0 * error


def test_beta_between_corrects_a_part() -> None:
    none, half, all_of_it = (weighted_means(sampler_of(beta)).mean() for beta in (0.0, 0.5, 1.0))
    assert none > half + 0.05 > all_of_it + 0.1


def test_wrong_rows_are_drawn_three_times_as_often() -> None:
    draws = np.concatenate([draw.row for draw in sampler_of()])
    count = np.bincount(draws, minlength=N_ROWS) * np.bincount(EVENT)[EVENT]  # rows of large events are drawn less
    assert count[IS_WRONG].mean() / count[~IS_WRONG].mean() == pytest.approx(3.0, rel=0.03)


def test_weights_of_a_batch_have_mean_one() -> None:
    for draw in sampler_of(batch_size=64, n_batches=20):
        assert draw.weight.mean() == pytest.approx(1.0)


def test_a_right_row_counts_three_times_a_wrong_one() -> None:
    draw = sampler_of().draw()
    assert set(np.round(draw.weight / draw.weight.min(), 6)) == {1.0, 3.0}


def test_each_epoch_has_as_many_batches_of_one_size() -> None:
    sampler = sampler_of(batch_size=32, n_batches=7)
    assert [len(draw.row) for draw in sampler] == [len(draw.row) for draw in sampler] == [32] * 7
    assert len(sampler) == 7


def test_each_epoch_draws_anew() -> None:
    sampler = sampler_of(batch_size=32, n_batches=1)
    assert next(iter(sampler)).row.tolist() != next(iter(sampler)).row.tolist()


def test_same_seed_same_draws() -> None:
    first, second = (flat(sampler_of(batch_size=32, seed=4)) for _ in range(2))
    assert first == second


def test_another_seed_draws_otherwise() -> None:
    assert flat(sampler_of(batch_size=32, seed=4)) != flat(sampler_of(batch_size=32, seed=5))


def test_a_restored_sampler_never_stopped() -> None:
    original = sampler_of(batch_size=32)
    flat(original)
    state = io.BytesIO()
    torch.save(to_tensors(original.state_dict()), state)
    state.seek(0)
    restored = sampler_of(batch_size=32, seed=77)
    restored.load_state_dict(to_arrays(torch.load(state, weights_only=True)))
    assert flat(restored) == flat(original)


def test_state_taken_is_not_changed_by_going_on() -> None:
    sampler = sampler_of(batch_size=32)
    state = sampler.state_dict()
    later = flat(sampler)
    sampler.reweight(verdicts_of(np.arange(N_ROWS), np.full(N_ROWS, 0)))
    sampler.load_state_dict(state)
    assert flat(sampler) == later


def test_draws_come_when_they_are_asked_for() -> None:
    sampler = sampler_of(batch_size=2000, n_batches=2)
    batches = iter(sampler)
    next(batches)
    memory = sampler.memory
    memory.reweight(memory.find(np.arange(N_ROWS)), np.where(EVENT == 7, 1000.0, 1.0))
    assert (EVENT[next(batches).row] == 7).mean() > 0.9


def test_an_empty_memory_gives_no_batch() -> None:
    sampler = make_sampler(batch_size=4, n_batches=3, weigh=weigh)
    assert (len(sampler), list(sampler)) == (0, [])
    with pytest.raises(InputError, match="`draw` must come after `add`, got an empty memory"):
        sampler.draw()
    sampler.add(LESSONS)
    assert len(sampler) == len(list(sampler)) == 3


class ForgetsAll:
    def update(self, accuracy: np.ndarray) -> int:
        return 0


def test_a_detector_must_keep_an_event() -> None:
    with pytest.raises(InputError, match=r"`replay.detector` must give None or a number of events, at least 1, got 0"):
        sampler_of(detector=ForgetsAll()).detect(ALL_VERDICTS)


def test_draws_touch_no_global_generator() -> None:
    before = np.random.get_state()[1].tolist(), np.random.get_state()[2], torch.get_rng_state().tolist()  # noqa: NPY002
    sampler = sampler_of(batch_size=32)
    list(sampler)
    sampler.load_state_dict(sampler.state_dict())
    after = np.random.get_state()[1].tolist(), np.random.get_state()[2], torch.get_rng_state().tolist()  # noqa: NPY002
    assert after == before


def test_only_wrong_verdicts_weigh_more() -> None:
    outcome = np.array([0, 1, 2, 3])  # wrong, correct, void, void
    assert weigh(verdicts_of(np.arange(4), outcome)).tolist() == [3.0, 1.0, 1.0, 1.0]


def test_a_weight_of_one_draws_all_alike() -> None:
    assert weigh(verdicts_of(np.arange(2), np.array([0, 1])), wrong=1.0).tolist() == [1.0, 1.0]


def test_a_weighting_of_the_users_own_is_used() -> None:
    sampler = make_sampler(batch_size=500, n_batches=1, weigh=lambda verdicts: np.where(verdicts.row < 10, 5e4, 1.0))
    sampler.add(LESSONS, ALL_VERDICTS)
    assert (sampler.draw().row < 10).mean() > 0.95


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_draws_by_one_half_life_are_the_memorys_own(half_life: float | None) -> None:
    sampler, twin, random = sampler_of(half_life=half_life, seed=3), sampler_of(), np.random.default_rng(3)
    for _ in range(5):
        draw, row = sampler.draw(), twin.memory.draw(2048, random, half_life).row
        weight = 1.0 / twin.memory.weight[row].astype(np.float64)  # slots are rows here
        np.testing.assert_array_equal(draw.row, row)
        np.testing.assert_array_equal(draw.weight, weight / weight.mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`replay.batch_size` must be an integer of at least 1, got 0"),
        ({"n_batches": 1.5}, "`replay.n_batches` must be an integer of at least 1, got 1.5"),
        ({"beta": 1.1}, "`replay.beta` must be a number from 0.0 to 1.0, got 1.1"),
        ({"beta": -0.1}, "`replay.beta` must be a number from 0.0 to 1.0, got -0.1"),
        ({"beta": float("nan")}, "`replay.beta` must be a number from 0.0 to 1.0, got nan"),
        ({"half_life": 0.5}, "`replay.half_life` must be a number of at least 1.0, got 0.5"),
        ({"max_bars": 0}, "`replay.max_bars` must be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_number_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_sampler(**({"batch_size": 1, "n_batches": 1, "weigh": weigh} | options))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), "often"])
def test_a_weight_of_wrong_rows_that_hides_them_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match=r"`wrong` must be a number of at least 0.01, got"):
        partial(weigh, wrong=wrong)(verdicts_of(np.arange(1), np.array([0])))


def test_the_gradient_weight_is_the_floor_and_what_the_prediction_missed() -> None:
    predictions = Predictions(np.arange(4), np.array([[0.3, 0.7], [0.3, 0.7], [1.0, 0.0], [0.5, 0.5]]))
    truth, outcome = np.array([1, 0, 0, -1], dtype=np.int8), np.array([1, 0, 1, 3])  # correct, wrong, correct, void
    verdicts = Verdicts(predictions, truth, outcome, np.arange(4), np.arange(4))
    np.testing.assert_allclose(weigh_by_gradient(verdicts), [0.4, 0.8, 0.1, 0.6])


@pytest.mark.parametrize("floor", [0.0, -1.0, float("nan"), "low"])
def test_a_floor_that_hides_rows_is_refused(floor: object) -> None:
    with pytest.raises(InputError, match=r"`floor` must be a number of at least 0.01, got"):
        weigh_by_gradient(ALL_VERDICTS, floor=floor)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_recency_is_not_undone_by_the_correction(strategy: str) -> None:
    draws = [sampler_of(strategy=strategy, half_life=15.0).draw() for _ in range(1)]
    young = np.concatenate([draw.weight * (EVENT[draw.row] >= N_EVENTS - 15) for draw in draws])
    expected = (1.0 - 2.0**-1) / (1.0 - 2.0 ** (-N_EVENTS / 15))  # of the truncated geometric law
    assert young.mean() == pytest.approx(expected, abs=0.06)


def test_rows_beyond_the_cap_leave_with_their_events() -> None:
    sampler = make_sampler(max_bars=300, batch_size=32, n_batches=1, weigh=weigh)
    for rows in np.split(np.arange(N_ROWS), np.flatnonzero(np.diff(EVENT)) + 1):
        sampler.add(lessons_of(rows))
        assert sampler.memory.n_known <= 300
    assert sampler.memory.n_known > 300 - np.bincount(EVENT).max()
    assert sampler.draw().row.min() >= N_ROWS - 300


def test_answers_replace_the_verdicts_of_drawn_rows_only() -> None:
    sampler = sampler_of(batch_size=64)
    before = sampler.memory.weight.copy()
    rows = sampler.draw().row
    sampler.refresh(rows, chance_of_up(rows, IS_WRONG[rows]))  # all the other way round
    drawn = np.unique(rows)
    np.testing.assert_array_equal(sampler.memory.weight[drawn], np.where(IS_WRONG, 1.0, 3.0)[drawn])
    others = np.setdiff1d(np.arange(N_ROWS), drawn)
    np.testing.assert_array_equal(sampler.memory.weight[others], before[others])


def test_a_draw_tells_what_is_known_of_its_rows() -> None:
    sampler = make_sampler(max_bars=700, batch_size=500, n_batches=1, weigh=weigh, half_life=[15.0, None])
    random = np.random.default_rng(0)
    label, known_at, change = random.integers(0, 3, N_ROWS), 7 * EVENT, random.normal(size=N_EVENTS)[EVENT]
    sampler.add(LESSONS._replace(label=label, known_at=known_at, change=change))
    draw = sampler.draw()
    for ours, of_rows in zip(draw[2:], (label, known_at, change), strict=True):
        np.testing.assert_array_equal(ours, of_rows[draw.row])


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 60))
def test_lessons_get_the_weights_of_their_verdicts(seed: int, n_lessons: int, n_verdicts: int) -> None:
    random = np.random.default_rng(seed)
    lessons, judged = (np.sort(random.choice(N_ROWS, n, replace=False)) for n in (n_lessons, n_verdicts))
    judged = random.permutation(np.union1d(judged, lessons[::2]))
    sampler = make_sampler(batch_size=1, n_batches=1, weigh=lambda verdicts: 1.0 + verdicts.row)
    sampler.add(lessons_of(lessons), verdicts_of(judged, np.ones(len(judged))))
    assert sampler.memory.rows.tolist() == lessons.tolist()
    expected = np.where(np.isin(lessons, judged), 1.0 + lessons, 1.0).astype(np.float16)
    assert sampler.memory.weight.tolist() == expected.tolist()


def test_verdicts_on_rows_that_are_not_held_weigh_nothing() -> None:
    sampler = make_sampler(batch_size=32, n_batches=1, weigh=weigh)
    sampler.add(lessons_of(np.arange(50)))
    sampler.reweight(ALL_VERDICTS)
    assert sampler.memory.weight.tolist() == np.where(IS_WRONG[:50], 3.0, 1.0).tolist()


@given(st.integers(0, 2**32), st.integers(1, 6), st.sampled_from(["all", "first", "any order", "foreign", "late"]))
def test_a_refresh_weighs_each_drawn_row_by_its_last_prediction(seed: int, n_draws: int, which: str) -> None:
    random, sampler = np.random.default_rng(seed), sampler_of(batch_size=40, n_batches=4, strategy="gradient")
    rows = np.concatenate([sampler.draw().row for _ in range(n_draws)])
    if which == "first":
        rows = rows[: len(rows) // 2]
    elif which == "any order":
        rows = random.permutation(rows)
    elif which == "foreign":
        rows = np.append(rows, 10**9)
    elif which == "late":
        sampler.add(
            LESSONS._replace(row=LESSONS.row[:300] + N_ROWS, event=EVENT[:300] + N_EVENTS, label=LESSONS.label[:300])
        )
        sampler.memory.trim(900)
    probability, memory = random.dirichlet([1.0, 1.0], len(rows)), sampler.memory
    expected = dict(zip(memory.rows.tolist(), memory.weight.tolist(), strict=True))
    for row, (_, up) in zip(rows.tolist(), probability.tolist(), strict=True):
        if row in expected:
            expected[row] = float(np.float16(0.1 + 1.0 - up))
    sampler.refresh(rows, probability)
    assert memory.weight.tolist() == pytest.approx(list(expected.values()), rel=1e-3)


def test_weigh_is_told_the_event_and_the_label_of_a_refreshed_row() -> None:
    told: list[Verdicts] = []
    sampler = make_sampler(batch_size=200, n_batches=1, weigh=lambda verdicts: told.append(verdicts) or weigh(verdicts))
    label = np.arange(N_ROWS) % 2
    sampler.add(LESSONS._replace(label=label, known_at=EVENT + 5))
    sampler.memory.cut(30)
    rows = sampler.draw().row
    sampler.refresh(rows, chance_of_up(rows, rows % 3 == 0))
    (verdicts,) = told
    np.testing.assert_array_equal(verdicts.row, rows)
    np.testing.assert_array_equal(verdicts.truth, label[rows])
    np.testing.assert_array_equal(verdicts.event, EVENT[rows])
    np.testing.assert_array_equal(verdicts.known_at, EVENT[rows] + 5)
    np.testing.assert_array_equal(verdicts.is_correct, (rows % 3 == 0) == label[rows])


def test_draws_that_are_never_refreshed_are_forgotten() -> None:
    sampler = sampler_of(batch_size=16, n_batches=3)
    for _ in range(5):
        list(sampler)
    assert len(sampler._drawn) == 3


@pytest.mark.parametrize("call", ["add", "reweight"])
def test_weights_of_the_users_own_that_are_not_one_a_verdict_are_refused(call: str) -> None:
    sampler = make_sampler(batch_size=1, n_batches=1, weigh=lambda verdicts: np.ones(len(verdicts) - 1))
    with pytest.raises(
        InputError, match=r"`replay.weigh` must give numbers of shape \(1200,\), one a row, got float64 of shape"
    ):
        sampler.add(LESSONS, ALL_VERDICTS) if call == "add" else sampler.reweight(ALL_VERDICTS)


def test_metrics_tell_what_was_drawn() -> None:
    sampler = sampler_of(n_batches=50, half_life=15.0)
    for draw in sampler:
        sampler.refresh(draw.row, chance_of_up(draw.row, ~IS_WRONG[draw.row]))
    metrics = sampler.take_metrics()
    chance = {boost: slow_chances(15.0, np.where(IS_WRONG, boost, 1.0)) for boost in (1.0, 3.0)}
    assert metrics["wrong_in_memory"] == pytest.approx(chance[1.0][IS_WRONG].sum(), abs=0.01)
    assert metrics["wrong_in_draws"] == pytest.approx(chance[3.0][IS_WRONG].sum(), abs=0.01)
    assert metrics["age_events"] == pytest.approx(chance[3.0] @ (N_EVENTS - 1 - EVENT), rel=0.02)
    right = 1.0 - chance[3.0][IS_WRONG].sum()  # right rows weigh 3, wrong ones 1
    size = 2048 * (1.0 + 2.0 * right) ** 2 / (1.0 + 8.0 * right)
    assert metrics["effective_size"] == pytest.approx(size, rel=0.01)
    assert (metrics["events"], metrics["bars"], metrics["alarms"]) == (N_EVENTS, N_ROWS, 0.0)


def test_metrics_of_a_step_start_anew() -> None:
    sampler = sampler_of()
    sampler.draw()
    sampler.take_metrics()
    assert np.isnan([sampler.take_metrics()[name] for name in ("effective_size", "age_events", "wrong_in_draws")]).all()


class AlarmsOnce:
    """A detector of the user's own: at the fourth event it keeps two."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def update(self, accuracy: np.ndarray) -> int | None:
        before, self.seen = len(self.seen), [*self.seen, *accuracy.tolist()]
        return 2 if before < 4 <= len(self.seen) else None

    def state_dict(self) -> dict[str, list[float]]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        self.seen = state["seen"]


def test_a_change_cuts_the_memory_and_is_counted() -> None:
    sampler = sampler_of(detector=AlarmsOnce())
    verdicts = [verdicts_of(rows, np.where(IS_WRONG[rows], 0, 1)) for rows in np.split(np.arange(40), 4)]
    answers = [sampler.detect(part) for part in verdicts]
    assert 2 in answers
    assert (sampler.memory.n_events, sampler.n_alarms) == (2, 1)
    assert set(EVENT[sampler.draw().row]) == {N_EVENTS - 2, N_EVENTS - 1}


def test_the_detector_hears_the_accuracy_of_each_event_without_void_predictions() -> None:
    sampler = sampler_of(detector=AlarmsOnce())
    rows = np.flatnonzero(np.isin(EVENT, [0, 2]))
    outcome = np.where(np.arange(len(rows)) % 3 == 0, 2, ~IS_WRONG[rows])  # each third is void
    sampler.detect(verdicts_of(rows, outcome))
    is_judged = outcome < 2
    expected = [outcome[is_judged & (EVENT[rows] == event)].mean() for event in (0, 2)]
    assert sampler.detector.seen == pytest.approx(expected)


def test_a_sampler_without_a_detector_never_forgets() -> None:
    sampler = sampler_of()
    assert sampler.detect(ALL_VERDICTS) is None
    assert sampler.memory.n_events == N_EVENTS


def test_a_restored_detector_never_stopped() -> None:
    def told(sampler: ReplaySampler, random: np.random.Generator, n: int, share: float) -> list[int | None]:
        rows = np.flatnonzero(np.diff(EVENT, prepend=-1))
        return [sampler.detect(verdicts_of(rows, (random.random(len(rows)) < share).astype(int))) for _ in range(n)]

    original, restored = sampler_of(detector=ChangeDetector()), sampler_of(detector=ChangeDetector())
    assert told(original, np.random.default_rng(0), 8, 0.8) == [None] * 8
    restored.load_state_dict(original.state_dict())
    ours, theirs = (told(sampler, np.random.default_rng(1), 4, 0.3) for sampler in (restored, original))
    assert ours == theirs != [None] * 4
    assert restored.memory.n_events == original.memory.n_events
    assert restored.n_alarms == original.n_alarms == 1


def test_a_weighting_that_is_no_function_is_refused() -> None:
    with pytest.raises(InputError, match=r"`replay.weigh` must be a function, or say `_partial_: true`, got None"):
        make_sampler(batch_size=4, n_batches=1, weigh=None)
