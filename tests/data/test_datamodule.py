import re
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from streams import labels_of, positions

from trendtrain.data import PivotDataModule, Walk
from trendtrain.errors import InputError
from trendtrain.features import by_segment, skill_features, volatility_unit
from trendtrain.market import Bars, Labels, PivotRules, Series, label_bars, synthetic_market
from trendtrain.market.bars import segments
from trendtrain.market.directions import FLAT
from trendtrain.market.lines import Lines
from trendtrain.models import CnnNet, DuelingQNet, MlpNet, TransformerNet, TrendModule
from trendtrain.replay import make_sampler, weigh
from trendtrain.validation import Predictions

WINDOW = 12
ONE = {Series("A", "5m"): synthetic_market(1200, seed=0)}
TWO = {  # in the order of the stream's numbers
    Series("A", "5m"): synthetic_market(1400, seed=2, timeframe="5m"),
    Series("B", "15m"): synthetic_market(500, seed=1, timeframe="15m"),
}
CASES = {"one": (ONE, None), "one with holes": (ONE, 2), "two": (TWO, None), "two with holes": (TWO, 2)}

sampler = partial(make_sampler, batch_size=32, n_batches=3, weigh=weigh)


def module_of(series: dict[Series, Bars], max_gap: int | None = None, **options: object) -> PivotDataModule:
    defaults = {"window": WINDOW, "walk": Walk(start=0.3, step="40bars", batch_size=16, warmup=0), "replay": sampler}
    defaults["labeler"] = partial(label_bars, max_gap=max_gap)
    datamodule = PivotDataModule(series, max_gap=max_gap, **(defaults | options))
    datamodule.setup()
    return datamodule


def close_step(datamodule: PivotDataModule, up: float = 0.6) -> None:
    """Predict every row of the step alike, and close it."""
    row = datamodule.stream.open().row
    datamodule.stream.close(Predictions(row, np.tile([1.0 - up, up], (len(row), 1))))


def labels_as_of(series: dict[Series, Bars], max_gap: int | None, now: np.datetime64) -> np.ndarray:
    """Label what had closed by `now` as if nothing had come after; -1 where no label was known."""
    parts = []
    for bars in series.values():
        seen = bars[: int((bars.close_time <= now).sum())]
        labels = label_bars(seen, max_gap=max_gap) if len(seen) else None
        known = np.where(labels.event >= 0, labels.direction, -1) if labels else np.zeros(0)
        parts.append(np.pad(known, (0, len(bars) - len(seen)), constant_values=-1))
    return np.concatenate(parts)


def has_window(series: dict[Series, Bars], max_gap: int | None) -> np.ndarray:
    """Return of each row whether its window lies in one segment, bar by bar."""
    found = []
    for bars in series.values():
        segment = segments(bars.open_time, bars.timeframe, max_gap)
        found += [t >= WINDOW - 1 and segment[t - WINDOW + 1] == segment[t] for t in range(len(bars))]
    return np.array(found)


def held(datamodule: PivotDataModule, series: dict[Series, Bars]) -> list[int]:
    return sorted(positions(series, datamodule.replay.memory.rows).tolist())


@pytest.mark.parametrize("case", CASES)
def test_no_training_batch_holds_a_label_from_the_future(case: str) -> None:
    series, max_gap = CASES[case]
    datamodule = module_of(series, max_gap)
    loader = datamodule.train_dataloader()
    n_rows = 0
    while not datamodule.stream.is_done:
        truth = labels_as_of(series, max_gap, datamodule.stream.now)
        for batch in loader:
            assert batch["label"].min() >= 0
            np.testing.assert_array_equal(batch["label"], truth[positions(series, batch["row"])])
            n_rows += len(batch["row"])
        close_step(datamodule)
    assert n_rows == 96 * datamodule.stream.feed.n_steps


@pytest.mark.parametrize("case", CASES)
def test_memory_holds_exactly_what_is_known_and_can_be_trained_on(case: str) -> None:
    series, max_gap = CASES[case]
    datamodule, is_ready = module_of(series, max_gap), has_window(series, max_gap)
    while not datamodule.stream.is_done:
        truth = labels_as_of(series, max_gap, datamodule.stream.now)
        due = np.flatnonzero(np.isin(truth, [0, 1]) & is_ready).tolist()
        assert held(datamodule, series) == due
        datamodule.stream.open()
        assert held(datamodule, series) == due  # what a step makes known waits for its end
        close_step(datamodule)


