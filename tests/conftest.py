import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import settings
from postgres_server import PostgresServer, find_programs
from sqlalchemy import Engine

from trendtrain.market.bars import Bars
from trendtrain.storage import open_database

MakeBars = Callable[..., Bars]

IS_FULL = os.environ.get("TRENDTRAIN_FULL") == "1"

settings.register_profile("default", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("full", parent=settings.get_profile("default"), max_examples=2500)
settings.load_profile("full" if IS_FULL else "default")


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts `scripts/test &`; children would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if IS_FULL:
        return
    skip = pytest.mark.skip(reason="the full tier runs where TRENDTRAIN_FULL=1")
    for item in items:
        if item.get_closest_marker("full") or _is_on_second_database(item):
            item.add_marker(skip)


def _is_on_second_database(item: pytest.Item) -> bool:
    """Return whether a test stores on PostgreSQL by ways that tests/storage and tests/data have tested there."""
    has_second = item.path.parent.name == "importing" or item.path.name == "test_migration.py"
    return has_second and hasattr(item, "callspec") and item.callspec.params.get("db_url") == "postgresql"


@pytest.fixture(autouse=True)
def _process_stays() -> Iterator[None]:
    """Put back what a command changes in its process."""
    argv, path, environment = sys.argv, list(sys.path), dict(os.environ)
    yield
    sys.argv, sys.path[:] = argv, path
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started once."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: no initdb on the PATH")
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed", exc_type=ImportError)
    server = PostgresServer(programs)
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; `parametrize("db_url", ["sqlite"], indirect=True)` for one kind alone."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bars.db'}"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@pytest.fixture
def engine(db_url: str) -> Iterator[Engine]:
    """A database with all tables and no rows."""
    engine = open_database(db_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A finished run on two small markets: its `folder`, the `url` of its database, its summary's `values`."""
    from small_run import walk  # torch and Lightning take seconds

    return walk(tmp_path_factory.mktemp("runs") / "small", "data.symbols=[SYNTH-A,SYNTH-B]", "data.source.n_bars=4500")


@pytest.fixture
def make_bars() -> MakeBars:
    def make(minutes: list[int] | range, price: float = 100.0, volume: float = 1.0) -> Bars:
        time = np.datetime64("2024-01-01", "ms") + np.asarray(minutes, np.int64) * np.timedelta64(1, "m")
        prices = price + np.arange(len(time), dtype=np.float64)
        volumes = np.full(len(time), volume)
        return Bars(time, prices, prices + 1, prices - 1, prices, volumes, np.timedelta64(1, "m"))

    return make
