#!/usr/bin/env python
"""Make the pictures of the default job in the README and the docs: ./scripts/readme_pictures.py (needs chromium)."""

import io
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from hydra import compose, initialize_config_module
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import sync_playwright
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trendtrain.charts.look import light, muted
from trendtrain.charts.run_figures import COLOURS
from trendtrain.reports.run_scores import RunScores
from trendtrain.train import train
from trendtrain.validation.edge import course_of

_FOLDER = Path(__file__).parents[1] / "docs" / "images"
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--no-first-run"]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "runs"
        run.mkdir()
        with initialize_config_module("trendtrain.configs", version_base="1.3"):
            cfg = compose("train", [f"db.url=sqlite:///{scratch}/bars.db", "trainer.enable_progress_bar=false"])
        train(cfg, run)
        save("lead", draw_lead(run))
        save("pivots", newest_image(run / "tensorboard", "figures/pivots/SYNTH/5m"))
        save("dashboard", screenshot(run))


def draw_lead(run: Path) -> bytes:
    """Return the picture of the lead over the best simple rule so far, with its 95 % interval."""
    scores = RunScores.read(run).board
    best = scores.scores()["best_baseline"]["name"]
    events = scores.events()
    lead = 100.0 * (events.values[:, 0] - events.values[:, 2 + scores.baselines.index(best)])
    course = course_of(lead, events.known_time.astype("datetime64[ms]"), events.block, (-100.0, 100.0))
    with light():
        figure = Figure(figsize=(8.8, 3.6), layout="constrained")
        chart = figure.subplots()
        chart.axhline(0.0, color=muted(), linewidth=1.0)
        chart.fill_between(course.time, course.low, course.high, color=COLOURS[0], alpha=0.25, linewidth=0)
        chart.plot(course.time, course.mean, color=COLOURS[0], linewidth=2.4)
        chart.text(0.985, 0.06, "0: no better than the best rule", transform=chart.transAxes, ha="right")
        chart.set_ylabel("lead in points of accuracy")
        chart.xaxis.set_major_formatter(ConciseDateFormatter(chart.xaxis.get_major_locator()))
        title = "The model's lead so far over the run's best simple rule, with its 95 % interval"
        chart.set_title(title, loc="left", weight="bold")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def newest_image(folder: Path, tag: str) -> bytes:
    events = EventAccumulator(str(folder))
    events.Reload()
    picture: bytes = events.Images(tag)[-1].encoded_image_string
    return picture


def screenshot(run: Path) -> bytes:
    """Return the page that the Custom Scalars open on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", run.name, "--host", "127.0.0.1"]
    with subprocess.Popen([*command, "--port", str(port)], cwd=run.parent, stderr=subprocess.DEVNULL) as server:
        try:
            wait(f"http://127.0.0.1:{port}/")
            return browse(f"http://127.0.0.1:{port}/#custom_scalars")
        finally:
            server.terminate()


def browse(url: str) -> bytes:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        page = browser.new_page(viewport={"width": 1240, "height": 900})
        page.goto(url)
        charts = page.locator("tf-custom-scalar-margin-chart-card svg text")
        charts.first.wait_for(state="attached")
        page.get_by_text(re.compile(r"^\s*wall\s*$", re.IGNORECASE)).first.click()
        page.wait_for_timeout(3_000)  # lines are drawn bit by bit
        return page.screenshot()


def wait(url: str) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(url)


def save(name: str, png: bytes) -> None:
    """Write a picture with a palette: a quarter of the bytes."""
    _FOLDER.mkdir(exist_ok=True)
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(_FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
