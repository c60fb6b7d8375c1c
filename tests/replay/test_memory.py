import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import IS_FULL
from hypothesis import given
from hypothesis import strategies as st
from slow_memory import SlowEvent, SlowMemory, Story, assert_equal, surprise

from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.errors import InputError
from trendtrain.replay import Lessons, ReplayMemory
from trendtrain.replay.draws import draw_rows, fill_ages, fill_uniform

SIZES = (1, 2, 7, 40, 3, 3, 12, 1)  # rows of each event
STRIDE = np.uint64(0x9E3779B97F4A7C15)  # of the random numbers
HALF_LIVES = (None, 2.0, 700.0)
N_SEEDS = 30 if IS_FULL else 6

event_sizes = st.lists(st.integers(1, 9), min_size=1, max_size=60)


def lessons(rows: npt.ArrayLike, events: npt.ArrayLike) -> Lessons:
    return Lessons(np.array(rows), np.array(events), np.ones(np.shape(rows), dtype=np.int8))


def filled(sizes: Sequence[int] = SIZES, chunks: int = 3) -> ReplayMemory:
    """Return a memory that got its events in several portions, their rows in any order."""
    rows = np.random.default_rng(9).permutation(sum(sizes))
    events = np.repeat(np.arange(len(sizes)) * 5, sizes)
    memory = ReplayMemory()
    for part in np.array_split(np.arange(len(sizes)) * 5, chunks):
        is_part = np.isin(events, part)
        memory.add(lessons(rows[is_part], events[is_part]))
    return memory


def slow(sizes: Sequence[int] = SIZES) -> SlowMemory:
    rows = np.random.default_rng(9).permutation(sum(sizes))
    parts = np.split(rows, np.cumsum(sizes)[:-1])
    events = [
        SlowEvent(5 * i, -1, 0.0, part.tolist(), [1] * len(part), [1.0] * len(part)) for i, part in enumerate(parts)
    ]
    return SlowMemory(events=events)


def drawn(memory: ReplayMemory, n: int, seed: int, half_life: float | None = None) -> np.ndarray:
    """Return where in the memory rows drawn are, after checking that slots and rows agree."""
    draw = memory.draw(n, np.random.default_rng(seed), half_life)
    place = draw.slot - memory.first_slot
    np.testing.assert_array_equal(memory.rows[place], draw.row)
    return place


@pytest.mark.parametrize("half_life", HALF_LIVES)
@pytest.mark.parametrize("seed", range(3))
def test_draws_choose_an_event_by_age_then_one_of_its_rows(seed: int, half_life: float | None) -> None:
    assert abs(surprise(drawn(filled(), 200_000, seed, half_life), slow().chances(half_life))) < 4.0


@pytest.mark.parametrize("half_life", HALF_LIVES)
@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_draws_follow_their_law_after_any_history(seed: int, half_life: float | None) -> None:
    story = Story(seed)
    assert abs(surprise(drawn(story.fast, 200_000, seed, half_life), story.slow.chances(half_life))) < 4.0


@given(st.integers(0, 2**32), st.integers(0, 200), st.none() | st.integers(1, 200))
def test_any_history_leaves_what_its_definition_says(seed: int, n_acts: int, max_bars: int | None) -> None:
    Story(seed, n_acts, max_bars)


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 300), st.sampled_from(HALF_LIVES))
def test_draws_are_those_of_rejection_one_by_one(seed: int, n_acts: int, n: int, half_life: float | None) -> None:
    memory = Story(seed, n_acts).fast
    draw = memory.draw(n, np.random.default_rng(seed), half_life)
    assert [values.tolist() for values in draw] == slow_draw(memory, n, np.random.default_rng(seed), half_life)


