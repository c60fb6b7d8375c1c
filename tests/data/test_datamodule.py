import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from trendtrain.data import PivotDataModule, Walk
from trendtrain.data.arena import build_arena
from trendtrain.errors import InputError
from trendtrain.features import bar_features, by_segment, skill_features, volatility_unit
from trendtrain.market import Bars, Labels, Series, label_bars, synthetic_market
from trendtrain.market.bars import segments
from trendtrain.replay import make_sampler, weigh
from trendtrain.validation import BASELINE_NAMES, Pending, Predictions, Verdicts, online_logistic

WINDOW = 12
ONE = {Series("A", "5m"): synthetic_market(1200, seed=0)}
TWO = {
    Series("B", "15m"): synthetic_market(500, seed=1, timeframe="15m"),
    Series("A", "5m"): synthetic_market(1400, seed=2, timeframe="5m"),
}
CASES = {"one": (ONE, None), "one with holes": (ONE, 2), "two": (TWO, None), "two with holes": (TWO, 2)}

sampler = partial(make_sampler, batch_size=32, n_batches=3, weigh=weigh)


def module_of(series: dict[Series, Bars], max_gap: int | None = None, **options: object) -> PivotDataModule:
    defaults = {"window": WINDOW, "walk": Walk(start=0.3, step="40bars", batch_size=16), "replay": sampler}
    defaults["labeler"] = partial(label_bars, max_gap=max_gap)
    datamodule = PivotDataModule(series, max_gap=max_gap, **(defaults | options))
    datamodule.setup()
    return datamodule


def labels_as_of(datamodule: PivotDataModule, now: np.datetime64) -> np.ndarray:
    """Label what had closed by `now` as if nothing had come after; -1 where no label was known."""
    parts = []
    for bars in datamodule.series.values():
        seen = bars[: int((bars.close_time <= now).sum())]
        labels = label_bars(seen, max_gap=datamodule.max_gap) if len(seen) else None
        known = np.where(labels.event >= 0, labels.direction, -1) if labels else np.zeros(0)
        parts.append(np.pad(known, (0, len(bars) - len(seen)), constant_values=-1))
    return np.concatenate(parts)


def has_window(datamodule: PivotDataModule) -> np.ndarray:
    """Say of each row whether its window lies in one segment, bar by bar."""
    answers = []
    for bars in datamodule.series.values():
        segment = segments(bars.open_time, bars.timeframe, datamodule.max_gap)
        answers += [t >= WINDOW - 1 and segment[t - WINDOW + 1] == segment[t] for t in range(len(bars))]
    return np.array(answers)


def held(datamodule: PivotDataModule) -> list[int]:
    return sorted(datamodule.replay.memory.rows.tolist())


@pytest.mark.parametrize("case", CASES)
def test_no_training_batch_holds_a_label_from_the_future(case: str) -> None:
    datamodule = module_of(*CASES[case])
    loader = datamodule.train_dataloader()
    n_rows = 0
    while not datamodule.clock.is_done:
        truth = labels_as_of(datamodule, datamodule.clock.now)
        for batch in loader:
            assert batch["label"].min() >= 0
            np.testing.assert_array_equal(batch["label"], truth[batch["row"]])
            n_rows += len(batch["row"])
        datamodule.close_step()
    assert n_rows == 96 * datamodule.clock.n_steps


@pytest.mark.parametrize("case", CASES)
def test_memory_holds_exactly_what_is_known_and_can_be_trained_on(case: str) -> None:
    datamodule = module_of(*CASES[case])
    is_ready = has_window(datamodule)
    while not datamodule.clock.is_done:
        truth = labels_as_of(datamodule, datamodule.clock.now)
        assert held(datamodule) == np.flatnonzero(np.isin(truth, [0, 1]) & is_ready).tolist()
        datamodule.close_step()