@pytest.mark.parametrize(("n_classes", "classes"), [(2, [0, 1]), (3, [0, 1, 2])])
def test_flat_bars_are_trained_on_where_flat_is_a_class(n_classes: int, classes: list[int]) -> None:
    datamodule = module_of(ONE, labeler=partial(label_bars, flat_band=0.002), n_classes=n_classes)
    labels = labels_of(ONE, None, flat_band=0.002)
    is_known = labels.known(datamodule.stream.now) & has_window(ONE, None)
    assert set(labels.direction[is_known]) == {0, 1, 2}
    assert held(datamodule, ONE) == np.flatnonzero(is_known & np.isin(labels.direction, classes)).tolist()


@pytest.mark.parametrize("case", CASES)
def test_memory_keeps_the_rows_of_an_event_together(case: str) -> None:
    series, max_gap = CASES[case]
    datamodule = module_of(series, max_gap)
    while not datamodule.stream.is_done:
        close_step(datamodule)
    assert datamodule.replay.memory.n_events == len(
        np.unique(labels_of(series, max_gap).event[held(datamodule, series)])
    )


@pytest.mark.parametrize("case", CASES)
def test_the_stream_brings_each_row_with_a_window_once(case: str) -> None:
    series, max_gap = CASES[case]
    datamodule = module_of(series, max_gap)
    loader, start = datamodule.val_dataloader(), datamodule.stream.now
    rows: list[int] = []
    while not datamodule.stream.is_done:
        rows += [row for batch in loader for row in batch["row"].tolist()]
        close_step(datamodule)
    close_time = np.concatenate([bars.close_time for bars in series.values()])
    due = np.flatnonzero(has_window(series, max_gap) & (close_time > start))
    assert sorted(positions(series, rows).tolist()) == due.tolist()
    assert (np.diff(close_time[positions(series, rows)]) >= np.timedelta64(0, "ms")).all()


