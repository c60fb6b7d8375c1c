"""The log of a live run: an entry for each occurrence, as text or as JSON, and never a secret."""

import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO
from urllib.parse import quote

from trendtrain.errors import InputError, check_choice

LOG: Final = "trendtrain.live"
_SECRET: Final = re.compile("secret|token|password|passphrase|credential|webhook|api_?key|private_?key", re.IGNORECASE)
_SHORTEST: Final = 4  # characters of a secret: what is shorter would be found in any text
_HIDDEN: Final = "***"
_OWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextmanager
def logging_live(kind: str = "text", stream: TextIO | None = None) -> Iterator[None]:
    """Write the log `trendtrain.live` to a stream until the block ends.

    structlog writes it where it is installed (the extra `live`); text needs nothing.

    Args:
        kind: `text`, or `json` for one JSON object a line.
        stream: Where; None for standard error.

    Raises:
        InputError: If `kind` is neither, or structlog is missing for JSON.
    """
    check_choice("live.log", kind, ("text", "json"))
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_WithoutSecrets(_formatter(kind, handler.stream.isatty())))
    log = logging.getLogger(LOG)
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.level, log.propagate = before


def _formatter(kind: str, is_terminal: bool) -> logging.Formatter:
    try:
        import structlog
    except ModuleNotFoundError:
        if kind == "json":
            rule = "be text where structlog is not installed (pip install trendtrain[live])"
            raise InputError(f"`live.log` must {rule}, got {kind}.") from None
        return _Plain()
    renderer: list[Any] = [
        structlog.dev.ConsoleRenderer(colors=is_terminal, exception_formatter=structlog.dev.plain_traceback)
    ]
    if kind == "json":
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )


class _Plain(logging.Formatter):
    """A line of time, level and message, then the further fields of the entry."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-8s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line without a traceback."""
        fields = (f" {name}={value}" for name, value in vars(record).items() if name not in _OWN_FIELDS)
        return super().formatMessage(record) + "".join(fields)


class _WithoutSecrets(logging.Formatter):
    """Hide the values of secret environment variables in what another formatter makes, and fields named so.

    The field `event` of an entry becomes `kind`: structlog calls the message so.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the entry without secrets."""
        named = {name: _HIDDEN for name in vars(record) if name not in _OWN_FIELDS and _SECRET.search(name)}
        renamed = {"kind" if name == "event" else name: value for name, value in (vars(record) | named).items()}
        return hide_secrets(self._inner.format(logging.makeLogRecord(renamed)))


def hide_secrets(text: str) -> str:
    """Return a text without the values of the environment variables whose names say that they are secret.

    Also as they are written in a URL, or in JSON.

    Example:
        >>> os.environ["EXCHANGE_SECRET"] = "s3cr3t/x"
        >>> hide_secrets("GET /order?key=s3cr3t%2Fx failed")
        'GET /order?key=*** failed'
        >>> del os.environ["EXCHANGE_SECRET"]
    """
    values = {value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= _SHORTEST}
    written = {form for value in values for form in (value, quote(value, safe=""), json.dumps(value)[1:-1])}
    for form in sorted(written, key=len, reverse=True):
        text = text.replace(form, _HIDDEN)
    return text
