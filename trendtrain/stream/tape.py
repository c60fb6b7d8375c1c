"""One series as it grows: labels, inputs and simple rules are worked out once, over the new bars alone."""

import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from trendtrain.errors import InputError
from trendtrain.features.lookback import CallCost
from trendtrain.features.segmented import Features, SegmentedFeatures
from trendtrain.market.bars import Bars, BoolArray, FloatArray, IntArray, TimeArray, join_bars
from trendtrain.market.codes import whole_numbers
from trendtrain.market.directions import DIRECTION_MEANING, FLAT, UNKNOWN
from trendtrain.market.labels import KnownLabels, Labels, LabelTracker, label_bars
from trendtrain.market.lines import LabelRuns
from trendtrain.market.rules import PivotRules
from trendtrain.stream.inputs import Inputs, InputTracker
from trendtrain.validation.simple_rules import KnownDirections, SimpleRules

Labeler = Callable[[Bars], Labels]

BAR_BITS = 40
_N_NEWEST = 540  # bars kept for charts
_N_CHECKED = 256  # bars that share a checksum
_COLUMNS = ("open", "high", "low", "close", "volume")
_FIX = "label_bars, and a partial of it, take the new bars alone"
_INTEGERS = ("start", "run_direction", "run_known_at", "run_event")  # of `Labels`


class TapeRows(NamedTuple):
    """What new bars of a series bring; a row is `series << 40 | bar`.

    Attributes:
        row: The row of each bar, shape (n_bars,).
        close_time: When each is known.
        inputs: What a net may see of each.
        has_window: Whether each has a whole window behind it.
        rules: What each simple rule predicts, and each further baseline, int8, shape (n_bars, n_rules).
        known: The labels that became known, of these bars and earlier ones.
    """

    row: IntArray
    close_time: TimeArray
    inputs: Inputs
    has_window: BoolArray
    rules: IntArray
    known: KnownLabels


class Tape:
    """A series whose bars come in chunks of any size, with the same results.

    Args:
        number: Number of the series: the upper bits of its rows and events.
        labeler: `label_bars`, a `partial` of it, or a user's function `Bars -> Labels`, which is called on all bars so
            far whenever new ones come.
        features, side, max_gap: As for `InputTracker`.
        window: Bars a window.
        baselines: Further ones: each gives the direction it predicts at each bar, as features are given.

    Attributes:
        checksums: Of every 256 bars from the first on, and of the rest.
    """

    def __init__(
        self,
        number: int,
        labeler: Labeler,
        features: Features,
        side: Features | None,
        window: int,
        max_gap: int | None,
        baselines: Mapping[str, Features] | None = None,
    ) -> None:
        self.number = number
        self.window = window
        self._newest: list[Bars] = []
        self.checksums: list[int] = []
        self._inputs = InputTracker(features, side, max_gap)
        self._labels = _label_tracker(labeler)
        self._rules = SimpleRules(max_gap)
        self._baselines = {
            name: SegmentedFeatures(baseline, max_gap, f"baselines[{name!r}]")
            for name, baseline in (baselines or {}).items()
        }

    @property
    def n_bars(self) -> int:
        """Bars so far."""
        return self._inputs.n_bars

    @property
    def newest(self) -> Bars | None:
        """The newest bars, for charts; None before the first."""
        self._trim()
        return self._newest[0] if self._newest else None

    @property
    def last_open(self) -> np.datetime64 | None:
        """When the newest bar opened; None before the first."""
        return self._newest[-1].open_time[-1] if self._newest else None

    def append(self, bars: Bars) -> TapeRows:
        """Return what the next bars of the series bring.

        Raises:
            InputError: If the bars do not follow the last ones, or a function of the user's breaks its rule.
        """
        first = self.n_bars
        known, lines = self._labels.update(bars)
        inputs = self._inputs.update(bars)
        events = np.sort(np.unique(known.event, return_index=True)[1])
        events = events[known.event[events] >= 0]
        rules = self._rules.update(bars, KnownDirections(known.known_at[events], known.direction[events]), lines)
        further = [_directions(name, baseline.update(bars)) for name, baseline in self._baselines.items()]
        self._check_sum(bars, first)
        if len(bars):
            self._newest.append(bars[-_N_NEWEST:])
        if first // _N_NEWEST != self.n_bars // _N_NEWEST:  # at each live bar it would take as long as a third of all
            self._trim()
        bar, known_rows = np.arange(first, self.n_bars), self._as_rows(known)
        has_window = self._inputs.has_window(bar, self.window)
        return TapeRows(
            bar + self._base, bars.close_time, inputs, has_window, np.column_stack([rules, *further]), known_rows
        )

    def has_window(self, row: IntArray) -> BoolArray:
        """Return which rows of this series have a whole window behind them."""
        return self._inputs.has_window(row - self._base, self.window)

    @property
    def _base(self) -> int:
        return self.number << BAR_BITS

    def _trim(self) -> None:
        if self._newest:  # joined, they are a copy: views of what was appended would keep all of it
            self._newest = [join_bars(self._newest[0][:0], *self._newest)[-_N_NEWEST:]]

    def _as_rows(self, known: KnownLabels) -> KnownLabels:
        """Number bars and events as those of this series among all."""
        base = self._base
        lines = known.lines
        moved = replace(
            lines,
            first_bar=lines.first_bar + base,
            last_bar=lines.last_bar + base,
            known_at=lines.known_at + base,
        )
        return replace(
            known,
            start=known.start + base,
            end=known.end + base,
            known_at=known.known_at + base,
            event=np.where(known.event < 0, -1, known.event + base),
            lines=moved,
        )

    def _check_sum(self, bars: Bars, first: int) -> None:
        columns = (bars.open_time.view(np.int64), *(getattr(bars, name).view(np.int64) for name in _COLUMNS))
        table = np.ascontiguousarray(np.column_stack(columns))
        at = 0
        while at < len(bars):
            n_in_block = (first + at) % _N_CHECKED
            if not n_in_block:
                self.checksums.append(0)
            end = at + _N_CHECKED - n_in_block
            self.checksums[-1] = zlib.crc32(table[at:end].data, self.checksums[-1])
            at = end


