"""The stream: brings the rows of each walk step, judges what was predicted, and keeps what may be learned from."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, BoolArray, IntArray, Series, TimeArray
from trendtrain.market.labels import KnownLabels, ranges
from trendtrain.replay.memory import Lessons
from trendtrain.replay.sampler import ReplaySampler
from trendtrain.stream.feed import FedBars, Feed, check_fed, series_order
from trendtrain.stream.inputs import Inputs
from trendtrain.stream.tape import BAR_BITS, Tape, TapeRows, first_difference
from trendtrain.stream.walk_step import WalkStep
from trendtrain.validation.judge import Judge
from trendtrain.validation.online_logistic import KnownRows, OnlineLogistic
from trendtrain.validation.predictions import Predictions, Verdicts
from trendtrain.validation.simple_rules import BASELINE_NAMES

Commit = Callable[[Predictions], Predictions]
RULES = (*BASELINE_NAMES, "online_logistic")


class StreamRows(NamedTuple):
    """The rows to predict in a walk step, in order of close time, then symbol, then timeframe.

    Attributes:
        row: `series << 40 | bar`, shape (n,).
        close_time: When each is known.
        baselines: What each of the rules predicts, int8, shape (n, n_rules).
    """

    row: IntArray
    close_time: TimeArray
    baselines: IntArray


class Stream:
    """Walk through the bars of a feed: `open` a step, predict its rows, `close` it with the predictions.

    Nothing later than the step is in memory, and what a step makes known can be learned from only when it is closed.

    Args:
        feed: Brings the bars.
        new_tape: Makes the tape of a series from its number.
        replay: What may be learned from goes in there.
        keep_inputs: Called with the number of a series and the inputs of its next bars, as they come.
        n_classes: 2 (a FLAT label teaches nothing) or 3.
        transitions: Whether what follows on a prediction is learned from too: its row then needs a whole window.
        baselines: Names of the tapes' further baselines.
        max_bars: Newest bars of each series that may be learned from; None for all. What became known before the
            oldest of them leaves the memory too.

    Attributes:
        core: The predictions that wait for their label, and the scores.
        rules: The names of all baselines.
        step: Walk steps completed.
        warmup: Training epochs still to come before the first step: until then no rows come, and time stands still.
        now: All bars that closed by this time have been seen, and what they made known may be used.
    """

    def __init__(
        self,
        feed: Feed,
        new_tape: Callable[[int], Tape],
        replay: ReplaySampler,
        keep_inputs: Callable[[int, Inputs], None],
        n_classes: int,
        transitions: bool = False,
        baselines: Sequence[str] = (),
        max_bars: int | None = None,
    ) -> None:
        self.feed = feed
        self.replay = replay
        self.n_classes = n_classes
        self.step = self.warmup = 0
        self.now: np.datetime64
        self.rules = (*RULES, *baselines)
        self.core = Judge((), self.rules)
        self._new_tape = new_tape
        self._keep_inputs = keep_inputs
        self._transitions = transitions
        self._max_bars = max_bars
        self._tapes: list[Tape] = []
        self._logistic: OnlineLogistic | None = None
        self._held: list[KnownLabels] = []  # known by the end of the step under way; nobody may use it yet
        self._slot, self._is_partial = 0, False
        self._opened: StreamRows | None = None
        self._bars: dict[Series, Bars] = {}  # of the step under way
        self._until: np.datetime64  # the end of the step under way

    @property
    def series(self) -> tuple[Series, ...]:
        """The series by their number."""
        return self.core.board.series

    def begin(self) -> None:
        """Take in the bars before the walk, and let what they made known into the memory."""
        self._add_series(self.feed.series)
        fed = self.feed.begin()
        self._hold(self._append(fed))
        self._learn(self._release())
        self.now = fed.now

    @property
    def is_done(self) -> bool:
        """Whether all steps are completed."""
        return self._opened is None and self.feed.is_done

    @property
    def n_closed(self) -> int:
        """Steps and epochs of the warm-up completed, from minus the length of the warm-up on."""
        return self.step - self.warmup

    @property
    def is_next_partial(self) -> bool:
        """Whether the next step ends before its slot does, because history does."""
        return not self.warmup and self.feed.is_next_partial

    def outgrows(self, state: Mapping[str, Any]) -> bool:
        """Return whether the last step of a state ended before its slot did, and there are more bars now."""
        before = {Series(*names): n for names, n in zip(state["series"], state["n_bars"], strict=True)}
        has_more = any(self.feed.n_bars(series) > before.get(series, 0) for series in self.feed.series)
        return bool(state["is_partial"] and has_more)

    def skip(self) -> bool:
        """Take in the bars of the next step as if they came before the walk; return whether there was one."""
        if (fed := self.feed.next()) is None:
            return False
        self._hold(self._append(fed))
        self._learn(self._release())
        self.now, self._slot = fed.now, fed.slot
        return True

    @property
    def n_bars(self) -> dict[Series, int]:
        """How many bars of each series have come so far."""
        return {series: tape.n_bars for series, tape in zip(self.series, self._tapes, strict=True)}

    def newest_bars(self) -> list[Bars | None]:
        """Return the newest bars of each series by its number; None before its first."""
        return [tape.newest for tape in self._tapes]

    def open(self) -> StreamRows:
        """Return the rows of the step under way; none in the warm-up and when done. Until `close`, always the same.

        Bars that a feed brings late, in a later step than that of their time, are predicted in it too.

        Raises:
            InputError: If the feed gives bars that cannot be; the stream is then as it was before.
        """
        if self.warmup or self.is_done:
            return self._no_rows()
        if self._opened is None:
            fed = self.feed.next()
            if fed is None:
                return self._no_rows()
            # Bars that come late to a live slot which has been walked make a further step of it.
            if fed.now < self.now or (fed.now == self.now and fed.slot != self._slot):
                raise InputError(f"`feed` must give a step that ends after {self.now}, got {fed.now}.")
            self._opened = self._hold(self._append(fed))
            self._until, self._slot, self._is_partial, self._bars = fed.now, fed.slot, fed.is_partial, fed.bars
        return self._opened

    def close(self, predictions: Predictions, is_partial: bool = False, commit: Commit | None = None) -> WalkStep:
        """Store the predictions of the step, move `now` to its end, judge, and let what became known into the memory.

        Args:
            predictions: One for each row of the step.
            is_partial: Whether rows may be left out.
            commit: Called with the predictions before anything else happens; returns those that count. Where it raises,
                the step is still open.

        Raises:
            InputError: If the model has other classes than the stream.
            RuntimeError: If a row of the step has no prediction or several.
        """
        opened = self.open()
        predictions = self._described(predictions, opened, is_partial)
        if commit is not None:
            predictions = commit(predictions)
        self._opened, self.now = None, self._until
        known = self._release()
        verdicts = self.core.judge(predictions, known)
        self._learn(known, verdicts)
        change = self.replay.detect(verdicts)
        self.step += 1
        return WalkStep.of(
            self.core,
            predictions,
            verdicts,
            index=self.step - 1,
            now=self.now,
            is_partial=is_partial,
            n_steps=self.feed.n_steps,
            change=change,
            is_cut=change is not None and self.replay.forgets,
            replay=self.replay.take_metrics(),
            bars=self._bars,
        )

    def close_warmup(self) -> None:
        """Complete an epoch of the warm-up: nothing was predicted, and time stands still."""
        self.warmup -= 1
        self.replay.take_metrics()  # the charts of the first step show that step's draws alone

    def state_dict(self) -> dict[str, Any]:
        """Return what later steps depend on, in arrays and plain types; the bars themselves are read again."""
        if self._opened is not None:
            raise InputError("A checkpoint must be written between two walk steps, got one inside a step.")
        return {
            "rules": list(self.rules),
            "series": [list(series) for series in self.series],
            "checksums": [np.array(tape.checksums, dtype=np.int64) for tape in self._tapes],
            "n_bars": [tape.n_bars for tape in self._tapes],
            "slot": self._slot,
            "is_partial": self._is_partial,
            "step": self.step,
            "warmup": self.warmup,
            "now": int(self.now.astype("datetime64[ms]").astype(np.int64)),
            "core": self.core.state_dict(),
            "replay": self.replay.state_dict(),
            "logistic": None if self._logistic is None else self._logistic.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state returned by `state_dict()`, in place of `begin`: take in all bars up to its time.

        Bars up to then that the state had not seen, of a series that was added or came late, are never predicted where
        they are history; what they made known enters the memory now.

        Raises:
            InputError: If the bars up to then are not those of the state, or the baselines are others.
        """
        if state["rules"] != list(self.rules):
            raise InputError(f"`baselines` must stay {', '.join(state['rules'])}, got {', '.join(self.rules)}.")
        self._add_series([Series(*names) for names in state["series"]])
        self.core.load_state_dict(state["core"])
        self._add_series([series for series in self.feed.series if series not in self.series])
        n_seen = dict(zip(self.series, state["n_bars"], strict=False))
        fed = self.feed.begin(state["slot"], n_seen)
        bars = fed.bars
        self._append(fed._replace(bars={series: part[: n_seen.get(series, 0)] for series, part in bars.items()}))
        for number, checksums in enumerate(state["checksums"]):
            self._check_bars(number, checksums.tolist(), bars.get(self.series[number]))
        self._logistic = OnlineLogistic(state["logistic"]["sums"].shape[1])
        self._logistic.load_state_dict(state["logistic"])
        self._slot, self._is_partial = state["slot"], state["is_partial"]
        self.step, self.warmup = state["step"], state["warmup"]
        self.now = np.datetime64(state["now"], "ms")
        self.replay.load_state_dict(state["replay"])
        late = fed._replace(bars={series: part[n_seen.get(series, 0) :] for series, part in bars.items()})
        self._hold(self._append(late))
        self._learn(self._release())

    def _check_bars(self, number: int, checksums: list[int], bars: Bars | None) -> None:
        bar = first_difference(checksums, self._tapes[number].checksums)
        if bar is not None:
            is_there = bars is not None and bar < len(bars)
            found = f"others from {bars.open_time[bar]} on" if is_there and bars is not None else "none"
            where = f"{found} in {' '.join(self.series[number])}"
            fix = "overwrite=true deletes that run and starts anew, another run folder leaves it"
            raise InputError(f"`data` must give the bars of the run that is resumed, got {where}: {fix}.")

    def _add_series(self, names: Iterable[Series]) -> None:
        self.core.board.add_series(tuple(names))
        self._tapes.extend(self._new_tape(number) for number in range(len(self._tapes), len(self.series)))

    def _append(self, fed: FedBars) -> dict[int, TapeRows]:
        """Append the bars to their tapes, and return what they bring by number of the series; of bad bars, none."""
        check_fed(fed, {series: tape.last_open for series, tape in zip(self.series, self._tapes, strict=True)})
        rows = {}
        for number, series in enumerate(self.series):
            if len(fed.bars.get(series, ())):
                rows[number] = self._tapes[number].append(fed.bars[series])
                self._keep_inputs(number, rows[number].inputs)
        return rows

    def _hold(self, rows: Mapping[int, TapeRows]) -> StreamRows:
        """Hold what new bars made known, ask the learned rule, and return the rows of these bars in order."""
        if not rows:
            return self._no_rows()
        known = KnownLabels.join([one.known for one in rows.values()])
        self._held.append(known)
        by_name = sorted(rows, key=lambda number: series_order(self.series[number]))
        row, close_time, has_window, rules = (
            np.concatenate([getattr(rows[number], name) for number in by_name])
            for name in ("row", "close_time", "has_window", "rules")
        )
        order = np.argsort(close_time, kind="stable")
        row, close_time, has_window, rules = row[order], close_time[order], has_window[order], rules[order]
        inputs = [rows[number].inputs for number in by_name]
        x = np.concatenate([one.side if one.side.shape[1] else one.features for one in inputs])[order]
        if self._logistic is None:
            self._logistic = OnlineLogistic(x.shape[1])
        learned = self._logistic.update(row, close_time, x, _known_rows(known))
        baselines = np.insert(rules, len(BASELINE_NAMES), learned, axis=1)
        return StreamRows(row[has_window], close_time[has_window], baselines[has_window])

    def _no_rows(self) -> StreamRows:
        return StreamRows(np.zeros(0, np.int64), np.zeros(0, "datetime64[ms]"), np.zeros((0, len(self.rules)), np.int8))

    def _release(self) -> KnownLabels:
        known, self._held = KnownLabels.join(self._held), []
        return known

    def _learn(self, known: KnownLabels, verdicts: Verdicts | None = None) -> None:
        """Let what became known into the memory, and remove what is too old to be learned from."""
        self.replay.add(self._lessons(known), verdicts)
        if self._max_bars is not None:
            oldest = np.array([max(tape.n_bars - self._max_bars, 0) for tape in self._tapes])
            self.replay.memory.forget(lambda row: (row & ((1 << BAR_BITS) - 1)) < oldest[row >> BAR_BITS])

    def _lessons(self, known: KnownLabels) -> Lessons:
        """Return the rows that can be learned from: of a class of the model, and with a whole window."""
        run, row = _rows_of(known)
        teaches = (known.direction >= 0) & (known.direction < self.n_classes)
        if self._transitions:
            teaches &= self._has_window(known.known_at)
        keep = teaches[run]
        keep[keep] = self._has_window(row[keep])
        run, row = run[keep], row[keep]
        if not self._transitions:
            return Lessons(row, known.event[run], known.direction[run])
        if (known.line[run] < 0).any():
            raise InputError("`data.transitions` must be false where labels have no trend lines, got true.")
        change = np.append(np.log(known.lines.last_price / known.lines.first_price), 0.0)[known.line]
        return Lessons(row, known.event[run], known.direction[run], known_at=known.known_at[run], change=change[run])

    def _has_window(self, row: IntArray) -> BoolArray:
        result = np.empty(len(row), dtype=bool)
        series = row >> BAR_BITS
        for number in np.unique(series):
            here = series == number
            result[here] = self._tapes[number].has_window(row[here])
        return result

    def _described(self, predictions: Predictions, opened: StreamRows, is_partial: bool) -> Predictions:
        """Return predictions with what the stream knows of their rows."""
        row, probability = predictions.row, predictions.probability
        if not len(row):  # nothing was said, in no number of classes
            probability = np.zeros((0, self.n_classes))
        if probability.shape[1] != self.n_classes:
            got = f"{self.n_classes} and a model of {probability.shape[1]}"
            raise InputError(f"`n_classes` must be what the model tells apart, got {got}.")
        order = np.argsort(opened.row)
        due = opened.row[order]
        place = np.minimum(np.searchsorted(due, row), max(len(due) - 1, 0))
        is_due = np.array_equal(due[place], row) and len(np.unique(row)) == len(row) if len(due) else not len(row)
        if not is_due or (len(row) < len(due) and not is_partial):
            raise RuntimeError(
                f"A walk step must predict each of its rows once: {len(row)} predictions for {len(due)} rows."
            )
        at = order[place]
        columns = (row >> BAR_BITS, opened.close_time[at], opened.baselines[at], predictions.temperature)
        return Predictions(row, probability, *columns)


def _rows_of(known: KnownLabels) -> tuple[IntArray, IntArray]:
    """Return the run of each row, and each row, in the order of the runs."""
    return np.repeat(np.arange(len(known)), known.end - known.start), ranges(known.start, known.end)


def _known_rows(known: KnownLabels) -> KnownRows:
    run, row = _rows_of(known)
    return KnownRows(row, known.known_time[run], known.event[run], known.direction[run])
