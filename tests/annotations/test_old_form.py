import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from old_annotations import NAMES, embedded, market, old_annotation

from trendtrain.annotations.old_form import read_old_annotation
from trendtrain.errors import InputError
from trendtrain.market import Bars
from trendtrain.market.directions import DOWN, UP

MARKETS = {"5m": market("5m"), "1h": market("1h")}
Record = dict[str, Any]
Block = dict[str, list[Any]]


def record(**changes: Any) -> Record:
    return copy.deepcopy(old_annotation(MARKETS, **changes))


def entry_block(one: Record, key: str = "ohlcv_5m") -> Block:
    block: Block = one["market_context"]["entry_state"][key]
    return block


def assert_same(first: Bars, second: Bars) -> None:
    for name in ("open_time", *NAMES):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


# -- what is taken ----------------------------------------------------------------------------------------------------


def test_the_trade_is_taken_from_its_fields() -> None:
    annotation, _ = read_old_annotation(record(direction="Short"))
    bars = MARKETS["5m"]
    assert (annotation.annotation_id, annotation.symbol, annotation.timeframe) == ("trade_001", "BTCUSDT", "5m")
    assert annotation.direction == DOWN
    assert (annotation.entry_timestamp, annotation.exit_timestamp) == (bars.open_time[200], bars.open_time[220])
    assert (annotation.entry_price, annotation.exit_price) == (bars.close[200], bars.close[220])
    assert annotation.timeframes_available == ("5m", "1h")


def test_the_bars_of_both_states_are_taken_the_older_snapshot_first() -> None:
    _, snapshots = read_old_annotation(record())
    bars = MARKETS["5m"]
    assert [(series, seen_at) for series, seen_at, _ in snapshots] == [
        (("BTCUSDT", timeframe), bars.open_time[at]) for at in (200, 220) for timeframe in ("5m", "1h")
    ]
    assert_same(snapshots[0].bars, bars[101:201])
    assert_same(snapshots[2].bars, bars[121:221])


@pytest.mark.parametrize("spell", ["seconds", "iso", "zulu"])
def test_times_may_be_spelled_in_several_ways(spell: str) -> None:
    one = record()
    one["market_context"] = {"entry_state": {"ohlcv_5m": embedded(MARKETS["5m"], spell)}}
    assert_same(read_old_annotation(one)[1][0].bars, MARKETS["5m"])


def test_an_offset_is_taken_off() -> None:
    one = record(
        entry={"timestamp": "2024-01-02T00:00:00+02:00", "price": 1}, exit={"timestamp": "2024-01-02", "price": 1}
    )
    entry_block(one)["timestamps"] = [f"{text}+01:00" for text in entry_block(one)["timestamps"]]
    annotation, snapshots = read_old_annotation(one)
    assert annotation.entry_timestamp == np.datetime64("2024-01-01T22:00")
    assert snapshots[0].bars.open_time[0] == MARKETS["5m"].open_time[101] - np.timedelta64(1, "h")


@pytest.mark.parametrize("volume", [None, "absent", [None] * 100, [float("nan")] * 100])
def test_volume_that_is_not_supplied_is_nan(volume: object) -> None:
    one = record()
    entry_block(one)["volume"] = volume  # type: ignore[assignment]
    if volume == "absent":
        del entry_block(one)["volume"]
    assert np.isnan(read_old_annotation(one)[1][0].bars.volume).all()


@pytest.mark.parametrize("empty", [None, {}, {name: [] for name in ("timestamps", *NAMES)}])
def test_a_timeframe_without_bars_is_passed_over(empty: object) -> None:
    one = record()
    one["market_context"]["entry_state"]["ohlcv_1m"] = empty
    annotation, snapshots = read_old_annotation(one)
    assert len(snapshots) == 4
    assert annotation.timeframes_available == ("5m", "1h")


def test_one_state_is_enough() -> None:
    one = record()
    del one["market_context"]["exit_state"]
    assert len(read_old_annotation(one)[1]) == 2


