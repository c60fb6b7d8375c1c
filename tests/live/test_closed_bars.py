"""Which bars have closed: whatever the order, repetition, cuts of sessions and pages, the server's truth comes out."""

import math
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.live.closed_bars import ClosedBars, Row

STEP = 1000


@dataclass
class Server:
    """A market that knows its bars, and shows the one that forms in three parts."""

    random: Random
    missing: float
    bars: list[Row] = field(default_factory=list)  # closed
    forming: Row | None = None

    def parts(self, number: int) -> list[Row]:
        """Return the rows of a bar, from its first to its last; none where it has no trades."""
        if self.random.random() < self.missing:
            return []
        first = float(self.random.randint(90, 110))
        rows = [Row(number * STEP, first, first, first, first, 1.0)]
        for volume in (2.0, 3.0):
            last = float(self.random.randint(90, 110))
            before = rows[-1]
            rows.append(Row(before.time, first, max(before.high, last), min(before.low, last), last, volume))
        return rows

    def page(self, since: int, limit: int = 1000) -> list[Row]:
        rows = [*self.bars, *([self.forming] if self.forming else [])]
        return [row for row in rows if row.time >= since][:limit]


def ask(bars: ClosedBars, server: Server, limit: int, n_again: int = 3) -> None:
    """Ask REST page by page, from the oldest bar in question on, until it brings nothing new."""
    since = 0 if bars.newest is None else max(0, bars.newest - n_again * STEP)
    since = since if bars.doubted is None else min(since, bars.doubted)
    while True:
        rows = server.page(since, limit)
        bars.page(rows, since)
        if len(rows) < limit or rows[-1].time == since:
            return
        since = rows[-1].time


class Truth:
    """Check what comes out against the server, and keep it."""

    def __init__(self, server: Server, bars: ClosedBars) -> None:
        self.server, self.bars = server, bars
        self.taken: list[Row] = []
        self.corrected: dict[int, Row] = {}

    def check(self, is_exact: bool) -> None:
        closed = {row.time: row for row in self.server.bars}
        for row in self.bars.take():
            assert row.time in closed  # nothing before it has closed
            assert not self.taken or row.time > self.taken[-1].time  # once, in order
            assert row == closed[row.time] or not is_exact
            self.taken.append(row)
        for row in self.bars.revisions():
            assert row == closed[row.time]
            self.corrected[row.time] = row

    def check_end(self) -> None:
        assert [self.corrected.get(row.time, row) for row in self.taken] == self.server.bars


def run(seed: int, is_flagged: bool, disorder: float, cuts: float, asks: float, revised: float = 0.0) -> Truth:
    random = Random(seed)
    server = Server(random, missing=random.choice([0.0, 0.2, 0.6]))
    bars, session, limit = ClosedBars(STEP), 1, random.choice([3, 5, 1000])
    truth = Truth(server, bars)
    is_exact = is_flagged or disorder == 0
    late: list[tuple[Row, bool | None]] = []

    def send(row: Row, is_final: bool | None) -> None:
        if random.random() < disorder:
            late.append((row, is_final))
            return
        for _ in range(2 if random.random() < disorder else 1):
            bars.stream(row, is_final, session)
        truth.check(is_exact and not revised)

    for number in range(25):
        if random.random() < cuts:  # what is under way is lost, and the server goes on meanwhile
            session += 1
            late.clear()
            is_cut = True
        else:
            is_cut = False
        parts = server.parts(number)
        for at, row in enumerate(parts):
            server.forming = row
            is_last = at == len(parts) - 1
            if is_last and is_flagged:
                server.bars.append(row)  # the flag comes with the end of the bar
                server.forming = None
            if not (is_cut and at < random.randint(0, 2)):
                # A bar that began before the session may lack what came before.
                send(row._replace(volume=0.5) if is_cut else row, is_last if is_flagged else None)
            if random.random() < asks:
                ask(bars, server, limit)
                truth.check(is_exact and not revised)
        if parts and not is_flagged:
            server.bars.append(server.forming)
            server.forming = None
        if server.bars and random.random() < revised:
            at = random.randrange(max(0, len(server.bars) - 3), len(server.bars))
            server.bars[at] = server.bars[at]._replace(volume=7.0)
            send(server.bars[at], True if is_flagged else None)
        random.shuffle(late)
        for _ in range(random.randint(0, len(late))):
            bars.stream(*late.pop(), session)
            truth.check(is_exact and not revised)
    server.forming = Row(25 * STEP, 1.0, 1.0, 1.0, 1.0, 1.0)
    # Where no row says that it is final, and rows come late or never, only a second look finds what they would change.
    ask(bars, server, limit, n_again=3 if is_exact else 25)
    truth.check(is_exact and not revised)
    truth.check_end()
    return truth


