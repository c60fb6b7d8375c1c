"""Write an annotation as a small JSON text and read it back."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.errors import InputError
from trendtrain.market.directions import DIRECTION_WORDS, DOWN, UP
from trendtrain.market.timeframe import to_milliseconds

_WORDS: Final = {
    **dict.fromkeys(("up", "long", "buy", "bull", "bullish"), UP),
    **dict.fromkeys(("down", "short", "sell", "bear", "bearish"), DOWN),
}
_FIELDS: Final = tuple(field.name for field in fields(Annotation) if field.name != "more")
STORED_FLAG: Final = "data_stored_in_db"
RESERVED: Final = frozenset((*_FIELDS, STORED_FLAG))


def format_annotation(annotation: Annotation) -> str:
    """Return the JSON text of an annotation: its own fields, then the others.

    Example:
        >>> time = np.datetime64("2024-01-01T10:00")
        >>> trade = Annotation("a1", "BTCUSDT", "1h", UP, time, time, 4.0, 5.0, ("1h",), {"notes": "late"})
        >>> parse_annotation(format_annotation(trade)) == trade
        True
    """
    values = {name: getattr(annotation, name) for name in _FIELDS}
    values["direction"] = DIRECTION_WORDS[annotation.direction]
    for name in ("entry_timestamp", "exit_timestamp"):
        if values[name] is not None:
            values[name] = str(np.datetime_as_string(values[name], unit="ms", timezone="UTC"))
    # ASCII, so that any text goes through any editor and any disk; NaN stays what Python's JSON makes of it.
    return json.dumps({**values, STORED_FLAG: True, **annotation.more}, indent=1) + "\n"


def parse_annotation(text: str | bytes) -> Annotation:
    """Return the annotation of a JSON text; fields without a meaning here go into `more`.

    Raises:
        InputError: If the text is no JSON object, or a field is missing or breaks its rule.
    """
    values = parse_json(text)
    if not isinstance(values, dict):
        raise InputError(f"an annotation must be a JSON object, got {type(values).__name__}.")
    if values.get(STORED_FLAG) is not True:
        raise InputError(
            f"`{STORED_FLAG}` must be true: bring the old form over with `trendtrain annotations migrate`."
        )
    own = {name: require(values, name) for name in _FIELDS}
    own["direction"] = read_direction(own["direction"])
    for name in ("entry_timestamp", "exit_timestamp"):
        if name == "entry_timestamp" or own[name] is not None:
            own[name] = read_time(name, own[name])
    if not isinstance(own["timeframes_available"], list):
        raise InputError(f"`timeframes_available` must be a list, got {own['timeframes_available']!r}.")
    own["timeframes_available"] = tuple(map(str, own["timeframes_available"]))
    return Annotation(**own, more={name: value for name, value in values.items() if name not in RESERVED})


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text holds; bytes may be UTF-8, UTF-16 or UTF-32.

    Raises:
        InputError: If it is empty, cut off, no text, or no JSON.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "0 bytes" if not text else str(error).rstrip(".")
        raise InputError(f"an annotation file must hold JSON, got {reason}.") from error


def require(values: Mapping[str, Any], name: str) -> Any:
    """Return a field that must be there.

    Raises:
        InputError: If it is not.
    """
    if name not in values:
        raise InputError(f"`{name}` must be given, found {', '.join(map(str, values)) or 'nothing'}.")
    return values[name]


def read_direction(word: object) -> int:
    """Return the direction that a word in any case means.

    Raises:
        InputError: If it is none of those known.

    Example:
        >>> read_direction("LONG")
        1
    """
    direction = _WORDS.get(word.strip().lower()) if isinstance(word, str) else None
    if direction is None:
        raise InputError(f"`direction` must be one of {', '.join(_WORDS)}, got {word!r}.")
    return direction


def read_time(name: str, text: object) -> np.datetime64:
    """Return the time an ISO string means, `datetime64[ms]`; without an offset it is UTC.

    Raises:
        InputError: If it is no such string.
    """
    if not isinstance(text, str):
        raise InputError(f"`{name}` must be an ISO time such as 2024-01-31T12:00, got {text!r}.")
    return np.datetime64(to_milliseconds(name, text), "ms")
