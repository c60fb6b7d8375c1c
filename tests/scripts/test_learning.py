"""The bench that compares strategies: its streams keep their promises, and its quick mode runs and goes on."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.utils import instantiate

SCRIPTS = Path(__file__).parents[2] / "scripts" / "bench"
sys.path.insert(0, str(SCRIPTS))

from learning_net import SmallNet  # noqa: E402
from learning_runs import configured, run_of  # noqa: E402
from learning_scenarios import SCENARIOS, stream_of  # noqa: E402
from learning_scores import Run, pooled, recovery, result  # noqa: E402

N_BARS = 12_000
BENCH = [sys.executable, str(SCRIPTS / "learning.py")]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_stream_keeps_the_order_of_events(name: str) -> None:
    stream = SCENARIOS[name](N_BARS, 0)
    is_known = stream.known_at >= 0
    assert (stream.known_at[is_known] > np.flatnonzero(is_known)).all()
    assert ((stream.event >= 0) == is_known).all()
    assert (np.isin(stream.label, [0, 1]) == is_known).all()
    _, first = np.unique(stream.event[is_known], return_index=True)
    known_at = stream.known_at[is_known]
    assert (np.diff(known_at[first]) >= 0).all()
    events = stream.event[is_known]
    assert all((known_at[events == event] == known_at[events == event][0]).all() for event in events[first][:50])


@pytest.mark.parametrize("name", SCENARIOS)
def test_another_seed_gives_another_stream(name: str) -> None:
    first, again, other = (SCENARIOS[name](2_000, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.features, again.features)
    assert not np.array_equal(first.features, other.features)


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "random walk"])
def test_the_filter_knows_more_than_chance(name: str) -> None:
    stream = SCENARIOS[name](N_BARS, 1)
    is_known = stream.known_at >= 0
    right = (stream.best > 0.5)[is_known] == stream.label[is_known]
    assert right.mean() > 0.5 + 3.0 / np.sqrt(len(np.unique(stream.event)))


def test_flips_reverse_every_second_block() -> None:
    strong, flips = (SCENARIOS[name](90_000, 0) for name in ("strong", "flips"))
    is_known = strong.label >= 0
    is_reversed = (strong.label != flips.label)[is_known]
    block = np.flatnonzero(is_known) // 40_000
    assert [round(float(is_reversed[block == i].mean()), 2) for i in range(3)] == [0.0, 1.0, 0.0]


def rows_of(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["scenario"], row["strategy"]): row for row in json.loads(file.read_text())}


def test_the_quick_mode_compares_strategies_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = [*BENCH, "--quick", "--scenario", "strong", "--json", file]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    written = file.read_text()
    rows = {strategy: row for (_, strategy), row in rows_of(file).items()}
    assert set(rows) == {"uniform", "FILTER", "naive", "default"}
    assert rows["FILTER"]["event_accuracy"] > 65.0
    assert abs(rows["default"]["event_accuracy"] - rows["FILTER"]["event_accuracy"]) < 2.0
    assert rows["naive"]["difference"] < -1.0
    again = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True)
    assert file.read_text() == written
    assert "naive" in again.stdout


@pytest.mark.full
def test_the_quick_mode_goes_through_train_and_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = [*BENCH, "--train", "--quick", "--model", "mlp", "--json", file, "--strategy", "naive"]
    command += ["--scenario", "slow drift"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    first = rows_of(file)
    subprocess.run([*command, "nearly clean"], check=True, capture_output=True, timeout=300)
    rows = rows_of(file)
    strategies = ("uniform", "FILTER", "naive")
    assert set(rows) == {(scenario, name) for scenario in ("slow drift", "nearly clean") for name in strategies}
    assert {key: rows[key] for key in first} == first  # with its seconds: not run again
    for (scenario, _), row in rows.items():
        uniform = rows[scenario, "uniform"]
        assert row["n_events"] == uniform["n_events"] == len(uniform["by_event"])
        assert row["difference"] == pytest.approx(row["event_accuracy"] - uniform["event_accuracy"])
    assert rows["nearly clean", "uniform"]["event_accuracy"] > 60.0  # it was shown the features and told the labels


@pytest.mark.parametrize("scenario", ["flips", "nearly clean"])
def test_train_is_given_the_scenario(scenario: str) -> None:
    stream = stream_of(scenario, 3_000, 0, one_direction=True)
    cfg = configured(scenario, 3_000, 0, ["replay=naive"])
    labels = instantiate(cfg.labels)(stream.bars)
    for name, column in (("direction", "label"), ("known_at", "known_at"), ("event", "event")):
        np.testing.assert_array_equal(getattr(labels, name), getattr(stream, column))
    if scenario == "nearly clean":
        np.testing.assert_array_equal(instantiate(cfg.data.features)(stream.bars), stream.features)
        assert cfg.data.side is None
        assert cfg.data.n_features == 3 + stream.features.shape[1]
    else:
        assert cfg.data == configured("weak", 3_000, 0, []).data
    assert cfg.replay.beta == 0.0


def test_real_bars_keep_their_labels_and_the_usual_start() -> None:
    cfg = configured("ETHUSDT_5m", 0, 0, [])
    assert cfg.labels._target_ == "trendtrain.market.label_bars"
    assert (cfg.walk.start, configured("weak", 3_000, 0, []).walk.start) == (0.25, 0.1)


def test_what_a_ledger_tells_is_found_by_bar() -> None:
    bars = stream_of("weak", 3_000, 0).bars
    open_time, close_time = (times.astype(np.int64) for times in (bars.open_time, bars.close_time))
    predictions = {"open_time": open_time[[7, 5]], "direction": [1, 0], "confidence": [0.6, 0.9]}
    run = run_of(bars, pd.DataFrame(predictions), pd.DataFrame({"known_at": close_time[[9]]}))
    assert np.flatnonzero(np.isfinite(run.up)).tolist() == [5, 7]
    assert (run.up[7], run.up[5], run.alarms) == (0.6, pytest.approx(0.1), [10])


def test_scores_are_those_of_a_loop_over_events() -> None:
    stream = stream_of("strong", N_BARS, 0)
    up = np.where(np.arange(N_BARS) < 2_000, np.nan, np.random.default_rng(0).random(N_BARS))
    uniform = result(stream, Run(up), None)
    best = result(stream, Run(np.where(np.isnan(up), np.nan, stream.best)), uniform["by_event"])
    right = {event: [] for event in stream.event[2_000:].tolist() if event >= 0}
    for bar in range(2_000, N_BARS):
        if stream.event[bar] >= 0:
            right[stream.event[bar]].append((stream.best[bar] > 0.5) == stream.label[bar])
    expected = 100.0 * np.mean([np.mean(shares) for shares in right.values()])
    assert best["event_accuracy"] == pytest.approx(expected)
    assert best["difference"] == pytest.approx(expected - uniform["event_accuracy"])
    assert uniform["first_bar"] == 2_000
    assert best["n_events"] == len(right) == len(uniform["by_event"])


def test_recovery_is_read_off_events_after_a_flip() -> None:
    stream = stream_of("flips", 90_000, 0)
    late = 40_000 + 14 * 300  # from here on it knows; from the flip to here it does not
    blind = (np.arange(90_000) >= 40_000) & (np.arange(90_000) < late)
    run = Run(np.where(blind, 1.0 - stream.best, stream.best), alarms=[10_000, late])
    found = recovery(stream, run)
    assert np.mean(found["curve"][:4]) < 0.4
    assert np.mean(found["curve"][8:]) > 0.6
    assert 200 < found["alarm_delays"][0] < 400
    pool = pooled([result(stream, run, None) | found])
    assert 200 <= pool["regained_90"] <= 450
    assert pool["slowest_alarm"] == found["alarm_delays"][0]


@pytest.mark.parametrize(("bars", "error"), [(90_000, 2.0), (0, 4.0)])
def test_more_seeds_make_the_error_smaller_only_where_each_has_a_market_of_its_own(bars: int, error: float) -> None:
    scores = dict.fromkeys(("event_accuracy", "difference", "nll", "ece", "n_alarms"), 0.0)
    row = scores | {"bars": bars, "accuracy_se": 4.0, "difference_se": 4.0}
    pool = pooled([row] * 4)
    assert pool["accuracy_se"] == pool["difference_se"] == error


def in_torch(net: SmallNet) -> torch.nn.Sequential:
    """The same net in torch."""
    twin = torch.nn.Sequential(torch.nn.Linear(5, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU())
    twin.append(torch.nn.Linear(32, 1))
    with torch.no_grad():
        for parameter, values in zip(twin.parameters(), net._parameters, strict=True):
            parameter.copy_(torch.from_numpy(values.T.copy()))
    return twin


def test_the_small_net_learns_as_torch_does() -> None:
    random = np.random.default_rng(0)
    net = SmallNet(5, seed=3)
    twin = in_torch(net)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=2e-3, weight_decay=1e-2)
    for _ in range(20):
        x = random.normal(size=(64, 5)).astype(np.float32)
        label, weight = random.integers(2, size=64), random.random(64) + 0.1
        chance = net.learn(x, label, weight)
        logit = twin(torch.from_numpy(x))[:, 0]
        np.testing.assert_allclose(chance, torch.sigmoid(logit).detach().numpy(), atol=1e-5)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logit, torch.from_numpy(label).float(), reduction="none"
        )
        optimizer.zero_grad()
        ((losses * torch.from_numpy(weight).float()).sum() / weight.sum()).backward()
        optimizer.step()
    for parameter, values in zip(twin.parameters(), net._parameters, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy().T, values, atol=1e-4)