SEEDS = st.integers(0, 2**32 - 1)
SHARES = st.sampled_from([0.0, 0.1, 0.5])


@given(SEEDS, st.booleans(), SHARES, SHARES, SHARES)
def test_the_bars_are_those_of_the_server(
    seed: int, is_flagged: bool, disorder: float, cuts: float, asks: float
) -> None:
    run(seed, is_flagged, disorder, cuts, asks)


@given(SEEDS, st.booleans(), SHARES, SHARES)
def test_bars_and_revisions_are_those_of_the_server(seed: int, is_flagged: bool, cuts: float, asks: float) -> None:
    run(seed, is_flagged, 0.1, cuts, asks, revised=0.3)


def one(time: int, close: float = 1.0) -> Row:
    return Row(time * STEP, 1.0, max(1.0, close), min(1.0, close), close, 1.0)


def test_a_bar_without_a_flag_closes_when_the_next_one_comes() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    for row in (one(4), one(5), one(5, 2.0), one(5, 3.0)):
        bars.stream(row, None, session=1)
    bars.page([one(3), one(4), one(5)], since=3 * STEP)
    assert bars.take() == [one(4)]
    bars.stream(one(6), None, session=1)
    assert bars.take() == [one(5, 3.0)]
    assert not bars.is_missing


def test_a_late_row_of_a_closed_bar_does_not_hide_the_one_that_forms() -> None:
    bars = ClosedBars(STEP, newest=1 * STEP)
    for time in (1, 3, 4, 3, 5):
        bars.stream(one(time), None, session=1)
    bars.page([one(2), one(3)], since=2 * STEP)
    assert bars.take() == [one(2), one(3), one(4)]


def test_a_row_of_an_earlier_session_is_not_closed_by_a_later_one() -> None:
    bars = ClosedBars(STEP, newest=5 * STEP)
    for time, session in ((5, 1), (7, 1), (6, 2), (8, 2)):
        bars.stream(one(time), None, session)
    bars.page([one(6), one(7, 2.0)], since=6 * STEP)
    assert bars.take() == [one(6)]


def test_a_bar_where_rest_has_shown_a_gap_is_asked_for() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    bars.page([one(3), one(9)], since=3 * STEP)
    bars.stream(one(5), False, session=1)
    bars.stream(one(9), True, session=1)
    assert (bars.take(), bars.is_missing) == ([], True)
    bars.page([one(3), one(5), one(9), one(10)], since=3 * STEP)
    assert bars.take() == [one(5), one(9)]


@pytest.mark.parametrize("is_final", [True, None])
def test_the_first_bar_of_a_session_comes_from_rest(is_final: bool | None) -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    for time in (4, 5):
        bars.stream(one(time), is_final, session=1)
    assert bars.take() == []
    assert bars.is_missing
    bars.page([one(4, 2.0), one(5)], since=4 * STEP)
    assert bars.take()[0] == one(4, 2.0)


def test_bars_wait_for_an_earlier_one() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    for time in (3, 5, 6, 7, 4):
        bars.stream(one(time), True, session=1)
    assert bars.take() == [one(4), one(5), one(6), one(7)]


@pytest.mark.parametrize("is_final", [True, None])
def test_what_a_session_sends_of_the_time_before_it_proves_nothing(is_final: bool | None) -> None:
    bars, session = ClosedBars(STEP, newest=2 * STEP), 5 * STEP + 1
    bars.stream(one(2), is_final, session)
    for time in (3, 4, 5):
        bars.stream(one(time, 9.0), is_final, session)
    assert (bars.take(), bars.is_missing) == ([], True)
    bars.page([one(3), one(4), one(5), one(6)], since=3 * STEP)
    assert bars.take() == [one(3), one(4), one(5)]
    for time in (6, 7):
        bars.stream(one(time), is_final, session)
    assert bars.take()[0] == one(6)


def test_the_next_bar_of_another_session_proves_nothing() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    for time, session in ((3, 1), (4, 1), (5, 2), (6, 2)):
        bars.stream(one(time), None, session)
    assert bars.take() == []
    assert bars.is_missing


def test_a_later_bar_that_is_not_the_next_one_proves_nothing() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    for time in (3, 4, 6):
        bars.stream(one(time), None, session=1)
    assert bars.take() == []
    bars.page([one(4, 2.0), one(6)], since=4 * STEP)
    assert bars.take() == [one(4, 2.0)]


