import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np
import pytest
from train_runs import AlarmsOften
from trainer_parts import SERIES

from trendtrain.callbacks import TrendValidation, WalkStep
from trendtrain.errors import InputError
from trendtrain.live.log import LOG
from trendtrain.live.subscribers import HOOKS, Subscribers
from trendtrain.live.webhook import Webhook
from trendtrain.market import PivotRules
from trendtrain.market.pivot_feed import PivotFeed
from trendtrain.replay import make_sampler
from trendtrain.replay.weights import weigh

Make = Callable[..., Any]


class Keeps:
    """Keep every message, by hook."""

    def __init__(self) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = {hook: [] for hook in HOOKS}
        self.threads: set[str] = set()
        for hook in HOOKS:
            setattr(self, hook, self._keep(hook))

    def _keep(self, hook: str) -> Callable[[dict[str, Any]], None]:
        def keep(message: dict[str, Any]) -> None:
            json.dumps(message, allow_nan=False)
            self.messages[hook].append(message)
            self.threads.add(threading.current_thread().name)

        return keep


class Steps(pl.Callback):
    """Keep the steps, and tell subscribers of predictions as the stream does before it judges."""

    def __init__(self) -> None:
        self.steps: list[WalkStep] = []

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        self.steps.append(step)


@pytest.fixture
def walk(make_trainer: Make, make_module: Make, make_datamodule: Make) -> Callable[..., list[WalkStep]]:
    def run(subscribers: dict[str, Any], **options: Any) -> list[WalkStep]:
        steps = Steps()
        callback = Subscribers("run-1", subscribers, **options)

        def replay(seed: int) -> Any:
            return make_sampler(batch_size=32, n_batches=2, weigh=weigh, detector=AlarmsOften(every=15), seed=seed)

        trainer = make_trainer(TrendValidation(), callback, steps)
        trainer.fit(make_module(), make_datamodule(replay=replay))
        return steps.steps

    return run