def slow_draw(memory: ReplayMemory, n: int, random: np.random.Generator, half_life: float | None) -> list[list[int]]:
    """Propose rows in blocks, as many as are still to be drawn, and accept each by its weight."""
    seed, found = random.integers(2**64, dtype=np.uint64), []
    events = np.split(np.arange(memory.n_known), np.flatnonzero(np.diff(event_of_rows(memory))) + 1)
    while len(found) < n:
        n_proposed = min(1024, n - len(found))
        uniform, age = np.empty((2, n_proposed)), np.empty(n_proposed, dtype=np.int64)
        with np.errstate(over="ignore"):
            fill_uniform(seed, uniform.reshape(-1))
            seed += np.uint64(2 * n_proposed) * STRIDE
        mantissa = np.empty(n_proposed)
        half = np.inf if half_life is None else half_life
        fill_ages(uniform[0], memory.n_events, half, age, mantissa, mantissa.view(np.int64))
        for back, number in zip(age.tolist(), uniform[1], strict=True):
            rows = events[-1 - back]
            place = number * len(rows)
            if place - int(place) < float(memory.weight[rows[int(place)]]) / memory.largest_weight:
                found.append((rows[int(place)], back))
    return [
        [int(place) + memory.first_slot for place, _ in found],
        [int(memory.rows[place]) for place, _ in found],
        [back for _, back in found],
    ]


def event_of_rows(memory: ReplayMemory) -> np.ndarray:
    return memory.position_of_event(memory.first_slot + np.arange(memory.n_known))


def test_ages_are_those_of_the_rows_drawn() -> None:
    memory = filled()
    _, rows, ages = memory.draw(500, np.random.default_rng(0), 3.0)
    assert all(row in slow().events[-1 - age].rows for row, age in zip(rows, ages, strict=True))


def test_the_order_of_adding_does_not_matter() -> None:
    draws = [filled(chunks=chunks).draw(1_000, np.random.default_rng(1), 5.0).row.tolist() for chunks in (1, 2, 8)]
    assert draws[0] == draws[1] == draws[2]


@given(event_sizes, st.integers(1, 8), st.integers(1, 500))
def test_only_known_rows_are_drawn_and_as_many_as_asked_for(sizes: list[int], chunks: int, n: int) -> None:
    memory = filled(sizes, chunks)
    _, rows, ages = memory.draw(n, np.random.default_rng(0))
    assert rows.shape == ages.shape == (n,)
    assert set(rows) <= set(range(sum(sizes)))


@given(event_sizes, st.integers(1, 8))
def test_all_rows_and_events_are_counted(sizes: list[int], chunks: int) -> None:
    memory = filled(sizes, chunks)
    assert (memory.n_known, memory.n_events) == (sum(sizes), len(sizes))


@given(event_sizes, st.integers(1, 100))
def test_trimming_keeps_as_many_of_the_newest_events_as_fit(sizes: list[int], n_rows: int) -> None:
    memory, expected = filled(sizes), slow(sizes)
    memory.trim(n_rows)
    expected.trim(n_rows)
    assert_equal(memory, expected)


@given(event_sizes, st.integers(1, 70))
def test_a_cut_keeps_the_newest_events(sizes: list[int], n_events: int) -> None:
    memory, expected = filled(sizes), slow(sizes)
    memory.cut(n_events)
    expected.cut(n_events)
    assert_equal(memory, expected)


def test_what_was_cut_does_not_come_back() -> None:
    memory = filled()
    memory.cut(3)
    memory.cut(5)
    memory.trim(1_000)
    assert memory.n_events == 3


def test_adding_nothing_changes_nothing() -> None:
    memory = filled()
    memory.add(lessons([], []))
    assert (memory.n_known, memory.n_events) == (69, 8)


def test_a_slot_is_that_of_its_row_however_many_leave_and_come() -> None:
    memory, kept = ReplayMemory(max_bars=50), {}
    for start in range(0, 2_000, 10):
        memory.add(lessons(start + np.arange(10), np.repeat(start, 10)))
        kept |= dict(zip(memory.find(memory.rows).tolist(), memory.rows.tolist(), strict=True))
        assert all(kept[memory.first_slot + i] == row for i, row in enumerate(memory.rows.tolist()))
    assert kept == {row: row for row in range(2_000)}


@given(st.lists(st.integers(0, 2**62), unique=True, max_size=50), st.lists(st.integers(0, 2**62), max_size=20))
def test_rows_are_found_where_they_are(held: list[int], others: list[int]) -> None:
    memory = ReplayMemory()
    memory.add(lessons(held, np.zeros(len(held))))
    expected = [held.index(row) if row in held else -1 for row in held + others]
    assert memory.find(np.array(held + others, dtype=np.int64)).tolist() == expected


