import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trendtrain.annotations import Annotation
from trendtrain.annotations.small_form import format_annotation, parse_annotation, read_direction
from trendtrain.errors import InputError
from trendtrain.market.directions import DOWN, UP

SMALL: dict[str, Any] = {
    "annotation_id": "a1",
    "symbol": "BTCUSDT",
    "timeframe": "5m",
    "direction": "up",
    "entry_timestamp": "2024-01-01T10:00:00Z",
    "exit_timestamp": "2024-01-01T12:00:00Z",
    "entry_price": 100,
    "exit_price": 101.5,
    "timeframes_available": ["1m", "5m"],
    "data_stored_in_db": True,
}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
TIMES = st.integers(0, 4_000_000_000_000).map(lambda ms: np.datetime64(ms, "ms"))
TEXT = st.text(min_size=1, max_size=30).filter(lambda text: text == text.strip() != "")


@given(
    names=st.tuples(TEXT, TEXT.filter(str.isprintable)),
    timeframe=st.sampled_from(["1s", "5m", "1h", "1d"]),
    direction=st.sampled_from([UP, DOWN]),
    times=st.tuples(TIMES, TIMES).map(sorted),
    prices=st.tuples(*[st.floats(min_value=0, exclude_min=True, allow_infinity=False)] * 2),
    more=st.dictionaries(TEXT.map("x_{}".format), JSON_VALUES, max_size=4),
)
def test_any_annotation_survives_its_file(
    names: tuple[str, str],
    timeframe: str,
    direction: int,
    times: list[np.datetime64],
    prices: tuple[float, float],
    more: dict[str, Any],
) -> None:
    annotation = Annotation(*names, timeframe, direction, *times, *prices, ("1m",), more)
    assert parse_annotation(format_annotation(annotation).encode()) == annotation


def test_a_file_says_where_the_bars_are() -> None:
    values = json.loads(format_annotation(parse_annotation(json.dumps(SMALL))))
    assert values["data_stored_in_db"] is True
    assert values["timeframes_available"] == ["1m", "5m"]
    assert values["entry_timestamp"] == "2024-01-01T10:00:00.000Z"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_a_file_may_have_any_unicode_encoding(encoding: str) -> None:
    text = json.dumps({**SMALL, "notes": "tief 📉"}, ensure_ascii=False)
    assert parse_annotation(text.encode(encoding)).more == {"notes": "tief 📉"}


@pytest.mark.parametrize("word", ["up", "Up", "LONG", "buy", " bull ", "Bullish"])
def test_a_word_for_up_in_any_case_is_up(word: str) -> None:
    assert read_direction(word) == UP


@pytest.mark.parametrize("word", ["down", "Down", "SHORT", "Sell", "bear", "bearish"])
def test_a_word_for_down_in_any_case_is_down(word: str) -> None:
    assert read_direction(word) == DOWN


@pytest.mark.parametrize("word", ["", "sideways", "longshort", None, 1, True, ["up"]])
def test_another_direction_is_refused(word: object) -> None:
    with pytest.raises(InputError, match=r"`direction` must be one of up, long, buy, .*, got "):
        read_direction(word)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "id": ({"annotation_id": " "}, "`annotation_id` must be a name, got ' '"),
    "id type": ({"annotation_id": 7}, "`annotation_id` must be a name, got 7"),
    "symbol": ({"symbol": " A"}, "`symbol` must be a name without spaces around it, got ' A'"),
    "symbol type": ({"symbol": None}, "`symbol` must be a name, got None"),
    "symbol, no text": ({"symbol": "A\ud800"}, r"`symbol` must be printable, got 'A\\ud800'"),
    "timeframe": ({"timeframe": "5x"}, "`timeframe` must look like 1s, 5m, 1h, 1d or 1w, got '5x'"),
    "direction": ({"direction": "flat"}, "`direction` must be one of"),
    "time": ({"entry_timestamp": "noon"}, "`entry_timestamp` must be an ISO time such as .*, got 'noon'"),
    "time type": ({"exit_timestamp": 17}, "`exit_timestamp` must be an ISO time such as .*, got 17"),
    "order": (
        {"exit_timestamp": "2024-01-01"},
        "`exit_timestamp` must not lie before `entry_timestamp`, got 2024-01-01T00:00:00.000 for an entry at 2024-01",
    ),
    "no price": ({"entry_price": None}, "`entry_price` must be a positive number, got None"),
    "text price": ({"entry_price": "1"}, "`entry_price` must be a positive number, got '1'"),
    "zero price": ({"exit_price": 0}, "`exit_price` must be a positive number, got 0"),
    "negative price": ({"exit_price": -1.0}, "`exit_price` must be a positive number, got -1.0"),
    "infinite price": ({"exit_price": float("inf")}, "`exit_price` must be a positive number, got inf"),
    "price beyond every float": ({"entry_price": 10**400}, "`entry_price` must be a positive number, got 1000000"),
    "NaN price": ({"exit_price": float("nan")}, "`exit_price` must be a positive number, got nan"),
    "boolean price": ({"exit_price": True}, "`exit_price` must be a positive number, got True"),
    "no exit price": ({"exit_price": None}, "`exit_timestamp` and `exit_price` must both be given or both be null"),
    "no exit time": ({"exit_timestamp": None}, "must both be given or both be null, got None and 101.5"),
    "timeframes": ({"timeframes_available": "1m"}, "`timeframes_available` must be a list, got '1m'"),
    "old form": ({"data_stored_in_db": False}, "`data_stored_in_db` must be true"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_broken_field_is_named(case: str) -> None:
    change, message = MISTAKES[case]
    with pytest.raises(InputError, match=message):
        parse_annotation(json.dumps({**SMALL, **change}))


def test_an_open_trade_has_an_exit_of_null_and_comes_back() -> None:
    trade = parse_annotation(json.dumps({**SMALL, "exit_timestamp": None, "exit_price": None}))
    assert trade.is_open
    written = json.loads(format_annotation(trade))
    assert (written["exit_timestamp"], written["exit_price"]) == (None, None)
    assert parse_annotation(format_annotation(trade)) == trade


@pytest.mark.parametrize("name", [name for name in SMALL if name != "data_stored_in_db"])
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"`{name}` must be given, found "):
        parse_annotation(json.dumps({key: value for key, value in SMALL.items() if key != name}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "must hold JSON, got 0 bytes"),
        (json.dumps(SMALL)[:-20].encode(), "must hold JSON, got "),
        (b'{"notes": "\xe4"}', "must hold JSON, got 'utf-8' codec can't decode"),
        (b"[" * 100_000, "must hold JSON, got "),
        (b"[]", "must be a JSON object, got list"),
    ],
)
def test_a_broken_text_is_refused_in_one_line(text: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse_annotation(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("direction", [2, -1, "up"])
def test_only_up_and_down_are_directions(direction: int) -> None:
    time = np.datetime64("2024-01-01")
    with pytest.raises(InputError, match=r"`direction` must be 1 \(up\) or 0 \(down\), got"):
        Annotation("a", "A", "1h", direction, time, time, 1.0, 1.0)
