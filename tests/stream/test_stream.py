import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import MAX_GAP, SERIES, begun, labels_of, positions, predict, stream_of, verdict_table, walk_on

from trendtrain.errors import InputError
from trendtrain.features import bar_features, skill_features
from trendtrain.market import Bars, Labels, Series, label_bars, synthetic_market
from trendtrain.stream import HeldBars, HistoryFeed, Walk
from trendtrain.stream.inputs import InputTracker
from trendtrain.stream.stream import RULES
from trendtrain.stream.tape import BAR_BITS
from trendtrain.validation import Predictions, baseline_directions, online_logistic

START = "2020-01-01T20:00"


@pytest.fixture(scope="module")
def whole() -> list[tuple[object, ...]]:
    """The verdicts of one walk in steps of 40 bars."""
    return verdict_table(walk_on(begun(Walk(START, "40bars"))))


@pytest.mark.parametrize("step", ["1bars", "7bars", "333m", "100000bars"])
def test_how_the_history_is_cut_into_steps_changes_no_verdict(step: str, whole: list[tuple[object, ...]]) -> None:
    stream = begun(Walk(START, step))
    assert verdict_table(walk_on(stream)) == whole
    assert len(whole) > 500


@given(stops=st.lists(st.integers(1, 30), max_size=20), step=st.sampled_from(["11bars", "40bars"]))
@settings(max_examples=10)
def test_a_stream_stopped_and_restored_many_times_goes_on_alike(
    stops: list[int], step: str, whole: list[tuple[object, ...]]
) -> None:
    walk = Walk(START, step)
    stream, steps = begun(walk), []
    for n_steps in stops:
        steps += walk_on(stream, n_steps)
        state, stream = stream.state_dict(), stream_of(HistoryFeed(HeldBars(SERIES), walk))
        stream.load_state_dict(state)
    steps += walk_on(stream)
    assert verdict_table(steps) == whole
    uncut = begun(walk)
    walk_on(uncut)
    np.testing.assert_equal(stream.state_dict(), uncut.state_dict())
    np.testing.assert_equal(stream.core.summary(), uncut.core.summary())


def test_verdicts_are_those_of_the_labels_of_all_bars(whole: list[tuple[object, ...]]) -> None:
    labels = labels_of(SERIES)
    offset = np.cumsum([0, *(len(bars) for bars in SERIES.values())])
    for row, truth, _, event, known_at, known_time, close_time, *_ in whole:
        first = offset[row >> BAR_BITS]
        at = int(first + (row & ((1 << BAR_BITS) - 1)))
        assert truth == labels.direction[at]
        assert known_at - row == labels.known_at[at] - at
        assert known_time == labels.close_time[labels.known_at[at]].item()
        assert close_time == labels.close_time[at].item()
        assert (event < 0) == (labels.event[at] < 0)


def test_every_row_with_a_window_is_judged_or_pending_once() -> None:
    stream = begun(Walk(START, "40bars"))
    made = np.concatenate([step.predictions.row for step in walk_on(stream)])
    judged = np.array([row for row, *_ in verdict_table(walk_on(begun(Walk(START, "40bars"))))])
    assert sorted([*judged.tolist(), *stream.core.buffer.pending.row.tolist()]) == sorted(made.tolist())


def test_rules_are_those_of_all_bars() -> None:
    stream = begun(Walk(START, "40bars"))
    expected = {
        number: baseline_directions(bars, label_bars(bars, max_gap=MAX_GAP), MAX_GAP)
        for number, bars in enumerate(SERIES.values())
    }
    for step in walk_on(stream):
        made = step.predictions
        for number in range(2):
            here = made.series == number
            bar = made.row[here] & ((1 << BAR_BITS) - 1)
            for name, directions in expected[number].items():
                assert made.baselines[here, RULES.index(name)].tolist() == directions[bar].tolist()


@pytest.mark.parametrize("step", ["40bars", "7bars"])
def test_the_learned_rule_is_one_of_all_series_and_bars(step: str) -> None:
    inputs = [InputTracker(bar_features, skill_features, MAX_GAP).update(bars) for bars in SERIES.values()]
    expected = online_logistic(np.concatenate([one.side for one in inputs]), labels_of(SERIES))
    made = Predictions.join([one.predictions for one in walk_on(begun(Walk(START, step)))])
    learned = made.baselines[:, RULES.index("online_logistic")]
    assert learned.tolist() == expected[positions(SERIES, made.row)].tolist()
    assert 0.1 < learned.mean() < 0.9


