#!/usr/bin/env python
"""Soak a live run: replay bars at a high speed with training, and watch what grows.

./scripts/bench/live.py --data FILE [--seconds 3600] [--speed 600] [--every 60] [--json FILE] [--plot FILE] [key=value]

It runs `trendtrain live feed=replay` in a process of its own, and prints now and then: steps; p50 and p99 of the time
from the close of a bar to its stored prediction, of the bars since the last line (the replay keeps the time of the
market, so that a second of ours is `speed` seconds there); memory, open files, and the sizes of ledger and checkpoint.
`--plot` draws them.
What is flat stays the same from the second line on; the ledger grows with the predictions.
"""

import argparse
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rows import Row, show_rows

from trendtrain.market.timeframe import parse_timeframe

_MB = 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--speed", type=float, default=600.0)
    parser.add_argument("--every", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = soak(Path(folder), options)
    show_rows(lines, options.json)
    if options.plot:
        plot(lines, options.plot)


def soak(folder: Path, options: argparse.Namespace) -> list[Row]:
    """Return what each line shows."""
    command = [sys.executable, "-m", "trendtrain.cli", "live", "feed=replay", f"feed.speed={options.speed}"]
    command += ["data=files", f"data.path={options.data}", "trainer.enable_progress_bar=false"]
    command += [f"hydra.run.dir={folder}", f"db.url=sqlite:///{folder / 'live.db'}", *options.overrides]
    process = subprocess.Popen(command)
    lines: list[Row] = []
    seen, began = 0, 0.0
    try:
        while process.poll() is None and (not began or time.monotonic() - began < options.seconds):
            time.sleep(options.every if began else 0.2)
            delays, n = _delays(folder / "live.db", seen, options.speed)
            if not len(delays):
                continue
            began, seen = began or time.monotonic(), n
            lines.append(_line(process.pid, folder, delays, n, time.monotonic() - began))
            print("  ".join(f"{name} {value:,.1f}" for name, value in lines[-1].items()), flush=True)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
    return lines


def plot(lines: list[Row], path: Path) -> None:
    """Draw what each line shows over the minutes of the soak."""
    panels = {"latency, ms": ("p50 ms", "p99 ms"), "memory, MB": ("memory MB",), "open files": ("open files",)}
    panels |= {"ledger, MB": ("ledger MB",), "checkpoint, MB": ("checkpoint MB",)}
    figure = Figure(figsize=(8.0, 7.0), layout="constrained")
    axes = figure.subplots(len(panels), sharex=True)
    minutes = [float(line["seconds"]) / 60.0 for line in lines[1:]]  # the first line is the start
    for axis, (label, names) in zip(axes, panels.items(), strict=True):
        values = {name: [float(line[name]) for line in lines[1:]] for name in names}
        for name, column in values.items():
            axis.plot(minutes, column, label=name)
        axis.set_ylabel(label)
        axis.set_ylim(0.0, 1.2 * max(map(max, values.values())))
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper left", ncols=2)
    axes[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)


def _delays(database: Path, seen: int, speed: float) -> tuple[Any, int]:
    """Return the delays of the predictions stored since, ms of ours, and how many there are."""
    if not database.exists():
        return np.zeros(0), 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)
    try:
        query = "SELECT open_time, stored_at, timeframe FROM predictions ORDER BY stored_at LIMIT -1 OFFSET ?"
        rows = connection.execute(query, (seen,)).fetchall()
    except sqlite3.OperationalError:  # no tables yet
        return np.zeros(0), 0
    finally:
        connection.close()
    length = {row[2]: parse_timeframe(row[2]).astype(int) for row in rows}
    return np.array([stored - opened - length[frame] for opened, stored, frame in rows]) / speed, seen + len(rows)


def _line(pid: int, folder: Path, delays: Any, n: int, seconds: float) -> Row:
    status = Path(f"/proc/{pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    checkpoint = folder / "checkpoints" / "last.ckpt"
    return {
        "seconds": seconds,
        "predictions": float(n),
        "p50 ms": float(np.percentile(delays, 50)),
        "p99 ms": float(np.percentile(delays, 99)),
        "memory MB": memory / 1e3,
        "open files": float(len(os.listdir(f"/proc/{pid}/fd"))),
        "ledger MB": (folder / "live.db").stat().st_size / _MB,
        "checkpoint MB": checkpoint.stat().st_size / _MB if checkpoint.exists() else 0.0,
    }


if __name__ == "__main__":
    main()
