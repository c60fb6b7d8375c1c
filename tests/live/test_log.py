import io
import json
import logging
import sys

import pytest

from trendtrain.errors import InputError
from trendtrain.live.log import LOG, logging_live

_LIVE = logging.getLogger(LOG)


def logged(kind: str) -> list[str]:
    """The lines of three entries: one with fields, one with an error, one below the level."""
    stream = io.StringIO()
    with logging_live(kind, stream):
        _LIVE.warning("%s is back", "BTC 1m", extra={"event": "back", "bars": 3})
        try:
            raise ValueError("broken")
        except ValueError:
            _LIVE.exception("a subscriber failed")
        _LIVE.debug("not shown")
    return stream.getvalue().splitlines()


@pytest.fixture(params=[True, False], ids=["structlog", "without structlog"])
def _structlog(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setitem(sys.modules, "structlog", None)


@pytest.mark.usefixtures("_structlog")
def test_text_has_a_line_for_each_entry_with_its_fields() -> None:
    first, second, *traceback = logged("text")
    for part in ("warning", "BTC 1m is back", "kind=back", "bars=3"):
        assert part in first or part in first.lower()
    assert "a subscriber failed" in second
    assert "ValueError: broken" in traceback[-1]
    assert not any("not shown" in line for line in [first, second, *traceback])


def test_json_is_one_object_a_line() -> None:
    first, second = map(json.loads, logged("json"))
    assert (first["event"], first["level"], first["bars"]) == ("BTC 1m is back", "warning", 3)
    assert first["kind"] == "back"
    assert first["timestamp"].endswith("Z")
    assert "ValueError: broken" in second["exception"]


def test_json_without_structlog_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "structlog", None)
    with pytest.raises(InputError, match=r"`live.log` must be text where .*pip install trendtrain\[live\]\), got json"):
        logged("json")


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"`live.log` must be one of text, json, got xml\.|got 'xml'"):
        logged("xml")


@pytest.mark.usefixtures("_structlog")
@pytest.mark.parametrize("kind", ["text", "json"])
def test_secrets_are_never_written(kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if kind == "json" and sys.modules.get("structlog", True) is None:
        kind = "text"
    monkeypatch.setenv("EXCHANGE_API_KEY", 'k"1/2é')
    monkeypatch.setenv("HOOK_WEBHOOK", "https://hooks.example/T000/B000")
    stream = io.StringIO()
    with logging_live(kind, stream):
        _LIVE.warning('sent with k"1/2é to %s', "https://hooks.example/T000/B000")
        _LIVE.warning("in a URL: key=k%221%2F2%C3%A9", extra={"password": "in a field"})
        try:
            raise ValueError('the key k"1/2é was refused')
        except ValueError:
            _LIVE.exception("refused")
    found = stream.getvalue()
    assert found.count("***") >= 4
    for secret in ('k"1/2', "1/2", "%2F2", "T000", "in a field"):
        assert secret not in found


def test_afterwards_the_log_is_as_before() -> None:
    before = list(_LIVE.handlers), _LIVE.level, _LIVE.propagate
    logged("text")
    assert (list(_LIVE.handlers), _LIVE.level, _LIVE.propagate) == before