def test_trouble_in_the_log_is_an_alarm_once(
    make_trainer: Make, make_module: Make, make_datamodule: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGE_TOKEN", "s3cr3t-text")
    log, keeps = logging.getLogger(LOG), Keeps()

    class Trouble(pl.Callback):
        def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
            if step.index == 2:
                log.info("all is well", extra={"event": "open"})
                log.error("no answer with %s", "s3cr3t-text", extra={"event": "unreachable"})
                log.warning("told otherwise", extra={"event": "change"})
                log.warning("of a subscriber, without end", extra={"event": "subscriber"})

    for _ in range(2):  # the second walk tells it once too
        trainer = make_trainer(TrendValidation(), Subscribers("run-1", {"mine": keeps}), Trouble())
        trainer.fit(make_module(), make_datamodule())
    alarms = keeps.messages["on_alarm"]
    assert [(one["kind"], one["level"], one["message"]) for one in alarms] == [
        ("unreachable", "error", "no answer with ***")
    ] * 2
    assert all(one["run"] == "run-1" and one["at"].endswith("Z") for one in alarms)
    assert not [one for one in log.handlers if type(one).__module__ == Subscribers.__module__]


def test_every_verdict_training_and_alarm_is_told_once(walk: Callable[..., list[WalkStep]]) -> None:
    keeps = Keeps()
    steps = walk({"mine": keeps})
    told = keeps.messages
    assert keeps.threads == {"subscriber mine"}
    assert len(told["on_verdict"]) == sum(len(step.verdicts) for step in steps) > 100
    n_correct = sum(one["outcome"] == "correct" for one in told["on_verdict"])
    assert n_correct == steps[-1].stats.correct
    assert sum(one["truth"] == one["direction"] for one in told["on_verdict"]) == n_correct
    assert [one["step"] for one in told["on_alarm"]] == [step.index for step in steps if step.change is not None]
    assert told["on_alarm"]
    assert sum(one["n_batches"] for one in told["on_training"]) == told["on_training"][-1]["parameters"]
    assert {one["run"] for hook in told.values() for one in hook} == {"run-1"}
    names = {(one["symbol"], one["timeframe"]) for one in told["on_verdict"]}
    assert names == {tuple(series) for series in SERIES}
    one = next(one for one in told["on_verdict"] if one["kind"])
    assert one["open_time"] < one["first_time"] < one["last_time"] < one["known_at"]
    assert one["open_time"].endswith("Z")


def test_pivots_are_those_of_all_bars_that_became_known_in_the_walk(walk: Callable[..., list[WalkStep]]) -> None:
    keeps = Keeps()
    steps = walk({"mine": keeps})
    start = min(bars.close_time[0] for bars in steps[0].bars.values())
    expected = []
    for series, bars in SERIES.items():
        feed = PivotFeed(series, PivotRules(max_gap=12))
        events = [one for one in feed.update(bars) if one.known_at >= start]
        expected += [(*series, one.kind, f"{one.time}Z", one.price, f"{one.known_at}Z") for one in events]
    names = ("symbol", "timeframe", "kind", "time", "price", "known_at")
    told = [tuple(one[name] for name in names) for one in keeps.messages["on_pivot"]]
    assert sorted(told) == sorted(expected)
    assert len(told) > 100


def test_every_prediction_is_told_before_its_step_is_judged(walk: Callable[..., list[WalkStep]]) -> None:
    keeps = Keeps()
    steps = walk({"mine": keeps})
    told = keeps.messages["on_prediction"]
    assert len(told) == sum(len(step.predictions) for step in steps)
    made = steps[0].predictions
    series = steps[0].series[made.series[0]]
    length = {"5m": np.timedelta64(5, "m"), "15m": np.timedelta64(15, "m")}[series.timeframe]
    first = {"open_time": f"{made.close_time[0] - length}Z", "confidence": made.confidence[0]}
    named = {"run": "run-1", **series._asdict(), "direction": ("down", "up")[made.direction[0]]}
    assert told[0] == {**named, **first, "step": 0, "parameters": 2}


class Raises:
    def on_verdict(self, message: dict[str, Any]) -> None:
        raise RuntimeError("no line to the desk")


class Hangs:
    """Hang until told to go on."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.taken = threading.Semaphore(0)

    def on_verdict(self, message: dict[str, Any]) -> None:
        self.began.set()
        self.go_on.wait()
        self.taken.release()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == LOG]


def test_a_subscriber_that_raises_stops_nothing_and_each_error_is_logged(
    walk: Callable[..., list[WalkStep]], caplog: pytest.LogCaptureFixture
) -> None:
    keeps = Keeps()
    with caplog.at_level(logging.ERROR, LOG):
        steps = walk({"broken": Raises(), "mine": keeps})
    n_verdicts = sum(len(step.verdicts) for step in steps)
    text = "on_verdict of the subscriber broken failed: RuntimeError: no line to the desk"
    assert logged(caplog) == [text] * n_verdicts
    assert len(keeps.messages["on_verdict"]) == n_verdicts


def test_a_subscriber_that_hangs_stops_nothing_and_is_logged(
    walk: Callable[..., list[WalkStep]], caplog: pytest.LogCaptureFixture
) -> None:
    hangs = Hangs()
    with caplog.at_level(logging.WARNING, LOG):
        steps = walk({"stuck": hangs}, most_waiting=20, patience=0.1)
    assert len(steps) == 12
    first, *between, last = logged(caplog)
    assert (first, last) == (
        "the subscriber stuck hangs: messages are left out",
        "the subscriber stuck has not taken 20 messages",
    )
    assert len(between) <= 2  # where the thread took its first message after 20 waited
    hangs.go_on.set()


def test_a_subscriber_that_wakes_up_is_told_again(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    hangs, trainer = Hangs(), make_trainer()
    callback = Subscribers("run-1", {"slow": hangs}, most_waiting=2)
    callback.on_train_start(trainer, trainer.lightning_module)
    with caplog.at_level(logging.WARNING, LOG):
        callback._tell("on_verdict", {})
        assert hangs.began.wait(30)
        for _ in range(9):  # two wait, seven are left out
            callback._tell("on_verdict", {})
        hangs.go_on.set()
        for _ in range(3):
            assert hangs.taken.acquire(timeout=30)
        callback._tell("on_verdict", {})
        callback.on_exception(trainer, trainer.lightning_module, KeyboardInterrupt())
    assert hangs.taken.acquire(timeout=30)
    assert logged(caplog) == [
        "the subscriber slow hangs: messages are left out",
        "the subscriber slow takes messages again; 7 were left out",
    ]


def test_an_object_without_hooks_is_refused() -> None:
    with pytest.raises(InputError, match=r"`live.subscribers.x` must have one of on_pivot, .*, got int\.") as caught:
        Subscribers("run-1", {"x": 3})
    assert "\n" not in str(caught.value)


class Desk(BaseHTTPRequestHandler):
    """Take what is posted; refuse alarms."""

    taken: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.taken.append(message)
        self.send_response(500 if message["hook"] == "on_alarm" else 204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    Desk.taken = []
    server = HTTPServer(("127.0.0.1", 0), Desk)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("DESK_WEBHOOK", f"http://127.0.0.1:{server.server_port}/secret-path")
    yield Desk.taken
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_posts_what_it_was_asked_to(
    desk: list[dict[str, Any]], make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer()
    callback = Subscribers("run-1", {"desk": Webhook("DESK_WEBHOOK")}, patience=30)
    callback.on_train_start(trainer, trainer.lightning_module)
    with caplog.at_level(logging.ERROR, LOG):
        for hook in HOOKS:
            callback._tell(hook, {"step": 1})
        callback.on_fit_end(trainer, trainer.lightning_module)
    assert desk == [{"hook": hook, "run": "run-1", "step": 1} for hook in ("on_verdict", "on_alarm")]
    (text,) = logged(caplog)
    assert "on_alarm of the subscriber desk failed: HTTPError" in text
    assert "secret-path" not in caplog.text


def test_a_webhook_needs_a_url_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_WEBHOOK", "file:///etc/hosts")
    for variable in ("DESK_WEBHOOK", "NOT_SET"):
        with pytest.raises(InputError, match=f"`variable` must name an environment variable .*, got {variable}"):
            Webhook(variable)
    monkeypatch.setenv("DESK_WEBHOOK", "https://example.org")
    with pytest.raises(InputError, match=r"`hooks` must be among on_pivot, .*, got on_moon"):
        Webhook("DESK_WEBHOOK", ["on_moon"])
