from collections.abc import Iterator
from dataclasses import replace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from arenas import arena_of
from hypothesis import given, settings
from hypothesis import strategies as st
from old_annotations import START, market
from torch.utils.data import DataLoader, Subset

from trendtrain.annotations import Annotation
from trendtrain.data.annotated import AnnotatedDataset
from trendtrain.errors import InputError
from trendtrain.features import bar_features, skill_features
from trendtrain.market import Bars
from trendtrain.market.directions import DOWN, UP
from trendtrain.models import TrendModule
from trendtrain.storage import BarStore, open_database

WINDOW = 16
MARKETS = {("BTC", "5m"): market("5m", 300), ("BTC", "1h"): market("1h", 200, 1), ("ETH", "5m"): market("5m", 250, 2)}


def trade(
    enter: float, leave: float, number: int = 0, name: tuple[str, str] = ("BTC", "5m"), up: bool = True
) -> Annotation:
    """A trade between two bars of a market; a fraction lies within a bar."""
    length = MARKETS[name].timeframe.astype(np.int64)
    moments = [START + np.timedelta64(int(bar * length), "ms") for bar in (enter, leave)]
    return Annotation(f"t{number}", *name, UP if up else DOWN, *moments, 1.0, 1.0)


def store_of(markets: dict[tuple[str, str], Bars]) -> BarStore:
    store = BarStore(open_database("sqlite://"))
    for name, bars in markets.items():
        store.write(*name, bars)
    return store


@pytest.fixture
def store() -> Iterator[BarStore]:
    store = store_of(MARKETS)
    yield store
    store.engine.dispose()


TRADES = [
    trade(100, 110, 0),
    trade(40, 45, 1, ("ETH", "5m"), up=False),
    trade(100, 120, 2, up=False),
    trade(199.5, 199.9, 3, ("BTC", "1h")),
    trade(15, 16, 4, ("ETH", "5m")),
]


def test_window_and_side_inputs_are_those_of_the_whole_series_at_the_bar_of_the_entry(store: BarStore) -> None:
    dataset = AnnotatedDataset(TRADES, store, window=WINDOW)
    for position, bar in enumerate([100, 40, 100, 199, 15]):
        bars = MARKETS[TRADES[position].symbol, TRADES[position].timeframe]
        arena = arena_of(bars, window=WINDOW, features=bar_features, side=skill_features)
        for name, values in arena.gather(torch.tensor([bar])).items():
            torch.testing.assert_close(dataset[position][name], values[0], rtol=0, atol=0)


def test_an_example_has_the_direction_of_its_annotation(store: BarStore) -> None:
    dataset = AnnotatedDataset(TRADES, store, window=WINDOW)
    assert [int(dataset[position]["label"]) for position in range(5)] == [UP, DOWN, DOWN, UP, UP]


def test_one_entry_may_have_two_directions(store: BarStore) -> None:
    dataset = AnnotatedDataset(TRADES, store, window=WINDOW)
    assert dataset[0]["row"] == dataset[2]["row"]
    assert dataset[0]["label"] != dataset[2]["label"]


def test_a_loader_gives_batches_of_the_contract(store: BarStore) -> None:
    dataset = AnnotatedDataset(TRADES, store, window=WINDOW)
    (batch,) = DataLoader(dataset, batch_size=8)
    assert {name: (tuple(value.shape), value.dtype) for name, value in batch.items()} == {
        "window": ((5, WINDOW, dataset.n_features), torch.float32),
        "side": ((5, dataset.n_side), torch.float32),
        "label": ((5,), torch.int64),
        "row": ((5,), torch.int64),
        "weight": ((5,), torch.float32),
    }
    assert batch["weight"].tolist() == [1.0] * 5
    assert len(set(batch["row"].tolist())) == 4


@given(enter=st.integers(WINDOW, 290), seconds=st.integers(0, 299))
@settings(max_examples=25)
def test_nothing_after_the_entrys_bar_matters(enter: int, seconds: int) -> None:
    bars = MARKETS["BTC", "5m"]
    annotation = trade(enter + seconds / 300, enter + 9)
    later = market("5m", 300, seed=7)[enter + 1 :]
    windows = []
    for markets in ([bars], [bars[: enter + 1]], [bars[: enter + 1], later]):
        store = BarStore(open_database("sqlite://"))
        for part in markets:
            store.write("BTC", "5m", part)
        windows.append(AnnotatedDataset([annotation], store, window=WINDOW)[0]["window"])
        store.engine.dispose()
    for window in windows[1:]:
        torch.testing.assert_close(window, windows[0], rtol=0, atol=0)


def test_later_trades_do_not_change_a_window(store: BarStore) -> None:
    alone = AnnotatedDataset(TRADES[:1], store, window=WINDOW)[0]["window"]
    among = AnnotatedDataset([*TRADES, trade(280, 290, 9)], store, window=WINDOW)[0]["window"]
    torch.testing.assert_close(alone, among, rtol=0, atol=0)