@pytest.mark.parametrize(("n_classes", "classes"), [(2, [0, 1]), (3, [0, 1, 2])])
def test_flat_bars_are_trained_on_where_flat_is_a_class(n_classes: int, classes: list[int]) -> None:
    datamodule = module_of(ONE, labeler=partial(label_bars, flat_band=0.002), n_classes=n_classes)
    labels = datamodule.labels
    is_known = labels.known(datamodule.clock.now) & has_window(datamodule)
    assert set(labels.direction[is_known]) == {0, 1, 2}
    assert held(datamodule) == np.flatnonzero(is_known & np.isin(labels.direction, classes)).tolist()


@pytest.mark.parametrize("case", CASES)
def test_memory_keeps_the_rows_of_an_event_together(case: str) -> None:
    datamodule = module_of(*CASES[case])
    while not datamodule.clock.is_done:
        datamodule.close_step()
    memory = datamodule.replay.memory
    assert memory.n_events == len(np.unique(datamodule.labels.event[held(datamodule)]))


@pytest.mark.parametrize("case", CASES)
def test_the_stream_brings_each_row_with_a_window_once(case: str) -> None:
    datamodule = module_of(*CASES[case])
    loader = datamodule.val_dataloader()
    rows: list[int] = []
    while not datamodule.clock.is_done:
        rows += [row for batch in loader for row in batch["row"].tolist()]
        datamodule.close_step()
    close_time = datamodule.labels.close_time
    due = np.flatnonzero(has_window(datamodule) & (close_time > datamodule.clock.start))
    assert sorted(rows) == due.tolist()
    assert (np.diff(close_time[rows]) >= np.timedelta64(0)).all()


def test_stream_batches_know_no_label() -> None:
    datamodule = module_of(TWO)
    for batch in datamodule.val_dataloader():
        assert (batch["label"] == -1).all()


def test_stream_batches_have_weight_one() -> None:
    for batch in module_of(TWO).val_dataloader():
        assert (batch["weight"] == 1.0).all()


