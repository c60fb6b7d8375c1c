"""Annotations in the old form, as a charting tool would have written them."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from trendtrain.market import Bars, random_walk
from trendtrain.market.timeframe import parse_timeframe

NAMES = ("open", "high", "low", "close", "volume")
START = np.datetime64("2024-01-01", "ms")


def market(timeframe: str = "5m", n_bars: int = 400, seed: int = 0) -> Bars:
    """A market whose bars start on 2024-01-01."""
    bars, length = random_walk(n_bars, seed=seed), parse_timeframe(timeframe)
    times = START + np.arange(n_bars) * length
    return Bars(times, *(getattr(bars, name) for name in NAMES), length)


def embedded(bars: Bars, spell: str = "seconds") -> dict[str, list[Any]]:
    """Bars as the old form embeds them."""
    iso = [str(time) for time in bars.open_time.astype("datetime64[s]")]
    spelled = {"seconds": [text.replace("T", " ") for text in iso], "iso": iso, "zulu": [f"{text}Z" for text in iso]}
    return {"timestamps": spelled[spell], **{name: getattr(bars, name).tolist() for name in NAMES}}


def state(markets: dict[str, Bars], moment: np.datetime64, n_bars: int) -> dict[str, Any]:
    """The last bars of each timeframe that had opened by a moment."""
    found = {}
    for timeframe, bars in markets.items():
        end = int(np.searchsorted(bars.open_time, moment, side="right"))
        found[f"ohlcv_{timeframe}"] = embedded(bars[max(0, end - n_bars) : end])
    return found


def old_annotation(
    markets: dict[str, Bars], number: int = 1, enter: int = 200, leave: int = 220, n_bars: int = 100, **changes: Any
) -> dict[str, Any]:
    """An annotation of a trade between two bars of the first timeframe."""
    timeframe, bars = next(iter(markets.items()))
    moments = {"entry": bars.open_time[enter], "exit": bars.open_time[leave]}
    prices = {"entry": float(bars.close[enter]), "exit": float(bars.close[leave])}
    record = {
        "annotation_id": f"trade_{number:03d}",
        "symbol": "BTCUSDT",
        "timeframe": timeframe,
        **{
            name: {"timestamp": str(moment.astype("datetime64[s]")).replace("T", " "), "price": prices[name]}
            for name, moment in moments.items()
        },
        "direction": "long" if prices["exit"] > prices["entry"] else "short",
        "profit_loss_pct": round(100 * abs(prices["exit"] / prices["entry"] - 1), 3),
        "notes": "Ausbruch über das Hoch",
        "market_context": {f"{name}_state": state(markets, moment, n_bars) for name, moment in moments.items()},
    }
    return {**record, **changes}


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
