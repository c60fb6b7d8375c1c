from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, Labels, Series
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.stream.clock import StreamClock
from trendtrain.stream.walk import Walk, step_bounds

START = np.datetime64("2024-01-01", "ms")
MINUTE = np.timedelta64(1, "m").astype("timedelta64[ms]")


def bars_at(slots: list[int], timeframe: str = "1m") -> Bars:
    length = parse_timeframe(timeframe)
    price = np.ones(len(slots))
    return Bars(START + np.array(slots) * length, price, price, price, price, price, length)


def unlabelled(bars: Bars) -> Labels:
    nothing = np.full(len(bars), -1)
    return Labels.of_bars(bars, nothing, nothing, nothing)


def stacked(**parts: Bars) -> Labels:
    """Name series like `A_5m=bars`."""
    return Labels.stack({Series(*name.split("_")): unlabelled(bars) for name, bars in parts.items()})


def walked(clock: StreamClock) -> list[np.ndarray]:
    """Walk to the end and return the rows of each step."""
    steps = []
    while not clock.is_done:
        steps.append(clock.rows)
        clock.advance()
    return steps


def slots() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 300), min_size=2, max_size=80, unique=True).map(sorted)


@st.composite
def streams(draw: Callable[..., object]) -> tuple[Labels, np.ndarray, Walk]:
    labels = stacked(
        B_5m=bars_at(draw(slots()), "5m"), A_15m=bars_at(draw(slots()), "15m"), A_5m=bars_at([0, 400], "5m")
    )
    is_ready = np.array(draw(st.lists(st.booleans(), min_size=len(labels), max_size=len(labels))))
    is_ready[-1] = True  # bar 400 of A 5m, so that there is a stream in most cases
    start = draw(st.sampled_from([0.0, 0.1, 0.37, "2024-01-01", "2024-01-01T07:03"]))
    step = draw(st.sampled_from(["1bar", "7bars", "256bars", "20m", "6h", "1d", "1D"]))
    return labels, is_ready, Walk(start=start, step=step)


@given(streams())
def test_every_ready_row_after_the_start_comes_once(stream: tuple[Labels, np.ndarray, Walk]) -> None:
    labels, is_ready, walk = stream
    clock = StreamClock(labels, is_ready, walk)
    due = np.flatnonzero(is_ready & (labels.close_time > clock.start))
    assert sorted(np.concatenate(walked(clock)).tolist()) == due.tolist()


@given(streams())
def test_rows_come_by_close_time_then_symbol_then_timeframe(stream: tuple[Labels, np.ndarray, Walk]) -> None:
    labels, is_ready, walk = stream
    rows = np.concatenate(walked(StreamClock(labels, is_ready, walk)))
    names = [labels.series[i] for i in labels.series_index[rows]]
    keys = [
        (time, name.symbol, parse_timeframe(name.timeframe).astype(int))
        for time, name in zip(labels.close_time[rows].tolist(), names, strict=True)
    ]
    assert keys == sorted(keys)


def test_rows_that_close_together_come_by_symbol_then_length_of_timeframe() -> None:
    hour = {"B_5m": bars_at([11], "5m"), "A_1h": bars_at([0], "1h"), "A_15m": bars_at([3], "15m")}
    labels = stacked(**hour, C_5m=bars_at([0, 50], "5m"))
    (rows, *_) = walked(StreamClock(labels, labels.close_time == START + 60 * MINUTE, Walk(start=0.0)))
    names = ["_".join(labels.series[i]) for i in labels.series_index[rows]]
    assert names == ["A_15m", "A_1h", "B_5m"]


@given(streams())
def test_a_step_holds_the_rows_that_close_in_it(stream: tuple[Labels, np.ndarray, Walk]) -> None:
    labels, is_ready, walk = stream
    clock = StreamClock(labels, is_ready, walk)
    length = walk.length(np.timedelta64(5, "m").astype("timedelta64[ms]"))
    while not clock.is_done:
        before, close = clock.now, labels.close_time[clock.rows]
        now = clock.advance()
        assert len(close)
        assert before < close.min()
        assert close.max() <= now
        is_whole = (now - clock.start) % length == np.timedelta64(0)
        assert is_whole or now == labels.close_time.max()
        assert now - close.min() < length or clock.is_done  # the last one takes the bars without a window along
    assert clock.now <= labels.close_time.max()
    assert walk.steps is not None or clock.now == labels.close_time.max()


@given(streams(), st.integers(1, 5))
def test_steps_cuts_the_walk(stream: tuple[Labels, np.ndarray, Walk], steps: int) -> None:
    labels, is_ready, walk = stream
    whole = walked(StreamClock(labels, is_ready, walk))
    clock = StreamClock(labels, is_ready, Walk(start=walk.start, step=walk.step, steps=steps))
    assert clock.n_steps == min(steps, len(whole))
    assert [rows.tolist() for rows in walked(clock)] == [rows.tolist() for rows in whole[:steps]]


def test_steps_without_rows_are_skipped() -> None:
    clock = StreamClock(stacked(A_1m=bars_at([0, 1, 2, 51, 52])), np.ones(5, dtype=bool), Walk(start=0.0, step="2bars"))
    assert [rows.tolist() for rows in walked(clock)] == [[0, 1], [2], [3], [4]]