@given(enter=st.integers(WINDOW, 200), length=st.integers(0, 50), offsets=st.tuples(*[st.integers(0, 299)] * 2))
@settings(max_examples=40)
def test_a_label_is_known_at_the_close_of_the_bar_of_its_exit(
    enter: int, length: int, offsets: tuple[int, int]
) -> None:
    first, last = (seconds / 300 for seconds in offsets)
    last = max(first, last) if length == 0 else last
    annotation = trade(enter + first, enter + length + last)
    store = store_of({("BTC", "5m"): MARKETS["BTC", "5m"]})
    dataset = AnnotatedDataset([annotation], store, window=WINDOW)
    store.engine.dispose()
    closes = MARKETS["BTC", "5m"].close_time
    assert dataset.known_at[0] == min(close for close in closes if close > annotation.exit_timestamp)
    assert dataset.known_at[0] >= closes[enter]
    assert not dataset.known(dataset.known_at[0] - np.timedelta64(1, "ms")).any()
    assert dataset.known(dataset.known_at[0]).all()


def test_the_bar_of_the_exit_need_not_be_stored(store: BarStore) -> None:
    dataset = AnnotatedDataset([trade(299, 310)], store, window=WINDOW)
    assert dataset.known_at[0] == START + 311 * np.timedelta64(5, "m")


def test_a_trainer_takes_what_is_known(store: BarStore) -> None:
    dataset = AnnotatedDataset(TRADES, store, window=WINDOW)
    is_known = dataset.known(np.datetime64("2024-01-02"))
    assert is_known.tolist() == [True, True, True, False, True]
    known, later = (Subset(dataset, np.flatnonzero(part).tolist()) for part in (is_known, ~is_known))
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(WINDOW * dataset.n_features, 2))
    before = net[1].weight.detach().clone()
    trainer = pl.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    trainer.fit(TrendModule(net), DataLoader(known, batch_size=2, shuffle=True), DataLoader(later))
    assert (net[1].weight != before).any()


def test_a_window_does_not_span_a_hole() -> None:
    bars = MARKETS["BTC", "5m"]
    store = store_of({("BTC", "5m"): bars[:100]})
    store.write("BTC", "5m", bars[105:])
    AnnotatedDataset([trade(110, 112)], store, window=WINDOW, max_gap=5)
    with pytest.raises(InputError, match=r"got 16 and 6 for 't0' \(1 of 1 annotations have too few\)"):
        AnnotatedDataset([trade(110, 112)], store, window=WINDOW, max_gap=4)
    store.engine.dispose()


def test_a_feature_function_of_ones_own_is_used(store: BarStore) -> None:
    dataset = AnnotatedDataset(TRADES, store, features=lambda bars: bars.close[:, None], window=WINDOW)
    assert dataset.n_features == 4
    expected = MARKETS["BTC", "5m"].close[85:101].astype(np.float32)
    np.testing.assert_array_equal(dataset[0]["window"][:, 3].numpy(), expected)


def opened(annotation: Annotation) -> Annotation:
    return replace(annotation, exit_timestamp=None, exit_price=None)


def test_open_trades_are_left_out_and_counted(store: BarStore) -> None:
    dataset = AnnotatedDataset([opened(TRADES[0]), *TRADES[1:], opened(TRADES[4])], store, window=WINDOW)
    assert (len(dataset), dataset.n_open) == (4, 2)
    assert list(dataset.annotations) == TRADES[1:]
    assert [int(dataset[i]["label"]) for i in range(4)] == [annotation.direction for annotation in TRADES[1:]]
    assert dataset.known_at.shape == (4,)


MISTAKES: dict[str, tuple[list[Annotation], int, str]] = {
    "none": ([], 16, "`annotations` must hold at least one trade that is closed, got none"),
    "open alone": ([opened(TRADES[0])] * 2, 16, "one trade that is closed, got 2 that are still open"),
    "window": (TRADES, 1, "`window` must be an integer of at least 2, got 1"),
    "too few bars": (
        TRADES,
        17,
        r"must be at most the bars up to each entry, got 17 and 16 for 't4' \(1 of 5 annotations have too few\)",
    ),
    "symbol": (
        [Annotation("x", "SOL", "5m", UP, START, START, 1.0, 1.0)],
        16,
        "annotation 'x' must find its bars in the database, SOL 5m from 2024-01-01T00:00:00.000 to .*: `symbol` and",
    ),
    "too early": (
        [TRADES[0], trade(-5, 3, 7)],
        16,
        "annotation 't7' must find its bars in the database, BTC 5m from .*, got none at 2023-12-31T23:35",
    ),
    "too late": (
        [trade(305, 310, 7)],
        16,
        "annotation 't7' must find its bars in the database, BTC 5m from .*, got none at 2024-01-02T01:25",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case: str, store: BarStore) -> None:
    annotations, window, message = MISTAKES[case]
    with pytest.raises(InputError, match=message) as caught:
        AnnotatedDataset(annotations, store, window=window)
    assert "\n" not in str(caught.value)
