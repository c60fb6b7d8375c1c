import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from trendtrain.errors import InputError
from trendtrain.market import label_bars, synthetic_market
from trendtrain.storage import BarStore, Ledger, LedgerJudge, open_database
from trendtrain.stream.pass_judge import attach
from trendtrain.validation import JudgedPrediction, Pending, Predictions, Scoreboard, TrendJudge

BARS = synthetic_market(300, seed=1)
ROWS = """
SELECT p.model, p.open_time, p.direction, p.confidence,
    v.outcome, v.truth, v.known_at, v.kind, v.first_time, v.last_time
FROM predictions p LEFT JOIN verdicts v USING (run_id, model, series_id, open_time)
WHERE p.run_id = 'live' ORDER BY 1, 2
"""


def rows(engine: Any) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(ROWS))]


def live(judge: LedgerJudge | TrendJudge, first: int, last: int) -> list[JudgedPrediction]:
    """Let bars come ten by ten, and two rules speak at each third close."""
    verdicts = []
    for bar in range(first, last, 10):
        verdicts += judge.update("A", "5m", BARS[bar : bar + 10])
        for model, direction in (
            ("always", "up"),
            ("fading", "up" if BARS.close[bar] > BARS.close[bar + 9] else "down"),
        ):
            judge.store(model_type=model, symbol="A", timeframe="5m", direction=direction, confidence=0.6 + bar / 1000)
    return verdicts


def test_the_ledger_holds_what_the_judge_heard_and_said(engine: Any) -> None:
    plain, kept = TrendJudge(), LedgerJudge(Ledger(engine), "live")
    verdicts = live(plain, 0, 300)
    assert live(kept, 0, 300) == verdicts
    assert kept.stats() == plain.stats()
    assert kept.stats("fading", "A", "300s") == plain.stats("fading")
    written = [row for row in rows(engine) if row[4] is not None]
    at = {(one.model_type, (one.at - BARS.timeframe).astype(np.int64)): one for one in verdicts}
    assert len(written) == len(at) > 20
    for model, open_time, direction, confidence, outcome, truth, known_at, kind, first_time, _ in written:
        one = at[model, open_time]
        assert (("down", "up")[direction], confidence) == (one.direction, one.confidence)
        assert ("wrong", "correct", "void_flat")[outcome] == one.outcome
        assert ("down", "up", "flat")[truth] == one.truth
        assert known_at == one.known_at.astype(np.int64)
        assert (kind, first_time) == (("L2H", "L2L")[one.line.kind[0]], one.line.start_time[0].astype(np.int64))


def test_event_accuracy_is_that_of_arrays(engine: Any) -> None:
    live(LedgerJudge(Ledger(engine), "live"), 0, 300)
    buffer, labels = Pending(), label_bars(BARS)
    row = np.arange(9, 300, 10)
    buffer.add(attach(Predictions(row, np.tile([0.4, 0.6], (len(row), 1))), labels, {}))
    board = Scoreboard(labels.series, [])
    board.update(buffer.judge(labels.known_labels(now=299)))
    (always,) = [stats for stats in Ledger(engine).stats("live") if stats.model == "always"]
    assert always.n_events == board.n_events > 10
    assert always.event_accuracy == pytest.approx(board.scores()["event_accuracy"])


@pytest.mark.parametrize("stops", [[100], [10, 20, 150, 290], range(10, 300, 10)])
def test_a_judge_started_again_goes_on_as_if_never_stopped(engine: Any, stops: Any, tmp_path: Path) -> None:
    other = open_database(f"sqlite:///{tmp_path / 'never.db'}")
    store = BarStore(engine)
    never, verdicts = LedgerJudge(Ledger(other), "live"), []
    expected = live(never, 0, 300)
    for first, last in zip([0, *stops], [*stops, 300], strict=True):
        judge = LedgerJudge(Ledger(engine), "live")
        if first:
            assert judge.update("A", "5m", store.load("A", "5m")) == ()
        store.write("A", "5m", BARS[first:last])
        verdicts += live(judge, first, last)
    assert verdicts == expected
    assert rows(engine) == rows(other)
    assert judge.stats() == never.stats()
    other.dispose()


