from typing import Any

import pytest

from trendtrain.reports.skill import skill_of

NAN = float("nan")


def said(difference: float, low: Any, high: Any) -> str:
    best = {"name": "reversal", "difference": difference, "ci95": [low, high]}
    return skill_of({"best_baseline": best, "n_events": 1234})


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        ((0.02, 0.01, 0.03), "better than reversal, the best simple rule, by 0.0200 (95 % interval 0.0100 to 0.0300"),
        ((-0.02, -0.03, -0.01), "worse than reversal, the best simple rule, by 0.0200 (95 % interval 0.0100 to 0.0300"),
        ((-0.01, -0.03, 0.01), "No skill is shown beyond reversal, the best simple rule: the model is 0.0100 below it"),
        ((0.01, -0.03, 0.05), "the model is 0.0100 above it (95 % interval of the difference -0.0300 to +0.0500"),
        ((0.01, 0.0, 0.02), "No skill is shown"),
        ((0.01, None, None), "too few events to tell (1,234 events): the model is 0.0100 above reversal"),
        ((0.01, NAN, NAN), "too few events to tell"),
    ],
)
def test_the_sentence_says_what_the_interval_shows(case: tuple[float, Any, Any], sentence: str) -> None:
    assert sentence in said(*case)
    assert "1,234 events" in said(*case)


def test_a_run_without_a_judged_prediction_says_so() -> None:
    assert "No prediction has been judged yet" in skill_of({"best_baseline": None, "n_events": 0})
