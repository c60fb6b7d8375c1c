"""Tell a user's own objects what happens in a live run, each in a thread of its own."""

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import lightning.pytorch as pl
import numpy as np

from trendtrain.callbacks.ledger_writer import n_optimizer_steps
from trendtrain.errors import InputError, check_at_least, check_number
from trendtrain.live.log import LOG, hide_secrets
from trendtrain.live.run_parts import pivot_rules_of, stream_of
from trendtrain.market.bars import Series
from trendtrain.market.directions import DIRECTION_WORDS
from trendtrain.market.pivot_feed import KIND_LETTERS, PivotFeed
from trendtrain.market.timeframe import parse_timeframe
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.predictions import OUTCOME_NAMES, Predictions, Verdicts

HOOKS: Final = ("on_pivot", "on_prediction", "on_verdict", "on_training", "on_alarm")
_LOG: Final = logging.getLogger(LOG)

Message = dict[str, Any]


class Subscribers(pl.Callback):
    """Call the hooks of objects with what happens, as dicts of plain values; docs/operations.md lists their keys.

    A subscriber that raises or hangs neither stops nor delays the run: its errors are logged, and what it has no room
    for is left out. After a kill, messages about the steps since the last checkpoint come again.

    Args:
        run_id: Name of the run, in each message.
        subscribers: By name, objects with any of `on_pivot`, `on_prediction`, `on_verdict`, `on_training`, `on_alarm`.
        most_waiting: Messages that may wait for a subscriber.
        patience: Seconds for which the end of the run waits for subscribers to take what waits for them.

    Raises:
        InputError: If an object has no hook, or a number lies outside its range.
    """

    def __init__(
        self,
        run_id: str,
        subscribers: Mapping[str, Any] | None = None,
        most_waiting: int = 10_000,
        patience: float = 5.0,
    ) -> None:
        check_at_least("most_waiting", most_waiting, 1)
        check_number("patience", patience, 0.0)
        self.run_id = run_id
        self.subscribers = dict(subscribers or {})
        self.most_waiting = most_waiting
        self.patience = patience
        for name, subscriber in self.subscribers.items():
            if not any(callable(getattr(subscriber, hook, None)) for hook in HOOKS):
                got = type(subscriber).__name__
                raise InputError(f"`live.subscribers.{name}` must have one of {', '.join(HOOKS)}, got {got}.")
        self._channels: list[_Channel] = []
        self._troubles = _Troubles(lambda message: self._tell("on_alarm", message))
        self._pivots: dict[Series, PivotFeed] = {}
        self._parameters = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the threads; pivots that are known already are not told."""
        self._parameters = n_optimizer_steps(trainer)
        self._channels = [_Channel(name, one, self.most_waiting) for name, one in self.subscribers.items()]
        _LOG.addHandler(self._troubles)
        rules, stream = pivot_rules_of(trainer), stream_of(trainer)
        if stream is not None and rules is not None and self._wants("on_pivot"):
            for series, bars in zip(stream.series, stream.newest_bars(), strict=True):
                self._pivots[series] = PivotFeed(series, rules, history=0)
                if bars is not None:
                    self._pivots[series].update(bars)

    def on_predictions(
        self, trainer: pl.Trainer, index: int, predictions: Predictions, series: tuple[Series, ...]
    ) -> Predictions:
        """Tell of predictions that have been stored."""
        if self._wants("on_prediction"):
            for message in prediction_messages(predictions, series):
                self._tell("on_prediction", message | {"step": index, "parameters": n_optimizer_steps(trainer)})
        return predictions

    def on_walk_step(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Tell of what the step brought: pivots, verdicts, training."""
        for series, feed in self._pivots.items():
            if len(bars := step.bars.get(series, ())):
                for pivot in feed.update(bars):  # type: ignore[arg-type] # bars, where there are any
                    self._tell("on_pivot", _plain(asdict(pivot)))
        if self._wants("on_verdict"):
            for message in verdict_messages(step.verdicts, step.series):
                self._tell("on_verdict", message | {"step": step.index})
        if (number := n_optimizer_steps(trainer)) != self._parameters:
            n_batches, self._parameters = number - self._parameters, number
            message = {"step": step.index, "parameters": number, "n_batches": n_batches}
            self._tell("on_training", message)

    def on_change(self, trainer: pl.Trainer, step: WalkStep) -> None:
        """Tell of a change of the market."""
        message = {"step": step.index, "known_at": step.now, "kind": "accuracy", "events_kept": step.change}
        self._tell("on_alarm", _plain(message | {"is_cut": step.is_cut}))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the threads."""
        self._end()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """End the threads."""
        self._end()

    def _wants(self, hook: str) -> bool:
        return any(hook in channel.hooks for channel in self._channels)

    def _tell(self, hook: str, message: Message) -> None:
        for channel in self._channels:
            channel.put(hook, {"run": self.run_id, **message})

    def _end(self) -> None:
        _LOG.removeHandler(self._troubles)
        channels, self._channels, self._pivots = self._channels, [], {}
        for channel in channels:
            channel.end()
        for channel in channels:
            channel.join(self.patience)


class _Troubles(logging.Handler):
    """Tells of warnings and errors of the log: of the feed, of the process that trains, and others."""

    def __init__(self, tell: Callable[[Message], None]) -> None:
        super().__init__(logging.WARNING)
        self._call = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of an entry, but not of one that is told otherwise."""
        kind = getattr(record, "event", None)
        if kind not in ("change", "subscriber"):
            at = np.datetime64(int(1000 * record.created), "ms")
            level, text = record.levelname.lower(), hide_secrets(record.getMessage())
            self._call({"kind": kind, "level": level, "message": text, "at": _text(at)})