def test_the_stream_may_be_asked_again_and_brings_the_same_rows() -> None:
    datamodule = module_of(TWO)
    loader = datamodule.val_dataloader()
    once, again = ([row for batch in loader for row in batch["row"].tolist()] for _ in range(2))
    assert once
    assert once == again


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
    n_rows = len(datamodule.stream.open().row)
    assert sizes == [16] * (n_rows // 16) + [n_rows % 16] * (n_rows % 16 > 0)


def test_the_streams_loader_has_no_length() -> None:
    with pytest.raises(TypeError):
        len(module_of(TWO).val_dataloader())


def test_a_stream_row_is_later_than_everything_known() -> None:
    datamodule = module_of(TWO)
    while not datamodule.stream.is_done:
        now = datamodule.stream.now
        assert (datamodule.stream.open().close_time > now).all()
        close_step(datamodule)


def test_every_epoch_has_as_many_training_batches() -> None:
    datamodule = module_of(TWO)
    loader = datamodule.train_dataloader()
    counts = set()
    while not datamodule.stream.is_done:
        counts.add(sum(1 for _ in loader))
        close_step(datamodule)
    assert counts == {3} == {len(loader)}


def test_windows_of_batches_never_span_two_segments() -> None:
    datamodule, is_ready = module_of(TWO, max_gap=2), has_window(TWO, 2)
    for batch in [*datamodule.train_dataloader(), *datamodule.val_dataloader()]:
        assert is_ready[positions(TWO, batch["row"])].all()


def test_training_batches_weigh_a_wrong_row_less() -> None:
    datamodule = module_of(ONE, replay=partial(make_sampler, batch_size=512, n_batches=1, weigh=weigh))
    rows: list[int] = []
    for _ in range(8):
        rows += datamodule.stream.open().row.tolist()
        close_step(datamodule, up=1.0)
    (batch,) = datamodule.train_dataloader()
    is_wrong = np.isin(batch["row"], rows) & (batch["label"] == 0).numpy()  # what was known before was not predicted
    assert 0 < is_wrong.sum() < 512
    ratio = batch["weight"][~is_wrong].unique() / batch["weight"][is_wrong].unique()
    torch.testing.assert_close(ratio, torch.tensor([3.0]))


def test_bars_known_before_the_start_have_normal_weight() -> None:
    datamodule = module_of(TWO)
    for batch in datamodule.train_dataloader():
        assert (batch["weight"] == 1.0).all()


def test_a_longer_history_has_a_longer_warm_up() -> None:
    lengths = [module_of(ONE, walk=Walk(start=start, step="40bars", warmup=4)).n_warmup for start in (0.3, 0.6)]
    n_events = module_of(ONE).replay.memory.n_events
    assert lengths[0] == -(-4 * n_events // 96)
    assert lengths[1] > lengths[0]


def test_the_warm_up_learns_from_what_is_known_and_brings_nothing_new() -> None:
    datamodule = module_of(TWO, walk=Walk(start=0.3, step="40bars", warmup=3))
    known, now = held(datamodule, TWO), datamodule.stream.now
    loader, stream = datamodule.train_dataloader(), datamodule.val_dataloader()
    for left in range(datamodule.n_warmup, 0, -1):
        assert datamodule.stream.warmup == left
        assert sum(1 for _ in loader) == 3
        assert not list(stream)
        datamodule.stream.close_warmup()
        assert datamodule.stream.now == now
        assert held(datamodule, TWO) == known
    assert list(stream)
    assert datamodule.stream.step == 0


def test_setup_twice_changes_nothing() -> None:
    datamodule = module_of(ONE)
    close_step(datamodule)
    before = held(datamodule, ONE)
    datamodule.setup("fit")
    assert held(datamodule, ONE) == before
    assert datamodule.stream.step == 1


@pytest.mark.parametrize("n_epochs", [3, 9])  # in the warm-up, and after it
def test_a_restored_datamodule_goes_on_as_if_never_stopped(n_epochs: int) -> None:
    def batches(datamodule: PivotDataModule) -> list[dict[str, torch.Tensor]]:
        return [batch for loader in (datamodule.train_dataloader(), datamodule.val_dataloader()) for batch in loader]

    walk = Walk(start=0.3, step="40bars", batch_size=16, warmup=20)
    original = module_of(TWO, walk=walk)
    assert original.n_warmup > 3
    for _ in range(n_epochs):
        list(original.train_dataloader())
        if original.stream.warmup:
            original.stream.close_warmup()
        else:
            close_step(original)
    restored = module_of(TWO, walk=walk)
    restored.load_state_dict(original.state_dict())
    assert (restored.stream.warmup, restored.stream.step) == (original.stream.warmup, original.stream.step)
    assert held(restored, TWO) == held(original, TWO)
    for ours, theirs in zip(batches(restored), batches(original), strict=True):
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


def test_a_datamodule_that_is_taken_back_forgets_what_was_known_later() -> None:
    datamodule = module_of(TWO)
    for _ in range(3):
        close_step(datamodule)
    state, then = datamodule.state_dict(), held(datamodule, TWO)
    for _ in range(4):
        close_step(datamodule)
    assert len(held(datamodule, TWO)) > len(then)
    datamodule.load_state_dict(state)
    assert held(datamodule, TWO) == then


def test_other_bars_are_refused_on_resume() -> None:
    other = {name: synthetic_market(len(bars), 9, name.timeframe) for name, bars in TWO.items()}
    message = "`data` must give the bars of the run that is resumed, got others from 2020-01-01T00:00:00.000 on in A 5m"
    with pytest.raises(InputError, match=f"{message}: overwrite=true deletes that run and starts anew, another"):
        module_of(other).load_state_dict(module_of(TWO).state_dict())


@pytest.mark.parametrize(
    ("walk", "message"),
    [
        (Walk(start=0.3, step="41bars", warmup=0), "`walk.step` must stay 200m where a run goes on, got 205m"),
        (
            Walk(start="2020-01-02", step="40bars", warmup=0),
            r"`walk.start` must stay 2020-.* where a run goes on, got 2020",
        ),
    ],
)
def test_another_grid_is_refused_on_resume(walk: Walk, message: str) -> None:
    datamodule = module_of(TWO)
    close_step(datamodule)
    with pytest.raises(InputError, match=message):
        module_of(TWO, walk=walk).load_state_dict(datamodule.state_dict())


def test_a_start_in_parts_of_the_history_stays_where_it_was_when_bars_are_added() -> None:
    part = {name: bars[: len(bars) * 2 // 3] for name, bars in TWO.items()}
    datamodule = module_of(part)
    start = datamodule.feed.start
    close_step(datamodule)
    grown = module_of(TWO)
    assert grown.feed.start != start
    grown.load_state_dict(datamodule.state_dict())
    assert grown.feed.start == start
    close_step(grown)


def test_a_baseline_called_like_one_of_ours_is_refused() -> None:
    with pytest.raises(InputError, match=r"`baselines` must have names other than majority, .*, got majority"):
        module_of(ONE, baselines={"majority": lambda bars: np.ones(len(bars), dtype=int)})


def test_a_step_without_predictions_is_walked_with_three_classes() -> None:
    datamodule = module_of(
        ONE, 0, n_classes=3, labeler=partial(label_bars, flat_band=0.001), walk=Walk(start=0.3, step="2bars", warmup=0)
    )
    sizes = []
    while not datamodule.stream.is_done:
        row = datamodule.stream.open().row
        sizes.append(len(row))
        classes = 3 if len(row) else 2  # of no outputs nobody knows the classes
        datamodule.stream.close(Predictions(row, np.full((len(row), classes), 1 / classes)))
    assert min(sizes) == 0


def own_labels(bars: Bars) -> Labels:
    """A user's own rule: up or down over the next ten bars, known then."""
    later = np.arange(len(bars)) + 10
    known_at = np.where(later < len(bars), later, -1)
    is_up = bars.close[np.minimum(later, len(bars) - 1)] > bars.close
    return Labels.of_bars(bars, np.where(known_at >= 0, is_up, -1), known_at, known_at)


def test_a_labeler_of_the_users_own_is_walked_alike() -> None:
    datamodule = PivotDataModule(TWO, own_labels, window=WINDOW, walk=Walk(step="40bars", warmup=0), replay=sampler)
    datamodule.setup()
    labels = Labels.stack({name: own_labels(bars) for name, bars in TWO.items()})
    while not datamodule.stream.is_done:
        for batch in datamodule.train_dataloader():
            known_at = labels.known_at[positions(TWO, batch["row"])]
            assert (labels.close_time[known_at] <= datamodule.stream.now).all()
        close_step(datamodule)
    assert datamodule.replay.memory.n_known == sum(len(b) - 10 - (WINDOW - 1) for b in TWO.values())


def test_features_of_the_users_own_are_used() -> None:
    datamodule = module_of(ONE, features=lambda bars: np.tile(bars.close[:, None], (1, 2)))
    (batch, *_) = datamodule.val_dataloader()
    assert datamodule.n_features == 5
    np.testing.assert_allclose(batch["window"][:, -1, 4], ONE[Series("A", "5m")].close[batch["row"]], rtol=1e-6)


@pytest.mark.parametrize("transitions", [False, True])
def test_side_inputs_are_those_of_each_rows_own_bar(transitions: bool) -> None:
    datamodule = module_of(TWO, transitions=transitions)
    parts = [(skill_features(bars), np.full(len(bars), x)) for bars, x in zip(TWO.values(), (5, 15), strict=True)]
    expected = np.concatenate([np.column_stack([side, np.log2(minutes) / 10]) for side, minutes in parts])
    known_at = labels_of(TWO, None).known_at
    for batch in [*datamodule.train_dataloader(), *datamodule.val_dataloader()]:
        row = positions(TWO, batch["row"])
        assert batch["side"].dtype == torch.float32
        np.testing.assert_array_equal(batch["side"], expected[row].astype(np.float32))
        if "next_side" in batch:
            np.testing.assert_array_equal(batch["next_side"], expected[known_at[row]].astype(np.float32))


def test_without_side_inputs_batches_have_none() -> None:
    datamodule = module_of(TWO, side=None, transitions=True)
    assert datamodule.n_side == 0
    for batch in [*datamodule.train_dataloader(), *datamodule.val_dataloader()]:
        assert not {"side", "next_side"} & set(batch)


@pytest.mark.parametrize("case", CASES)
def test_a_transition_leads_to_where_the_label_is_known(case: str) -> None:
    series, max_gap = CASES[case]
    datamodule = module_of(series, max_gap, transitions=True)
    stream = {
        int(position): window
        for batch in walked(datamodule)
        for position, window in zip(positions(series, batch["row"]), batch["window"], strict=True)
    }
    labels, n_compared = labels_of(series, max_gap), 0
    for batch in datamodule.train_dataloader():
        known_at = labels.known_at[positions(series, batch["row"])]
        assert (labels.close_time[known_at] <= datamodule.stream.now).all()
        for position, window in zip(known_at.tolist(), batch["next_window"], strict=True):
            if position in stream:
                torch.testing.assert_close(window, stream[position], rtol=0, atol=0)
                n_compared += 1
    assert n_compared > 10


def walked(datamodule: PivotDataModule) -> list[dict[str, torch.Tensor]]:
    """Walk to the end and return the stream's batches."""
    batches = []
    while not datamodule.stream.is_done:
        batches += list(datamodule.val_dataloader())
        close_step(datamodule)
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
        np.testing.assert_allclose(batch["gain"], np.array(expected)[positions(series, batch["row"])], rtol=1e-5)
        assert ((batch["gain"] > 0) == (batch["label"] == 1)).all()
        assert batch["gain"].dtype == torch.float32


def test_batches_of_the_stream_hold_no_transition() -> None:
    for batch in module_of(ONE, transitions=True).val_dataloader():
        assert set(batch) == {"window", "side", "label", "row", "weight"}


def test_no_transition_leads_into_a_window_that_spans_a_hole() -> None:
    datamodule = module_of(TWO, max_gap=0, labeler=own_labels_with_a_line, transitions=True)
    assert datamodule.replay.memory.n_known
    known_at = Labels.stack({name: own_labels(bars) for name, bars in TWO.items()}).known_at
    assert has_window(TWO, 0)[known_at[held(datamodule, TWO)]].all()
    plain = module_of(TWO, max_gap=0, labeler=own_labels_with_a_line)
    assert len(held(plain, TWO)) > len(held(datamodule, TWO))


def own_labels_with_a_line(bars: Bars) -> Labels:
    """A user's rule that looks across holes, each of its events, one a bar, with a line."""
    every, one = np.arange(len(bars)), np.ones(len(bars))
    code, time = np.zeros(len(bars), np.int8), bars.open_time
    return replace(own_labels(bars), lines=Lines(code, every, every, one, 2 * one, time, time, every, code))


def test_transitions_of_labels_without_lines_are_refused() -> None:
    message = "`data.transitions` must be false where labels have no trend lines, got true"
    with pytest.raises(InputError, match=re.escape(message)):
        module_of(ONE, labeler=own_labels, transitions=True)


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ({}, {}, "`series` must hold bars of at least one series, got none"),
        ({"A": 1}, {}, r"`series` must be a dict of \(symbol, timeframe\) to Bars or DataFrames, got 'A' to int"),
        ({("A", "1h"): ONE[Series("A", "5m")]}, {}, "`series` must give A 1h bars of its timeframe, got bars of 5m"),
        ({("A", "5m"): [1, 2]}, {}, r"`frame` must be a pandas DataFrame, got list"),
        (
            ONE[Series("A", "5m")],
            {},
            r"`series` must be a dict of \(symbol, timeframe\) to Bars or DataFrames, got Bars",
        ),
        (ONE, {"window": 1}, "`window` must be an integer of at least 2, got 1"),
        (
            ONE,
            {"window": 1201},
            "`window` must be at most the bars of each series, got 1201 for 1200 bars of A 5m",
        ),
        (
            ONE,
            {"walk": Walk(start=0.0, warmup=0)},
            "`walk.start` must leave bars with known labels before it, got 2020-01-01",
        ),
        (ONE, {"walk": Walk(start="2030-01-01", warmup=0)}, "`walk.start` must leave bars to predict, got 2030-01-01"),
    ],
)
def test_a_walk_that_cannot_be_is_refused(series: Any, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        module_of(series, **options)


@pytest.mark.parametrize("band", [{"flat_band": 1e-9}, {"rules": PivotRules(flat_band=1e-9)}], ids=["option", "rules"])
def test_where_a_band_makes_flat_labels_later_three_classes_are_right(band: dict[str, Any]) -> None:
    datamodule = module_of(ONE, n_classes=3, labeler=partial(label_bars, **band))
    assert not (datamodule.replay.memory.label == FLAT).any()


def flat(bars: Bars) -> Labels:
    return label_bars(bars, flat_band=10.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"labeler": flat},
            r"`labels` must make bars DOWN or UP \(a smaller `labels.flat_band` or n_classes=3\), got ",
        ),
        (
            {"n_classes": 3},
            r"`n_classes` must be 2 where no known label is FLAT .* got 3 and [1-9]\d* labels without any",
        ),
        ({"series": "constant"}, r"`labels` must make bars DOWN or UP \(constant prices have no pivots\), got 0 known"),
        (
            {"walk": Walk(start=0.001, warmup=0)},
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


def test_a_frame_is_taken_in_place_of_bars() -> None:
    walk = Walk(start=0.3, step="40bars", warmup=0)
    one, other = (
        PivotDataModule({("A", "5m"): bars}, window=WINDOW, walk=walk)
        for bars in (ONE[Series("A", "5m")], ONE[Series("A", "5m")].to_dataframe())
    )
    for datamodule in (one, other):
        datamodule.setup()
        close_step(datamodule)
    assert str(one.state_dict()) == str(other.state_dict())


def test_the_nets_of_no_arguments_fit_the_datamodule_of_none() -> None:
    datamodule = PivotDataModule(ONE)
    datamodule.setup()
    batch = next(iter(datamodule.train_dataloader()))
    for net in (CnnNet(), DuelingQNet(), MlpNet(), TransformerNet()):
        assert TrendModule(net)(batch["window"], batch["side"]).shape == (256, 2)
