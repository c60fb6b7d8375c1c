"""Small CSV files of bars."""

from pathlib import Path

HEADER = "timestamp,open,high,low,close,volume\n"
ROWS = ("2024-01-01 00:00,1,2,0.5,1.5,10", "2024-01-01 00:01,1.5,2,1,1,0", "2024-01-01 00:03,1,1,1,1,")


def write_csv(folder: Path, text: str, name: str = "BTCUSDT_1m.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def csv_of(*rows: str) -> str:
    return HEADER + "\n".join(rows) + "\n"