def test_a_verdict_that_was_never_written_is_reached_again(engine: Any) -> None:
    judge = LedgerJudge(Ledger(engine), "live")
    live(judge, 0, 100)
    lost = judge.judge.update("A", "5m", BARS[100:200])  # judged, and killed before it was written
    assert len(lost) > 5
    again = LedgerJudge(Ledger(engine), "live")
    assert again.update("A", "5m", BARS[:200]) == lost
    assert again.stats() == judge.judge.stats()


@pytest.mark.parametrize("n_before", [60, 100])
def test_a_restart_needs_the_bars_since_the_oldest_pending_prediction_and_some_before(
    engine: Any, n_before: int
) -> None:
    whole = TrendJudge()
    live(whole, 0, 200)
    expected = whole.update("A", "5m", BARS[200:])
    live(LedgerJudge(Ledger(engine), "live"), 0, 200)
    restarted = LedgerJudge(Ledger(engine), "live")
    oldest = int(np.searchsorted(BARS.close_time, min(one.at for one in expected)))
    got = restarted.update("A", "5m", BARS[oldest - n_before :])
    told = ("model_type", "at", "direction", "confidence", "truth", "outcome", "known_at")
    assert [[getattr(one, name) for name in told] for one in got] == [
        [getattr(one, name) for name in told] for one in expected
    ]


def test_bars_that_start_after_a_pending_prediction_are_refused(engine: Any) -> None:
    live(LedgerJudge(Ledger(engine), "live"), 0, 100)
    judge = LedgerJudge(Ledger(engine), "live")
    with pytest.raises(InputError, match=r"^`bars` of A 5m must start before its oldest pending prediction, 2020-"):
        judge.update("A", "5m", BARS[100:])
    assert len(judge.update("A", "5m", BARS)) > 0


PROCESS = """
import sys
sys.path.insert(0, sys.argv[2])
from test_ledger_judge import BARS, live
from trendtrain.storage import Ledger, LedgerJudge, open_database

engine = open_database(sys.argv[1])
judge = LedgerJudge(Ledger(engine), "live")
for bar in range(0, 300, 10):
    live(judge, bar, bar + 10)
    print(bar, flush=True)
"""


@pytest.mark.parametrize(
    "n_lines", [12, *(pytest.param(n, marks=pytest.mark.full) for n in (1, 2, 5, 9, 14, 17, 20, 23, 26, 29))]
)
def test_kill_9_loses_nothing_that_was_answered(engine: Any, tmp_path: Path, n_lines: int) -> None:
    command = [sys.executable, "-c", PROCESS, engine.url.render_as_string(False), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        for _ in range(n_lines):
            last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    judge = LedgerJudge(Ledger(engine), "live")
    assert judge.stats()["total_predictions"] >= 2 * (last / 10 + 1)
    judge.update("A", "5m", BARS)
    plain = TrendJudge()
    for model, open_time, direction, confidence, *_ in rows(engine):
        at = np.datetime64(open_time, "ms") + BARS.timeframe
        said = {"model_type": model, "symbol": "A", "timeframe": "5m", "direction": ("down", "up")[direction]}
        plain.store(**said, confidence=confidence, at=at)
    plain.update("A", "5m", BARS)
    assert judge.stats() == plain.stats()


def test_what_the_judge_refuses_is_not_written(engine: Any) -> None:
    judge = LedgerJudge(Ledger(engine), "live")
    said = {"model_type": "m", "symbol": "A", "timeframe": "5m", "direction": "up", "confidence": 0.6}
    with pytest.raises(InputError, match="`at` must be given before the first bar of A 5m, got none"):
        judge.store(**said)
    judge.update("A", "5m", BARS)
    with pytest.raises(InputError, match="`at` must not lie where labels are known already"):
        judge.store(**said, at=BARS.close_time[3])
    with pytest.raises(InputError, match="`at` must not lie before the close of the bar fed first, 2020-"):
        judge.store(**said, at=BARS.open_time[0])
    assert rows(engine) == []


def test_a_prediction_said_again_is_replaced(engine: Any) -> None:
    judge = LedgerJudge(Ledger(engine), "live")
    judge.update("A", "5m", BARS[:50])
    said = {"model_type": "m", "symbol": "A", "timeframe": "5m"}
    judge.store(**said, direction="up", confidence=0.6)
    judge.store(**said, direction="down", confidence=0.7)
    ((_, _, direction, confidence, *_),) = rows(engine)
    assert (direction, confidence) == (0, 0.7)
