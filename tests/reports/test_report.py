import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console, RenderableType

from trendtrain.importing.quality import ImportReport, QualityReport
from trendtrain.market import Series
from trendtrain.reports.report import import_table, summary_table
from trendtrain.reports.summary import Summary
from trendtrain.validation import TrendStats

NAN = float("nan")


def printed(table: RenderableType) -> str:
    file = io.StringIO()
    Console(file=file, width=200).print(table)
    return file.getvalue()


def row_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.strip("│ ").startswith(f"{name} "))


def summary_with(**values: Any) -> Summary:
    scores = {"event_accuracy": 0.48, "difference": 0.05, "difference_se": 0.01}
    known = {
        "name": "mine",
        "status": "finished",
        "steps": 12,
        "series": {"BTC": {"5m": {}, "1h": {}}, "ETH": {"5m": {}}},
        "stats": TrendStats(validated=1500, correct=800, void=3, pending=40).as_dict(),
        "event_accuracy": 0.53,
        "n_events": 1234,
        "accuracy_ci95": [0.51, 0.55],
        "baselines": {"majority": scores},
        "best_baseline": {"name": "majority", "difference": 0.05, "se": 0.01, "ci95": [0.03, 0.07]},
        "breakdown": {"confidence": {"top_20": {"event_accuracy": 0.57, "accuracy_se": 0.02, "n_events": 321}}},
        "expected_accuracy": {"judged": 0.54, "pending": 0.56},
        "label_delay_bars": {"p50": 34.0, "p95": 65.0},
    }
    return Summary(known | values, Path("runs/one"))


def test_a_summary_shows_how_the_run_ended() -> None:
    assert "interrupted after 7 steps" in printed(summary_table(summary_with(status="interrupted", steps=7)))


def test_a_summary_names_its_series() -> None:
    assert "BTC 5m, BTC 1h, ETH 5m" in row_of(printed(summary_table(summary_with())), "series")


def test_a_summary_shows_the_six_numbers() -> None:
    text = printed(summary_table(summary_with()))
    assert "1,543" in row_of(text, "total predictions")
    assert "0.5333" in row_of(text, "accuracy")


def test_a_summary_shows_the_interval_of_event_accuracy() -> None:
    row = row_of(printed(summary_table(summary_with())), "event accuracy")
    assert "0.5300  95 % interval 0.5100 to 0.5500, 1,234 events" in row


def test_a_summary_shows_the_model_minus_each_baseline() -> None:
    assert "0.4800  model +0.0500 +- 0.0100" in row_of(printed(summary_table(summary_with())), "majority")


def test_a_summary_without_verdicts_says_none_yet() -> None:
    nothing = {"event_accuracy": NAN, "difference": NAN, "difference_se": NAN}
    text = printed(
        summary_table(
            summary_with(
                stats=TrendStats(pending=5).as_dict(),
                event_accuracy=NAN,
                n_events=0,
                accuracy_ci95=[NAN, NAN],
                baselines={"majority": nothing},
                best_baseline=None,
                breakdown={"confidence": {"top_20": {"event_accuracy": NAN, "accuracy_se": NAN, "n_events": 0}}},
                expected_accuracy={"judged": NAN, "pending": 0.56},
                label_delay_bars={"p50": NAN, "p95": NAN},
            )
        )
    )
    assert "nan" not in text
    for name in ("accuracy", "majority", "label delay"):
        assert "none yet" in row_of(text, name)
    assert "too few events for an interval" in text
    assert "nothing to compare with yet" in row_of(text, "skill")
    assert "surest" not in text
    assert row_of(text, "expected").strip("│ ").endswith("0.5600 of 5 pending, by their confidence")