def test_a_bounded_memory_takes_no_more_however_long_the_stream() -> None:
    memory, n_bytes, n_moves = ReplayMemory(max_bars=1_000), [], 0
    for start in range(0, 200_000, 50):
        before = memory._rows._places["row"]
        memory.add(lessons(start + np.arange(50), (start + np.arange(50)) // 10))
        n_moves += memory._rows._places["row"] is not before
        n_bytes.append(memory.n_bytes)
    assert max(n_bytes) <= 1.25 * (11 * 1_050 + 40 * 106) + 64
    assert n_moves < 200_000 / 250 + 30  # rows move a few times each, not at every step


def test_what_leaves_gives_its_memory_back() -> None:
    memory = ReplayMemory()
    memory.add(lessons(np.arange(100_000), np.arange(100_000) // 10))
    memory.cut(20)
    assert memory.n_bytes <= 2 * (200 * 11 + 21 * 40)


def test_the_newest_event_stays_even_if_it_is_larger_than_the_memory() -> None:
    memory = ReplayMemory(max_bars=3)
    memory.add(lessons(np.arange(10), np.repeat([1, 2], 5)))
    assert memory.rows.tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("max_bars", [0, 1.5, "many"])
def test_a_memory_of_no_bars_is_refused(max_bars: object) -> None:
    with pytest.raises(InputError, match=f"`replay.max_bars` must be an integer of at least 1, got {max_bars!r}"):
        ReplayMemory(max_bars)


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
    restored = ReplayMemory()
    restored.load_state_dict(to_arrays(torch.load(kept, weights_only=True)))
    for half_life in HALF_LIVES:
        ours, theirs = (m.draw(5_000, np.random.default_rng(2), half_life) for m in (restored, story.fast))
        np.testing.assert_array_equal(ours.row, theirs.row)
        np.testing.assert_array_equal(ours.slot - restored.first_slot, theirs.slot - story.fast.first_slot)


def test_a_draw_leaves_nothing_behind() -> None:
    fresh, used = filled(), filled()
    used.reweight(used.find(np.array([0])), np.array([50.0]))  # few proposals are accepted
    used.draw(3_000, np.random.default_rng(0), 2.0)
    used.reweight(used.find(np.array([0])), np.array([1.0]))
    fresh.reweight(fresh.find(np.array([0])), np.array([50.0]))
    fresh.reweight(fresh.find(np.array([0])), np.array([1.0]))
    assert set(used.state_dict()) == {"rows", "events", "largest_weight"}
    draws = [memory.draw(3_000, np.random.default_rng(1), 5.0) for memory in (fresh, used)]
    np.testing.assert_array_equal(*draws)


def test_a_cleared_memory_can_be_told_the_same_again() -> None:
    memory = filled()
    memory.cut(0)
    assert memory.n_events == memory.n_known == 0
    memory.add(lessons(np.arange(69), np.zeros(69)))
    assert memory.n_known == 69


def test_a_memory_costs_at_most_17_bytes_a_bar() -> None:
    n_bars = 140_000
    memory = ReplayMemory()
    for part in np.split(np.arange(n_bars), 100):
        memory.add(lessons(part, part // 14))
    places = [array for columns in (memory._rows, memory._events) for array in columns._places.values()]
    assert memory.n_bytes == sum(array.nbytes for array in places) <= 17 * memory.n_known


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
    with pytest.raises(InputError, match=f"`weights` must be numbers from 0.0001 to 60000, {message}"):
        memory.reweight(memory.find(np.array([0, 1])), np.array(weights))
    assert (memory.weight == 1.0).all()


def test_reweighting_nothing_changes_nothing() -> None:
    memory = filled()
    memory.reweight(memory.find(np.zeros(0, dtype=np.int64)), np.zeros(0))
    assert memory.largest_weight == 1.0


def test_weights_below_one_are_kept_in_proportion() -> None:
    memory = filled()
    memory.reweight(memory.find(np.arange(69)), np.full(69, 0.25))
    assert abs(surprise(drawn(memory, 200_000, 2), slow().chances(None))) < 4.0


def test_a_smaller_weight_told_later_leaves_the_larger_ones_in_proportion() -> None:
    memory, expected = filled(), slow()
    for row, weight in ((3, 8.0), (5, 0.5)):
        memory.reweight(memory.find(np.array([row])), np.array([weight]))
        expected.reweight([row], [weight])
    assert abs(surprise(drawn(memory, 200_000, 3), expected.chances(None))) < 4.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"row": [0.5, 1.0]}, "`row` must hold whole numbers from 0 to 9223372036854775807, got 0.5 at position 0"),
        ({"row": [0, -1]}, "`row` must hold whole numbers from 0 to .*, got -1"),
        ({"event": [0, 0.5]}, "`event` must hold whole numbers from 0 to .* got 0.5"),
        ({"event": [0, -1]}, "`event` must hold whole numbers from 0 to .* got -1"),
        ({"event": [0]}, r"`event` must have shape \(2,\), got \(1,\)"),
        ({"label": [0, -1]}, "`label` must hold whole numbers from 0 to 127, got -1 at position 1"),
        ({"label": [0]}, r"`label` must have shape \(2,\), got \(1,\)"),
        ({"weight": [1.0]}, r"`weights` must be numbers of shape \(2,\), one a row, got float64 of shape \(1,\)"),
        ({"weight": [1.0, 0.0]}, "`weights` must be numbers from 0.0001 to 60000, got 0.0 at row 1"),
        ({"known_at": [5]}, r"`known_at` must have shape \(2,\), got \(1,\)"),
        ({"change": [0.5]}, r"`change` must be numbers of shape \(2,\), one a row, got float64 of shape \(1,\)"),
    ],
)
def test_lessons_that_cannot_be_are_refused_and_leave_the_memory_as_it_was(
    options: dict[str, Any], message: str
) -> None:
    memory = filled()
    with pytest.raises(InputError, match=message):
        memory.add(lessons([0, 1], [0, 0])._replace(**{name: np.array(values) for name, values in options.items()}))
    assert_equal(memory, slow())


@pytest.mark.parametrize(
    ("slots", "weights", "message"),
    [
        ([68.0, 68.5], [1.0, 1.0], "`slots` must hold whole numbers"),
        ([68], [1.0, 1.0], "`weights` must be numbers of shape"),
        ([67], [2.0], "`slots` must hold whole numbers from 68 to 68, got 67 at position 0"),
        ([68, -1], [2.0, 2.0], "`slots` must hold whole numbers from 68 to 68, got -1 at position 1"),
    ],
)
def test_weights_are_of_slots_held_one_each(slots: list[float], weights: list[float], message: str) -> None:
    memory = filled()
    memory.cut(1)
    with pytest.raises(InputError, match=message):
        memory.reweight(np.array(slots), np.array(weights))


def test_an_empty_memory_draws_nothing() -> None:
    memory, random = ReplayMemory(), np.random.default_rng(0)
    with pytest.raises(InputError, match="`draw` must come after `add`, got an empty memory"):
        memory.draw(4, random)
    memory.add(lessons(np.arange(3), np.zeros(3)))
    memory.cut(0)
    with pytest.raises(InputError, match="`draw` must come after `add`, got an empty memory"):
        memory.draw(4, random)


@pytest.mark.parametrize("half_life", [0.0, -5.0, float("nan")])
def test_a_half_life_that_is_not_positive_is_refused(half_life: float) -> None:
    memory = ReplayMemory()
    memory.add(lessons(np.arange(3), np.zeros(3)))
    with pytest.raises(InputError, match="`half_life` must be positive, got"):
        memory.draw(4, np.random.default_rng(0), half_life)


def test_half_lives_of_any_type_share_the_machine_code() -> None:
    if not hasattr(draw_rows, "signatures"):
        pytest.skip("NUMBA_DISABLE_JIT is set")
    memory = ReplayMemory()
    memory.add(lessons(np.arange(3), np.zeros(3)))
    for half_life in (None, 175, 175.0, np.int64(3)):
        memory.draw(4, np.random.default_rng(0), half_life)
    assert len(draw_rows.signatures) == 1


def test_an_event_with_a_row_that_is_gone_leaves_with_all_before_it() -> None:
    memory = ReplayMemory()
    rows = np.r_[np.arange(10, 20), np.arange(100, 110), np.arange(20, 30), np.arange(110, 120)]
    memory.add(Lessons(rows, np.repeat([1, 2, 3, 4], 10), np.ones(40)))
    memory.forget(lambda row: row < 0)
    assert memory.n_known == 40
    memory.forget(lambda row: row < 25)
    assert memory.rows.tolist() == list(range(110, 120))
    memory.forget(lambda row: row < 1000)
    assert memory.n_events == 0
