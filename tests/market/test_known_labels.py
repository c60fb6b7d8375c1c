"""What became known, as runs, is what a slow walk over single rows finds, in every way to ask for it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from generated import label_options, some_bars
from hypothesis import given
from hypothesis import strategies as st
from law_checks import assert_same

from trendtrain.market import Bars, KnownLabels, Labels, LabelTracker, Series, label_bars, synthetic_market

STACKED = Labels.stack(
    {
        Series(symbol, "5m"): label_bars(synthetic_market(n, seed=n, missing=0.03, tick=0.1), max_gap=3)
        for symbol, n in (("A", 700), ("B", 500))
    }
)
TIMES = np.unique(STACKED.close_time)


def expanded(known: KnownLabels) -> list[tuple[Any, ...]]:
    """Return one tuple a row, with the line that judges it."""
    rows = []
    for i in range(len(known)):
        line = known.lines[[known.line[i]]] if known.line[i] >= 0 else None
        times = None if line is None else (line.kind[0], line.start_time[0], line.end_time[0], line.known_at[0])
        facts = (known.known_time[i], int(known.event[i]), int(known.direction[i]), int(known.known_at[i]), times)
        rows += [(*facts[:2], row, *facts[2:]) for row in range(known.start[i], known.end[i])]
    return rows


def slowly(labels: Labels, rows: list[int]) -> list[tuple[Any, ...]]:
    """Return the same of given rows, one by one, in order of time, then event, then row."""
    found = []
    for row in rows:
        known_at, event = int(labels.known_at[row]), int(labels.event[row])
        line = labels.lines[[event]] if 0 <= event < len(labels.lines) else None
        times = None if line is None else (line.kind[0], line.start_time[0], line.end_time[0], line.known_at[0])
        found.append((labels.close_time[known_at], event, row, int(labels.direction[row]), known_at, times))
    return sorted(found, key=lambda one: one[:3])


@given(st.integers(0, len(TIMES) - 1), st.integers(0, len(TIMES) - 1))
def test_known_labels_are_those_of_single_rows(after: int, now: int) -> None:
    is_new = STACKED.known(TIMES[now]) & ~STACKED.known(TIMES[after])
    known = STACKED.known_labels(TIMES[now], TIMES[after])
    assert expanded(known) == slowly(STACKED, np.flatnonzero(is_new).tolist())
    assert set(known.line.tolist()) - {-1} == set(range(len(known.lines)))


@given(st.integers(0, len(TIMES) - 1), st.sets(st.integers(0, len(STACKED) - 1), min_size=1))
def test_asking_for_rows_gives_their_runs_whole(now: int, rows: set[int]) -> None:
    asked = np.array(sorted(rows))
    got = expanded(STACKED.known_labels(TIMES[now], rows=asked))
    everything = expanded(STACKED.known_labels(TIMES[now]))
    assert [one for one in got if one[2] in rows] == [one for one in everything if one[2] in rows]
    assert set(got) <= set(everything)


@pytest.mark.parametrize("n_parts", [0, 1, 2, 7])
def test_parts_join_to_the_whole_in_any_order(n_parts: int) -> None:
    edges = [None, *TIMES[:: len(TIMES) // n_parts + 1][1:], TIMES[-1]] if n_parts else []
    parts = [STACKED.known_labels(now, after) for after, now in pairwise(edges)]
    joined = expanded(KnownLabels.join(parts[::-1]))
    assert joined == (expanded(STACKED.known_labels(TIMES[-1])) if n_parts else [])


@given(some_bars(min_bars=2), label_options(), st.data())
def test_runs_of_a_tracker_in_chunks_are_those_of_all_bars(
    bars: Bars, options: dict[str, Any], data: st.DataObject
) -> None:
    edges = sorted(data.draw(st.sets(st.integers(1, len(bars) - 1), max_size=5)))
    tracker, parts, n_lines = LabelTracker(**options), [], 0
    for start, end in pairwise([0, *edges, len(bars)]):
        runs = tracker.update(bars[start:end])
        parts.append(KnownLabels.of_runs(runs, bars.close_time[runs.known_at], n_lines))
        n_lines += len(runs.lines)
    labels = label_bars(bars, **options)
    assert expanded(KnownLabels.join(parts)) == expanded(labels.known_labels(len(bars) - 1))


@given(some_bars(min_bars=2), label_options())
def test_a_users_labels_become_runs_without_lines(bars: Bars, options: dict[str, Any]) -> None:
    ours = label_bars(bars, **options)
    theirs = Labels.of_bars(bars, ours.direction, ours.known_at, ours.event)
    for name in ("start", "run_direction", "run_known_at", "run_event"):
        merged = getattr(theirs, name)
        assert len(merged) <= len(ours.start)
    known = theirs.known_labels(len(bars) - 1)
    assert (known.line == -1).all()
    assert [one[:-1] for one in expanded(known)] == [one[:-1] for one in expanded(ours.known_labels(len(bars) - 1))]
    assert_same(theirs.direction, ours.direction)