@pytest.mark.parametrize(
    ("difference", "ci95", "words"),
    [
        (
            0.05,
            [0.03, 0.07],
            "better than majority, the best baseline, by 0.0500 (95 % interval +0.0300 to +0.0700)",
        ),
        (-0.05, [-0.07, -0.03], "worse than majority, the best baseline, by 0.0500 (95 % interval -0.0700 to -0.0300)"),
        (
            0.01,
            [-0.01, 0.03],
            "none shown beyond majority, the best baseline: +0.0100 (95 % interval -0.0100 to",
        ),
        (0.01, [NAN, NAN], "too few events to tell"),
    ],
)
def test_a_summary_says_in_words_whether_there_is_skill(difference: float, ci95: list[float], words: str) -> None:
    best = {"name": "majority", "difference": difference, "se": 0.01, "ci95": ci95}
    assert words in row_of(printed(summary_table(summary_with(best_baseline=best))), "skill")


def test_a_summary_shows_the_surest_and_what_confidence_promised() -> None:
    text = printed(summary_table(summary_with()))
    assert "0.5700 +- 0.0200, 321 events" in row_of(text, "surest 20 %")
    assert "0.5600 of 40 pending, by their confidence; so far 0.5400 was promised, 0.5300 came true" in row_of(
        text, "expected"
    )


def test_where_nothing_is_pending_the_summary_says_so() -> None:
    text = printed(summary_table(summary_with(stats=TrendStats(validated=5, correct=2).as_dict())))
    assert "nothing is pending; so far" in row_of(text, "expected")


def test_an_error_that_does_not_exist_is_left_out() -> None:
    few = {"event_accuracy": 0.48, "difference": 0.05, "difference_se": NAN}
    row = row_of(printed(summary_table(summary_with(baselines={"majority": few}))), "majority")
    assert "model +0.0500" in row
    assert "+-" not in row


def test_a_summary_tells_where_its_files_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "one" / "tensorboard"
    folder.mkdir(parents=True)
    text = printed(summary_table(replace(summary_with(), folder=folder.parent)))
    assert "tensorboard --logdir" not in text  # no logger wrote any charts
    (folder / "events.out.tfevents.1").touch()
    text = printed(summary_table(replace(summary_with(), folder=folder.parent)))
    assert "summary: runs/one/summary.json" in text
    assert "tensorboard --logdir runs/one" in text


def report_with(**values: Any) -> ImportReport:
    time = np.datetime64("2024-01-01T00:00", "ms")
    known = {
        "n_bars": 1000,
        "first": time,
        "last": time + np.timedelta64(5, "h"),
        "n_missing": 7,
        "longest_hole": 4,
        "zero_volume": 0.25,
        "n_flat": 2,
        "equal_highs": 0.1,
        "n_holes": 2,
        "n_longest": 1,
        "n_jumps": 1,
    }
    return ImportReport(
        Series("ETH", "5m"), Path("ETH_5m.csv"), QualityReport(**(known | values)), 1000, time_rule="UTC"
    )


def test_an_import_shows_bars_and_their_quality() -> None:
    text = printed(import_table([report_with()]))
    assert "ETH 5m" in text
    for name, fact in {
        "bars": "1,000: 1,000 new, 0 replaced, 0 as stored",
        "span": "2024-01-01 00:00 to 2024-01-01 05:00",
        "missing": "7 bars in 2 holes, the longest 4",
        "volume": "0 in 25.0%",
        "prices": "2 flat bars, 10.0% ties (high as before), 1 jump",
    }.items():
        assert row_of(text, name).split(maxsplit=1)[1].strip() == fact


def test_an_import_of_many_files_shows_a_line_each() -> None:
    text = printed(import_table([report_with()] * 6))
    assert "6 files read as generic, times UTC" in text
    row = row_of(text, "ETH 5m")
    assert row.split() == ["ETH", "5m", "1,000", "1,000", "7", "ETH_5m.csv", "1", "jump"]


def test_volume_that_no_bar_has_was_not_supplied() -> None:
    assert "not supplied" in printed(import_table([report_with(zero_volume=None)]))