@given(streams(), st.integers(0, 3))
def test_the_warm_up_comes_before_the_walk_and_changes_nothing_of_it(
    stream: tuple[Labels, np.ndarray, Walk], warmup: int
) -> None:
    plain, warmed = StreamClock(*stream), StreamClock(*stream)
    warmed.warmup = warmup
    for _ in range(warmup):
        assert not len(warmed.rows)
        assert not warmed.is_done
        assert warmed.advance() == warmed.start
        assert warmed.step == 0
    assert [rows.tolist() for rows in walked(warmed)] == [rows.tolist() for rows in walked(plain)]
    assert warmed.now == plain.now


@pytest.mark.parametrize(
    ("warmup", "n_events", "n_epochs"), [(0, 1000, 0), (20, 1000, 10), (20, 1001, 11), (0.5, 100, 1), (1, 0, 0)]
)
def test_a_warm_up_draws_each_event_so_often(warmup: float, n_events: int, n_epochs: int) -> None:
    assert Walk(warmup=warmup).warmup_epochs(n_events, n_draws=2000) == n_epochs


def test_when_done_no_rows_are_left() -> None:
    clock = StreamClock(stacked(A_1m=bars_at([0, 1])), np.ones(2, dtype=bool), Walk(start=0.0, step="2bars"))
    clock.advance()
    assert clock.is_done
    assert not len(clock.rows)


def test_the_largest_step_is_known_beforehand() -> None:
    bars = bars_at([0, 1, 2, 50, 90, 91])
    clock = StreamClock(stacked(A_1m=bars), np.ones(6, dtype=bool), Walk(start=0.0, step="3bars"))
    assert clock.most_rows == 3


def test_a_step_in_bars_counts_the_smallest_timeframe() -> None:
    labels = stacked(A_15m=bars_at(list(range(8)), "15m"), A_5m=bars_at(list(range(24)), "5m"))
    clock = StreamClock(labels, np.ones(32, dtype=bool), Walk(start=0.0, step="6bars"))
    assert clock.n_steps == 4  # 2 hours in steps of 30 minutes


def test_a_fraction_starts_between_first_open_and_last_close() -> None:
    labels = stacked(B_1m=bars_at(list(range(100))), A_1m=bars_at(list(range(300, 400))))
    clock = StreamClock(labels, np.ones(200, dtype=bool), Walk(start=0.25))
    assert clock.start == START + 100 * MINUTE  # of 400 minutes


def test_a_date_starts_there() -> None:
    labels = stacked(A_1m=bars_at(list(range(100))))
    clock = StreamClock(labels, np.ones(100, dtype=bool), Walk(start="2024-01-01T01:00"))
    assert clock.now == np.datetime64("2024-01-01T01:00")
    assert labels.close_time[clock.rows].min() == np.datetime64("2024-01-01T01:01")


@pytest.mark.parametrize(
    ("step", "minutes"), [("256bars", 256 * 5), ("1 bar", 5), ("6h", 360), ("1d", 1440), ("1D", 1440)]
)
def test_a_step_is_a_number_of_bars_or_a_time(step: str, minutes: int) -> None:
    assert Walk(step=step).length(5 * MINUTE) == minutes * MINUTE


def test_step_bounds_put_a_row_at_a_step_end_into_that_step() -> None:
    times = START + np.array([1, 4, 5, 8]) * MINUTE
    bounds, ends = step_bounds(times, START, 4 * MINUTE)
    assert bounds.tolist() == [0, 2, 4]
    assert ends.tolist() == (START + np.array([4, 8]) * MINUTE).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": "abc"}, "`walk.step` must be a length such as 256bars, 6h or 1d, got 'abc'"),
        ({"step": "0bars"}, "`walk.step` must be a length .*got '0bars'"),
        ({"step": "-1d"}, "`walk.step` must be a length .*got '-1d'"),
        ({"step": "1M"}, "`walk.step` must be a length .*got '1M'"),
        ({"step": 256}, "`walk.step` must be a length .*got 256"),
        ({"start": "soon"}, "`walk.start` must be a fraction from 0 to below 1, or a date .*got 'soon'"),
        ({"start": "2024-02-30"}, "`walk.start` must be a fraction .*got '2024-02-30'"),
        ({"start": 1.0}, "`walk.start` must be a fraction .*got 1.0"),
        ({"start": -0.1}, "`walk.start` must be a fraction .*got -0.1"),
        ({"start": float("nan")}, "`walk.start` must be a fraction .*got nan"),
        ({"start": None}, "`walk.start` must be a fraction .*got None"),
        ({"steps": 0}, "`walk.steps` must be an integer of at least 1, got 0"),
        ({"steps": 1.5}, "`walk.steps` must be an integer of at least 1, got 1.5"),
        ({"warmup": -1}, "`walk.warmup` must be a number of at least 0.0, got -1"),
        ({"warmup": "long"}, "`walk.warmup` must be a number of at least 0.0, got 'long'"),
        ({"batch_size": 0}, "`walk.batch_size` must be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_walk_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Walk(**arguments)


@pytest.mark.parametrize("start", ["2024-01-02", "2030-01-01", 0.99999])
def test_a_start_that_leaves_nothing_is_refused(start: str | float) -> None:
    labels = stacked(A_1m=bars_at([0, 1, 2]))
    is_ready = np.array([True, True, False])
    with pytest.raises(InputError, match=r"`walk.start` must leave bars to predict, got"):
        StreamClock(labels, is_ready, Walk(start=start))
