"""The docs site builds without a warning, holds every public name, has no dead link, and needs no network."""

import ast
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class Page(HTMLParser):
    """The anchors and links of a page, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag == "a":
            self.links.append(values.get("href", "#"))
        else:
            self.loaded += [values[name] for name in ("src", "href") if name in values]


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The site, and what its build printed."""
    folder = tmp_path_factory.mktemp("docs")
    for name in ("docs", "mkdocs.yml", "scripts/griffe_docstrings.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, folder / name)
    (folder / "trendtrain").symlink_to(ROOT / "trendtrain")
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--clean"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site", done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(built: tuple[Path, str]) -> dict[Path, Page]:
    return {path: Page(path) for path in built[0].rglob("*.html") if path.name != "404.html"}


def test_the_build_prints_no_warning(built: tuple[Path, str]) -> None:
    assert [line for line in built[1].splitlines() if not line.startswith("Build ")] == ["No issues found"]


def test_every_page_is_in_the_navigation_once() -> None:
    def listed(part: Any) -> list[str]:
        if isinstance(part, str):
            return [part]
        return [page for child in (part.values() if isinstance(part, dict) else part) for page in listed(child)]

    named = listed(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(named) == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    for page in pages.values():
        for link in page.links:
            if link.startswith(("http:", "https:")):
                continue
            name, _, anchor = unquote(link).partition("#")
            target = (page.path.parent / name).resolve() if name else page.path
            assert target.is_file(), f"{page.path.name}: {link}"
            assert not anchor or anchor in pages[target].anchors, f"{page.path.name}: {link}"


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    for page in pages.values():
        for link in page.loaded:
            assert not link.startswith(("http:", "https:", "//")), f"{page.path.name}: {link}"
            assert link.startswith("data:") or (page.path.parent / link.partition("#")[0]).is_file(), link


def public_names() -> list[tuple[str, str]]:
    """What each subpackage's `__all__` names, read without importing it."""
    found = []
    for path in sorted((ROOT / "trendtrain").rglob("__init__.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                package = ".".join(path.parent.relative_to(ROOT).parts)
                found += [(package, name) for name in ast.literal_eval(node.value)]
    return found


def test_every_public_name_has_an_entry(pages: dict[Path, Page]) -> None:
    anchors = set().union(*(page.anchors for page in pages.values()))
    names = public_names()
    assert len(names) > 90
    shown = [{f"{package}.{name}", f"{package}.{name}.{name}"} & anchors for package, name in names]
    assert [name for name, found in zip(names, shown, strict=True) if not found] == []


def test_the_examples_of_docstrings_are_shown_as_code(built: tuple[Path, str]) -> None:
    market = (built[0] / "api" / "market.html").read_text()
    assert market.count('<span class="gp">&gt;&gt;&gt; </span>') > 10


@pytest.fixture
def served(built: tuple[Path, str]) -> Iterator[str]:
    """The address of a server of the site."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built[0]))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_browser_finds_a_word_and_asks_no_other_server(browser: Any, served: str) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{served}index.html")
    page.get_by_role("button", name="Search").first.click()
    page.keyboard.type("half-life")
    page.get_by_text("results").first.wait_for()
    page.close()
    assert errors == []
    assert [url for url in asked if not url.startswith((served, "data:", "blob:"))] == []
