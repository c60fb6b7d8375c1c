import io
from functools import partial

import numpy as np
import pytest
import torch

from trendtrain.errors import InputError
from trendtrain.replay import Draw, ReplayMemory, ReplaySampler, weigh
from trendtrain.validation import Predictions, Verdicts

N_EVENTS, N_ROWS = 60, 1200
RANDOM = np.random.default_rng(0)
EVENT = np.sort(np.concatenate([np.arange(N_EVENTS), RANDOM.integers(N_EVENTS, size=N_ROWS - N_EVENTS)]))
IS_WRONG = RANDOM.random(N_ROWS) < 0.4
QUANTITY = 2.0 * IS_WRONG + RANDOM.normal(size=N_ROWS)  # wrong rows have more of it


def verdicts_of(rows: np.ndarray, outcome: np.ndarray) -> Verdicts:
    predictions = Predictions(rows, np.tile([0.4, 0.6], (len(rows), 1)))
    return Verdicts(predictions, np.ones(len(rows)), outcome, EVENT[rows], rows)


def sampler_of(beta: float = 1.0, batch_size: int = 2048, n_batches: int = 200, seed: int = 0) -> ReplaySampler:
    memory = ReplayMemory(N_ROWS)
    memory.add(np.arange(N_ROWS), EVENT)
    sampler = ReplaySampler(memory, batch_size, n_batches, weigh, beta, seed)
    sampler.reweight(verdicts_of(np.arange(N_ROWS), np.where(IS_WRONG, 0, 1)))
    return sampler


def weighted_means(sampler: ReplaySampler) -> np.ndarray:
    return np.array([(draw.weight * QUANTITY[draw.row]).mean() for draw in sampler])


def uniform_mean() -> float:
    """The mean of the quantity over events, each event the mean of its rows."""
    return float(np.mean([QUANTITY[event == EVENT].mean() for event in range(N_EVENTS)]))


@pytest.mark.parametrize("seed", range(3))
def test_the_weighted_mean_is_unbiased_where_beta_is_one(seed: int) -> None:
    means = weighted_means(sampler_of(beta=1.0, seed=seed))
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert abs(means.mean() - uniform_mean()) < 4.0 * error


def test_the_weighted_mean_is_biased_where_beta_is_zero() -> None:
    means = weighted_means(sampler_of(beta=0.0))
    error = means.std(ddof=1) / np.sqrt(len(means))
    assert means.mean() - uniform_mean() > 20.0 * error


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


def flat(sampler: ReplaySampler, n: int = 5) -> list[list[float]]:
    return [values.tolist() for _ in range(n) for values in sampler.draw()]


def test_a_restored_sampler_never_stopped() -> None:
    original = sampler_of(batch_size=32)
    flat(original)
    state = io.BytesIO()
    torch.save(original.state_dict(), state)
    state.seek(0)
    memory = ReplayMemory(N_ROWS)
    memory.add(np.arange(N_ROWS), EVENT)
    restored = ReplaySampler(memory, 32, 200, weigh, seed=77)
    restored.load_state_dict(torch.load(state, weights_only=True))
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
    sampler.memory.reweight(np.arange(N_ROWS), np.where(EVENT == 7, 1000.0, 1.0))
    assert (EVENT[next(batches).row] == 7).mean() > 0.9


def test_an_empty_memory_gives_weight_zero() -> None:
    draws = list(ReplaySampler(ReplayMemory(10), 4, 3, weigh))
    assert len(draws) == 3
    assert all(draw.weight.tolist() == [0.0] * 4 and draw.row.tolist() == [0] * 4 for draw in draws)


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
    memory = ReplayMemory(N_ROWS)
    memory.add(np.arange(N_ROWS), EVENT)
    sampler = ReplaySampler(memory, 500, 1, lambda verdicts: np.where(verdicts.row < 10, 1e6, 1.0))
    sampler.reweight(verdicts_of(np.arange(N_ROWS), np.ones(N_ROWS)))
    assert (sampler.draw().row < 10).mean() > 0.95


def test_a_draw_is_rows_and_weights() -> None:
    assert Draw._fields == ("row", "weight")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`replay.batch_size` must be an integer of at least 1, got 0"),
        ({"n_batches": 1.5}, "`replay.n_batches` must be an integer of at least 1, got 1.5"),
        ({"beta": 1.1}, "`replay.beta` must be a number from 0.0 to 1.0, got 1.1"),
        ({"beta": -0.1}, "`replay.beta` must be a number from 0.0 to 1.0, got -0.1"),
        ({"beta": float("nan")}, "`replay.beta` must be a number from 0.0 to 1.0, got nan"),
    ],
)
def test_a_bad_number_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReplaySampler(ReplayMemory(1), **({"batch_size": 1, "n_batches": 1, "weigh": weigh} | options))


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), "often"])
def test_a_weight_of_wrong_rows_that_hides_them_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match=r"`wrong` must be a number of at least 0.01, got"):
        partial(weigh, wrong=wrong)(verdicts_of(np.arange(1), np.array([0])))
