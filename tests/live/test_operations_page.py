"""What docs/operations.md says holds, and the files beside it parse and do what they should."""

import configparser
import json
import re
import shlex
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hydra.utils import instantiate
from ledger_examples import judged, predicted
from pages import ROOT, SMALL, blocks, commands
from sqlalchemy import Engine, text
from train_runs import RunIn

from trendtrain.cli import main
from trendtrain.live import metrics
from trendtrain.live.run import _wait
from trendtrain.live.subscribers import HOOKS, Subscribers
from trendtrain.storage import Ledger
from trendtrain.storage.ledger import registry
from trendtrain.validation.predictions import CORRECT, WRONG

PAGE = "docs/operations.md"
FOLDER = ROOT / "docs" / "operations"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_the_commands_of_the_page_run_after_a_session_with_a_subscriber(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "desk", raising=False)
    (tmp_path / "desk.py").write_text(*blocks(PAGE, "python"))
    subscribers = "live.subscribers={desk:{_target_:desk.Desk}}"
    session = ["data.source.n_bars=600", "run.name=desk", "walk.start=0.99", subscribers]
    assert main(["live", *session, *SMALL, "walk.steps=3"]) == 0
    assert capsys.readouterr().out.count("SYNTH ") >= 3
    assert [main(shlex.split(line)[1:]) for line in commands(PAGE)] == [1, 1, 0]  # the run has ended
    shown = capsys.readouterr().out
    assert "the run has ended: finished" in shown
    assert "version-1.ckpt" in shown


def test_the_subscribers_of_the_page_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "desk", raising=False)
    monkeypatch.setenv("DESK_WEBHOOK", "https://example.org/hook")
    (tmp_path / "desk.py").write_text(*blocks(PAGE, "python"))
    (config,) = map(yaml.safe_load, blocks(PAGE, "yaml"))
    made = instantiate(config["live"]["subscribers"])
    assert list(Subscribers("run", made).subscribers) == ["desk", "chat"]
    table = (ROOT / PAGE).read_text()
    assert all(f"| `{hook}` |" in table for hook in HOOKS)


def test_a_run_under_a_service_manager_is_ready_healthy_and_stops_cleanly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunIn(tmp_path / "run", "data.symbols=SYNTH-A", "data.source.n_bars=3000", "walk.start=0.9", "feed.speed=60")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(120)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        process = run.start(command="live")
        told = [channel.recv(1000).decode()]
        while not ("READY=1" in told and told[-1].startswith("WATCHDOG=1") and " 0 steps" not in told[-1]):
            told.append(channel.recv(1000).decode())
        health = main(["live", "status", str(run.folder)])
        process.send_signal(signal.SIGTERM)
        while told[-1] != "STOPPING=1":
            told.append(channel.recv(1000).decode())
        _, errors = process.communicate(timeout=120)
    assert (health, process.returncode) == (0, 143), errors
    assert json.loads((run.folder / "live.json").read_text())["state"] == "interrupted"
    assert main(["live", "status", str(run.folder)]) == 1


