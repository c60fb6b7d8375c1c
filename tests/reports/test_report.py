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
from trendtrain.reports.skill import skill_of
from trendtrain.reports.summary import Summary
from trendtrain.validation import TrendStats

NAN = float("nan")


def printed(table: RenderableType, width: int = 200) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


def row_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.strip("│ ").startswith(f"{name} "))


def of_series(n: int) -> dict[str, Any]:
    stats = TrendStats(validated=n).as_dict()
    return {"stats": stats, "n_events": n // 10, "event_accuracy": 0.51, "accuracy_se": 0.02 if n else NAN}


def summary_with(**values: Any) -> Summary:
    scores = {"event_accuracy": 0.48, "difference": 0.05, "difference_se": 0.01}
    known = {
        "name": "mine",
        "status": "finished",
        "steps": 12,
        "series": {"BTC": {"5m": of_series(900), "1h": of_series(0)}, "ETH": {"5m": of_series(640)}},
        "walked": ["2024-01-01T00:00", "2024-02-01T12:30"],
        "alarms": [],
        "config": {
            "seed": 3,
            "model": {"net": {"_target_": "mine.Net"}},
            "replay": {"weigh": {"_target_": "a.by_age"}},
        },
        "stats": TrendStats(validated=1500, correct=800, void=3, pending=40).as_dict(),
        "event_accuracy": 0.53,
        "n_events": 1234,
        "accuracy_ci95": [0.51, 0.55],
        "baselines": {"majority": scores},
        "best_baseline": {"name": "majority", "difference": 0.05, "se": 0.01, "ci95": [0.03, 0.07]},
        "breakdown": {
            "confidence": {
                "top_20": {"event_accuracy": 0.57, "accuracy_se": 0.02, "n_events": 321, "n_predictions": 300}
            }
        },
        "expected_accuracy": {"judged": 0.54, "pending": 0.56},
        "label_delay_bars": {"p50": 34.0, "p95": 65.0},
    }
    return Summary(known | values, Path("runs/one"))


def test_a_summary_shows_how_the_run_ended() -> None:
    assert "interrupted after 7 steps" in printed(summary_table(summary_with(status="interrupted", steps=7)))


def test_a_summary_tells_the_score_of_each_series_that_has_predictions() -> None:
    text = printed(summary_table(summary_with()))
    assert "BTC 5m: 90 events, event accuracy 0.5100 +- 0.0200" in row_of(text, "series")
    assert "ETH 5m: 64 events" in text
    assert "BTC 1h" not in text


def test_of_many_series_some_are_told_and_the_rest_counted() -> None:
    series = {f"S{i:02}": {"5m": of_series(50)} for i in range(20)}
    text = printed(summary_table(summary_with(series=series)))
    assert "S11 5m: 5 events" in text
    assert "S12" not in text
    assert "and 8 more: trendtrain stats shows all" in text


def test_a_summary_names_model_replay_seed_and_dates() -> None:
    text = printed(summary_table(summary_with()))
    for name, value in (("model", "Net"), ("replay", "by_age"), ("seed", "3")):
        assert row_of(text, name).split("│")[2].strip() == value
    assert "2024-01-01 00:00 to 2024-02-01 12:30" in row_of(text, "predicted")


def test_a_summary_says_that_a_change_was_noticed() -> None:
    assert "changes" not in printed(summary_table(summary_with()))
    alarms = [{"time": f"2024-01-0{day}T06:00", "events_kept": 9, "is_cut": day > 4} for day in (3, 5)]
    row = row_of(printed(summary_table(summary_with(alarms=alarms))), "changes")
    assert "2 changes of the market noticed, 1 of them cut the replay's memory, the last at 2024-01-05 06:00" in row


def test_a_summary_in_eighty_columns_cuts_nothing() -> None:
    summary = summary_with(
        name="20261129-013839-cnn-synthetic-3f2a1b", series={"LONGNAME-PERP@mark": {"15m": of_series(9)}}
    )
    text = printed(summary_table(summary), width=80)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.replace("│", " ").split())
    assert "LONGNAME-PERP@mark 15m: 0 events, event accuracy 0.5100 +- 0.0200" in flat


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
    assert "No prediction has been judged yet" in row_of(text, "skill")
    assert "most confident" not in text
    assert "5 predictions, mean confidence 0.5600" in row_of(text, "pending ")
    assert "calibration" not in text


def test_a_summary_says_in_words_whether_there_is_skill() -> None:
    summary = summary_with()
    assert skill_of(summary.values) in row_of(printed(summary_table(summary)), "skill")


def test_a_summary_shows_the_most_confident_and_what_confidence_promised() -> None:
    text = printed(summary_table(summary_with()))
    assert "0.5700 +- 0.0200, 300 predictions in 321 events" in row_of(text, "most confident 20 %")
    assert "mean confidence 0.5400, event accuracy 0.5300" in row_of(text, "calibration")
    assert "40 predictions, mean confidence 0.5600" in row_of(text, "pending ")


def test_where_nothing_is_pending_the_summary_tells_no_confidence_of_it() -> None:
    text = printed(summary_table(summary_with(stats=TrendStats(validated=5, correct=2).as_dict())))
    assert "mean confidence 0.5600" not in text


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
