"""Predictions that come one by one are judged as arrays of them are."""

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from generated import label_options, some_bars
from hypothesis import given, settings
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.market import Bars, Labels, find_pivots, label_bars, random_walk, synthetic_market
from trendtrain.replay import Lessons, make_sampler, weigh
from trendtrain.validation import Pending, Predictions
from trendtrain.validation.judged_prediction import JudgedPrediction, to_verdicts
from trendtrain.validation.live_judge import TrendJudge
from trendtrain.validation.predictions import OUTCOME_NAMES

BARS = synthetic_market(400, seed=1)
SAID = {"model_type": "m", "symbol": "A", "timeframe": "5m", "direction": "up", "confidence": 0.85}


def judge_of(bars: Bars, **rules: Any) -> TrendJudge:
    judge = TrendJudge(**rules)
    judge.update("A", "5m", bars)
    return judge


class Said(NamedTuple):
    """A prediction to store, before the chunk of its bar comes or after it."""

    bar: int
    model: str
    direction: str
    confidence: float
    is_ahead: bool

    def store(self, judge: TrendJudge, bars: Bars) -> None:
        at = bars.close_time[self.bar]
        judge.store(
            model_type=self.model,
            symbol="A",
            timeframe="1m",
            direction=self.direction,
            confidence=self.confidence,
            at=at,
        )


@st.composite
def predictions(draw: st.DrawFn, bars: Bars) -> list[Said]:
    """At most one prediction a bar and model."""
    parts = (
        st.integers(0, len(bars) - 1),
        st.sampled_from(["m", "n"]),
        st.sampled_from(["up", "down"]),
        st.floats(0.5, 1.0),
        st.booleans(),
    )
    return draw(st.lists(st.builds(Said, *parts), max_size=30, unique_by=lambda said: said[:2]))


def fed(judge: TrendJudge, bars: Bars, labels: Labels, said: list[Said], edges: list[int]) -> list[JudgedPrediction]:
    """Return all verdicts; a prediction that comes after its label must be refused, and leaves `said`."""
    verdicts: list[JudgedPrediction] = []
    for start, end in pairwise([0, *edges, len(bars)]):
        here = [one for one in said if start <= one.bar < end]
        for one in (one for one in here if one.is_ahead):
            one.store(judge, bars)
        verdicts.extend(judge.update("A", "1m", bars[start:end]))
        for one in (one for one in here if not one.is_ahead):
            if labels.known(end - 1, np.array([one.bar]))[0]:
                with pytest.raises(InputError, match="`at` must not lie where labels are known already"):
                    one.store(judge, bars)
                said.remove(one)
            else:
                one.store(judge, bars)
    return verdicts


@given(data=st.data(), bars=some_bars(min_bars=2), rules=label_options())
@settings(max_examples=100)
def test_verdicts_are_those_of_arrays_whatever_the_chunks(
    data: st.DataObject, bars: Bars, rules: dict[str, Any]
) -> None:
    said = data.draw(predictions(bars))
    edges = sorted(data.draw(st.sets(st.integers(1, len(bars) - 1), max_size=10)))
    labels, judge = label_bars(bars, **rules), TrendJudge(**rules)
    verdicts = fed(judge, bars, labels, said, edges)
    for model in ("m", "n"):
        mine = [one for one in said if one.model == model]
        buffer = Pending()
        chance = np.array([0.9 if one.direction == "up" else 0.1 for one in mine])
        row = np.array([one.bar for one in mine], dtype=np.int64)
        buffer.add(Predictions(row, np.column_stack([1 - chance, chance]).reshape(-1, 2)))
        expected = buffer.judge(labels.known_labels(now=len(bars) - 1))
        assert sorted((one.at, one.outcome, one.known_at) for one in verdicts if one.model_type == model) == sorted(
            (bars.close_time[row], OUTCOME_NAMES[outcome], bars.close_time[known_at])
            for row, outcome, known_at in zip(expected.row, expected.outcome, expected.known_at, strict=True)
        )
        assert judge.stats(model) == pytest.approx(buffer.stats.as_dict(), nan_ok=True, abs=0)


