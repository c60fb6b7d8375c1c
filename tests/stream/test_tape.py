from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from generated import with_hole
from hypothesis import given, settings
from hypothesis import strategies as st

from trendtrain.features import bar_features, skill_features
from trendtrain.market import Bars, KnownLabels, label_bars, synthetic_market
from trendtrain.stream import Tape
from trendtrain.stream.tape import BAR_BITS, first_difference
from trendtrain.validation import baseline_directions

MAX_GAP = 3
BARS = with_hole(with_hole(synthetic_market(900, seed=3), 300, 9), 650, 5)
LABELS = label_bars(BARS, max_gap=MAX_GAP)


def tape_of(number: int = 0) -> Tape:
    return Tape(number, partial(label_bars, max_gap=MAX_GAP), bar_features, skill_features, 12, MAX_GAP)


def appended(tape: Tape, bars: Bars, cuts: list[int]) -> KnownLabels:
    """Append bars in chunks and return what became known."""
    edges = sorted({0, len(bars), *(cut for cut in cuts if cut < len(bars))})
    return KnownLabels.join([tape.append(bars[i:j]).known for i, j in pairwise(edges)])


cuts = st.lists(st.integers(1, 899), max_size=12)


@given(cuts, st.sampled_from([0, 1, 7]))
@settings(max_examples=20)
def test_what_becomes_known_is_in_rows_of_the_series(cuts: list[int], number: int) -> None:
    base = number << BAR_BITS
    known = appended(tape_of(number), BARS, cuts)
    rows = np.concatenate([np.arange(i, j) for i, j in zip(known.start, known.end, strict=True)]) - base
    n_of_run = known.end - known.start
    is_known = LABELS.known_at >= 0
    assert sorted(rows.tolist()) == np.flatnonzero(is_known).tolist()
    assert np.repeat(known.direction, n_of_run).tolist() == LABELS.direction[rows].tolist()
    assert (np.repeat(known.known_at, n_of_run) - base).tolist() == LABELS.known_at[rows].tolist()
    assert np.repeat(known.known_time, n_of_run).tolist() == BARS.close_time[LABELS.known_at[rows]].tolist()
    event = LABELS.event[rows]
    assert (event == -1).any()
    assert np.repeat(known.event, n_of_run).tolist() == np.where(event < 0, -1, event + base).tolist()


@given(cuts, st.sampled_from([0, 7]))
@settings(max_examples=20)
def test_the_lines_that_judge_are_in_rows_of_the_series(cuts: list[int], number: int) -> None:
    known = appended(tape_of(number), BARS, cuts)
    judged = known.line >= 0
    lines, event = known.lines[known.line[judged]], known.event[judged] - (number << BAR_BITS)
    for name in ("first_bar", "last_bar", "known_at"):
        bars = getattr(lines, name) - (number << BAR_BITS)
        assert bars.tolist() == getattr(LABELS.lines, name)[event].tolist()
    assert lines.first_price.tolist() == LABELS.lines.first_price[event].tolist()


@given(cuts)
@settings(max_examples=20)
def test_simple_rules_are_those_of_all_bars(cuts: list[int]) -> None:
    tape, edges = tape_of(), sorted({0, len(BARS), *cuts})
    rules = np.concatenate([tape.append(BARS[i:j]).rules for i, j in pairwise(edges)])
    expected = baseline_directions(BARS, LABELS, MAX_GAP)
    assert rules.tolist() == np.column_stack(list(expected.values())).tolist()


@given(cuts)
@settings(max_examples=20)
def test_a_tape_keeps_the_newest_bars_and_no_more(cuts: list[int]) -> None:
    tape = tape_of()
    appended(tape, BARS, cuts)
    assert tape.n_bars == len(BARS)
    assert tape.newest is not None
    assert tape.newest.open_time.tolist() == BARS.open_time[-540:].tolist()
    assert tape.newest.volume.tolist() == BARS.volume[-540:].tolist()


def test_a_tape_keeps_no_memory_of_older_bars() -> None:
    tape = tape_of()
    tape.append(synthetic_market(5000, seed=3))
    (kept,) = tape._newest  # `newest` copies again
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        assert (len(getattr(kept, name)), len(getattr(kept, name).base)) == (540, 540)


def test_bars_that_come_one_by_one_do_not_pile_up() -> None:
    tape, bars = tape_of(), synthetic_market(1100, seed=3)
    for at in range(len(bars)):
        tape.append(bars[at : at + 1])
        assert tape.last_open == bars.open_time[at]
    assert sum(map(len, tape._newest)) == 540 + 20  # what was kept at bar 1080, and what came since


@given(cuts, st.integers(1, 900))
@settings(max_examples=20)
def test_checksums_do_not_depend_on_chunks_and_count_from_the_first_bar(cuts: list[int], n_bars: int) -> None:
    whole, other, shorter = tape_of(), tape_of(), tape_of()
    appended(whole, BARS, []), appended(other, BARS, cuts), appended(shorter, BARS[:n_bars], cuts)
    assert whole.checksums == other.checksums
    assert len(whole.checksums) == 4
    n_full = n_bars // 256
    assert shorter.checksums[:n_full] == whole.checksums[:n_full]
    assert first_difference(shorter.checksums, whole.checksums) == (None if n_bars == 900 else n_full * 256)


@given(st.integers(0, 899), st.sampled_from(["open_time", "open", "high", "low", "close", "volume"]))
@settings(max_examples=20)
def test_a_bar_that_differs_is_found(bar: int, name: str) -> None:
    columns = {one: getattr(BARS, one).copy() for one in ("open_time", "open", "high", "low", "close", "volume")}
    if name == "open_time":
        columns[name][bar:] += BARS.timeframe
    elif name == "low":
        columns[name][bar] *= 0.999
    elif name == "high":
        columns[name][bar] *= 1.001
    elif name == "volume":
        columns[name][bar] += 1.0
    else:
        columns[name][bar] = (columns["high"][bar] + 2.0 * columns["low"][bar]) / 3.0
    whole, other = tape_of(), tape_of()
    appended(whole, BARS, []), appended(other, Bars(**columns, timeframe=BARS.timeframe), [])
    assert first_difference(whole.checksums, other.checksums) == bar // 256 * 256


@pytest.mark.parametrize(("before", "after"), [([1, 2], [1]), ([1], [1, 2])])
def test_bars_that_are_missing_or_further_differ(before: list[int], after: list[int]) -> None:
    assert first_difference(before, after) == 256
