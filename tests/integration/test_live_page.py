"""The commands and queries of docs/live.md run as they stand there, on few bars."""

import shlex
import signal
import sqlite3
import subprocess
import sys
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


def test_the_exchange_to_practise_on_prints_the_command_that_takes_its_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ccxt", reason="ccxt is not installed")
    monkeypatch.chdir(tmp_path)
    program = Path(__file__).parents[1] / "local_exchange.py"
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as exchange:
        assert exchange.stdout is not None
        words = shlex.split(exchange.stdout.readline())
        assert words[0] == "trendtrain"
        short = [word for word in SMALL if not word.startswith(("data.source", "walk."))]
        assert main([*words[1:], *short, "feed.max_skew=60", "walk.steps=3"]) == 0
        exchange.send_signal(signal.SIGINT)
        assert exchange.wait(10) == 0
    connection = sqlite3.connect("trendtrain.db")
    assert connection.execute("SELECT count(*) FROM predictions WHERE symbol = 'BTC/USDT'").fetchone()[0] >= 3
    connection.close()
