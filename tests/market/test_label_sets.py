"""Labels of several series, and of a user's own rule, behave like those of one."""

import numpy as np
import pytest
from law_checks import assert_same

from trendtrain.errors import InputError
from trendtrain.market import Bars, Labels, Series, label_bars, synthetic_market

PARTS = {
    Series("A", "5m"): synthetic_market(700, seed=1, missing=0.03, tick=0.1),
    Series("B", "5m"): synthetic_market(500, seed=2, missing=0.03, tick=0.1),
    Series("B", "1h"): synthetic_market(60, seed=3, timeframe="1h", missing=0.0),
    Series("C", "5m"): synthetic_market(3, seed=4),  # too short for a line
}


@pytest.fixture(scope="module")
def parts() -> dict[Series, Labels]:
    return {name: label_bars(bars, max_gap=3, flat_band=0.0005) for name, bars in PARTS.items()}


@pytest.fixture(scope="module")
def stacked(parts: dict[Series, Labels]) -> Labels:
    return Labels.stack(parts)


def test_stacked_labels_are_those_of_each_series(parts: dict[Series, Labels], stacked: Labels) -> None:
    assert stacked.series == tuple(PARTS)
    for i, part in enumerate(parts.values()):
        start, end = stacked.offset[i : i + 2]
        assert (stacked.series_index[start:end] == i).all()
        assert_same(stacked.direction[start:end], part.direction)
        assert_same(stacked.close_time[start:end], part.close_time)
        known_at = stacked.known_at[start:end]
        assert np.where(known_at >= 0, known_at - start, -1).tolist() == part.known_at.tolist()


def test_stacked_events_point_at_the_same_lines(parts: dict[Series, Labels], stacked: Labels) -> None:
    for i, part in enumerate(parts.values()):
        start, end = stacked.offset[i : i + 2]
        event = stacked.event[start:end]
        is_judged = part.event >= 0
        assert_same(event >= 0, is_judged)
        ours, theirs = stacked.lines[event[is_judged]], part.lines[part.event[is_judged]]
        for name in ("kind", "first_price", "last_price", "start_time", "end_time", "direction"):
            assert_same(getattr(ours, name), getattr(theirs, name))
        for name in ("first_bar", "last_bar", "known_at"):
            assert (getattr(ours, name) - start).tolist() == getattr(theirs, name).tolist()


def test_stacked_events_are_the_events_of_each_series_in_turn(parts: dict[Series, Labels], stacked: Labels) -> None:
    known_at = [part.events[0] + start for part, start in zip(parts.values(), stacked.offset[:-1], strict=True)]
    assert stacked.events[0].tolist() == np.concatenate(known_at).tolist()
    assert stacked.events[1].tolist() == np.concatenate([part.events[1] for part in parts.values()]).tolist()


def test_no_event_is_shared_by_two_series(stacked: Labels) -> None:
    events = [set(stacked.event[stacked.series_index == i].tolist()) - {-1} for i in range(len(PARTS))]
    assert sum(map(len, events)) == len(set.union(*events))


def test_stacked_labels_are_known_when_those_of_each_series_are(parts: dict[Series, Labels], stacked: Labels) -> None:
    for now in np.unique(stacked.close_time)[::40]:
        expected = np.concatenate([part.known(now) for part in parts.values()])
        assert_same(stacked.known(now), expected)


def test_a_bar_position_is_no_time_where_series_are_many(stacked: Labels) -> None:
    with pytest.raises(InputError, match="`now` must be a time where labels span 4 series, got bar 5"):
        stacked.known(5)


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_newly_known_steps_partition_everything_known(stacked: Labels, step: int) -> None:
    times = np.unique(stacked.close_time)
    before, parts = None, []
    for now in [*times[::step], times[-1]]:
        rows = stacked.newly_known(before, now)
        assert_same(np.sort(np.concatenate([*parts, rows])), np.flatnonzero(stacked.known(now)))
        parts.append(rows)
        before = now
    rows = np.concatenate(parts)
    assert len(np.unique(rows)) == len(rows)
    assert_same(rows, stacked.newly_known(None, times[-1]))


def test_newly_known_rows_come_in_order_of_time_and_an_events_rows_together(stacked: Labels) -> None:
    rows = stacked.newly_known(None, stacked.close_time.max())
    assert (np.diff(stacked.close_time[stacked.known_at[rows]]) >= np.timedelta64(0, "ms")).all()
    event = stacked.event[rows]
    event = event[event >= 0]
    assert (np.diff(event) != 0).sum() + 1 == len(np.unique(event))


def test_a_users_labels_take_the_place_of_ours() -> None:
    bars = PARTS[Series("A", "5m")]
    ours = label_bars(bars, max_gap=3)
    theirs = Labels.of_bars(bars, ours.direction, ours.known_at, ours.event)
    for name in ("direction", "known_at", "event", "close_time"):
        assert_same(getattr(theirs, name), getattr(ours, name))
    for one, other in zip(theirs.events, ours.events, strict=True):
        assert one.tolist() == other.tolist()
    now = bars.close_time[300]
    assert_same(theirs.newly_known(None, now), ours.newly_known(None, now))


