"""Draws for two heads: each half of a batch is what a sampler with its half-life alone would draw."""

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import ListConfig
from sampler_examples import (
    ALL_VERDICTS,
    EVENT,
    IS_WRONG,
    N_EVENTS,
    QUANTITY,
    STRATEGIES,
    flat,
    sampler_of,
    slow_chances,
    unweighted_mean,
)
from slow_memory import surprise

from trendtrain.errors import InputError
from trendtrain.replay import make_sampler, weigh

PAIRS = [(15.0, None), (None, 15.0), (5.0, 40.0)]

HALVES = (slice(0, 1024), slice(1024, 2048))

every_pair = pytest.mark.parametrize("half_life", PAIRS)
every_seed = pytest.mark.parametrize("seed", range(3))


@pytest.mark.parametrize("strategy", STRATEGIES)
@every_pair
@every_seed
def test_each_part_is_drawn_as_by_its_half_life_alone(seed: int, half_life: tuple[Any, Any], strategy: str) -> None:
    draws = list(sampler_of(strategy=strategy, half_life=half_life, seed=seed))
    for half, one in zip(HALVES, half_life, strict=True):
        rows = np.concatenate([draw.row[half] for draw in draws])
        assert abs(surprise(rows, slow_chances(one, STRATEGIES[strategy](ALL_VERDICTS)))) < 4.0


@every_pair
@every_seed
def test_the_weighted_mean_of_each_part_is_unbiased(seed: int, half_life: tuple[Any, Any]) -> None:
    draws = list(sampler_of(half_life=half_life, seed=seed))
    for half, one in zip(HALVES, half_life, strict=True):
        parts = [(draw.weight * QUANTITY[draw.row])[half] for draw in draws]
        means = np.array([part.mean() for part in parts])
        error = means.std(ddof=1) / np.sqrt(len(means))
        assert abs(means.mean() - unweighted_mean(one)) < 4.0 * error


@pytest.mark.parametrize(("batch_size", "n_first"), [(64, 32), (7, 4), (2, 1), (3, 2)])
def test_a_batch_is_halved_and_the_first_part_has_the_odd_row(batch_size: int, n_first: int) -> None:
    for draw in sampler_of(batch_size=batch_size, n_batches=30, half_life=[15.0, None]):
        assert len(draw.row) == len(draw.weight) == batch_size
        assert [part.mean() for part in np.split(draw.weight, [n_first])] == pytest.approx([1.0, 1.0])


def test_a_restored_sampler_of_two_never_stopped() -> None:
    original, restored = (sampler_of(batch_size=33, half_life=[15.0, None], seed=seed) for seed in (0, 77))
    flat(original)
    restored.load_state_dict(original.state_dict())
    assert flat(restored) == flat(original)


def test_a_list_of_a_configuration_is_a_list() -> None:
    ours, plain = (sampler_of(half_life=pair, n_batches=1) for pair in (ListConfig([15.0, None]), [15.0, None]))
    assert flat(ours) == flat(plain)


def test_metrics_are_those_of_whole_batches() -> None:
    sampler = sampler_of(half_life=[15.0, None], n_batches=50)
    list(sampler)
    metrics = sampler.take_metrics()
    chances = [slow_chances(one, np.where(IS_WRONG, 3.0, 1.0)) for one in (15.0, None)]
    age = np.mean([chance @ (N_EVENTS - 1 - EVENT) for chance in chances])
    assert metrics["age_events"] == pytest.approx(age, rel=0.02)
    right = np.mean([chance[~IS_WRONG].sum() for chance in chances])  # right rows weigh 3, wrong ones 1
    assert metrics["effective_size"] == pytest.approx(2048 * (1.0 + 2.0 * right) ** 2 / (1.0 + 8.0 * right), rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"half_life": [700.0]}, r"`replay.half_life` must be one half-life or a list of two, got \[700\.0\]"),
        ({"half_life": [1.0, 2.0, None]}, r"`replay.half_life` must be one half-life or a list of two, got \[1\.0"),
        ({"half_life": []}, r"`replay.half_life` must be one half-life or a list of two, got \[\]"),
        ({"half_life": [None, 0.5]}, "`replay.half_life` must be a number of at least 1.0, got 0.5"),
        ({"half_life": ["a", None]}, "`replay.half_life` must be a number of at least 1.0, got 'a'"),
        ({"half_life": "ab"}, "`replay.half_life` must be a number of at least 1.0, got 'ab'"),
        ({"half_life": [5.0, 9.0], "batch_size": 1}, "`replay.batch_size` must be an integer of at least 2, got 1"),
    ],
)
def test_half_lives_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_sampler(**({"batch_size": 4, "n_batches": 1, "weigh": weigh} | options))


def test_draws_for_two_heads_touch_no_global_generator() -> None:
    before = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()  # noqa: NPY002
    flat(sampler_of(batch_size=32, half_life=[15.0, None]))
    assert (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
