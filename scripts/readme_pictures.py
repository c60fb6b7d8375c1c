#!/usr/bin/env python
"""Make the README's pictures of TensorBoard from the default job: ./scripts/readme_pictures.py (needs chromium)."""

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
from PIL import Image
from playwright.sync_api import sync_playwright
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trendtrain.train import train

_FOLDER = Path(__file__).parents[1] / "docs" / "images"
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--no-first-run"]


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "runs"
        run.mkdir()
        with initialize_config_module("trendtrain.configs", version_base="1.3"):
            cfg = compose("train", [f"db.url=sqlite:///{scratch}/bars.db", "trainer.enable_progress_bar=false"])
        train(cfg, run)
        save("pivots", newest_image(run / "tensorboard", "figures/pivots/SYNTH/5m"))
        save("dashboard", screenshot(run))


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
