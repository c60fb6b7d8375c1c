"""The scores of a run equal slow sums over events, however the verdicts arrive."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.market import Labels, Series, label_bars, synthetic_market
from trendtrain.stream.pass_judge import attach
from trendtrain.validation import Pending, Predictions, Scoreboard, Verdicts, baseline_directions
from trendtrain.validation.score import calendar_blocks, estimate
from trendtrain.validation.scoreboard import delay_quantile

PARTS = {
    Series("A", "5m"): synthetic_market(6000, seed=11, missing=0.01, tick=0.1),
    Series("B", "5m"): synthetic_market(5000, seed=12, missing=0.01, tick=0.1),
}
LABELS = {name: label_bars(bars, max_gap=3, flat_band=0.0005) for name, bars in PARTS.items()}
STACKED = Labels.stack(LABELS)
BASELINES = {
    rule: np.concatenate([baseline_directions(bars, LABELS[name], 3)[rule] for name, bars in PARTS.items()])
    for rule in ("majority", "reversal")
}


def predicted(seed: int, n_classes: int = 2) -> Predictions:
    """Return predictions with confidences of which many fall together, some of them certain."""
    random = np.random.default_rng(seed)
    weight = random.integers(0, 5, (len(STACKED), n_classes)) + 1e-9
    made = Predictions(np.arange(len(STACKED)), weight / weight.sum(axis=1, keepdims=True))
    return attach(made, STACKED, BASELINES)


def judged_at(predictions: Predictions, times: list[np.datetime64]) -> tuple[Scoreboard, list[Verdicts]]:
    buffer, board, parts = Pending(), Scoreboard(STACKED.series, list(BASELINES)), []
    buffer.add(predictions)
    for now in [*times, STACKED.close_time.max()]:
        parts.append(buffer.judge(STACKED.known_labels(now)))
        board.update(parts[-1])
    return board, parts


def flat(scores: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return nested numbers under dotted names; what is no number is left out."""
    result = {}
    for name, value in scores.items():
        if isinstance(value, (str, type(None))):
            continue
        if isinstance(value, dict):
            result.update(flat(value, f"{prefix}{name}."))
        elif isinstance(value, (list, tuple)):
            result.update({f"{prefix}{name}.{i}": x for i, x in enumerate(value)})
        else:
            result[prefix + name] = value
    return result


def slow_scores(verdicts: Verdicts, series: int | None = None) -> dict[str, float]:
    """Score event by event with dictionaries; verdicts in order of arrival."""
    events: dict[int, list[int]] = {}
    for i in range(len(verdicts)):
        of_series = STACKED.series_index[verdicts.row[i]]
        if verdicts.outcome[i] in (0, 1) and series in (None, of_series):
            events.setdefault(int(verdicts.event[i]), []).append(i)
    bins = [[0.0, 0.0, 0.0] for _ in range(15)]
    correct, nll, delays, faded, faded_count = [], [], [], 0.0, 0.0
    right: dict[str, list[float]] = {name: [] for name in BASELINES}
    for members in events.values():
        is_right, surprise = [], []
        for i in members:
            chances, truth = verdicts.predictions.probability[i].tolist(), int(verdicts.truth[i])
            is_right.append(float(chances.index(max(chances)) == truth))
            surprise.append(-math.log(max(chances[truth], 1e-7)))
            delays.append(int(verdicts.known_at[i] - verdicts.row[i]))
            confidence = float(np.float32(max(chances)))  # kept in single precision
            place = bins[min(14, int(confidence * 15))]
            for column, value in enumerate((1.0, confidence, is_right[-1])):
                place[column] += value / len(members)
        correct.append(sum(is_right) / len(members))
        nll.append(sum(surprise) / len(members))
        faded, faded_count = correct[-1] + 0.999 * faded, 1 + 0.999 * faded_count
        for name, answers in BASELINES.items():
            hits = [float(answers[verdicts.row[i]] == verdicts.truth[i]) for i in members]
            right[name].append(sum(hits) / len(hits))
    n = len(events)
    return {
        "event_accuracy": sum(correct) / n,
        "n_events": n,
        "nll": sum(nll) / n,
        "expected_accuracy.judged": sum(conf for _, conf, _ in bins) / n,
        "ece": sum(abs(conf - hit) for _, conf, hit in bins) / sum(weight for weight, *_ in bins),
        "accuracy_fading": faded / faded_count,
        "label_delay_bars.p50": float(np.quantile(delays, 0.5, method="inverted_cdf")),
        "label_delay_bars.p95": float(np.quantile(delays, 0.95, method="inverted_cdf")),
        **{f"baselines.{name}.event_accuracy": sum(values) / n for name, values in right.items()},
        **{f"baselines.{name}.difference": (sum(correct) - sum(values)) / n for name, values in right.items()},
    }


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("series", [None, 0, 1])
def test_scores_equal_slow_sums_over_events(n_classes: int, series: int | None) -> None:
    board, parts = judged_at(predicted(1, n_classes), [])
    scores = flat(board.scores(series))
    slow = slow_scores(parts[0], series)
    fading = slow.pop("accuracy_fading")
    assert {name: scores[name] for name in slow} == pytest.approx(slow, rel=1e-9)
    if series is None:
        assert board.metrics()["accuracy_fading"] == pytest.approx(fading, rel=1e-12)
        assert board.metrics()["delay_bars"] == slow["label_delay_bars.p50"]