def test_all_other_fields_are_kept() -> None:
    one = record(tags=["a", None], confidence=0.5, review={"by": {"name": "Ä"}})
    one["entry"] |= {"reason": "breakout"}
    one["market_context"]["entry_state"] |= {"trend": "up", "indicators": {"rsi": [1.0, 2.0]}}
    one["market_context"] |= {"regime": "calm", "empty": {}}
    more = read_old_annotation(one)[0].more
    assert more == {
        "profit_loss_pct": one["profit_loss_pct"],
        "notes": "Ausbruch über das Hoch",
        "tags": ["a", None],
        "confidence": 0.5,
        "review": {"by": {"name": "Ä"}},
        "entry": {"reason": "breakout"},
        "market_context": {
            "entry_state": {"trend": "up", "indicators": {"rsi": [1.0, 2.0]}},
            "regime": "calm",
            "empty": {},
        },
    }


def test_arrays_that_no_bar_has_are_kept_with_their_times() -> None:
    one = record()
    entry_block(one)["vwap"] = list(range(100))
    times = entry_block(one)["timestamps"]
    kept = read_old_annotation(one)[0].more["market_context"]
    assert kept == {"entry_state": {"ohlcv_5m": {"timestamps": times, "vwap": list(range(100))}}}


@pytest.mark.parametrize("end", [None, "absent", {"timestamp": None, "price": None}, {"reason": "still running"}])
def test_a_trade_without_an_exit_is_open(end: object) -> None:
    one = record(exit=end)
    if end == "absent":
        del one["exit"]
    annotation, snapshots = read_old_annotation(one)
    assert annotation.is_open
    assert (annotation.exit_timestamp, annotation.exit_price) == (None, None)
    assert annotation.entry_timestamp == MARKETS["5m"].open_time[200]
    assert [seen_at for _, seen_at, _ in snapshots[2:]] == [bars.open_time[-1] for _, _, bars in snapshots[2:]]


def test_a_trade_with_an_exit_is_not_open() -> None:
    assert not read_old_annotation(record())[0].is_open


def test_a_number_is_an_id() -> None:
    assert read_old_annotation(record(annotation_id=17))[0].annotation_id == "17"


@pytest.mark.parametrize("word", ["up", "LONG", "Buy"])
def test_a_word_for_up_is_up(word: str) -> None:
    assert read_old_annotation(record(direction=word))[0].direction == UP


# -- what is refused --------------------------------------------------------------------------------------------------


def put(name: str, item: int, value: object) -> Callable[[Record], None]:
    """Change an item, counted from 1, of the bars at the entry."""

    def change(one: Record) -> None:
        entry_block(one)[name][item - 1] = value

    return change


def setting(**changes: object) -> Callable[[Record], None]:
    return lambda one: one.update(changes)


def without(name: str) -> Callable[[Record], None]:
    return lambda one: one.__delitem__(name)


def in_block(**changes: object) -> Callable[[Record], None]:
    return lambda one: entry_block(one).update(changes)  # type: ignore[arg-type]


def rename(old: str, new: str) -> Callable[[Record], None]:
    def change(one: Record) -> None:
        state = one["market_context"]["entry_state"]
        state[new] = state.pop(old)

    return change


