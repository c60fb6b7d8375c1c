import io
import math

import numpy as np
import pytest
import torch
from conftest import IS_FULL
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.errors import InputError
from trendtrain.validation import ChangeDetector, events_since_drop

N_SEEDS = 20 if IS_FULL else 3


def slow_events_since_drop(x: np.ndarray, delta: float) -> int | None:
    """The rule, as it is written."""
    n, n1 = len(x), 20
    while n - n1 >= 100 and n > 120:
        n0 = n - n1
        m, level = 1 / (1 / n0 + 1 / n1), math.log(2 * math.log(n) / delta)
        if x[:n0].mean() - x[n0:].mean() > math.sqrt(2 * np.var(x) * level / m) + 2 * level / (3 * m):
            return n1
        n1 = int(1.3 * n1) + 1
    return None


def events(random: np.random.Generator, n: int, accuracy: float) -> np.ndarray:
    """Shares correct of events of some bars each; one in four events goes as the one before it."""
    shares = random.binomial(8, accuracy, n) / 8.0
    repeats = np.flatnonzero(random.random(n - 1) < 0.25) + 1
    shares[repeats] = shares[repeats - 1]
    return shares


@given(st.integers(0, 10_000), st.integers(1, 1500), st.integers(1, 400), st.floats(0.3, 0.9), st.floats(0.1, 0.9))
def test_the_rule_equals_its_slow_form(seed: int, n_old: int, n_new: int, before: float, after: float) -> None:
    random = np.random.default_rng(seed)
    x = np.concatenate([events(random, n_old, before), events(random, n_new, after)])
    for delta in (0.1, 1e-4):
        assert events_since_drop(x, delta) == slow_events_since_drop(x, delta)


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_a_drop_is_noticed_soon_and_placed_well(seed: int) -> None:
    random, detector = np.random.default_rng(seed), ChangeDetector()
    for _ in range(100):
        assert detector.update(events(random, 18, 0.67)) is None
    answers = [detector.update(events(random, 18, 0.35)) for _ in range(13)]
    first = next(i for i, n_kept in enumerate(answers) if n_kept is not None)
    assert answers[first] <= 1.5 * 18 * (first + 1) + 60


@pytest.mark.parametrize("seed", range(N_SEEDS))
def test_a_steady_stream_never_alarms(seed: int) -> None:
    random, detector = np.random.default_rng(seed), ChangeDetector()
    assert {detector.update(events(random, 18, 0.6)) for _ in range(600)} == {None}


def test_getting_better_is_no_alarm() -> None:
    random, detector = np.random.default_rng(0), ChangeDetector()
    assert {detector.update(events(random, 18, share)) for share in [0.4] * 50 + [0.9] * 50} == {None}


def test_after_an_alarm_only_what_followed_the_change_is_remembered() -> None:
    random, detector = np.random.default_rng(0), ChangeDetector()
    detector.update(events(random, 900, 0.8))
    later = events(random, 100, 0.3)
    n_kept = detector.update(later)
    assert n_kept is not None
    assert detector.state_dict() == {"accuracy": later[-n_kept:].tolist()}


def test_an_alarm_keeps_what_a_memory_needs() -> None:
    detector = ChangeDetector(fewest=90)
    detector.update(np.tile([1.0, 0.8], 300))
    assert detector.update(np.zeros(45)) == 90


def test_at_most_the_longest_past_is_remembered() -> None:
    detector = ChangeDetector(longest=300)
    for _ in range(5):
        detector.update(np.full(100, 0.5))
    assert detector.state_dict() == {"accuracy": [0.5] * 300}


def test_no_events_change_nothing() -> None:
    detector = ChangeDetector()
    assert detector.update(np.zeros(0)) is None
    assert detector.state_dict() == {"accuracy": []}


def test_a_restored_detector_never_stopped() -> None:
    random = np.random.default_rng(0)
    original, restored = ChangeDetector(), ChangeDetector()
    original.update(events(random, 700, 0.7))
    kept = io.BytesIO()
    torch.save(original.state_dict(), kept)
    kept.seek(0)
    restored.load_state_dict(torch.load(kept, weights_only=True))
    later = [events(random, 30, 0.3) for _ in range(6)]
    answers = [original.update(part) for part in later]
    assert [restored.update(part) for part in later] == answers != [None] * 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"longest": 100}, "`detector.longest` must be an integer of at least 121, got 100"),
        ({"delta": 0.0}, "`detector.delta` must be a number from 1e-300 to 1.0, got 0.0"),
        ({"fewest": 0}, "`detector.fewest` must be an integer of at least 1, got 0"),
    ],
)
def test_a_bad_number_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ChangeDetector(**options)
