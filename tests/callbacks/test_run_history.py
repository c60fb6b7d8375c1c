from types import SimpleNamespace
from typing import Any

import numpy as np

from trendtrain.callbacks import RunHistory
from trendtrain.callbacks import run_history as module
from trendtrain.validation import TrendStats


def step(index: int, change: int | None = None) -> Any:
    replay = {"wrong_in_memory": index / 1e4, "wrong_in_draws": index / 2e4, "bars": 5.0}
    now = np.datetime64("2024-01-01") + np.timedelta64(index, "D")
    stats = TrendStats(validated=10 * index, correct=7 * index)
    return SimpleNamespace(index=index, now=now, stats=stats, replay=replay, change=change, is_cut=bool(index % 2))


def walked(n: int, history: RunHistory | None = None, start: int = 0) -> RunHistory:
    history = history or RunHistory()
    for index in range(start, n):
        history.on_walk_step(None, step(index, change=index if index % 50 == 49 else None))  # type: ignore[arg-type]
    return history


def same(one: RunHistory, other: RunHistory) -> bool:
    pairs = zip(one.arrays().items(), other.arrays().items(), strict=True)
    return all(a == b and np.array_equal(x, y, equal_nan=True) for (a, x), (b, y) in pairs)


def test_each_step_is_a_point() -> None:
    arrays = walked(3).arrays()
    assert arrays["step"].tolist() == [0, 1, 2]
    assert arrays["now"].astype("datetime64[ms]").astype("datetime64[D]").astype(str).tolist()[-1] == "2024-01-03"
    assert arrays["validated"].tolist() == [0, 10, 20]
    assert arrays["correct"].tolist() == [0, 7, 14]
    np.testing.assert_array_equal(arrays["wrong_in_draws"], [0, 1 / 2e4, 2 / 2e4])
    assert arrays["alarm_step"].tolist() == []


def test_many_steps_are_thinned_and_no_alarm_is_lost(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_MOST", 16)
    arrays = walked(1000).arrays()
    assert len(arrays["step"]) <= 16
    assert set(np.diff(arrays["step"])) == {64}
    assert arrays["alarm_step"].tolist() == list(range(49, 1000, 50))
    assert arrays["alarm_events_kept"].tolist() == arrays["alarm_step"].tolist()
    assert arrays["alarm_is_cut"].tolist() == [1] * 20


def test_a_resumed_history_is_that_of_an_uninterrupted_walk(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "_MOST", 16)
    for n in (0, 1, 17, 70):
        resumed = RunHistory()
        resumed.load_state_dict(walked(n).state_dict())
        assert same(walked(300, resumed, start=n), walked(300))


def test_a_replay_that_tells_nothing_leaves_gaps() -> None:
    history, one = RunHistory(), step(0)
    one.replay = {}
    history.on_walk_step(None, one)  # type: ignore[arg-type]
    assert np.isnan(history.arrays()["wrong_in_memory"]).all()