@given(st.integers(0, 1000), st.sampled_from([2, 3]), st.lists(st.floats(0.0, 1.0), max_size=12))
def test_verdicts_in_steps_score_as_all_at_once(seed: int, n_classes: int, places: list[float]) -> None:
    times = np.unique(STACKED.close_time)
    now = sorted(times[round(place * (len(times) - 1))] for place in places)
    whole, _ = judged_at(predicted(seed, n_classes), [])
    steps, _ = judged_at(predicted(seed, n_classes), now)
    for series in (None, 0, 1):
        assert flat(steps.scores(series)) == pytest.approx(flat(whole.scores(series)), rel=1e-9, nan_ok=True)
    assert steps.metrics() == pytest.approx(whole.metrics(), rel=1e-9, nan_ok=True)
    assert steps.metrics()["accuracy_fading"] == whole.metrics()["accuracy_fading"]


def test_the_running_metrics_agree_with_the_final_scores() -> None:
    board, _ = judged_at(predicted(2), [])
    metrics, scores = board.metrics(), flat(board.scores())
    for name in ("event_accuracy", "nll", "ece"):
        assert metrics[name] == pytest.approx(scores[name], rel=1e-12)
    for name in BASELINES:
        assert metrics[f"baseline_{name}"] == pytest.approx(scores[f"baselines.{name}.event_accuracy"], rel=1e-12)


def test_the_estimate_alone_is_that_of_the_scores() -> None:
    board, _ = judged_at(predicted(3), [])
    found, scores = board.estimate(), board.scores()
    expected = [scores[name] for name in ("event_accuracy", "accuracy_se", "n_events")]
    assert [found.mean, found.se, found.n_events, *found.ci95] == [*expected, *scores["accuracy_ci95"]]


def test_a_restored_board_equals_one_that_never_stopped() -> None:
    times = np.unique(STACKED.close_time)[200::500]
    whole, parts = judged_at(predicted(3), list(times))
    board = Scoreboard(STACKED.series, list(BASELINES))
    for part in parts:
        restored = Scoreboard(STACKED.series, list(BASELINES))
        restored.load_state_dict(board.state_dict())
        board = restored
        board.update(part)
    assert flat(board.scores()) == pytest.approx(flat(whole.scores()), rel=0, abs=0, nan_ok=True)
    assert board.metrics() == pytest.approx(whole.metrics(), rel=0, abs=0, nan_ok=True)


def test_a_series_scores_as_if_it_were_alone() -> None:
    name = Series("B", "5m")
    start = int(STACKED.offset[1])
    board, _ = judged_at(predicted(4), [])
    alone, buffer = Scoreboard([name], list(BASELINES)), Pending()
    made = Predictions(np.arange(len(PARTS[name])), predicted(4).probability[start:])
    buffer.add(attach(made, LABELS[name], {rule: answers[start:] for rule, answers in BASELINES.items()}))
    alone.update(buffer.judge(LABELS[name].known_labels(len(PARTS[name]) - 1)))
    assert flat(board.scores(1)) == pytest.approx(flat(alone.scores()), rel=1e-12, nan_ok=True)


def test_the_error_is_the_event_block_error_of_the_event_means() -> None:
    board, parts = judged_at(predicted(5), [])
    verdicts = parts[0][parts[0].is_validated]
    events: dict[int, list[float]] = {}
    arrival: dict[int, int] = {}
    for event, is_correct, row in zip(verdicts.event, verdicts.is_correct, verdicts.known_at, strict=True):
        events.setdefault(int(event), []).append(float(is_correct))
        arrival[int(event)] = int(row)
    known_at = np.array(list(arrival.values()))
    block = calendar_blocks(STACKED.close_time[known_at], STACKED.series_index[known_at])
    expected = estimate(np.array([sum(x) / len(x) for x in events.values()]), block)
    scores = board.scores()
    assert scores["accuracy_se"] == pytest.approx(expected.se, rel=1e-12)
    assert scores["accuracy_ci95"] == pytest.approx(list(expected.ci95), rel=1e-12)


