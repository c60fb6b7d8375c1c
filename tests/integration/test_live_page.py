"""The commands and queries of docs/live.md run as they stand there, on few bars."""

import shlex
import sqlite3
from pathlib import Path

import pytest
from pages import SMALL, blocks, commands, write_bars

from trendtrain.cli import main

PAGE = "docs/live.md"


def test_the_commands_of_the_page_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_bars(tmp_path, "ETHUSDT_1m", n_bars=800)
    lines = [line for line in commands(PAGE) if line.startswith("trendtrain ")]
    assert len(lines) == 3
    for line in lines:
        words = [
            word.replace("=FILE", "=ETHUSDT_1m.csv").replace("USD_1m.parquet", "USDT_1m.csv")
            for word in shlex.split(line)
        ]
        speed = ["feed.speed=null"] if "live" in words else []  # as fast as it goes
        assert main([*words[1:], *SMALL, *speed]) == 0
    connection = sqlite3.connect("trendtrain.db")
    for query in blocks(PAGE, "sql"):
        ((n_in_time,),) = connection.execute(query).fetchall()
        assert n_in_time > 0
    made = connection.execute(
        "SELECT open_time, direction, confidence FROM predictions WHERE run_id = ? ORDER BY 1", ("a",)
    )
    again = connection.execute(
        "SELECT open_time, direction, confidence FROM predictions WHERE run_id = ? ORDER BY 1", ("b",)
    )
    assert made.fetchall() == again.fetchall()
    connection.close()
