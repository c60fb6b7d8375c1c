import io

import numpy as np
import pytest
import torch
from conftest import IS_FULL
from hypothesis import given
from hypothesis import strategies as st
from slow_memory import SlowMemory, Story, surprise

from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.errors import InputError
from trendtrain.replay import ReplayMemory
from trendtrain.replay.draws import draw_rows

SIZES = (1, 2, 7, 40, 3, 3, 12, 1)  # rows of each event
HALF_LIVES = (None, 2.0, 700.0)
N_SEEDS = 30 if IS_FULL else 6


def filled(sizes: tuple[int, ...] = SIZES, chunks: int = 3) -> ReplayMemory:
    """Return a memory that got its events in several portions, their rows in any order."""
    rows = np.random.default_rng(9).permutation(sum(sizes))
    events = np.repeat(np.arange(len(sizes)) * 5, sizes)
    memory = ReplayMemory(len(rows))
    for part in np.array_split(np.arange(len(sizes)) * 5, chunks):
        is_part = np.isin(events, part)
        memory.add(rows[is_part], events[is_part])
    return memory


def slow(sizes: tuple[int, ...] = SIZES) -> SlowMemory:
    rows = np.random.default_rng(9).permutation(sum(sizes))
    return SlowMemory(len(rows), [part.tolist() for part in np.split(rows, np.cumsum(sizes)[:-1])])


@pytest.mark.parametrize("half_life", HALF_LIVES)
@pytest.mark.parametrize("seed", range(3))
def test_draws_choose_an_event_by_age_then_one_of_its_rows(seed: int, half_life: float | None) -> None:
    rows = filled().draw(200_000, np.random.default_rng(seed), half_life).row
    assert abs(surprise(rows, slow().chances(half_life))) < 4.0


@pytest.mark.parametrize("half_life", HALF_LIVES)
@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_draws_follow_their_law_after_any_history(seed: int, half_life: float | None) -> None:
    story = Story(seed)
    rows = story.fast.draw(200_000, np.random.default_rng(seed), half_life).row
    assert abs(surprise(rows, story.slow.chances(half_life))) < 4.0


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_any_history_leaves_the_same_rows_and_weights(seed: int) -> None:
    story = Story(seed)
    assert story.fast.rows.tolist() == [row for event in story.slow.events for row in event]
    assert story.fast.n_events == len(story.slow.events)
    assert story.fast.n_known == len(story.fast.rows)
    weight = [story.slow.weight.get(row, 1.0) for row in range(story.slow.n_rows)]
    np.testing.assert_array_equal(story.fast.weight, weight)


def test_ages_are_those_of_the_rows_drawn() -> None:
    memory = filled()
    rows, ages = memory.draw(500, np.random.default_rng(0), 3.0)
    assert all(row in slow().events[-1 - age] for row, age in zip(rows, ages, strict=True))


def test_the_order_of_adding_does_not_matter() -> None:
    draws = [filled(chunks=chunks).draw(1_000, np.random.default_rng(1), 5.0).row.tolist() for chunks in (1, 2, 8)]
    assert draws[0] == draws[1] == draws[2]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 8), st.integers(1, 500))
def test_only_known_rows_are_drawn_and_as_many_as_asked_for(sizes: list[int], chunks: int, n: int) -> None:
    memory = filled(tuple(sizes), chunks)
    rows, ages = memory.draw(n, np.random.default_rng(0))
    assert rows.shape == ages.shape == (n,)
    assert set(rows) <= set(range(sum(sizes)))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 8))
def test_all_rows_and_events_are_counted(sizes: list[int], chunks: int) -> None:
    memory = filled(tuple(sizes), chunks)
    assert (memory.n_known, memory.n_events) == (sum(sizes), len(sizes))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 100))
def test_trimming_keeps_as_many_of_the_newest_events_as_fit(sizes: list[int], n_rows: int) -> None:
    memory, expected = filled(tuple(sizes)), slow(tuple(sizes))
    memory.trim(n_rows)
    expected.trim(n_rows)
    assert memory.rows.tolist() == [row for event in expected.events for row in event]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(1, 70))
