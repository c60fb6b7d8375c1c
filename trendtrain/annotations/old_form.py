"""Read an annotation in the old form: what it says, and the bars it embeds."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.old_bars import BARS_KEY, COLUMNS, read_state
from trendtrain.annotations.small_form import RESERVED, STORED_FLAG, read_direction, read_time, require
from trendtrain.annotations.snapshots import Snapshot
from trendtrain.errors import InputError
from trendtrain.market.timeframe import normalize_timeframe, parse_timeframe

_STATES: Final = {"entry": "entry_state", "exit": "exit_state"}


def read_old_annotation(record: object) -> tuple[Annotation, list[Snapshot]]:
    """Return an annotation in the old form without its bars, and the bars, the older snapshot first.

    Args:
        record: A JSON object with `annotation_id`, `symbol`, `timeframe`, `direction`, `entry` and `exit` (`timestamp`
            and `price` each; no `exit` while the trade is open), and bars as
            `market_context.entry_state.ohlcv_<timeframe>`, likewise `exit_state`.

    Raises:
        InputError: If a field is missing or breaks its rule, or no bars are embedded.
    """
    if not isinstance(record, dict):
        raise InputError(f"an annotation must be a JSON object, got {record!r:.60}.")
    if record.get(STORED_FLAG) is True:
        raise InputError(f"an annotation must be in the old form, got one with `{STORED_FLAG}`.")
    ends = [name for name in _STATES if not (name == "exit" and _is_open(record))]
    times = {name: read_time(f"{name}.timestamp", _end(record, name, "timestamp")) for name in ends}
    snapshots = [
        Snapshot(timeframe, times.get(name, bars.open_time[-1]), bars)
        for name, state in _STATES.items()
        for timeframe, bars in read_state(state, _state(record, state))
    ]
    if not snapshots:
        raise InputError(f"`market_context` must embed bars, such as entry_state.{BARS_KEY}1m, got none.")
    return _annotation(record, times, [snapshot.timeframe for snapshot in snapshots]), snapshots


def _annotation(record: Mapping[str, Any], times: Mapping[str, np.datetime64], timeframes: list[str]) -> Annotation:
    return Annotation(
        annotation_id=_read_id(require(record, "annotation_id")),
        symbol=_read_text("symbol", require(record, "symbol")),
        timeframe=normalize_timeframe(require(record, "timeframe")),
        direction=read_direction(require(record, "direction")),
        entry_timestamp=times["entry"],
        exit_timestamp=times.get("exit"),
        entry_price=_end(record, "entry", "price"),
        exit_price=_end(record, "exit", "price") if "exit" in times else None,
        timeframes_available=tuple(sorted(set(timeframes), key=parse_timeframe)),
        more=_without_bars(record),
    )


def _is_open(record: Mapping[str, Any]) -> bool:
    """Return whether there is no exit: it is missing or null, or both of its fields are."""
    end = record.get("exit")
    return end is None or (isinstance(end, dict) and end.get("timestamp") is None and end.get("price") is None)


def _end(record: Mapping[str, Any], name: str, field: str) -> Any:
    """Return a field of the entry or the exit."""
    end = require(record, name)
    if not isinstance(end, dict) or field not in end:
        raise InputError(f"`{name}` must be an object with timestamp and price, got {end!r:.60}.")
    return end[field]


def _state(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    context = record.get("market_context")
    state = context.get(name) if isinstance(context, dict) else None
    return state if isinstance(state, dict) else {}


def _read_id(value: object) -> str:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_count else _read_text("annotation_id", value)


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"`{name}` must be text, got {value!r:.60}.")
    return value


def _without_bars(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the small form has no place of its own for."""
    taken = {"market_context", *_STATES, *RESERVED}
    more = {name: value for name, value in record.items() if name not in taken}
    for name in _STATES:
        rest = {
            field: value for field, value in (record.get(name) or {}).items() if field not in ("timestamp", "price")
        }
        more |= {name: rest} if rest else {}
    context = record.get("market_context")
    if isinstance(context, dict):
        context = {key: _without_arrays(value) if key in _STATES.values() else value for key, value in context.items()}
        context = {key: value for key, value in context.items() if value or key not in _STATES.values()}
    return {**more, "market_context": context} if context else more


def _without_arrays(state: object) -> object:
    """Return a state without its bars; arrays beside open to volume stay, with the timestamps they need."""
    if not isinstance(state, dict):
        return state
    rest = {}
    for key, block in state.items():
        if key.startswith(BARS_KEY) and (not block or set(block) <= set(COLUMNS)):
            continue
        is_bars = key.startswith(BARS_KEY)
        rest[key] = {name: block[name] for name in block if name not in COLUMNS[1:]} if is_bars else block
    return rest
