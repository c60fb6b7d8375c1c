from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from generated import some_bars
from hypothesis import assume, given
from hypothesis import strategies as st
from law_checks import assert_same

from trendtrain.errors import InputError
from trendtrain.market import Bars, random_walk

BARS = random_walk(50, seed=0, timeframe="1h")
SHAPES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "columns": lambda frame: frame,
    "an index": lambda frame: frame.set_index("open_time"),
    "an index without a name": lambda frame: frame.set_index("open_time").rename_axis(None),
    "rows numbered anew": lambda frame: frame.set_axis(range(7, 7 + len(frame))),
    "capitals": lambda frame: frame.set_axis(["Date", "Open", "High", "Low", "Close", "Volume"], axis=1),
    "zone": lambda frame: frame.assign(open_time=frame.open_time.dt.tz_localize("UTC").dt.tz_convert("EET")),
    "epochs": lambda frame: frame.assign(open_time=frame.open_time.astype("int64")),
    "text": lambda frame: frame.assign(open_time=frame.open_time.astype(str)),
    "newest first": lambda frame: frame.iloc[::-1],
    "other columns": lambda frame: frame.assign(trades=3, quality="good"),
}


def frame_of(bars: Bars) -> pd.DataFrame:
    return pd.DataFrame({name: getattr(bars, name) for name in ("open_time", "open", "high", "low", "close", "volume")})


@given(some_bars(), st.sampled_from(sorted(SHAPES)))
def test_bars_come_back_from_any_shape_of_frame(bars: Bars, shape: str) -> None:
    assume(len(bars) > 1 and (bars.volume > 0).any())  # volume 0 everywhere is none
    frame = frame_of(bars)
    found = Bars.from_dataframe(SHAPES[shape](frame), timeframe=_text(bars.timeframe))
    for name in ("open_time", "open", "high", "low", "close", "volume", "timeframe"):
        assert_same(np.asarray(getattr(found, name)), np.asarray(getattr(bars, name)))


def _text(timeframe: np.timedelta64) -> str:
    return f"{int(timeframe // np.timedelta64(1, 's'))}s"


def test_a_frame_stays_as_it_is() -> None:
    frame = frame_of(BARS).set_index("open_time")
    before = frame.copy()
    bars = Bars.from_dataframe(frame)
    pd.testing.assert_frame_equal(frame, before)
    frame.loc[:, "close"] = 1.0
    assert_same(bars.close, BARS.close)


def test_times_without_a_zone_are_of_the_zone_given() -> None:
    local = frame_of(BARS).assign(open_time=lambda frame: frame.open_time + pd.Timedelta(hours=9))
    assert_same(Bars.from_dataframe(local, timezone="Asia/Tokyo").open_time, BARS.open_time)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        ({"open": [1.0]}, {}, "`frame` must be a pandas DataFrame, got dict."),
        (frame_of(BARS).drop(columns="low"), {}, "`frame`: columns must include .*; missing low, found open_time, "),
        (frame_of(BARS).drop(columns="open_time"), {}, "`frame`: columns must include .*; missing time, found open, "),
        (frame_of(BARS)[:0], {}, "`frame`: it must hold bars, got a header without rows."),
        (frame_of(BARS)[:1], {}, "`frame`: the timeframe of 1 bar cannot be told; give `timeframe`."),
        (frame_of(BARS), {"timeframe": "5m"}, "`frame`: `timeframe` is 5m, but the bars are 1h."),
        (frame_of(BARS), {"timeframe": "soon"}, "`timeframe` must .* got 'soon'"),
        (frame_of(BARS), {"timezone": "Nowhere"}, "`timezone` must name a time zone, .* got 'Nowhere'."),
        (frame_of(BARS).assign(high=0.5), {}, "`frame`, data row 1: `high` must be at least "),
        (frame_of(BARS).assign(close=np.nan), {}, "`frame`, data row 1: `close` must be a number, got nan."),
        (frame_of(BARS).assign(symbol=["A", "B"] * 25), {}, "`frame`, data row 2: `symbol` must hold one symbol"),
        (frame_of(BARS).iloc[[0, 2, 1, 3]], {}, "`frame`, data row 3: times must be sorted, the oldest first"),
    ],
)
def test_what_is_no_frame_of_bars_is_refused_in_one_line(frame: Any, options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Bars.from_dataframe(frame, **options)
    assert "\n" not in str(caught.value)


@given(some_bars())
def test_a_frame_of_bars_gives_them_back(bars: Bars) -> None:
    assume((bars.volume > 0).any())  # volume 0 everywhere is none
    frame = bars.to_dataframe()
    assert str(frame.index.tz) == "UTC"
    found = Bars.from_dataframe(frame, _text(bars.timeframe))
    for name in ("open_time", "open", "high", "low", "close", "volume", "timeframe"):
        assert_same(getattr(found, name), getattr(bars, name))