def test_a_shadow_is_judged_by_the_lines_of_the_active_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("data.symbols=SYNTH-A", "data.source.n_bars=1500", "walk.steps=250", "live.max_batches=2", "logger=none")
    desk, shadow = (RunIn(tmp_path / name, *options, f"run.name={name}") for name in ("desk", "shadow"))
    assert desk.live() == 0
    assert shadow.live(f"db.url={desk.url}", "model.lr=0.01", "live.train=false") == 0
    capsys.readouterr()
    asked = ["live", "models", "promote", str(shadow.folder), "--over", "desk", "--db", desk.url, "--min-events", "1"]
    assert main(asked) == 1  # too few events to tell
    assert "shadow does not replace desk: too few events to tell" in capsys.readouterr().out
    assert main(["live", "models", "list", "--db", desk.url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (test,) = found["tests"]
    n_events = json.loads((desk.folder / "summary.json").read_text())["n_events"]
    assert test["n_events"] == n_events > 3
    assert {(one["run_id"], one["version"]) for one in found["versions"]} == {("desk", 1), ("shadow", 1)}


def test_callbacks_are_told_that_bars_are_waited_for() -> None:
    told: list[Any] = []

    class Waits:
        def on_wait(self, trainer: Any) -> None:
            told.append(trainer)

    trainer = SimpleNamespace(callbacks=[object(), Waits()], received_sigterm=False)
    _wait(SimpleNamespace(trainer=trainer, raise_if_stopped=lambda: told.append("looked for SIGTERM")))
    assert told == ["looked for SIGTERM", trainer]


def test_the_unit_is_a_unit_and_its_command_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment] # keys as they are written
    unit.read(FOLDER / "trendtrain-live.service")
    assert unit.sections() == ["Unit", "Service", "Install"]
    service = unit["Service"]
    assert (service["Type"], service["SuccessExitStatus"]) == ("notify", "143")
    program, *arguments = shlex.split(service["ExecStart"])
    assert Path(program).name == "trendtrain"
    assert main([*arguments, "--cfg", "job"]) == 0
    assert "metrics_port: 9108" in capsys.readouterr().out


def test_the_services_fit_together_and_their_commands_are_valid(capsys: pytest.CaptureFixture[str]) -> None:
    services = COMPOSE["services"]
    assert set(services) == {"database", "live", "grafana"}
    for service in services.values():
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])
    live = services["live"]
    assert (FOLDER / live["build"] / "Dockerfile").exists()
    assert main([*live["command"], "--cfg", "job"]) == 0
    assert "metrics_address: 0.0.0.0" in capsys.readouterr().out
    assert all(port.startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", ()))
    kind, program, *health = live["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "trendtrain")
    assert main(health) == 2  # there is no such folder here: it is understood
    assert "runs/desk, which has no live.json" in capsys.readouterr().err


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    """A ledger with a row for each panel."""
    ledger = Ledger(engine)
    for run in ("desk", "challenger"):
        ledger.begin(run, "{}", "2024-01-01")
        made = replace(predicted(list(range(200))), parameters=7, stored_at=60_000 * 300)
        outcomes = {minute: CORRECT if minute % 3 else WRONG for minute in range(190)}
        ledger.record(run, "net", 0, made, judged(outcomes, lines=list(outcomes)))
        ledger.record_alarm(run, "net", 0, None, "1970-01-01T01:00", "accuracy", "{}")
    with engine.begin() as connection:
        registry.add_version(connection, "desk", "net", "version-1.ckpt", 7, 1000, "saved")
        registry.look(connection, "challenger", "desk", 0, now=5)
    return ledger


def queries() -> list[tuple[str, str]]:
    panels = [(panel["title"], target["rawSql"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    variables = [(one["name"], one["query"]) for one in DASHBOARD["templating"]["list"] if one["type"] == "query"]
    return panels + variables


@pytest.mark.parametrize(("title", "query"), queries(), ids=[title for title, _ in queries()])
def test_each_query_of_the_dashboard_finds_its_rows(engine: Engine, ledger: Ledger, title: str, query: str) -> None:
    for name, value in {"$run": "desk", "${__from}": "0", "${__to}": "100000000"}.items():
        query = query.replace(name, value)
    assert "$" not in query
    with engine.connect() as connection:
        rows = connection.execute(text(query)).mappings().all()
    assert rows
    empty = {name for name, value in rows[0].items() if value is None}
    assert empty <= {"end_time", "low", "total_predictions", "validated_predictions", "accuracy"}
    if title == "Event accuracy":
        assert float(rows[0]["event_accuracy"]) == pytest.approx(126 / 190)
    if title == "Pending":
        assert [(row["symbol"], row["pending"], row["oldest"]) for row in rows] == [("BTCUSDT", 10, 190 * 60_000)]
    if title.startswith("From the close"):
        assert float(rows[0]["longest"]) == 299 * 60


def test_the_dashboard_fits_grafana() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) == 11
    places = [tuple(panel["gridPos"][name] for name in "xywh") for panel in DASHBOARD["panels"]]
    cells = [(x + i, y + j) for x, y, w, h in places for i in range(w) for j in range(h)]
    assert len(set(cells)) == len(cells)  # none covers another
    assert max(x for x, _ in cells) < 24
    for panel in DASHBOARD["panels"]:
        (target,) = panel["targets"]
        assert target["rawSql"] == target["queryText"] == target["rawQueryText"]  # for PostgreSQL, and for SQLite
        assert (panel["type"] == "timeseries") == (" AS time" in target["rawSql"])
        assert panel["datasource"] == target["datasource"] == {"uid": "${datasource}"}


def test_the_active_run_is_the_one_promoted_last(engine: Engine, ledger: Ledger) -> None:
    (query,) = blocks(PAGE, "sql")
    with engine.begin() as connection:
        assert connection.execute(text(query)).all() == []
        connection.execute(text("UPDATE promotion_tests SET is_promoted = 1"))
        assert connection.execute(text(query)).all() == [("challenger",)]


def test_every_metric_of_the_page_is_served() -> None:
    served = {f"trendtrain_{name}" for name, *_ in (*metrics._OF_RUN, *metrics._OF_SERIES)}
    named = set(re.findall(r"`(trendtrain_\w+)`", (ROOT / PAGE).read_text())) - {"trendtrain_prediction_lag_seconds"}
    assert named == served - {"trendtrain_event_accuracy_low", "trendtrain_event_accuracy_high"}
