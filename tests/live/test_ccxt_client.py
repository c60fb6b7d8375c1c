"""The closed flags that ccxt drops, read from messages as exchanges send them."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from trendtrain.live.ccxt_client import new_client
from trendtrain.live.closed_bars import Row

pytest.importorskip("ccxt", reason="ccxt is not installed")
# As Bybit's stream of spot bars sends them: the last row of a bar, and the first of the next one.
BYBIT = """{"type": "snapshot", "topic": "kline.5.BTCUSDT", "ts": 1672325100013, "data": [
    {"start": 1672324800000, "end": 1672325099999, "interval": "5", "open": "16649.5", "close": "16677",
     "high": "16677", "low": "16608", "volume": "2.081", "turnover": "34666.4005", "confirm": true,
     "timestamp": 1672325100013},
    {"start": 1672325100000, "end": 1672325399999, "interval": "5", "open": "16677", "close": "16676.5",
     "high": "16677", "low": "16676.5", "volume": "0.5", "turnover": "8338.25", "confirm": false,
     "timestamp": 1672325100013}]}"""


def test_bybit_tells_which_rows_are_final() -> None:
    got: list[Any] = []

    async def read() -> None:
        client = new_client("bybit", {}, lambda: 1, lambda *row: got.append(row), lambda *_: None)
        assert client.tells_final
        stream = SimpleNamespace(url="wss://stream.bybit.com/v5/public/spot", resolve=lambda *_: None)
        client.handle_ohlcv(stream, json.loads(BYBIT))
        (cached,) = client.ohlcvs.values()  # what ccxt itself reads from it
        assert [Row.of(values) for values in cached["5m"]] == [row for _, _, row, _ in got]
        await client.close()

    with ThreadPoolExecutor(1) as elsewhere:  # the browser of other tests leaves a loop in this thread
        elsewhere.submit(lambda: asyncio.run(read())).result()
    assert got == [
        ("BTCUSDT", "5", Row(1672324800000, 16649.5, 16677.0, 16608.0, 16677.0, 2.081), True),
        ("BTCUSDT", "5", Row(1672325100000, 16677.0, 16677.0, 16676.5, 16676.5, 0.5), False),
    ]
