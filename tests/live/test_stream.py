"""The stream of a live feed: what it may learn from, and when."""

from typing import Any

import numpy as np
import pytest
import torch
from streams import SERIES, predict

from trendtrain.data.datamodule import Live, PivotDataModule
from trendtrain.errors import InputError
from trendtrain.live.feed import LiveFeed
from trendtrain.live.replay import ReplaySource
from trendtrain.replay import make_sampler, weigh
from trendtrain.stream import HeldBars, Walk
from trendtrain.stream.tape import BAR_BITS

A, B = SERIES


def datamodule_of(n_bars: int = 900, start: int = 300, **options: Any) -> PivotDataModule:
    history = HeldBars({A: SERIES[A][:n_bars], B: SERIES[B][: n_bars // 3]})

    def make_feed(datamodule: PivotDataModule) -> LiveFeed:
        return LiveFeed(ReplaySource(history), history, datamodule.walk)

    replay = lambda seed: make_sampler(batch_size=8, n_batches=3, weigh=weigh, seed=seed)  # noqa: E731
    walk = Walk(str(SERIES[A].close_time[start]), warmup=0.0)
    live = Live(make_feed, **{"max_batches": 5, **options})
    return PivotDataModule(history, walk=walk, window=12, replay=replay, live=live)


@pytest.mark.parametrize("max_bars", [150, 400])
def test_no_row_can_be_drawn_whose_window_left_the_ring(max_bars: int) -> None:
    data = datamodule_of(max_bars=max_bars)
    data.setup()
    sizes = []
    while not data.stream.is_done:
        data.stream.close(predict(data.stream.open().row))
        memory = data.replay.memory
        n_bars = np.array(list(data.stream.n_bars.values()))
        assert (memory.rows & ((1 << BAR_BITS) - 1) >= (n_bars - max_bars)[memory.rows >> BAR_BITS]).all()
        data.arena.gather(torch.from_numpy(memory.rows.copy()))  # asserts
        sizes.append(memory.n_known)
    assert 0 < min(sizes[50:]) <= max(sizes) < 2 * max_bars


def test_training_stops_for_a_bar_that_waits_and_draws_at_least_once() -> None:
    data = datamodule_of()
    data.setup()
    waiting = iter([False, False, True])
    assert len([*_draws(data, lambda: next(waiting))]) == 3
    assert len([*_draws(data, lambda: True)]) == 1
    assert len([*_draws(data, lambda: False)]) == 5
    data.stream.warmup = 1
    assert len([*_draws(data, lambda: True)]) == 3  # those of an epoch: nothing is predicted in the warm-up
    with pytest.raises(TypeError):
        len(data.train_dataloader())  # rule 4: a sized loader that ends early is never validated


def _draws(data: PivotDataModule, has_bars: Any) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveFeed, "has_bars", property(lambda self: has_bars()))
        yield from data.train_dataloader()


def test_a_start_without_labels_waits_and_says_for_what(caplog: pytest.LogCaptureFixture) -> None:
    data = datamodule_of(start=15)
    with caplog.at_level("INFO", "trendtrain.live"):
        data.setup()
    assert caplog.messages == [
        "waiting for the first bar with a whole window and a known label; bars so far: A 5m 16, B 15m 5"
    ]
    assert data.replay.memory.n_known > 0
    assert data.stream.step == 0
    assert data.stream.now > data.feed.start


def test_bars_that_end_before_a_label_is_known_are_refused() -> None:
    with pytest.raises(InputError, match=r"`labels` must make bars DOWN or UP .*, got 0 known labels of 28 bars"):
        datamodule_of(n_bars=21, start=15).setup()


def test_only_predicting_needs_no_label_and_draws_nothing() -> None:
    data = datamodule_of(start=15, max_batches=0)
    data.setup()
    before = data.replay.state_dict()["random"]
    assert [*data.train_dataloader()] == [0]
    assert data.replay.state_dict()["random"] == before
    assert data.n_warmup == 0


def test_only_a_tail_of_the_bars_is_read_to_look_for_look_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    data, now, starts = datamodule_of(), SERIES[A].close_time[500], []
    load = HeldBars.load
    monkeypatch.setattr("trendtrain.data.datamodule._N_LIVE_BARS_TO_CHECK", 100)
    data._build()
    monkeypatch.setattr(LiveFeed, "clock", lambda feed: now)
    monkeypatch.setattr(HeldBars, "load", lambda self, *span: starts.append(span[1]) or load(self, *span))
    data._check_look_ahead()
    assert starts == [now - 100 * SERIES[A].timeframe]