def test_a_baseline_is_paired_with_the_model_event_by_event() -> None:
    """A model that says what a baseline says differs from it by nothing, and by nothing for sure."""
    probability = np.eye(2)[BASELINES["reversal"].astype(np.int64)]
    made = attach(Predictions(np.arange(len(STACKED)), probability), STACKED, BASELINES)
    board, _ = judged_at(made, [])
    against = board.scores()["baselines"]["reversal"]
    assert (against["difference"], against["difference_se"]) == (0.0, 0.0)


def test_the_best_baseline_is_the_one_that_was_right_most_often() -> None:
    board, _ = judged_at(predicted(7), [])
    scores = board.scores()
    name = max(BASELINES, key=lambda rule: scores["baselines"][rule]["event_accuracy"])
    best = scores["baselines"][name]
    assert scores["best_baseline"]["name"] == name
    assert scores["best_baseline"]["difference"] == best["difference"]
    assert scores["best_baseline"]["se"] == best["difference_se"]
    assert best["difference"] == pytest.approx(scores["event_accuracy"] - best["event_accuracy"])
    low, high = scores["best_baseline"]["ci95"]
    assert low < best["difference"] < high
    assert (low + high) / 2 == pytest.approx(best["difference"])


def test_without_baselines_none_is_best() -> None:
    assert Scoreboard(STACKED.series, []).scores()["best_baseline"] is None
    assert Scoreboard(STACKED.series, list(BASELINES)).scores()["best_baseline"] is None  # nothing judged yet


def test_what_is_pending_is_expected_to_be_right_as_often_as_it_is_confident() -> None:
    board, pending = Scoreboard(STACKED.series, list(BASELINES)), predicted(8)[np.arange(0, len(STACKED), 7)]
    confidence = [max(chances) for chances in pending.probability.tolist()]
    of_second = [c for c, row in zip(confidence, pending.row.tolist(), strict=True) if row >= STACKED.offset[1]]
    assert board.metrics(pending)["expected_accuracy"] == pytest.approx(sum(confidence) / len(confidence))
    assert board.scores(pending=pending)["expected_accuracy"]["pending"] == pytest.approx(np.mean(confidence))
    assert board.scores(1, pending)["expected_accuracy"]["pending"] == pytest.approx(np.mean(of_second))


def test_the_counts_of_the_series_add_up() -> None:
    buffer, board = Pending(), Scoreboard(STACKED.series, list(BASELINES))
    buffer.add(predicted(6))
    board.update(buffer.judge(STACKED.known_labels(np.unique(STACKED.close_time)[900])))
    parts = board.stats(buffer.pending)
    assert list(parts) == list(PARTS)
    assert sum(parts.values(), start=type(buffer.stats)()) == buffer.stats
    assert [part.total for part in parts.values()] == [len(bars) for bars in PARTS.values()]


def test_no_verdict_scores_nan_and_no_error() -> None:
    board = Scoreboard(STACKED.series, list(BASELINES))
    assert all(math.isnan(value) for value in board.metrics().values())
    scores = flat(board.scores())
    assert scores.pop("n_events") == 0
    assert all(math.isnan(value) for value in scores.values())


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.sampled_from([0.25, 0.5, 0.75]))
def test_a_delay_quantile_is_the_least_delay_that_enough_labels_kept(delays: list[int], q: float) -> None:
    least = min(delay for delay in delays if sum(other <= delay for other in delays) >= q * len(delays))
    assert delay_quantile(np.bincount(delays), q) == least


def test_a_series_added_later_counts_as_one_there_from_the_start() -> None:
    times = np.unique(STACKED.close_time)
    whole, parts = judged_at(predicted(9)[STACKED.series_index == 0], [times[900]])
    late = Scoreboard(STACKED.series[:1], list(BASELINES))
    late.update(parts[0])
    late.add_series(STACKED.series[1:])
    late.update(parts[1])
    buffer = Pending()
    buffer.add(predicted(9)[STACKED.series_index == 1])
    more = buffer.judge(STACKED.known_labels(times[-1]))
    for board in (whole, late):
        board.update(more)
    for series in (None, 0, 1):
        assert repr(late.scores(series)) == repr(whole.scores(series))
        assert repr(late.breakdown(series)) == repr(whole.breakdown(series))
    assert late.stats(buffer.pending) == whole.stats(buffer.pending)
