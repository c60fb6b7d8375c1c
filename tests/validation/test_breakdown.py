"""Each group of a breakdown equals slow sums over the events its predictions form."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from torchmetrics.functional.classification import binary_calibration_error

from trendtrain.market import Labels, Series, label_bars, synthetic_market
from trendtrain.market.bars import Bars
from trendtrain.stream.pass_judge import attach
from trendtrain.validation import Pending, Predictions, Scoreboard, Verdicts
from trendtrain.validation.score import calendar_blocks, estimate

PARTS = {
    Series("A", "5m"): synthetic_market(8000, seed=11, missing=0.01, tick=0.1),
    Series("B", "5m"): synthetic_market(7000, seed=12, missing=0.01, tick=0.1),
    Series("A", "1h"): synthetic_market(2000, seed=13, timeframe="1h"),
}
LABELS = Labels.stack({name: label_bars(bars, max_gap=3, flat_band=0.0005) for name, bars in PARTS.items()})
GROUPED = ("direction", "kind", "delay_bars", "symbol", "timeframe", "hour")


def judged(seed: int, n_classes: int = 2, n_steps: int = 1, is_smooth: bool = False) -> tuple[Scoreboard, Verdicts]:
    random = np.random.default_rng(seed)
    weight = random.integers(0, 5, (len(LABELS), n_classes)) + (random.random() if is_smooth else 1e-9)
    weight *= random.random((len(LABELS), n_classes)) if is_smooth else 1.0
    buffer, board, parts = Pending(), Scoreboard(LABELS.series, []), []
    predictions = Predictions(np.arange(len(LABELS)), weight / weight.sum(axis=1, keepdims=True))
    buffer.add(attach(predictions, LABELS, {}))
    times = np.unique(LABELS.close_time)
    for now in times[np.linspace(0, len(times) - 1, n_steps + 1).astype(int)[1:]]:
        parts.append(buffer.judge(LABELS.known_labels(now)))
        board.update(parts[-1])
    verdicts = Verdicts(
        Predictions.join([part.predictions for part in parts]),
        *(np.concatenate([getattr(p, name) for p in parts]) for name in ("truth", "outcome", "event", "known_at")),
    )
    return board, verdicts[verdicts.is_validated]


def slow_scores(verdicts: Verdicts, members: list[int]) -> dict[str, Any]:
    """Score the chosen verdicts with dictionaries; the blocks are those of all events."""
    all_known: dict[int, int] = {}
    for event, known_at in zip(verdicts.event.tolist(), verdicts.known_at.tolist(), strict=True):
        all_known[event] = known_at
    rows = np.array(list(all_known.values()))
    block = dict(zip(all_known, calendar_blocks(LABELS.close_time[rows], LABELS.series_index[rows]), strict=True))
    events: dict[int, list[float]] = {}
    for i in members:
        events.setdefault(int(verdicts.event[i]), []).append(float(verdicts.outcome[i] == 1))
    share = [sum(values) / len(values) for values in events.values()]
    found = estimate(np.array(share), np.array([block[event] for event in events]))
    return {
        "event_accuracy": sum(share) / len(share),
        "n_events": len(share),
        "accuracy_se": found.se,
        "accuracy_ci95.0": found.ci95[0],
        "accuracy_ci95.1": found.ci95[1],
        "n_predictions": len(members),
        "accuracy": sum(verdicts.outcome[i] == 1 for i in members) / len(members),
    }


def flat(scores: dict[str, Any]) -> dict[str, float]:
    low, high = scores["accuracy_ci95"]
    rest = {name: value for name, value in scores.items() if name != "accuracy_ci95"}
    return {**rest, "accuracy_ci95.0": low, "accuracy_ci95.1": high}


def slow_names(verdicts: Verdicts, i: int) -> dict[str, str]:
    """Return the name of the group of one verdict in each breakdown."""
    row = int(verdicts.row[i])
    series = LABELS.series[LABELS.series_index[row]]
    delay = int(verdicts.known_at[i]) - row
    upper = next((edge for edge in (8, 16, 32, 64, 128) if delay <= edge), None)
    lower = 129 if upper is None else 1 if upper == 8 else upper // 2 + 1
    return {
        "direction": ("down", "up", "flat")[int(verdicts.predictions.direction[i])],
        "kind": ("L2H", "L2L")[int(LABELS.lines.kind[verdicts.event[i]])],
        "delay_bars": "129+" if upper is None else f"{lower}-{upper}",
        "symbol": series.symbol,
        "timeframe": series.timeframe,
        "hour": str(LABELS.close_time[row].astype(object).hour),
    }


@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_group_equals_slow_sums_over_its_events(n_classes: int) -> None:
    board, verdicts = judged(1, n_classes, n_steps=4)
    found = board.breakdown()
    groups: dict[tuple[str, str], list[int]] = {}
    for i in range(len(verdicts)):
        for by, name in slow_names(verdicts, i).items():
            groups.setdefault((by, name), []).append(i)
    for (by, name), members in groups.items():
        expected = slow_scores(verdicts, members)
        assert flat(found[by][name]) == pytest.approx(expected, rel=1e-9, nan_ok=True), (by, name)
    names = {
        (by, name) for by in ("direction", "kind", "delay_bars", "symbol", "timeframe", "hour") for name in found[by]
    }
    assert names == set(groups)


@pytest.mark.parametrize(("name", "share"), [("all", 1.0), ("top_20", 0.2), ("top_5", 0.05)])
@pytest.mark.parametrize("is_smooth", [False, True])
def test_the_top_share_holds_the_most_confident_and_the_bin_of_the_last(
    name: str, share: float, is_smooth: bool
) -> None:
    board, verdicts = judged(2, is_smooth=is_smooth)
    place = [math.floor(960 * float(value)) for value in verdicts.predictions.confidence.astype(np.float32)]
    least = sorted(place, reverse=True)[math.ceil(share * len(place)) - 1]
    members = [i for i, value in enumerate(place) if value >= least]
    assert flat(board.breakdown()["confidence"][name]) == pytest.approx(slow_scores(verdicts, members), rel=1e-9)


def test_all_is_the_event_accuracy_of_the_run() -> None:
    board, _ = judged(3, n_steps=3)
    scores, everything = board.scores(), board.breakdown()["confidence"]["all"]
    for name in ("event_accuracy", "n_events", "accuracy_se", "accuracy_ci95"):
        assert everything[name] == pytest.approx(scores[name], rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_reliability_is_the_calibration_error_bin_by_bin(n_classes: int) -> None:
    board, _ = judged(4, n_classes)
    bins = {name: np.array(values) for name, values in board.breakdown()["reliability"].items()}
    assert len(bins["low"]) == 15
    assert bins["low"][1:].tolist() == bins["high"][:-1].tolist()
    gap = np.nansum(bins["share"] * np.abs(bins["accuracy"] - bins["confidence"]))
    assert gap == pytest.approx(board.scores()["ece"], rel=1e-9)
    is_full = bins["share"] > 0
    inside = (bins["confidence"] >= bins["low"] - 1e-6) & (bins["confidence"] <= bins["high"] + 1e-6)
    assert inside[is_full].all()
    assert np.isnan(bins["accuracy"][~is_full]).all()


def test_the_error_of_a_reliability_bin_equals_a_slow_loop() -> None:
    board, verdicts = judged(5)
    counts = np.bincount(verdicts.event)
    known = {int(event): int(row) for event, row in zip(verdicts.event, verdicts.known_at, strict=True)}
    rows = np.array(list(known.values()))
    block = dict(zip(known, calendar_blocks(LABELS.close_time[rows], LABELS.series_index[rows]), strict=True))
    confidence = verdicts.predictions.confidence.astype(np.float32).astype(np.float64)
    reliability = board.breakdown()["reliability"]
    for one in range(15):
        members = [i for i in range(len(verdicts)) if min(14, int(confidence[i] * 15)) == one]
        if len({block[int(verdicts.event[i])] for i in members}) < 8:
            assert math.isnan(reliability["accuracy_se"][one])
            continue
        weight = {i: 1.0 / counts[verdicts.event[i]] for i in members}
        mean = sum(weight[i] * (verdicts.outcome[i] == 1) for i in members) / sum(weight.values())
        sums: dict[int, float] = {}
        for i in members:
            number = int(block[int(verdicts.event[i])])
            sums[number] = sums.get(number, 0.0) + weight[i] * ((verdicts.outcome[i] == 1) - mean)
        n = len(sums)
        expected = math.sqrt(n / (n - 1) * sum(x * x for x in sums.values())) / sum(weight.values())
        assert reliability["accuracy_se"][one] == pytest.approx(expected, rel=1e-9)


def test_calibration_error_is_torchmetrics_where_each_prediction_is_its_own_event() -> None:
    import torch

    random = np.random.default_rng(0)
    bars = synthetic_market(3000, seed=1)
    board, p_up, truth = every_bar_an_event(bars, random)
    confidence = np.maximum(p_up, 1 - p_up)
    is_correct = (p_up > 0.5) == (truth == 1)
    theirs = binary_calibration_error(torch.tensor(confidence), torch.tensor(is_correct).long(), n_bins=15, norm="l1")
    assert board.scores()["ece"] == pytest.approx(float(theirs), abs=1e-6)


def every_bar_an_event(bars: Bars, random: np.random.Generator) -> tuple[Scoreboard, Any, Any]:
    n = len(bars)
    known_at = np.append(np.arange(1, n), -1)
    truth = np.append(random.integers(0, 2, n - 1), -1)
    labels = Labels.of_bars(bars, truth, known_at, np.append(np.arange(n - 1), -1))
    p_up = random.random(n - 1).astype(np.float32).astype(np.float64)
    buffer, board = Pending(), Scoreboard(labels.series, [])
    buffer.add(attach(Predictions(np.arange(n - 1), np.column_stack([1 - p_up, p_up])), labels, {}))
    board.update(buffer.judge(labels.known_labels(n - 1)))
    return board, p_up, truth[:-1]


def test_labels_without_lines_or_names_leave_those_groups_out() -> None:
    board, _, _ = every_bar_an_event(synthetic_market(500, seed=1), np.random.default_rng(1))
    found = board.breakdown()
    assert found["kind"] == found["symbol"] == found["timeframe"] == {}
    assert found["delay_bars"].keys() == {"1-8"}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_confusion_sums_to_one_and_its_diagonal_is_event_accuracy(n_classes: int) -> None:
    board, verdicts = judged(6, n_classes)
    confusion = board.breakdown()["confusion"]
    share = np.array(confusion["share"])
    assert confusion["classes"] == ["down", "up", "flat"][:n_classes]
    assert share.sum() == pytest.approx(1.0)
    assert np.trace(share) == pytest.approx(board.scores()["event_accuracy"])
    weight = 1.0 / np.bincount(verdicts.event)[verdicts.event]
    assert share[1].sum() == pytest.approx(np.average(verdicts.truth == 1, weights=weight))


def test_a_series_breaks_down_as_if_it_were_alone() -> None:
    board, verdicts = judged(7)
    of_series = [i for i in range(len(verdicts)) if LABELS.series_index[verdicts.row[i]] == 1]
    found = board.breakdown(1)
    assert found["symbol"].keys() == {"B"}
    assert found["timeframe"]["5m"]["n_predictions"] == len(of_series)
    assert found["confidence"]["all"]["accuracy_se"] == pytest.approx(board.scores(1)["accuracy_se"], rel=1e-12)


def test_nothing_judged_breaks_down_into_nothing() -> None:
    found = Scoreboard(LABELS.series, []).breakdown()
    assert all(found[by] == {} for by in GROUPED)
    assert found["confidence"]["top_5"]["n_events"] == 0
    assert math.isnan(found["confidence"]["all"]["event_accuracy"])
    assert np.isnan(found["reliability"]["accuracy"]).all()


def test_a_restored_board_breaks_down_alike() -> None:
    board, _ = judged(8, n_steps=5)
    restored = Scoreboard(LABELS.series, [])
    restored.load_state_dict(board.state_dict())
    assert repr(restored.breakdown()) == repr(board.breakdown())
    assert restored.delays().tolist() == board.delays().tolist()


def test_an_event_has_no_more_cells_than_predictions_and_one_where_they_are_alike() -> None:
    board, verdicts = judged(9)
    state = board.state_dict()["events"]
    assert state["count"].sum() == len(verdicts)
    assert state["n_cells"].sum() == len(state["cell"]) < len(verdicts)
    counts = np.bincount(verdicts.event)[verdicts.event[np.sort(np.unique(verdicts.event, return_index=True)[1])]]
    assert (state["n_cells"] <= counts).all()
    assert sum(array.nbytes for array in state.values()) == 34 * board.n_events + 8 * state["n_cells"].sum()


def test_an_event_of_many_predictions_has_each_cell_once_and_in_order() -> None:
    n, random = 9000, np.random.default_rng(10)
    up = random.integers(0, 40, n) / 39
    close_time = np.datetime64("1969-12-31T12:00", "ms") + np.arange(n) * np.timedelta64(20, "s")
    predictions = Predictions(np.arange(n), np.column_stack([1.0 - up, up]), close_time=close_time)
    verdicts = Verdicts(predictions, np.ones(n, np.int8), (up > 0.5).astype(np.int8), np.zeros(n, int), np.full(n, n))
    board = Scoreboard([Series("A", "1m")], [])
    board.update(verdicts)
    hours = [int(str(time)[11:13]) for time in close_time]
    groups = [sum(n - i > edge for edge in (8, 16, 32, 64, 128)) for i in range(n)]
    fine = [min(959, int(float(np.float32(max(chance, 1.0 - chance))) * 960)) for chance in up.tolist()]
    shared = Counter(zip((up > 0.5).astype(int).tolist(), groups, hours, fine, strict=True))
    state = board.state_dict()["events"]
    cells = zip(*np.unravel_index(state["cell"], (3, 6, 24, 960)), strict=True)
    assert list(cells) == sorted(shared)
    assert state["count"].tolist() == [shared[cell] for cell in sorted(shared)]


def test_hundreds_of_symbols_are_told_apart() -> None:
    n, n_series = 1200, 300
    series = np.arange(n) % n_series
    predictions = Predictions(np.arange(n), np.tile([0.4, 0.6], (n, 1)), series=series)
    truth = (series % 7 == 0).astype(np.int8)
    verdicts = Verdicts(predictions, truth, truth, np.arange(n), np.arange(n) + 5)
    board = Scoreboard([Series(f"S{i}", "1m") for i in range(n_series)], [])
    board.update(verdicts)
    found = {name: scores["event_accuracy"] for name, scores in board.breakdown()["symbol"].items()}
    assert found == {f"S{i}": float(i % 7 == 0) for i in range(n_series)}
