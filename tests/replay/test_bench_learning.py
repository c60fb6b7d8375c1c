"""The bench that compares strategies: its streams keep their promises, and its quick mode runs and goes on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from learning_net import SmallNet  # noqa: E402
from learning_runs import compared  # noqa: E402
from learning_scenarios import SCENARIOS  # noqa: E402

N_BARS = 12_000


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


def test_the_quick_mode_compares_strategies_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    command = [sys.executable, str(SCRIPTS / "bench_learning.py"), "--quick", "--scenario", "strong", "--json", file]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    written = file.read_text()
    rows = {row["strategy"]: row for row in json.loads(written)}
    assert set(rows) == {"uniform", "FILTER", "naive", "default"}
    assert rows["FILTER"]["event_accuracy"] > 65.0
    assert abs(rows["default"]["event_accuracy"] - rows["FILTER"]["event_accuracy"]) < 2.0
    assert rows["naive"]["difference"] < -1.0
    again = subprocess.run(command, check=True, capture_output=True, timeout=60, text=True)
    assert file.read_text() == written
    assert "naive" in again.stdout


def test_strategies_are_compared_on_the_same_events_of_the_real_job() -> None:
    rows = {row["strategy"]: row for row in compared("strong", seed=0, n_bars=6_000)}
    assert rows["uniform"]["difference"] == rows["uniform"]["difference_se"] == 0.0
    assert len({row["n_events"] for row in rows.values()}) == 1
    for name in ("default", "naive"):
        assert rows[name]["difference"] != 0.0
        expected = rows[name]["event_accuracy"] - rows["uniform"]["event_accuracy"]
        assert rows[name]["difference"] == pytest.approx(expected)


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