AT = r"`entry_state\.ohlcv_5m`"
BROKEN: dict[str, tuple[Callable[[Record], object], str]] = {
    "id": (setting(annotation_id=" "), "`annotation_id` must be a name, got ' '"),
    "id type": (setting(annotation_id=[1]), r"`annotation_id` must be text, got \[1\]"),
    "no id": (without("annotation_id"), "`annotation_id` must be given, found symbol, timeframe"),
    "no symbol": (without("symbol"), "`symbol` must be given"),
    "symbol": (setting(symbol=None), "`symbol` must be text, got None"),
    "timeframe": (setting(timeframe="1M"), "`timeframe` must look like .*, got '1M'"),
    "direction": (setting(direction="sideways"), "`direction` must be one of up, long, .*, got 'sideways'"),
    "no direction": (without("direction"), "`direction` must be given"),
    "no entry": (without("entry"), "`entry` must be given"),
    "entry": (setting(entry="2024-01-01"), "`entry` must be an object with timestamp and price, got '2024-01-01'"),
    "no exit price": (setting(exit={"timestamp": "2024-01-03"}), "`exit` must be an object with timestamp and price"),
    "text for an exit": (setting(exit="open"), "`exit` must be an object with timestamp and price, got 'open'"),
    "half an exit": (
        setting(exit={"timestamp": None, "price": 1}),
        r"`exit\.timestamp` must be an ISO time such as .*, got None",
    ),
    "no exit time": (setting(exit={"price": 1}), "`exit` must be an object with timestamp and price, got"),
    "entry time": (
        setting(entry={"timestamp": "soon", "price": 1}),
        r"`entry.timestamp` must be an ISO time such as .*, got 'soon'",
    ),
    "exit first": (
        setting(exit={"timestamp": "2024-01-01", "price": 1}),
        "`exit_timestamp` must not lie before `entry_timestamp`",
    ),
    "price": (setting(exit={"timestamp": "2024-01-03", "price": 0}), "`exit_price` must be a positive number, got 0"),
    "no context": (
        without("market_context"),
        r"`market_context` must embed bars, such as entry_state.ohlcv_1m, got none",
    ),
    "context": (setting(market_context="none"), "`market_context` must embed bars"),
    "states": (setting(market_context={"entry_state": None}), "`market_context` must embed bars"),
    "migrated": (setting(data_stored_in_db=True), "must be in the old form, got one with `data_stored_in_db`"),
    "key": (rename("ohlcv_5m", "ohlcv_5x"), r"`entry_state\.ohlcv_5x`: `timeframe` must look like .*, got '5x'"),
    "key too long": (
        rename("ohlcv_5m", "ohlcv_60"),
        r"`entry_state\.ohlcv_60`, item 2: .*at least one timeframe \(1h\) apart",
    ),
    "key too short": (
        rename("ohlcv_5m", "ohlcv_1m"),
        r"`entry_state\.ohlcv_1m`: bars must lie 1m apart, got 300 seconds",
    ),
    "block": (
        lambda one: one["market_context"]["entry_state"].update(ohlcv_5m=[1]),
        rf"{AT}: embedded bars must be an object",
    ),
    "no array": (in_block(close=None), f"{AT}: `close` must be an array, got None"),
    "text for volume": (in_block(volume="many"), f"{AT}: `volume` must be an array, got 'many'"),
    "lengths": (
        in_block(low=[1.0]),
        f"{AT}: arrays of bars must have one length, got timestamps 100, open 100, high 100, low 1,",
    ),
    "no time": (put("timestamps", 7, None), f"{AT}, item 7: `timestamps` must be a time: ISO, .*, got None"),
    "word for a time": (put("timestamps", 7, "noon"), f"{AT}, item 7: `timestamps` must be a time: ISO, .*, got noon"),
    "epoch": (put("timestamps", 7, 1704067200), f"{AT}, item 7: `timestamps` must be a time: ISO, .*, got 1704067200"),
    "half a character": (put("timestamps", 7, "\ud800"), rf"{AT} must hold text, got '\\ud800'"),
    "half a character for a price": (put("open", 7, "\ud800"), rf"{AT} must hold text, got '\\ud800'"),
    "calendar": (put("timestamps", 7, "2024-02-30 00:00:00"), f"{AT}, item 7: .*got 2024-02-30 00:00:00"),
    "day first": (put("timestamps", 7, "31.01.2024 00:00"), f"{AT}, item 7: .*got 31.01.2024 00:00"),
    "unsorted": (put("timestamps", 7, "2023-01-01 00:00:00"), f"{AT}, item 7: `open_time` must be sorted"),
    "text for a price": (put("open", 3, "abc"), f"{AT}, item 3: `open` must be a number, got abc"),
    "no price": (put("open", 3, None), f"{AT}, item 3: `open` must be a number, got "),
    "negative": (put("low", 3, -1.0), f"{AT}, item 3: `low` must be positive"),
    "infinite": (put("high", 3, float("inf")), f"{AT}, item 3: `high` must be finite"),
    "huge": (put("high", 3, 10**400), f"{AT}, item 3: `high` must be"),
    "high < low": (put("high", 3, 0.01), f"{AT}, item 3: `high` must be at least `low`"),
    "volume": (put("volume", 3, -1.0), f"{AT}, item 3: `volume` must be at least 0"),
    "nested": (put("close", 3, [1.0]), f"{AT}, item 3: `close` must be a number"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_annotation_is_refused_in_one_line(case: str) -> None:
    change, message = BROKEN[case]
    one = record()
    change(one)
    with pytest.raises(InputError, match=message) as caught:
        read_old_annotation(one)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("one", [None, 1, "text", [], [[]]])
def test_what_is_no_object_is_refused(one: object) -> None:
    with pytest.raises(InputError, match="an annotation must be a JSON object, got"):
        read_old_annotation(one)


def test_a_record_is_not_changed() -> None:
    one = record()
    before = copy.deepcopy(one)
    read_old_annotation(one)
    assert one == before