def test_stream_batches_are_as_large_as_asked_for() -> None:
    datamodule = module_of(ONE)
    sizes = [len(batch["row"]) for batch in datamodule.val_dataloader()]
    n_rows = len(datamodule.clock.rows)
    assert sizes == [16] * (n_rows // 16) + [n_rows % 16] * (n_rows % 16 > 0)


def test_the_stream_is_never_longer_than_its_loader_says() -> None:
    datamodule = module_of(TWO)
    loader = datamodule.val_dataloader()
    counts = []
    while not datamodule.clock.is_done:
        counts.append(sum(1 for _ in loader))
        datamodule.close_step()
    assert max(counts) == len(loader)


def test_a_stream_row_is_later_than_everything_known() -> None:
    datamodule = module_of(TWO)
    while not datamodule.clock.is_done:
        now = datamodule.clock.now
        assert (datamodule.labels.close_time[datamodule.clock.rows] > now).all()
        datamodule.close_step()


def test_every_epoch_has_as_many_training_batches() -> None:
    datamodule = module_of(TWO)
    loader = datamodule.train_dataloader()
    counts = set()
    while not datamodule.clock.is_done:
        counts.add(sum(1 for _ in loader))
        datamodule.close_step()
    assert counts == {3} == {len(loader)}


def test_windows_of_batches_never_span_two_segments() -> None:
    datamodule = module_of(TWO, max_gap=2)
    is_ready = has_window(datamodule)
    for batch in [*datamodule.train_dataloader(), *datamodule.val_dataloader()]:
        assert is_ready[batch["row"]].all()


def test_training_batches_weigh_a_wrong_row_less() -> None:
    datamodule = module_of(ONE, replay=partial(make_sampler, batch_size=512, n_batches=1, weigh=weigh))
    wrong = judged(datamodule, is_correct=False)
    (batch,) = datamodule.train_dataloader()
    is_wrong = np.isin(batch["row"], wrong.row)
    assert 0 < is_wrong.sum() < 512
    ratio = batch["weight"][~is_wrong].unique() / batch["weight"][is_wrong].unique()
    torch.testing.assert_close(ratio, torch.tensor([3.0]))


def judged(datamodule: PivotDataModule, is_correct: bool) -> Verdicts:
    """Let the datamodule know that a third of its known rows were predicted rightly or wrongly."""
    rows = np.array(held(datamodule)[::3])
    says_up = (datamodule.labels.direction[rows] == 1) == is_correct
    buffer = Pending()
    buffer.add(Predictions(rows, np.stack([1.0 - says_up, 1.0 * says_up], axis=1)))
    verdicts = buffer.judge(datamodule.labels.known_labels(datamodule.clock.now))
    assert len(verdicts) == len(rows)
    datamodule.replay.reweight(verdicts)
    return verdicts


def test_bars_known_before_the_start_have_normal_weight() -> None:
    assert (module_of(TWO).replay.memory.weight == 1.0).all()


def test_a_longer_history_has_a_longer_warm_up() -> None:
    lengths = [module_of(ONE, walk=Walk(start=start, step="40bars", warmup=4)).n_warmup for start in (0.3, 0.6)]
    n_events = module_of(ONE).replay.memory.n_events
    assert lengths[0] == -(-4 * n_events // 96)
    assert lengths[1] > lengths[0]


def test_the_warm_up_learns_from_what_is_known_and_brings_nothing_new() -> None:
    datamodule = module_of(TWO, walk=Walk(start=0.3, step="40bars", warmup=3))
    known, now = held(datamodule), datamodule.clock.now
    loader, stream = datamodule.train_dataloader(), datamodule.val_dataloader()
    for left in range(datamodule.n_warmup, 0, -1):
        assert datamodule.clock.warmup == left
        assert sum(1 for _ in loader) == 3
        assert not list(stream)
        assert datamodule.close_step() == now
        assert held(datamodule) == known
    assert list(stream)
    assert datamodule.clock.step == 0


def test_setup_twice_changes_nothing() -> None:
    datamodule = module_of(ONE)
    datamodule.close_step()
    before = held(datamodule)
    datamodule.setup("fit")
    assert held(datamodule) == before
    assert datamodule.clock.step == 1


def test_a_datamodule_of_two_knows_the_labels_of_each() -> None:
    labels = module_of(TWO).labels
    assert labels.series == tuple(TWO)
    for i, bars in enumerate(TWO.values()):
        alone = label_bars(bars)
        part = slice(labels.offset[i], labels.offset[i + 1])
        np.testing.assert_array_equal(labels.direction[part], alone.direction)


def test_baselines_answer_at_every_row() -> None:
    datamodule = module_of(TWO)
    assert tuple(datamodule.baselines) == (*BASELINE_NAMES, "online_logistic")
    assert {answers.shape for answers in datamodule.baselines.values()} == {(1900,)}


@pytest.mark.parametrize("side", [None, skill_features])
def test_the_learned_baseline_sees_the_side_inputs_else_the_channels(side: Any) -> None:
    datamodule = module_of(TWO, side=side)
    inputs = build_arena(TWO.values(), bar_features, side, None)
    seen = inputs.features if side is None else inputs.side
    expected = online_logistic(seen, datamodule.labels)
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(datamodule.baselines["online_logistic"], expected)


@pytest.mark.parametrize("n_epochs", [3, 9])  # in the warm-up, and after it
def test_a_restored_datamodule_goes_on_as_if_never_stopped(n_epochs: int) -> None:
    def batches(datamodule: PivotDataModule) -> list[dict[str, torch.Tensor]]:
        return [batch for loader in (datamodule.train_dataloader(), datamodule.val_dataloader()) for batch in loader]

    walk = Walk(start=0.3, step="40bars", batch_size=16, warmup=14)
    original = module_of(TWO, walk=walk)
    assert original.n_warmup > 3
    for _ in range(n_epochs):
        list(original.train_dataloader())
        original.close_step()
    judged(original, is_correct=False)
    restored = module_of(TWO, walk=walk)
    restored.load_state_dict(original.state_dict())
    assert (restored.clock.warmup, restored.clock.step) == (original.clock.warmup, original.clock.step)
    assert held(restored) == held(original)
    for ours, theirs in zip(batches(restored), batches(original), strict=True):
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


def test_a_datamodule_that_is_taken_back_forgets_what_was_known_later() -> None:
    datamodule = module_of(TWO)
    for _ in range(3):
        datamodule.close_step()
    state, then = datamodule.state_dict(), held(datamodule)
    for _ in range(4):
        datamodule.close_step()
    assert len(held(datamodule)) > len(then)
    datamodule.load_state_dict(state)
    assert held(datamodule) == then


def test_other_bars_are_refused_on_resume() -> None:
    other = {name: synthetic_market(len(bars), 9, name.timeframe) for name, bars in TWO.items()}
    with pytest.raises(InputError, match="`data` must give the bars of the run that is resumed, got others"):
        module_of(other).load_state_dict(module_of(TWO).state_dict())


def own_labels(bars: Bars) -> Labels:
    """A user's own rule: up or down over the next ten bars, known then."""
    later = np.arange(len(bars)) + 10
    known_at = np.where(later < len(bars), later, -1)
    is_up = bars.close[np.minimum(later, len(bars) - 1)] > bars.close
    return Labels.of_bars(bars, np.where(known_at >= 0, is_up, -1), known_at, known_at)


def test_a_labeler_of_the_users_own_is_walked_alike() -> None:
    datamodule = PivotDataModule(TWO, own_labels, window=WINDOW, walk=Walk(step="40bars"), replay=sampler)
    datamodule.setup()
    labels = datamodule.labels
    while not datamodule.clock.is_done:
        for batch in datamodule.train_dataloader():
            assert (labels.close_time[labels.known_at[batch["row"]]] <= datamodule.clock.now).all()
        datamodule.close_step()
    assert datamodule.replay.memory.n_known == sum(len(b) - 10 - (WINDOW - 1) for b in TWO.values())


def test_features_of_the_users_own_are_used() -> None:
    datamodule = module_of(ONE, features=lambda bars: np.tile(bars.close[:, None], (1, 2)))
    (batch, *_) = datamodule.val_dataloader()
    assert datamodule.n_features == 5
    np.testing.assert_allclose(batch["window"][:, -1, 4], ONE[Series("A", "5m")].close[batch["row"]], rtol=1e-6)


@pytest.mark.parametrize("transitions", [False, True])
def test_side_inputs_are_those_of_each_rows_own_bar(transitions: bool) -> None:
    datamodule = module_of(TWO, transitions=transitions)
    parts = [(skill_features(bars), np.full(len(bars), x)) for bars, x in zip(TWO.values(), (15, 5), strict=True)]
    expected = np.concatenate([np.column_stack([side, np.log2(minutes) / 10]) for side, minutes in parts])
    for batch in [*datamodule.train_dataloader(), *datamodule.val_dataloader()]:
        assert batch["side"].dtype == torch.float32
        np.testing.assert_array_equal(batch["side"], expected[batch["row"]].astype(np.float32))
        if "next_side" in batch:
            known_at = datamodule.labels.known_at[batch["row"]]
            np.testing.assert_array_equal(batch["next_side"], expected[known_at].astype(np.float32))


def test_without_side_inputs_batches_have_none() -> None:
    datamodule = module_of(TWO, side=None, transitions=True)
    assert datamodule.n_side == 0
    for batch in [*datamodule.train_dataloader(), *datamodule.val_dataloader()]:
        assert not {"side", "next_side"} & set(batch)


@pytest.mark.parametrize("case", CASES)
def test_a_transition_leads_to_where_the_label_is_known(case: str) -> None:
    datamodule = module_of(*CASES[case], transitions=True)
    stream = {
        int(row): window
        for batch in walked(datamodule)
        for row, window in zip(batch["row"], batch["window"], strict=True)
    }
    labels, n_compared = datamodule.labels, 0
    for batch in datamodule.train_dataloader():
        known_at = labels.known_at[batch["row"]]
        assert (labels.close_time[known_at] <= datamodule.clock.now).all()
        assert (labels.series_index[known_at] == labels.series_index[batch["row"]]).all()
        for row, window in zip(known_at.tolist(), batch["next_window"], strict=True):
            if row in stream:
                torch.testing.assert_close(window, stream[row], rtol=0, atol=0)
                n_compared += 1
    assert n_compared > 10


def walked(datamodule: PivotDataModule) -> list[dict[str, torch.Tensor]]:
    """Walk to the end and return the stream's batches."""
    batches = []
    while not datamodule.clock.is_done:
        batches += list(datamodule.val_dataloader())
        datamodule.close_step()
    return batches


@pytest.mark.parametrize("case", CASES)
def test_the_gain_is_the_judging_lines_log_price_change_in_volatility_units(case: str) -> None:
    series, max_gap = CASES[case]
    datamodule = module_of(series, max_gap, transitions=True)
    expected = []
    for bars in series.values():
        labels, unit = label_bars(bars, max_gap=max_gap), by_segment(volatility_unit, bars, max_gap)
        for t, event in enumerate(labels.event.tolist()):
            first, last = labels.lines.first_price[event], labels.lines.last_price[event]
            expected.append(np.log(last / first) / unit[t] if event >= 0 else np.nan)
    for batch in datamodule.train_dataloader():
        np.testing.assert_allclose(batch["gain"], np.array(expected)[batch["row"]], rtol=1e-5)
        assert ((batch["gain"] > 0) == (batch["label"] == 1)).all()
        assert batch["gain"].dtype == torch.float32


def test_batches_of_the_stream_hold_no_transition() -> None:
    for batch in module_of(ONE, transitions=True).val_dataloader():
        assert set(batch) == {"window", "side", "label", "row", "weight"}


def test_no_transition_leads_into_a_window_that_spans_a_hole() -> None:
    datamodule = module_of(TWO, max_gap=0, labeler=own_labels_with_a_line, transitions=True)
    assert datamodule.replay.memory.n_known
    assert has_window(datamodule)[datamodule.labels.known_at[held(datamodule)]].all()
    plain = module_of(TWO, max_gap=0, labeler=own_labels_with_a_line)
    assert len(held(plain)) > len(held(datamodule))


def own_labels_with_a_line(bars: Bars) -> Labels:
    """A user's rule that looks across holes, each of its events with a line."""
    own, lines = own_labels(bars), label_bars(bars).lines
    return replace(own, run_event=np.where(own.run_event >= 0, own.run_event % len(lines), -1), lines=lines)


def test_transitions_of_labels_without_lines_are_refused() -> None:
    message = "`data.transitions` must be false where labels have no trend lines, got true"
    with pytest.raises(InputError, match=re.escape(message)):
        module_of(ONE, labeler=own_labels, transitions=True)


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ({}, {}, "`series` must hold bars of at least one series, got none"),
        (ONE, {"window": 1}, "`window` must be an integer of at least 2, got 1"),
        (
            ONE,
            {"window": 1201},
            "`window` must be at most the bars of each series, got 1201 for 1200 bars of A 5m",
        ),
        (ONE, {"walk": Walk(start=0.0)}, "`walk.start` must leave bars with known labels before it, got 2020-01-01"),
        (ONE, {"walk": Walk(start="2030-01-01")}, "`walk.start` must leave bars to predict, got 2030-01-01"),
    ],
)
def test_a_walk_that_cannot_be_is_refused(series: dict[Series, Bars], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        module_of(series, **options)


def flat(bars: Bars) -> Labels:
    return label_bars(bars, flat_band=10.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"labeler": flat},
            r"`labels` must make bars DOWN or UP \(a smaller `labels.flat_band` or n_classes=3\), got ",
        ),
        ({"series": "constant"}, r"`labels` must make bars DOWN or UP \(constant prices have no pivots\), got 0 known"),
        (
            {"walk": Walk(start=0.001)},
            "`walk.start` must leave bars with known labels before it, got .* by which 0 of ",
        ),
    ],
)
def test_nothing_to_learn_is_refused_with_its_cause(options: dict[str, Any], message: str) -> None:
    series = dict(TWO)
    if options.get("series") == "constant":
        one = np.ones(500)
        time = np.datetime64("2024-01-01", "ms") + np.arange(500) * np.timedelta64(5, "m")
        series = {Series("C", "5m"): Bars(time, one, one, one, one, one, np.timedelta64(5, "m"))}
    with pytest.raises(InputError, match=message):
        PivotDataModule(**{**options, "series": series}).setup()