def test_an_exchange_that_tells_the_end_of_a_bar_is_asked_where_it_did_not() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    for time in (3, 4, 5):
        bars.stream(one(time), False, session=1)
    assert bars.take() == []
    assert bars.is_missing


def test_the_last_row_of_a_page_has_not_closed() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    bars.page([one(3), one(4)], since=3 * STEP)
    assert bars.take() == []


def test_a_gap_is_told_and_not_filled() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    bars.page([one(3), one(4), one(3604), one(3605)], since=3 * STEP)
    assert bars.take() == [one(4), one(3604)]
    assert bars.gaps() == [(5 * STEP, 3603 * STEP)]
    assert bars.gaps() == []


def test_a_bar_behind_a_gap_that_rest_has_shown_needs_no_second_look() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    bars.stream(one(3), False, session=1)
    bars.stream(one(9), False, session=1)
    assert bars.is_missing
    bars.page([one(3), one(9)], since=3 * STEP)
    assert not bars.is_missing
    bars.stream(one(9, 2.0), True, session=1)
    assert bars.take() == [one(9, 2.0)]


def test_a_page_from_behind_a_missing_bar_on_says_nothing() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    bars.page([one(8), one(9)], since=8 * STEP)
    assert (bars.take(), bars.gaps()) == ([], [])


@pytest.mark.parametrize(
    "wrong", [{"low": 2.0}, {"high": 0.5}, {"close": math.nan}, {"open": -1.0, "low": -1.0}, {"volume": -1.0}]
)
def test_a_row_that_is_no_bar_is_left_out(wrong: dict[str, float]) -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    bars.stream(one(3), False, session=1)
    bars.stream(one(4)._replace(**wrong), True, session=1)
    bars.page([one(4)._replace(**wrong), one(5), one(6)], since=4 * STEP)
    assert bars.take() == [one(5)]


def test_a_missing_volume_is_equal_to_itself() -> None:
    bars = ClosedBars(STEP, newest=3 * STEP)
    row = [4 * STEP, 1, 1, 1, 1, None]
    for _ in range(2):
        bars.page([Row.of(row), one(5)], since=4 * STEP)
    assert (len(bars.take()), bars.revisions()) == (1, [])


def test_a_closed_bar_that_the_stream_gives_otherwise_is_confirmed_by_rest() -> None:
    bars = ClosedBars(STEP, newest=2 * STEP)
    bars.page([one(3), one(4), one(5)], since=3 * STEP)
    bars.take()
    bars.stream(one(3, 9.0), True, session=1)
    assert (bars.is_missing, bars.doubted, bars.revisions()) == (True, 3 * STEP, [])
    bars.page([one(3, 9.0), one(4), one(5)], since=3 * STEP)
    assert (bars.is_missing, bars.revisions()) == (False, [one(3, 9.0)])


def test_a_late_row_of_before_the_end_of_a_bar_is_no_doubt() -> None:
    bars = ClosedBars(STEP, newest=2 * STEP)
    bars.page([one(3), one(4)], since=3 * STEP)
    bars.stream(one(3, 9.0), False, session=1)
    assert not bars.is_missing


def test_what_waits_and_what_is_remembered_is_limited() -> None:
    bars = ClosedBars(STEP, newest=0)
    for time in range(2, 5000):  # the first never comes
        bars.stream(one(time), True, session=1)
    assert len(bars._waiting) <= 1000
    bars.page([one(time) for time in range(1, 5001)], since=STEP)
    assert len(bars.take()) == 4999
    assert len(bars._remembered) <= 1000


def test_a_volume_that_is_unknown_is_neither_doubted_nor_revised() -> None:
    rows = [[time, "1", "1", "1", "1", "NaN"] for time in range(0, 5 * STEP, STEP)]  # each a NaN of its own
    bars = ClosedBars(STEP)
    bars.page([Row.of(row) for row in rows], since=0)
    assert len(bars.take()) == 4
    bars.page([Row.of(row) for row in rows], since=0)
    bars.stream(Row.of(rows[3]), True, 1)
    assert (bars.revisions(), bars.doubted) == ([], None)
    bars.stream(Row.of([*rows[3][:5], "2"]), True, 1)
    assert bars.doubted == 3 * STEP
    bars.page([Row.of([*row[:5], "2"]) for row in rows], since=0)
    assert len(bars.revisions()) == 4
