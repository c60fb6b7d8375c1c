import pytest

from trendtrain.importing.file_names import split_name
from trendtrain.market.timeframe import format_timeframe

NAMES = {
    "ETHUSDT_1h.parquet": ("ETHUSDT", "ETHUSDT", "1h"),
    "LTCUSDT-PERP_1h.parquet": ("LTCUSDT-PERP", "LTCUSDT-PERP", "1h"),
    "EURUSD_15M.csv": ("EURUSD", "EURUSD", "15m"),
    "BTCUSDT-1h-2024-12.csv": ("BTCUSDT", None, "1h"),
    "BTCUSDT-1h-2024-12.zip": ("BTCUSDT", None, "1h"),
    "BTCUSDT-5m-2024-12-31.csv": ("BTCUSDT", None, "5m"),
    "BTCUSDC_1m_20230301_20230321.csv": ("BTCUSDC", None, "1m"),
    "UNITTEST_BTC-1m.feather": ("UNITTEST_BTC", None, "1m"),
    "BTC_USDT_USDT-1h-futures.feather": ("BTC_USDT_USDT", None, "1h"),
    "EURUSD_M15_202210100000_202310020645.csv": ("EURUSD", None, "15m"),
    "XAUUSD_H4.csv": ("XAUUSD", None, "4h"),
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