def bars_of_three() -> Bars:
    return PARTS[Series("C", "5m")]


@pytest.mark.parametrize("name", ["direction", "known_at", "event"])
def test_a_users_labels_of_another_length_are_refused(name: str) -> None:
    arrays = {"direction": np.zeros(3), "known_at": np.full(3, -1), "event": np.zeros(3)}
    with pytest.raises(InputError, match=rf"`{name}` must have shape \(3,\), got \(2,\)"):
        Labels.of_bars(bars_of_three(), **{**arrays, name: arrays[name][:2]})


@pytest.mark.parametrize("known_at", [[1, 1, -1], [1, 0, -1], [0, 2, -1]])
def test_a_users_label_known_at_its_own_bar_or_before_is_refused(known_at: list[int]) -> None:
    bar = 0 if known_at[0] == 0 else 1
    with pytest.raises(InputError, match=f"`known_at` must lie after the bar labelled, got {known_at[bar]} for bar"):
        Labels.of_bars(bars_of_three(), np.ones(3), np.array(known_at), np.zeros(3, dtype=np.int64))


@pytest.mark.parametrize(
    ("direction", "known_at", "message"),
    [
        ([1, 0, -1], [2, 2, -1], "`direction` .* an event .event 7., got 1 and 0 at bar 1"),
        ([1, 1, -1], [1, 2, -1], "`known_at` .* an event .event 7., got 1 and 2 at bar 1"),
    ],
)
def test_bars_of_an_event_must_agree(direction: list[int], known_at: list[int], message: str) -> None:
    bars = bars_of_three()
    with pytest.raises(InputError, match=message):
        Labels.of_bars(bars, np.array(direction), np.array(known_at), np.array([7, 7, -1]))


@pytest.mark.parametrize(
    ("known_at", "event", "message"),
    [
        ([1, 2, 3], [0, 1, 2], "`known_at` must hold whole numbers from -1 to 2, a bar, or -1 for not yet, got 3 at"),
        ([1, 2, -1], [0, -1, -1], "`event` must name what judges each bar that has a direction, got -1 for bar 1"),
    ],
)
def test_a_label_needs_a_bar_of_its_series_and_an_event(known_at: list[int], event: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Labels.of_bars(bars_of_three(), np.array([1, 1, -1]), np.array(known_at), np.array(event))


OF_THREE = {"direction": [1, 1, -1], "known_at": [1, 2, -1], "event": [0, 1, -1]}


@pytest.mark.parametrize(
    ("name", "values", "got"),
    [
        ("direction", [1, -2, -1], "-2 at position 1"),
        ("direction", [257, 1, -1], "257 at position 0"),  # int8 would make it 1
        ("direction", [1, 1, 255], "255 at position 2"),  # int8 would make it -1
        ("direction", np.array([1, 1, 2**64 - 1], np.uint64), "18446744073709551615 at position 2"),
        ("direction", [0.9, 1.0, -1.0], "0.9 at position 0"),
        ("direction", [1.0, np.nan, -1.0], "nan at position 1"),
        ("direction", [1.0, np.inf, -1.0], "inf at position 1"),
        ("direction", [True, True, False], "bool values such as"),
        ("direction", ["up", "up", "down"], "<U4 values such as"),
        ("direction", [1, None, -1], "object values such as 1"),
        ("known_at", [1.5, 2.0, -1.0], "1.5 at position 0"),
        ("known_at", [1, 2, -2], "-2 at position 2"),
        ("known_at", [1, 2**32 + 2, -1], "4294967298 at position 1"),
        ("known_at", np.array(["2024-01-01"] * 3, "datetime64[ms]"), r"datetime64\[ms\] values"),
        ("event", [0.5, 1.0, -1.0], "0.5 at position 0"),
        ("event", [0, -7, -1], "-7 at position 1"),
        ("event", [0, 2**62, -1], "4611686018427387904 at position 1"),
        ("event", ["a", "b", "c"], "<U1 values such as"),
    ],
)
def test_a_code_that_is_no_whole_number_in_its_range_is_refused(name: str, values: list[float], got: str) -> None:
    with pytest.raises(InputError, match=f"^`{name}` must hold whole numbers from -1 to .* got {got}"):
        Labels.of_bars(bars_of_three(), **{**OF_THREE, name: values})  # type: ignore[arg-type]


def test_down_written_as_minus_one_is_refused_with_the_fix() -> None:
    with pytest.raises(
        InputError, match=r"`event` must be -1 where .* \(if -1 means down: down is 0, up 1\), got 1 for"
    ):
        Labels.of_bars(bars_of_three(), np.array([1, -1, -1]), np.array([1, 2, -1]), np.array([0, 1, -1]))


def test_whole_floats_are_the_same_labels_as_integers() -> None:
    floats = {name: np.array(values, np.float64) for name, values in OF_THREE.items()}
    labels = Labels.of_bars(bars_of_three(), **floats)  # type: ignore[arg-type]
    assert {name: getattr(labels, name).tolist() for name in OF_THREE} == OF_THREE