def test_a_cut_keeps_the_newest_events(sizes: list[int], n_events: int) -> None:
    memory, expected = filled(tuple(sizes)), slow(tuple(sizes))
    memory.cut(n_events)
    expected.cut(n_events)
    assert memory.rows.tolist() == [row for event in expected.events for row in event]


def test_what_was_cut_does_not_come_back() -> None:
    memory = filled()
    memory.cut(3)
    memory.cut(5)
    memory.trim(1_000)
    assert memory.n_events == 3


def test_adding_nothing_changes_nothing() -> None:
    memory = filled()
    memory.add(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    assert (memory.n_known, memory.n_events) == (69, 8)


def test_rows_not_added_are_never_drawn() -> None:
    memory = ReplayMemory(100)
    memory.add(np.array([3, 4]), np.array([0, 0]))
    memory.reweight(np.array([50]), np.array([1000.0]))
    assert set(memory.draw(500, np.random.default_rng(0)).row) == {3, 4}


def test_more_rows_than_there_can_be_are_refused() -> None:
    memory = filled()
    with pytest.raises(InputError, match="`rows` must be known once each, 69 in all, got 2 after 69"):
        memory.add(np.array([0, 1]), np.array([7, 7]))


@pytest.mark.parametrize("n_rows", [-1, 2**31])
def test_a_number_of_rows_that_cannot_be_held_is_refused(n_rows: int) -> None:
    with pytest.raises(InputError, match=f"`n_rows` must be a number from 0 to 2147483647, got {n_rows}"):
        ReplayMemory(n_rows)


def test_same_generator_same_draws() -> None:
    draws = [filled().draw(100, np.random.default_rng(5)).row.tolist() for _ in range(2)]
    assert draws[0] == draws[1]


@pytest.mark.parametrize("seed", range(3))
def test_a_restored_memory_draws_bit_for_bit_what_it_would_have(seed: int) -> None:
    story = Story(seed)
    story.fast.draw(1_000, np.random.default_rng(1))
    kept = io.BytesIO()
    torch.save(to_tensors(story.fast.state_dict()), kept)
    kept.seek(0)
    original = story.fast
    story.restore()
    story.fast.load_state_dict(to_arrays(torch.load(kept, weights_only=True)))
    for half_life in HALF_LIVES:
        ours, theirs = (m.draw(5_000, np.random.default_rng(2), half_life) for m in (story.fast, original))
        np.testing.assert_array_equal(ours, theirs)


def test_a_draw_leaves_nothing_behind() -> None:
    fresh, used = filled(), filled()
    used.reweight(np.array([0]), np.array([50.0]))  # few proposals are accepted
    used.draw(3_000, np.random.default_rng(0), 2.0)
    used.reweight(np.array([0]), np.array([1.0]))
    fresh.reweight(np.array([0]), np.array([50.0]))
    fresh.reweight(np.array([0]), np.array([1.0]))
    assert set(used.state_dict()) == {"weight", "largest_weight", "first_event"}
    draws = [memory.draw(3_000, np.random.default_rng(1), 5.0) for memory in (fresh, used)]
    np.testing.assert_array_equal(*draws)


def test_a_cleared_memory_can_be_told_the_same_again() -> None:
    memory = filled()
    memory.cut(2)
    memory.clear()
    assert memory.n_events == memory.n_known == 0
    memory.add(np.arange(69), np.zeros(69))
    assert memory.n_known == 69


def test_a_memory_costs_at_most_8_bytes_a_bar() -> None:
    n_bars = 140_000
    memory = ReplayMemory(n_bars)
    for part in np.split(np.arange(n_bars), 100):
        memory.add(part, part // 14)
    arrays = [value for value in vars(memory).values() if isinstance(value, np.ndarray)]
    assert memory.n_bytes == sum(array.nbytes for array in arrays) <= 8 * memory.n_known


BAD_WEIGHTS: dict[str, tuple[list[float], str]] = {
    "zero": ([1.0, 0.0], "got 0.0"),
    "negative": ([-2.0, 1.0], "got -2.0"),
    "nan": ([1.0, float("nan")], "got nan"),
    "infinite": ([float("inf"), 1.0], "got inf"),
    "too large for its place": ([1.0, 70_000.0], "got 70000.0"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_a_weight_that_would_hide_a_row_is_refused(case: str) -> None:
    weights, message = BAD_WEIGHTS[case]
    memory = filled()
    with pytest.raises(InputError, match=f"`weights` must be from 0.0001 to 60000, {message}"):
        memory.reweight(np.array([0, 1]), np.array(weights))
    assert (memory.weight == 1.0).all()


def test_reweighting_nothing_changes_nothing() -> None:
    memory = filled()
    memory.reweight(np.zeros(0, dtype=np.int64), np.zeros(0))
    assert memory.largest_weight == 1.0


def test_weights_below_one_are_kept_in_proportion() -> None:
    memory = filled()
    memory.reweight(np.arange(69), np.full(69, 0.25))
    assert abs(surprise(memory.draw(200_000, np.random.default_rng(2)).row, slow().chances(None))) < 4.0


def test_a_smaller_weight_told_later_leaves_the_larger_ones_in_proportion() -> None:
    memory, expected = filled(), slow()
    for row, weight in ((3, 8.0), (5, 0.5)):
        memory.reweight(np.array([row]), np.array([weight]))
        expected.weight[row] = weight
    assert abs(surprise(memory.draw(200_000, np.random.default_rng(3)).row, expected.chances(None))) < 4.0


@pytest.mark.parametrize(
    ("rows", "events", "message"),
    [
        ([0.5, 1.0], [0, 0], "`rows` must hold whole numbers from 0 to 9, got 0.5"),
        ([0, -1], [0, 0], "`rows` must hold whole numbers from 0 to 9, got -1"),
        ([0, 2**32], [0, 0], "`rows` must hold whole numbers from 0 to 9, got 4294967296"),
        ([0, 1], [0, 0.5], "`events` must hold whole numbers from 0 to .* got 0.5"),
        ([0, 1], [0, -1], "`events` must hold whole numbers from 0 to .* got -1"),
        ([0, 1], [0], r"`events` must have shape \(2,\), got \(1,\)"),
    ],
)
def test_rows_and_events_are_whole_numbers(rows: list[float], events: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ReplayMemory(10).add(np.array(rows), np.array(events))


@pytest.mark.parametrize(("rows", "weights"), [([0.0, 1.5], [1.0, 1.0]), ([0, -1], [1.0, 1.0]), ([0, 1], [1.0])])
def test_weights_are_of_rows_one_each(rows: list[float], weights: list[float]) -> None:
    with pytest.raises(InputError, match=r"`rows` must hold whole numbers|`weights` must be numbers of shape"):
        ReplayMemory(10).reweight(np.array(rows), np.array(weights))


def test_an_empty_memory_draws_nothing() -> None:
    memory, random = ReplayMemory(10), np.random.default_rng(0)
    with pytest.raises(InputError, match="`draw` must come after `add`, got an empty memory"):
        memory.draw(4, random)
    memory.add(np.arange(3), np.zeros(3, np.int64))
    memory.clear()
    with pytest.raises(InputError, match="`draw` must come after `add`, got an empty memory"):
        memory.draw(4, random)


@pytest.mark.parametrize("half_life", [0.0, -5.0, float("nan")])
def test_a_half_life_that_is_not_positive_is_refused(half_life: float) -> None:
    memory = ReplayMemory(10)
    memory.add(np.arange(3), np.zeros(3, np.int64))
    with pytest.raises(InputError, match="`half_life` must be positive, got"):
        memory.draw(4, np.random.default_rng(0), half_life)


def test_half_lives_of_any_type_share_the_machine_code() -> None:
    if not hasattr(draw_rows, "signatures"):
        pytest.skip("NUMBA_DISABLE_JIT is set")
    memory = ReplayMemory(10)
    memory.add(np.arange(3), np.zeros(3, np.int64))
    for half_life in (None, 175, 175.0, np.int64(3)):
        memory.draw(4, np.random.default_rng(0), half_life)
    assert len(draw_rows.signatures) == 1
