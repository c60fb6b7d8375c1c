"""What the process that trains says of its own failure."""

import io
import json
from typing import Any

import pytest

from trendtrain.errors import InputError, StorageError
from trendtrain.live import trainer


@pytest.mark.parametrize(("error", "exit_code"), [(InputError("no such bars"), 2), (StorageError("disk full"), 1)])
def test_a_failure_is_one_entry_of_the_log(
    error: Exception, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("structlog", reason="structlog is not installed")

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(trainer, "train", fail)
    monkeypatch.setattr(trainer, "_end_with_parent", lambda: None)
    task = {"config": {"live": {"log": "json"}}, "folder": "nowhere"}
    monkeypatch.setattr(trainer.sys, "stdin", io.StringIO(json.dumps(task) + "\n"))
    assert trainer.main() == exit_code
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry["event"] == f"the process that trains: {error}"
    assert (entry["kind"], entry["level"]) == ("trainer", "error")