def _directions(name: str, values: FloatArray) -> IntArray:
    codes = whole_numbers(f"baselines[{name!r}]", values, UNKNOWN, FLAT, DIRECTION_MEANING, len(values))
    return codes.astype(np.int8)


def first_difference(before: list[int], after: list[int]) -> int | None:
    """Return the first of the bars, of 256 each, whose checksums differ; None for none."""
    for block, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return block * _N_CHECKED
    return None if len(before) == len(after) else min(len(before), len(after)) * _N_CHECKED


def labels_of(labeler: Labeler, bars: Bars) -> Labels:
    """Return the labels that a user's function gives bars.

    Raises:
        InputError: If they are no Labels of each bar, in whole numbers.
    """
    labels = labeler(bars)
    if not isinstance(labels, Labels) or len(labels) != len(bars):
        got = f"{len(labels)} labels" if isinstance(labels, Labels) else type(labels).__name__
        raise InputError(f"`labels` must give Labels of each of {len(bars)} bars, got {got}.")
    for name in _INTEGERS:
        values = np.asarray(getattr(labels, name))
        if values.dtype.kind != "i":
            raise InputError(f"`labels` must give Labels with whole numbers as {name}, got {values.dtype}.")
    return labels


class _LabelSource(Protocol):
    def update(self, bars: Bars) -> tuple[KnownLabels, KnownDirections | None]:
        """Return what became known with the next bars; bars, events and lines count from the first of the series."""


def label_rules(labeler: Labeler) -> PivotRules | None:
    """Return the rules of `label_bars`, or of a `partial` of it; None of a user's function."""
    made = labeler if isinstance(labeler, partial) else partial(labeler)
    return LabelTracker(*made.args, **made.keywords).rules if made.func is label_bars else None


def _label_tracker(labeler: Labeler) -> _LabelSource:
    """Return the tracker of our labels, or one that calls a user's function."""
    rules = label_rules(labeler)
    return _FunctionLabels(labeler) if rules is None else _OwnLabels(LabelTracker(rules))


class _OwnLabels:
    """Labels of trend lines."""

    def __init__(self, tracker: LabelTracker) -> None:
        self._tracker = tracker
        self._n_bars = self._n_lines = 0

    def update(self, bars: Bars) -> tuple[KnownLabels, KnownDirections | None]:
        runs: LabelRuns = self._tracker.update(bars)
        known = KnownLabels.of_runs(runs, bars.close_time[runs.known_at - self._n_bars], self._n_lines)
        self._n_bars += len(bars)
        self._n_lines += len(runs.lines)
        return known, KnownDirections(runs.lines.known_at, runs.lines.direction)


class _FunctionLabels:
    """Labels of a function, called on all bars so far."""

    def __init__(self, function: Labeler) -> None:
        self._function = function
        self._cost = CallCost("labels", _FIX)
        self._bars: Bars | None = None

    def update(self, bars: Bars) -> tuple[KnownLabels, KnownDirections | None]:
        whole = bars if self._bars is None else join_bars(self._bars, bars)
        with nullcontext() if self._bars is None else self._cost.counted():
            labels = labels_of(self._function, whole)
        before = None if self._bars is None else self._bars.close_time[-1]
        known = labels.known_labels(whole.close_time[-1], before)
        self._bars = whole
        if not len(labels.lines):
            return known, None
        lines = labels.lines[labels.lines.known_at >= len(whole) - len(bars)]
        return known, KnownDirections.sorted(lines.known_at, lines.direction)
