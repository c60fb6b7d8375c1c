import math
from collections.abc import Iterator

import numpy as np
import pytest
from ledger_examples import judged, predicted
from scipy import stats
from sqlalchemy import Connection, Engine

from trendtrain.errors import InputError
from trendtrain.storage import Ledger
from trendtrain.storage.ledger import registry
from trendtrain.storage.ledger.compare import Pair
from trendtrain.validation.predictions import CORRECT, WRONG
from trendtrain.validation.score import student_t

N_LINES = 700


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """A ledger of three runs over the same lines: `good` is right in 8 of 10, `poor` in half, `also` just as often."""
    ledger = Ledger(engine)
    random = np.random.default_rng(0)
    poor, good = (np.where(random.random(N_LINES) < share, CORRECT, WRONG) for share in (0.5, 0.8))
    for run, outcomes in (("poor", poor), ("good", good), ("also", poor[::-1])):
        ledger.begin(run, "{}", "2024-01-01")
        by_minute = dict(enumerate(outcomes.tolist()))
        ledger.record(run, "net", 0, predicted(list(by_minute)), judged(by_minute, lines=list(by_minute)))
    with engine.begin() as connection:
        yield connection


def test_a_better_shadow_is_promoted_and_the_test_is_kept(connection: Connection) -> None:
    test = registry.look(connection, "good", "poor", 100, now=5)
    assert (test.is_promoted, test.n_events, test.level) == (1, N_LINES, 0.975)
    assert 0.0 < test.low < test.difference == pytest.approx(0.3, abs=0.06)
    assert registry.promotion_test_rows(connection) == [test]
    assert registry.active_run([test]) == "good"


def test_an_equal_shadow_stays_one(connection: Connection) -> None:
    test = registry.look(connection, "also", "poor", 100, now=5)
    assert (test.is_promoted, test.low < 0.0) == (0, True)
    assert registry.active_run(registry.promotion_test_rows(connection)) is None


def test_a_look_needs_new_events(connection: Connection) -> None:
    registry.look(connection, "also", "poor", 100, now=5)
    with pytest.raises(InputError, match="`min_events` must have come since the last look, 100 of both runs, got 0"):
        registry.look(connection, "also", "poor", 100, now=6)
    with pytest.raises(InputError, match="`over` must be another run"):
        registry.look(connection, "poor", "poor", 0, now=6)
    with pytest.raises(InputError, match=r"`compare` must name some of"):
        registry.look(connection, "moon", "poor", 0, now=6)


def test_each_further_look_asks_for_more(connection: Connection) -> None:
    looks = [registry.look(connection, "also", "poor", 0, now=5) for _ in range(4)]
    assert [one.level for one in looks] == pytest.approx([1 - 0.05 / (k * (k + 1)) for k in (1, 2, 3, 4)])
    assert [one.low for one in looks] == sorted((one.low for one in looks), reverse=True)
    assert math.fsum(1 - one.level for one in looks) < 0.05


@pytest.mark.parametrize("degrees", [19, 40, 300])
@pytest.mark.parametrize("k", [1, 10, 100])
def test_quantiles_of_high_levels_are_right(degrees: int, k: int) -> None:
    p = 1.0 - 0.025 / (k * (k + 1))
    assert student_t(degrees, p) == pytest.approx(stats.t.ppf(p, degrees), rel=0.02)


def test_looking_often_promotes_an_equal_shadow_rarely() -> None:
    """Of 400 pairs that are equally good, looked at 20 times each as their events grow, few are ever promoted."""
    random, n_promoted = np.random.default_rng(0), 0
    for _ in range(400):
        gap = random.choice([-1.0, 0.0, 1.0], 4000, p=[0.25, 0.5, 0.25])
        for k in range(1, 21):
            seen = gap[: 200 * k]
            se = float(seen.std(ddof=1) / math.sqrt(len(seen)))
            pair = Pair("b", "n", "a", "n", len(seen), 0.5, 0.5, float(seen.mean()), se, (0.0, 0.0), len(seen) // 10)
            if registry.judge_pair(pair, k, now=0).is_promoted:
                n_promoted += 1
                break
    assert n_promoted <= 400 * 0.025 + 3 * math.sqrt(400 * 0.025)


def test_few_blocks_promote_nothing() -> None:
    pair = Pair("b", "n", "a", "n", 300, 0.9, 0.5, 0.4, 0.001, (0.39, 0.41), 19)
    assert registry.judge_pair(pair, 1, now=0).low is None
    assert registry.judge_pair(pair, 1, now=0).is_promoted == 0


def test_versions_follow_each_other(connection: Connection) -> None:
    first = registry.add_version(connection, "good", "net", "version-1.ckpt", 10, 1000, "saved")
    registry.add_version(connection, "poor", "net", "version-1.ckpt", 5, 1500, "saved")
    second = registry.add_version(connection, "good", "net", "version-2.ckpt", 20, 2000, "saved")
    found = registry.versions(connection, "good")
    assert [(one.version, one.start_time, one.end_time) for one in found] == [(1, 1000, 2000), (2, 2000, None)]
    assert found[1] == second
    registry.forget_checkpoint(connection, first)
    assert [one.checkpoint for one in registry.versions(connection)] == [None, "version-2.ckpt", "version-1.ckpt"]


def test_what_belongs_to_a_run_goes_with_it(engine: Engine) -> None:
    ledger = Ledger(engine)
    for run in ("a", "b"):
        ledger.begin(run, "{}", "2024-01-01")
        ledger.describe_model(run, "net", "net", "")
    with engine.begin() as connection:
        registry.add_version(connection, "a", "net", "version-1.ckpt", 10, 1000, "saved")
    ledger.delete("a")
    with engine.connect() as connection:
        assert registry.versions(connection) == []
