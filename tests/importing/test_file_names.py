from pathlib import Path

import pytest

from trendtrain.importing.file_names import kind_of_price, split_name, with_kind
from trendtrain.market.timeframe import format_timeframe

NAMES = {
    "ETHUSDT_1h.parquet": ("ETHUSDT", "ETHUSDT", "1h"),
    "LTCUSDT-PERP_1h.parquet": ("LTCUSDT-PERP", "LTCUSDT-PERP", "1h"),
    "EURUSD_15M.csv": ("EURUSD", "EURUSD", "15m"),
    "BTCUSDT_1M.csv": ("BTCUSDT", "BTCUSDT", None),  # a month, or a minute: the times tell
    "BTCUSDT-1M-2024-12.zip": ("BTCUSDT", None, None),
    "BTCUSDT-1h-2024-12.csv": ("BTCUSDT", None, "1h"),
    "BTCUSDT-1h-2024-12.zip": ("BTCUSDT", None, "1h"),
    "BTCUSDT-5m-2024-12-31.csv": ("BTCUSDT", None, "5m"),
    "BTCUSDC_1m_20230301_20230321.csv": ("BTCUSDC", None, "1m"),
    "UNITTEST_BTC-1m.feather": ("UNITTEST_BTC", None, "1m"),
    "BTC_USDT_USDT-1h-futures.feather": ("BTC_USDT_USDT", None, "1h"),
    "EURUSD_M15_202210100000_202310020645.csv": ("EURUSD", None, "15m"),
    "XAUUSD_H4.csv": ("XAUUSD", None, "4h"),
    "BTC_USDT_USDT-1h-mark.feather": ("BTC_USDT_USDT", None, "1h"),
    "BTC_USDT_USDT-8h-funding_rate.feather": ("BTC_USDT_USDT", None, "8h"),
    "ETHUSDT_mark_1h.csv": ("ETHUSDT", "ETHUSDT", "1h"),
    "XRP_ETH-trades.parquet": ("XRP_ETH", None, None),
    "BTCUSDT-aggTrades-2024-03.zip": ("BTCUSDT", None, None),
    "spy-01.15.2015.csv": ("spy", None, None),
    "ETHUSD_18-01-01_00-00-00.json": ("ETHUSD", None, None),
    "dirty__AAPL_1d.csv": ("AAPL", "AAPL", "1d"),
    "export.csv.gz": ("export", None, None),
    "bitfinex-1h-btc-usd.csv": ("bitfinex-1h-btc-usd", None, None),
    "VIX_3000.csv": ("VIX_3000", None, None),
    "S5_TH3.csv": ("S5_TH3", None, None),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_symbol_and_timeframe(name: str) -> None:
    parts = split_name(name)
    timeframe = None if parts.timeframe is None else format_timeframe(parts.timeframe)
    assert (parts.stem, parts.symbol, timeframe) == NAMES[name]


KINDS = {
    "BTC_USDT_USDT-1h-mark.feather": "mark",
    "ETHUSDT_mark_1h.csv": "mark",
    "BTCUSDT-markPriceKlines-1h-2024-12.zip": "mark",
    "markPriceKlines/BTCUSDT-1h-2024-12.zip": "mark",
    "indexPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2024-12.zip": "index",
    "BTC_USDT_USDT-1h-index.feather": "index",
    "premiumIndexKlines/BTCUSDT-1h-2024-12.zip": "premium",
    "BTC_USDT_USDT-1h-premium_index.feather": "premium",
    "BTC_USDT_USDT-8h-funding_rate.feather": "funding",
    "BTCUSDT-fundingRate-2024-12.csv": "funding",
    "BTC_USDT_USDT-1h-futures.feather": "futures",
    "BTCUSDT-1h-perp.csv": "futures",
    "futures__BTCUSDT_1h.csv": "futures",
    "futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-12-01.zip": "futures",
    "cm/BTCUSD_PERP-1h-2024-12.zip": "futures",
    "swap/BTC_USDT_1h.csv": "futures",
    "cryptofuture/binance/hour/btcusdt.zip": "futures",
    "crypto/binance/hour/btcusdt.zip": None,
    "futures/spot/BTCUSDT_1h.csv": None,
    "futures/BTCUSDT-1h-spot.csv": None,
    "spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-12.zip": None,
    "futurespast/BTCUSDT_1h.csv": None,
    "BTCUSDT_1h.csv": None,
    "VIX-index_1d.csv": None,
    "MARKET_1d.csv": None,
    "home/mark/BTCUSDT_1h.csv": None,
    "fundingRate/BTCUSDT-2024-12.zip": "funding",
    "EURUSD_trademark_1h.csv": None,
}


@pytest.mark.parametrize("path", KINDS)
def test_a_name_tells_the_kind_of_price(path: str) -> None:
    assert kind_of_price(Path(path), Path(path).name) == KINDS[path]


SYMBOLS = {
    "BTCUSDT": "BTCUSDT@futures",
    "BTC_USDT": "BTC_USDT@futures",
    "ES": "ES@futures",
    "BTC_USDT_USDT": "BTC_USDT_USDT",
    "LTCUSDT-PERP": "LTCUSDT-PERP",
    "BTC-USDT-SWAP": "BTC-USDT-SWAP",
    "BTCUSD_240329": "BTCUSD_240329",
}


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_futures_are_another_series_unless_their_symbol_says_so(symbol: str) -> None:
    assert with_kind(symbol, "futures") == SYMBOLS[symbol]
    assert with_kind(symbol, None) == symbol
    assert with_kind(symbol, "mark") == f"{symbol}@mark"
