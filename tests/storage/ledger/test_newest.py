import numpy as np
from ledger_examples import BTC, ETH, judged, predicted
from sqlalchemy import Engine

from trendtrain.storage import Ledger
from trendtrain.storage.ledger.newest import NO_CODE
from trendtrain.validation.predictions import CORRECT, VOID_GAP, WRONG


def ledger_of(engine: Engine) -> Ledger:
    ledger = Ledger(engine)
    ledger.begin("run", "{}", "2024-01-01")
    return ledger


def test_the_newest_predictions_come_with_their_verdicts_and_lines(engine: Engine) -> None:
    ledger = ledger_of(engine)
    outcomes = {10: CORRECT, 11: WRONG, 12: VOID_GAP}
    ledger.record("run", "net", 0, predicted([9, *outcomes, 13], confidence=0.625), judged(outcomes))
    (newest,) = ledger.newest("run", 4)
    assert newest.series == BTC
    rows = newest.rows
    assert (rows["open_time"] // 60_000).tolist() == [10, 11, 12, 13]
    assert rows["direction"].tolist() == [1] * 4
    assert rows["confidence"].tolist() == [0.625] * 4
    assert rows["outcome"].tolist() == [CORRECT, WRONG, VOID_GAP, NO_CODE]
    assert (rows["known_at"] // 60_000).tolist() == [11, 12, 13, -1]
    assert rows["kind"].tolist() == ["L2H", "L2H", "", ""]
    assert rows["first_time"].tolist() == [600_000, 600_000, NO_CODE, NO_CODE]
    np.testing.assert_array_equal(rows["last_price"], [3.0, 3.0, np.nan, np.nan])


def test_each_series_has_its_own_newest_of_the_last_pass(engine: Engine) -> None:
    ledger = ledger_of(engine)
    ledger.record("run", "net", 0, predicted([1, 2, 3]), None)
    ledger.record("run", "net", 0, predicted([1, 2]), None, pass_=1)
    ledger.record("run", "net", 0, predicted([5, 10, 15], ETH), None, pass_=1)
    ledger.record("run", "other", 0, predicted([7]), None, pass_=1)
    found = {one.series: (one.rows["open_time"] // 60_000).tolist() for one in ledger.newest("run", 2)}
    assert found == {BTC: [1, 2], ETH: [10, 15]}


def test_an_unknown_run_has_none(engine: Engine) -> None:
    assert ledger_of(engine).newest("other", 3) == []