class _Channel:
    """Messages for one subscriber, and the thread that calls it."""

    def __init__(self, name: str, subscriber: Any, most_waiting: int) -> None:
        self.name = name
        self.hooks = {hook: call for hook in HOOKS if callable(call := getattr(subscriber, hook, None))}
        self._n_left_out = 0
        self._queue: queue.Queue[tuple[str, Message] | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._work, name=f"subscriber {name}", daemon=True)
        self._thread.start()

    def put(self, hook: str, message: Message) -> None:
        """Let a message wait for the subscriber; where there is no room, leave it out."""
        if hook not in self.hooks:
            return
        try:
            self._queue.put_nowait((hook, message))
        except queue.Full:
            if not self._n_left_out:
                _LOG.error("the subscriber %s hangs: messages are left out", self.name, extra={"event": "subscriber"})
            self._n_left_out += 1
            return
        if self._n_left_out:
            text = "the subscriber %s takes messages again; %d were left out"
            _LOG.warning(text, self.name, self._n_left_out, extra={"event": "subscriber"})
            self._n_left_out = 0

    def end(self) -> None:
        """Let the thread end after what waits."""
        with suppress(queue.Full):  # then it hangs, `join` says so, and the thread ends with the process
            self._queue.put_nowait(None)

    def join(self, patience: float) -> None:
        """Wait for the end of the thread."""
        self._thread.join(patience)
        if self._thread.is_alive():
            text = "the subscriber %s has not taken %d messages"
            _LOG.error(text, self.name, self._queue.qsize(), extra={"event": "subscriber"})

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            hook, message = item
            try:
                self.hooks[hook](message)
            except Exception as error:
                text = "%s of the subscriber %s failed: %s: %s"
                _LOG.error(text, hook, self.name, type(error).__name__, error, extra={"event": "subscriber"})


def prediction_messages(predictions: Predictions, series: tuple[Series, ...]) -> Iterator[Message]:
    """Yield each prediction in plain values."""
    columns = (predictions.series.tolist(), predictions.direction.tolist(), predictions.confidence.tolist())
    for number, direction, confidence, close_time in zip(*columns, predictions.close_time, strict=True):
        made = {"direction": DIRECTION_WORDS[direction], "confidence": confidence}
        open_time = close_time - parse_timeframe(series[number].timeframe)
        yield {**series[number]._asdict(), "open_time": _text(open_time), **made}


def verdict_messages(verdicts: Verdicts, series: tuple[Series, ...]) -> Iterator[Message]:
    """Yield each verdict with its prediction and its line in plain values."""
    lines = verdicts.lines
    columns = (verdicts.outcome.tolist(), verdicts.truth.tolist(), verdicts.line.tolist(), verdicts.known_time)
    for made, outcome, truth, line, known_at in zip(
        prediction_messages(verdicts.predictions, series), *columns, strict=True
    ):
        judged = {"outcome": OUTCOME_NAMES[outcome], "truth": DIRECTION_WORDS[truth], "known_at": _text(known_at)}
        by: Message = {"kind": None, "first_time": None, "last_time": None}
        if line >= 0:
            times = {"first_time": _text(lines.start_time[line]), "last_time": _text(lines.end_time[line])}
            by = {"kind": f"L2{KIND_LETTERS[lines.kind[line]]}", **times}
        yield {**made, **judged, **by}


def _plain(message: Message) -> Message:
    return {name: _text(value) if isinstance(value, np.datetime64) else value for name, value in message.items()}


def _text(time: np.datetime64) -> str:
    return f"{time.astype('datetime64[ms]')}Z"
