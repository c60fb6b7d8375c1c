import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_module

from trendtrain.train import train

_SHORT = ["data.source.n_bars=6000", "walk.step=128bars", "walk.steps=30", "trainer.enable_progress_bar=false"]
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def tensorboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """TensorBoard, on a free port of this machine, showing a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    folder.mkdir()
    with initialize_config_module("trendtrain.configs", version_base="1.3"):
        cfg = compose("train", [*_SHORT, f"db.url=sqlite:///{folder / 'bars.db'}"])
    summary = train(cfg, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder.parent), "--port", str(port)]
    url = f"http://127.0.0.1:{port}/"
    with subprocess.Popen([*command, "--host", "127.0.0.1"], stderr=subprocess.DEVNULL) as server:
        try:
            _wait(url, seconds=60)
            yield SimpleNamespace(url=url, folder=folder, values=summary.values, run="short/tensorboard")
        finally:
            server.terminate()


def _wait(url: str, seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url).close()
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.2)  # a server's start has no event to wait for
        else:
            return


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (pip install .[dev])")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium on PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of the browser; errors that it meets fail the test that opened it."""
    page = browser.new_page(viewport={"width": 1500, "height": 1300})
    page.set_default_timeout(30_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("response", lambda answer: errors.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    yield page
    page.close()
    assert errors == []
