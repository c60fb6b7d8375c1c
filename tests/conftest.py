import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

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
        if item.get_closest_marker("full"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _process_stays() -> Iterator[None]:
    """Put back what a command changes in its process."""
    argv, path, environment = sys.argv, list(sys.path), dict(os.environ)
    yield
    sys.argv, sys.path[:] = argv, path
    if os.environ != environment:
        os.environ.clear()
        os.environ.update(environment)