def test_a_verdict_tells_what_was_said_and_what_came() -> None:
    judge, labels = judge_of(BARS[:100]), label_bars(BARS)
    judge.store(**SAID)
    judge.store(**{**SAID, "model_type": "n", "direction": "down", "confidence": 0.5})
    first, second = judge.update("A", "5m", BARS[100:])
    known_at = BARS.close_time[labels.known_at[99]]
    truth = ("down", "up")[labels.direction[99]]
    outcomes = {"up": ("correct", "wrong"), "down": ("wrong", "correct")}[truth]
    line = labels.lines[labels.event[[99]]]
    rest = (known_at, 99, int(labels.known_at[99]), int(labels.event[99]), line)
    assert first == JudgedPrediction("m", "A", "5m", BARS.close_time[99], "up", 0.85, truth, outcomes[0], *rest)
    assert second == JudgedPrediction("n", "A", "5m", BARS.close_time[99], "down", 0.5, truth, outcomes[1], *rest)


@pytest.mark.parametrize(
    "at",
    [
        np.datetime64("2024-05-01T12:00"),
        datetime(2024, 5, 1, 12),
        datetime(2024, 5, 1, 12, tzinfo=UTC),
        datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
        "2024-05-01 12:00:00",
        "2024-05-01T14:00:00+02:00",
    ],
)
def test_a_moment_may_be_written_in_many_ways(at: Any) -> None:
    start = np.datetime64("2024-05-01T12:00") - 100 * BARS.timeframe
    prices = (BARS.open, BARS.high, BARS.low, BARS.close, BARS.volume)
    bars = Bars(start + np.arange(len(BARS)) * BARS.timeframe, *prices, BARS.timeframe)
    judge = TrendJudge()
    judge.store(**SAID, at=at)
    (verdict,) = judge.update("A", "300s", bars)
    assert verdict.at == np.datetime64("2024-05-01T12:00")
    assert verdict.known_at == bars.close_time[label_bars(bars).known_at[99]]


def test_a_moment_within_a_bar_belongs_to_the_bar_before_it() -> None:
    labels = label_bars(BARS)
    bar = int(np.flatnonzero(np.diff(labels.event))[3])  # the next bar is judged by another line
    judge = TrendJudge()
    judge.store(**SAID, at=BARS.close_time[bar + 1] - np.timedelta64(1, "ms"))
    (verdict,) = judge.update("A", "5m", BARS)
    assert verdict.known_at == BARS.close_time[labels.known_at[bar]]


def test_a_prediction_before_the_first_bar_is_judged_as_at_it() -> None:
    judge = TrendJudge()
    judge.store(**SAID, at="1999-01-01")
    (verdict,) = judge.update("A", "5m", BARS)
    assert verdict.known_at == BARS.close_time[label_bars(BARS).known_at[0]]


def test_one_moment_and_model_counts_once() -> None:
    judge = judge_of(BARS[:100])
    for direction in ("up", "up", "down"):
        judge.store(**{**SAID, "direction": direction})
    (verdict,) = judge.update("A", "5m", BARS[100:])
    assert verdict.direction == "down"


def test_up_at_even_chances_is_up() -> None:
    judge = judge_of(BARS[:100])
    for direction in ("up", "down"):
        judge.store(**{**SAID, "model_type": direction, "direction": direction, "confidence": 0.5})
    outcomes = {verdict.model_type: verdict.outcome for verdict in judge.update("A", "5m", BARS[100:])}
    truth = ("down", "up")[label_bars(BARS).direction[99]]
    assert [model for model, outcome in outcomes.items() if outcome == "correct"] == [truth]


def test_verdicts_of_several_models_come_in_the_order_in_which_they_became_known() -> None:
    judge = TrendJudge()
    for bar in range(0, 200, 10):
        for model in ("m", "n"):
            judge.store(**{**SAID, "model_type": model}, at=BARS.close_time[bar])
    known_at = [verdict.known_at for verdict in judge.update("A", "5m", BARS)]
    assert len(set(known_at)) > 5
    assert known_at == sorted(known_at)