def test_nothing_known_in_a_step_can_be_drawn_before_its_end() -> None:
    stream = begun(Walk(START, "40bars"))
    while not stream.is_done:
        before = stream.replay.memory.n_known
        rows = stream.open()
        assert stream.replay.memory.n_known == before
        assert (rows.close_time > stream.now).all()
        stream.close(predict(rows.row))


class MadeWhenAsked:
    """A history whose bars are made anew whenever they are asked for; their volumes tell their positions."""

    series = (Series("A", "5m"),)
    ORIGIN = np.datetime64("2020-01-01", "ms")
    LENGTH = np.timedelta64(5, "m").astype("timedelta64[ms]")
    MARK = 1e6 + 0.125  # no other number lies a whole number, below 2,000, above this

    def load(self, series: Series, start: np.datetime64 | None, end: np.datetime64 | None) -> Bars:
        first, last = (
            default if time is None else min(max(0, int(-((self.ORIGIN - time) // self.LENGTH))), 2000)
            for time, default in ((start, 0), (end, 2000))
        )
        at = np.arange(first, max(first, last))
        price = 100.0 + 5.0 * np.sin(at * 0.7) + np.cos(at * 0.11)
        return Bars(self.ORIGIN + at * self.LENGTH, price, price + 0.1, price - 0.1, price, self.MARK + at, self.LENGTH)


def marks_in_memory() -> np.ndarray:
    """Return every volume of such bars in any array that the process holds."""
    gc.collect()
    found = [np.zeros(0)]
    for holder in gc.get_objects():
        held = gc.get_referents(holder)
        # A dict of arrays alone, such as that of `Bars`, is not among the objects.
        held += [value for one in held if type(one) is dict and not gc.is_tracked(one) for value in one.values()]
        for one in held:
            while issubclass(type(one), np.ndarray):  # `isinstance` asks objects, some of which warn
                if type(one) is np.ndarray and one.dtype == np.float64:
                    values = one.ravel()
                    at = values[(values >= MadeWhenAsked.MARK) & (values < MadeWhenAsked.MARK + 2000)]
                    found.append(at[at % 1.0 == MadeWhenAsked.MARK % 1.0])  # no volume of another test's bars
                one = one.base
    return np.concatenate(found)


def test_after_a_step_nothing_in_the_process_has_a_later_bar() -> None:
    stream = stream_of(HistoryFeed(MadeWhenAsked(), Walk(0.3, "100bars")), features=lambda bars: bars.volume)
    stream.begin()
    for _ in range(5):
        last = (stream.now - MadeWhenAsked.ORIGIN) // MadeWhenAsked.LENGTH - 1
        assert marks_in_memory().max() == MadeWhenAsked.MARK + last
        stream.close(predict(stream.open().row))


def test_a_step_that_misses_a_row_is_an_error() -> None:
    stream = begun(Walk(START, "40bars"))
    row = stream.open().row
    with pytest.raises(RuntimeError, match=f"must predict each of its rows once: {len(row) - 1} predictions for"):
        stream.close(predict(row[1:]))
    with pytest.raises(RuntimeError, match="must predict each of its rows once"):
        stream.close(predict(np.append(row[1:], row[1])))
    assert len(stream.close(predict(row[1:]), is_partial=True).predictions) == len(row) - 1


def test_predictions_may_come_in_any_order(whole: list[tuple[object, ...]]) -> None:
    stream, steps = begun(Walk(START, "40bars")), []
    while not stream.is_done:
        steps.append(stream.close(predict(stream.open().row[::-1].copy())))
    assert verdict_table(steps) == whole


def test_a_model_of_other_classes_is_refused() -> None:
    stream = begun(Walk(START, "40bars"))
    row = stream.open().row
    with pytest.raises(InputError, match="`n_classes` must be what the model tells apart, got 2 and a model of 3"):
        stream.close(Predictions(row, np.full((len(row), 3), 1 / 3)))


def longer(n_bars: int) -> dict[Series, Bars]:
    return {series: bars[: n_bars // (1 if series.timeframe == "5m" else 3)] for series, bars in SERIES.items()}


@pytest.mark.parametrize("n_bars", [540, 600, 777])
def test_a_history_that_grew_is_walked_as_if_it_had_been_whole(n_bars: int, whole: list[tuple[object, ...]]) -> None:
    """The run stops before its last slot that is not full, and goes on with all bars."""
    walk = Walk(START, "200m")
    stream = begun(walk, longer(n_bars))
    steps = []
    while not stream.feed.is_done and not stream.feed.is_next_partial:
        steps += walk_on(stream, 1)
    state, stream = stream.state_dict(), stream_of(HistoryFeed(HeldBars(SERIES), walk))
    stream.load_state_dict(state)
    assert verdict_table(steps + walk_on(stream)) == whole


def test_a_series_added_later_starts_with_the_next_step() -> None:
    walk = Walk(START, "200m")
    first, second = SERIES
    stream = begun(walk, {second: SERIES[second]})
    walk_on(stream, 3)
    alone = verdict_table(walk_on(begun(walk, {second: SERIES[second]})))
    state, now = stream.state_dict(), stream.now
    stream = stream_of(HistoryFeed(HeldBars(SERIES), walk))
    stream.load_state_dict(state)
    assert stream.series == (second, first)
    memory_before = stream.replay.memory.n_known
    steps = walk_on(stream)
    added = [step.predictions.close_time[step.predictions.series == 1] for step in steps]
    assert np.concatenate(added).min() > now
    assert stream.replay.memory.n_known > memory_before
    rest = [line[:7] for line in verdict_table(steps) if line[0] >> BAR_BITS == 0]
    assert rest == [line[:7] for line in alone][-len(rest) :]
    state = stream.state_dict()
    again = stream_of(HistoryFeed(HeldBars(SERIES), walk))
    again.load_state_dict(state)
    np.testing.assert_equal(again.state_dict(), state)


def test_rows_that_close_together_come_by_symbol_then_timeframe_whatever_their_numbers() -> None:
    walk = Walk(START, "200m")
    names = [Series("A", "15m"), Series("A", "5m"), Series("B", "5m")]
    bars = {name: synthetic_market(900, seed=2, timeframe=name.timeframe) for name in names}
    stream = begun(walk, {names[0]: bars[names[0]]})
    walk_on(stream, 2)
    state, stream = stream.state_dict(), stream_of(HistoryFeed(HeldBars(bars), walk))
    stream.load_state_dict(state)
    assert stream.series == tuple(names)
    rows = stream.open()
    number, times = rows.row >> BAR_BITS, rows.close_time.tolist()
    order = list(zip(times, np.array([1, 0, 2])[number].tolist(), strict=True))  # A 5m, A 15m, B 5m
    assert order == sorted(order)
    assert (np.bincount(number) > 10).all()


@pytest.mark.parametrize("bar", [0, 300, 513])
def test_bars_that_differ_in_the_past_are_refused_and_the_first_is_named(bar: int) -> None:
    series = Series("A", "5m")
    bars = synthetic_market(900, seed=2)
    walk = Walk("2020-01-02", "40bars")
    stream = begun(walk, {series: bars})
    walk_on(stream, 9)
    volume = bars.volume.copy()
    volume[bar] += 1.0
    other = Bars(bars.open_time, bars.open, bars.high, bars.low, bars.close, volume, bars.timeframe)
    resumed = stream_of(HistoryFeed(HeldBars({series: other}), walk))
    block = bars.open_time[bar // 256 * 256]
    with pytest.raises(InputError, match=f"bars of the run that is resumed, got others from {block} on in A 5m"):
        resumed.load_state_dict(stream.state_dict())


def test_bars_that_come_late_to_a_full_slot_are_history() -> None:
    """A series lags behind where the other ends a slot; its missing bars come before the run goes on."""
    walk = Walk(START, "200m")
    first, second = SERIES
    end = np.datetime64("2020-01-02T06:00", "ms")  # of a slot
    short = {first: SERIES[first], second: SERIES[second]}
    short = {name: bars[: int(np.searchsorted(bars.close_time, end, side="right"))] for name, bars in short.items()}
    stream = begun(walk, {first: short[first], second: short[second][:-5]})
    walk_on(stream)
    state = stream.state_dict()
    assert not state["is_partial"]
    resumed = stream_of(HistoryFeed(HeldBars(SERIES), walk))
    resumed.load_state_dict(state)
    assert not resumed.outgrows(state)
    whole = begun(walk)
    walk_on(whole)
    made = np.concatenate([step.predictions.row for step in walk_on(resumed)])
    assert made.min() >= 0
    late = np.arange(len(short[second]) - 5, len(short[second])) + (1 << BAR_BITS)
    assert not np.isin(late, made).any()
    assert resumed.state_dict()["n_bars"] == whole.state_dict()["n_bars"]
    np.testing.assert_equal(sorted(resumed.replay.memory.rows), sorted(whole.replay.memory.rows))


def test_what_an_added_series_made_known_survives_a_save_in_the_warm_up() -> None:
    walk = Walk(START, "200m")
    _, second = SERIES
    stream = begun(walk, {second: SERIES[second]})
    stream.warmup = 3
    stream.close_warmup()
    rows = []
    for _ in range(2):
        state, stream = stream.state_dict(), stream_of(HistoryFeed(HeldBars(SERIES), walk))
        stream.load_state_dict(state)
        rows.append(sorted(stream.replay.memory.rows.tolist()))
        stream.close_warmup()
    assert rows[0] == rows[1]
    assert {row >> BAR_BITS for row in rows[0]} == {0, 1}


def test_a_state_of_other_baselines_is_refused() -> None:
    stream = begun(Walk(START, "200m"))
    state = stream.state_dict()
    state["rules"].append("mine")
    with pytest.raises(InputError, match=r"`baselines` must stay .*online_logistic, mine, got .*online_logistic\.$"):
        stream_of(HistoryFeed(HeldBars(SERIES), Walk(START, "200m"))).load_state_dict(state)


def test_a_step_under_way_cannot_be_saved() -> None:
    stream = begun(Walk(START, "200m"))
    stream.open()
    with pytest.raises(InputError, match="A checkpoint must be written between two walk steps"):
        stream.state_dict()


def test_the_newest_bars_keep_no_older_ones_in_memory() -> None:
    stream = begun(Walk(START, "200m"))
    for bars in stream.newest_bars():
        assert bars is not None
        base = bars.close.base if bars.close.base is not None else bars.close
        assert np.size(base) <= 2 * 540


def own_labels(bars: Bars) -> Labels:
    """Up or down over the next ten bars, known then; every three bars are one event."""
    bar = np.arange(len(bars)) // 3 * 3 + 2
    known_at = np.where(bar + 10 < len(bars), bar + 10, -1)
    is_up = bars.close[np.minimum(bar + 10, len(bars) - 1)] > bars.close[np.minimum(bar, len(bars) - 1)]
    return Labels.of_bars(bars, np.where(known_at >= 0, is_up, -1), known_at, np.where(known_at >= 0, bar, -1))


def test_labels_of_the_users_own_are_judged_alike_in_any_steps() -> None:
    tables = [verdict_table(walk_on(begun(Walk(START, step), labeler=own_labels))) for step in ("40bars", "3bars")]
    assert tables[0] == tables[1]
    assert len(tables[0]) > 500


def test_a_labeler_that_calls_ours_gives_the_same(whole: list[tuple[object, ...]]) -> None:
    stream = begun(Walk(START, "7bars"), labeler=lambda bars: label_bars(bars, max_gap=MAX_GAP))
    assert [line[:3] + line[5:] for line in verdict_table(walk_on(stream))] == [line[:3] + line[5:] for line in whole]


def test_a_tracker_of_features_sees_each_bar_once() -> None:
    seen: list[int] = []

    class Counted:
        def update(self, bars: Bars) -> np.ndarray:
            seen.append(len(bars))
            return np.zeros((len(bars), 1))

        def state_dict(self) -> dict[str, object]:
            return {}

        def load_state_dict(self, state: dict[str, object]) -> None:
            pass

    walk_on(begun(Walk(START, "40bars"), features=Counted))
    assert sum(seen) == sum(len(bars) for bars in SERIES.values())


def test_the_inputs_of_every_bar_are_handed_on_once() -> None:
    counts = [0, 0]

    def count(number: int, inputs: object) -> None:
        counts[number] += len(inputs.unit)

    walk_on(begun(Walk(START, "40bars"), keep_inputs=count))
    assert counts == [len(bars) for bars in SERIES.values()]


def test_the_steps_bring_each_bar_of_the_walk_once() -> None:
    stream = begun(Walk(START, "40bars"))
    fed: dict[Series, list[np.ndarray]] = {series: [] for series in SERIES}
    for step in walk_on(stream):
        for series, bars in step.bars.items():
            assert (bars.close_time <= step.now).all()
            fed[series].append(bars.open_time)
    for series, times in fed.items():
        open_time = SERIES[series].open_time[SERIES[series].close_time > np.datetime64(START)]
        np.testing.assert_array_equal(np.concatenate(times), open_time)
