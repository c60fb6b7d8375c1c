"""Read an annotation in the old form: what it says, and the bars it embeds."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from trendtrain.annotations.annotation import Annotation
from trendtrain.annotations.small_form import RESERVED, STORED_FLAG, read_direction, read_time, require
from trendtrain.annotations.snapshots import Snapshot
from trendtrain.errors import InputError
from trendtrain.importing.raw_bars import read_raw_bars
from trendtrain.importing.times import Times, read_iso
from trendtrain.market.bars import PRICES, Bars, BarsError, name_series
from trendtrain.market.timeframe import format_timeframe, normalize_timeframe, parse_timeframe

_STATES: Final = {"entry": "entry_state", "exit": "exit_state"}
_BARS_KEY: Final = "ohlcv_"
_COLUMNS: Final = ("timestamps", *PRICES, "volume")
_FEWEST_TO_TELL: Final = 3  # two bars may well lie on both sides of a weekend


def read_old_annotation(record: object) -> tuple[Annotation, list[Snapshot]]:
    """Return an annotation in the old form without its bars, and the bars, the older snapshot first.

    Args:
        record: A JSON object with `annotation_id`, `symbol`, `timeframe`, `direction`, `entry` and `exit` (`timestamp`
            and `price` each; no `exit` while the trade is open), and bars as
            `market_context.entry_state.ohlcv_<timeframe>`, likewise `exit_state`: an object with the arrays
            `timestamps, open, high, low, close, volume`, of one length.

    Raises:
        InputError: If a field is missing or breaks its rule, or no bars are embedded; of bars it names the array's
            item, from 1.
    """
    if not isinstance(record, dict):
        raise InputError(f"an annotation must be a JSON object, got {record!r:.60}.")
    if record.get(STORED_FLAG) is True:
        raise InputError(f"an annotation must be in the old form, got one with `{STORED_FLAG}`.")
    ends = [name for name in _STATES if not (name == "exit" and _is_open(record))]
    times = {name: read_time(f"{name}.timestamp", _end(record, name, "timestamp")) for name in ends}
    embedded = [(name, *found) for name, state in _STATES.items() for found in _read_state(record, state)]
    if not embedded:
        raise InputError(f"`market_context` must embed bars, such as entry_state.{_BARS_KEY}1m, got none.")
    timeframes = {timeframe for _, timeframe, _ in embedded}
    annotation = Annotation(
        annotation_id=_read_id(require(record, "annotation_id")),
        symbol=_read_text("symbol", require(record, "symbol")),
        timeframe=normalize_timeframe(require(record, "timeframe")),
        direction=read_direction(require(record, "direction")),
        entry_timestamp=times["entry"],
        exit_timestamp=times.get("exit"),
        entry_price=_end(record, "entry", "price"),
        exit_price=_end(record, "exit", "price") if "exit" in times else None,
        timeframes_available=tuple(sorted(timeframes, key=parse_timeframe)),
        more=_without_bars(record),
    )
    return annotation, [
        Snapshot(name_series(annotation.symbol, timeframe), times.get(name, bars.open_time[-1]), bars)
        for name, timeframe, bars in embedded
    ]


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


def _read_id(value: object) -> str:
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_count else _read_text("annotation_id", value)


def _read_text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"`{name}` must be text, got {value!r:.60}.")
    return value


def _read_state(record: Mapping[str, Any], name: str) -> Iterator[tuple[str, Bars]]:
    """Yield timeframe and bars of each `ohlcv_<timeframe>` of a state that holds any."""
    context = record.get("market_context")
    state = context.get(name) if isinstance(context, dict) else None
    for key, block in state.items() if isinstance(state, dict) else ():
        if key.startswith(_BARS_KEY) and block:
            try:
                timeframe = normalize_timeframe(key.removeprefix(_BARS_KEY))
                bars = _read_bars(block, parse_timeframe(timeframe))
            except BarsError as error:
                raise InputError(error.located(f"`{name}.{key}`", "item")) from error
            except UnicodeEncodeError as error:  # half of a surrogate pair, which JSON can spell
                raise InputError(f"`{name}.{key}` must hold text, got {error.object!r:.60}.") from error
            except InputError as error:
                raise InputError(f"`{name}.{key}`: {error}") from error
            if len(bars):
                yield timeframe, bars


def _read_bars(block: object, timeframe: np.timedelta64) -> Bars:
    columns = _read_columns(block)
    times, _ = read_iso(columns["timestamps"], columns["timestamps"])
    bars = read_raw_bars(Times(times, "UTC"), columns).as_bars(timeframe)
    if len(bars) >= _FEWEST_TO_TELL and (np.diff(times) > timeframe).all():
        step = np.diff(times).min()
        raise InputError(f"bars must lie {format_timeframe(timeframe)} apart, got {step.astype('timedelta64[s]')}.")
    return bars


def _read_columns(block: object) -> dict[str, pd.Series]:
    """Return the arrays of embedded bars, all of one length; the volume may be missing."""
    if not isinstance(block, dict):
        raise InputError(f"embedded bars must be an object with arrays, got {block!r:.60}.")
    columns = {}
    for name in _COLUMNS:
        array = block.get(name)
        if name == "volume" and array is None:
            continue
        if not isinstance(array, list):
            raise InputError(f"`{name}` must be an array, got {array!r:.60}.")
        columns[name] = pd.Series(list(map(str, array)) if name == "timestamps" else array, name=name)
    if len(set(map(len, columns.values()))) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise InputError(f"arrays of bars must have one length, got {lengths}.")
    return columns


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
        if key.startswith(_BARS_KEY) and (not block or set(block) <= set(_COLUMNS)):
            continue
        is_bars = key.startswith(_BARS_KEY)
        rest[key] = {name: block[name] for name in block if name not in _COLUMNS[1:]} if is_bars else block
    return rest