def test_stats_are_of_all_or_of_what_is_asked_for() -> None:
    judge = judge_of(BARS[:100])
    judge.update("B", "1h", synthetic_market(100, seed=2, timeframe="1h"))
    judge.store(**SAID)
    judge.store(**{**SAID, "symbol": "B", "timeframe": "60m"})
    judge.store(**{**SAID, "model_type": "n"})
    judge.update("A", "5m", BARS[100:])
    asked: list[tuple[dict[str, str], int, int]] = [
        ({}, 3, 1),
        ({"model_type": "m"}, 2, 1),
        ({"symbol": "A"}, 2, 0),
        ({"timeframe": "1h"}, 1, 1),
        ({"symbol": "A", "timeframe": "1h"}, 0, 0),
    ]
    for names, total, pending in asked:
        stats = judge.stats(**names)
        assert (stats["total_predictions"], stats["pending_validations"]) == (total, pending)


def test_what_is_kept_does_not_grow_with_history() -> None:
    judge, most, bars = TrendJudge(), 0, random_walk(2_000, seed=0)
    for bar in range(len(bars)):
        judge.update("A", "1m", bars[bar : bar + 1])
        most = max(most, sum(len(stream.close_time) for stream in judge._judges.values()))
    assert most < 100


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "model": ({"model_type": ""}, "`model_type` must be a name, got ''"),
    "symbol": ({"symbol": None}, "`symbol` must be a name, got None"),
    "timeframe": ({"timeframe": "5x"}, "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got '5x'"),
    "direction": ({"direction": "flat"}, "`direction` must be one of down, up, got 'flat'"),
    "low confidence": ({"confidence": 0.49}, "`confidence` must be a number from 0.5 to 1.0, got 0.49"),
    "no confidence": ({"confidence": float("nan")}, "`confidence` must be a number from 0.5 to 1.0, got nan"),
    "no time": ({"at": "noon"}, "`at` must be an ISO time such as 2024-01-31T12:00, got 'noon'"),
    "number": ({"at": 17}, "`at` must be a time, got 17"),
    "NaT": ({"at": np.datetime64("NaT", "ms")}, "`at` must be a time, got .*NaT"),
    "hindsight": (
        {"at": BARS.close_time[10]},
        "`at` must not lie where labels are known already, before .* in A 5m",
    ),
    "nothing yet": ({"symbol": "B"}, "`at` must be given before the first bar of B 5m, got none"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_and_stores_nothing(case: str) -> None:
    change, message = MISTAKES[case]
    judge = judge_of(BARS)
    with pytest.raises(InputError, match=message):
        judge.store(**{**SAID, **change})
    assert judge.stats()["total_predictions"] == 0


def test_a_broken_rule_is_told_at_once() -> None:
    with pytest.raises(InputError, match=r"`flat_band` must be a number of at least 0.0, got -1"):
        TrendJudge(flat_band=-1)


def test_bars_of_another_timeframe_are_refused() -> None:
    with pytest.raises(InputError, match="`bars` must have the timeframe of A 1h, got 5m"):
        TrendJudge().update("A", "1h", BARS)


@given(data=st.data(), bars=some_bars(min_bars=2), rules=label_options())
@settings(max_examples=50)
def test_a_judge_that_was_saved_goes_on_as_if_never_stopped(
    data: st.DataObject, bars: Bars, rules: dict[str, Any]
) -> None:
    said = data.draw(predictions(bars))
    cut = data.draw(st.integers(1, len(bars) - 1))
    whole, first, second = (TrendJudge(**rules) for _ in range(3))
    for one in said:
        one.store(whole, bars)
        one.store(first, bars)
    expected = [*whole.update("A", "1m", bars[:cut]), *whole.update("A", "1m", bars[cut:])]
    verdicts = [*first.update("A", "1m", bars[:cut])]
    second.load_state_dict(json.loads(json.dumps(first.state_dict()), object_hook=with_numbers))
    verdicts += second.update("A", "1m", bars[cut:])
    assert verdicts == expected
    assert second.stats() == pytest.approx(whole.stats(), nan_ok=True, abs=0)


def with_numbers(values: dict[str, Any]) -> dict[Any, Any]:
    """JSON has text for keys only."""
    return {int(key) if key.isdigit() else key: value for key, value in values.items()}


@given(bars=some_bars(min_bars=2), rules=label_options(), edge=st.integers(1, 40))
@settings(max_examples=50)
def test_verdicts_become_arrays_a_replay_can_learn_from(bars: Bars, rules: dict[str, Any], edge: int) -> None:
    judge, labels, buffer = TrendJudge(**rules), label_bars(bars, **rules), Pending()
    up = np.array([0.3, 0.8] * len(bars))[: len(bars)]
    for bar in range(len(bars)):
        Said(bar, "m", "up" if bar % 2 else "down", 0.8 if bar % 2 else 0.7, True).store(judge, bars)
    verdicts = to_verdicts(sum((judge.update("A", "1m", part) for part in (bars[:edge], bars[edge:]) if len(part)), ()))
    buffer.add(Predictions(np.arange(len(bars)), np.column_stack([1 - up, up])))
    expected = buffer.judge(labels.known_labels(now=len(bars) - 1))
    for name in ("truth", "outcome", "event", "known_at", "row"):
        np.testing.assert_array_equal(np.sort(getattr(verdicts, name)), np.sort(getattr(expected, name)))
    np.testing.assert_allclose(verdicts.predictions.probability[:, 1], up[verdicts.row])
    np.testing.assert_array_equal(labels.event[verdicts.row], verdicts.event)


def test_a_verdict_names_the_line_that_judged() -> None:
    judge, labels = TrendJudge(), label_bars(BARS)
    for bar in range(0, 300, 7):
        judge.store(**SAID, at=BARS.close_time[bar])
    verdicts = [one for start in range(0, 400, 9) for one in judge.update("A", "5m", BARS[start : start + 9])]
    assert len({one.event for one in verdicts}) > 10
    for one in verdicts:
        assert len(one.line) == 1
        for name in ("first_bar", "last_bar", "first_price", "start_time", "kind", "direction", "known_at"):
            assert getattr(one.line, name)[0] == getattr(labels.lines, name)[labels.event[one.bar]]


def test_a_replay_memory_learns_from_a_judge() -> None:
    replay = make_sampler(batch_size=8, n_batches=1, weigh=weigh)
    judge = TrendJudge()
    for bar in range(0, 300, 3):
        judge.store(**SAID, at=BARS.close_time[bar])
    judged = judge.update("A", "5m", BARS)
    verdicts = to_verdicts(judged)
    replay.add(Lessons(verdicts.row, verdicts.event, verdicts.truth), verdicts)
    wrong = {one.bar for one in judged if one.outcome == "wrong"}
    assert wrong
    assert set(replay.memory.rows[replay.memory.weight == 3.0]) == wrong


@given(st.integers(0, 1000), st.integers(0, 150), label_options())
@settings(max_examples=100)
def test_labels_do_not_change_where_bars_before_pivots_of_both_kinds_are_left_out(
    seed: int, start: int, options: dict[str, Any]
) -> None:
    bars, options["inside"] = synthetic_market(200, seed=seed, missing=0.02, tick=0.2), "keep"
    part, rules = bars[start:], {name: value for name, value in options.items() if name != "flat_band"}
    early = [pivots.at_level(2).bar.min(initial=len(bars)) for pivots in find_pivots(part, **rules)]
    whole, cut = label_bars(bars, **options), label_bars(part, **options)
    for bar in range(max(early), len(part)):
        known_at = int(whole.known_at[start + bar])
        assert (cut.direction[bar], cut.known_at[bar]) == (whole.direction[start + bar], max(-1, known_at - start))
        if cut.event[bar] >= 0:
            ours, theirs = (labels.lines[[labels.event[at]]] for labels, at in ((cut, bar), (whole, start + bar)))
            assert ours.start_time == theirs.start_time
            assert (ours.kind, ours.end_time) == (theirs.kind, theirs.end_time)
