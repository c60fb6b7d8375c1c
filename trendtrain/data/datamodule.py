"""Serve known bars for training and the stream for validation, from one clock."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from trendtrain.data.arena import Arena, build_arena, has_window
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.data.device import GatherAhead, Resident, loader, move_windows
from trendtrain.data.transitions import line_changes
from trendtrain.data.windows import Batch, WindowDataset, Windows
from trendtrain.errors import InputError, check_at_least, check_choice
from trendtrain.features.bar import bar_features
from trendtrain.features.segmented import Features
from trendtrain.features.skill import skill_features
from trendtrain.market.bars import Bars, FloatArray, IntArray, Series
from trendtrain.market.directions import DIRECTION_WORDS, DOWN, FLAT, UP
from trendtrain.market.labels import Labels, label_bars
from trendtrain.replay.memory import Lessons
from trendtrain.replay.sampler import Draw, ReplaySampler, make_sampler
from trendtrain.replay.weights import weigh_by_gradient
from trendtrain.stream.clock import StreamClock
from trendtrain.stream.walk import Walk
from trendtrain.validation.change import ChangeDetector
from trendtrain.validation.online_logistic import online_logistic
from trendtrain.validation.predictions import Predictions
from trendtrain.validation.simple_rules import baseline_directions

Labeler = Callable[[Bars], Labels]

DIRECTIONS_OF = {2: (DOWN, UP), 3: (DOWN, UP, FLAT)}  # by `n_classes`


class PivotDataModule(pl.LightningDataModule):
    """Label one or many series and walk through them: replay of known bars for training, the stream for validation.

    Args:
        series: Bars by (symbol, timeframe).
        labeler: Gives the labels of a series.
        features: A function `Bars -> (n_bars, K)` of each bar and earlier ones, or a class of `FeatureTracker`.
        side: Gives the side inputs of a series, `Bars -> (n_bars, S)`, from each bar and earlier ones: what a net sees
            of a window's last bar alone. The timeframe becomes one more, the last. None for none.
        transitions: Whether training batches also hold what follows on a prediction: `next_window` and `next_side`, of
            the bar at whose close its label is known, and `gain`, the log price change of the line that judges it in
            volatility units A_t.
        resident: Where windows are gathered: `auto` on a GPU that trains if all inputs fit in half of its free memory,
            True on the device that trains, False on the CPU. On a GPU, what does not fit is pinned, a batch ahead.
        window: T, bars a window.
        walk: Where the stream starts and how far it steps.
        replay: Makes the sampler of known bars, given `seed`; its memory is empty.
        max_gap: As in the labeler: nothing spans a longer hole.
        n_classes: 2 (a FLAT label trains nothing) or 3.
        seed: Seed of the replay.

    Attributes:
        n_warmup: Training epochs before the first step, in which the stream brings nothing.

    Raises:
        InputError: In `setup`, if the bars are too few, or no label is known when the walk starts.
    """

    def __init__(
        self,
        series: Mapping[Series, Bars],
        labeler: Labeler = label_bars,
        features: Features = bar_features,
        side: Features | None = skill_features,
        transitions: bool = False,
        resident: Resident = "auto",
        window: int = 96,
        walk: Walk | None = None,
        replay: Callable[..., ReplaySampler] | None = None,
        max_gap: int | None = None,
        n_classes: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.series = series
        self.labeler = labeler
        self.features = features
        self.side = side
        self.transitions = transitions
        self.resident = resident
        self.window = window
        self.walk = walk or Walk()
        self.make_replay = replay or default_replay
        self.max_gap = max_gap
        self.n_classes = n_classes
        self.seed = seed
        self.labels: Labels
        self.baselines: dict[str, IntArray]
        self.clock: StreamClock
        self.replay: ReplaySampler
        self.n_warmup = 0
        self._change: FloatArray | None = None  # of each line, with transitions
        self._is_built = False

    def setup(self, stage: str | None = None) -> None:
        """Label the bars, compute their features, and fill the memory with what is known when the walk starts."""
        if self._is_built:
            return
        check_at_least("window", self.window, 2)
        check_choice("data.resident", self.resident, ("auto", True, False))
        self._check_lengths()
        labels = {name: self.labeler(bars) for name, bars in self.series.items()}
        self.labels = Labels.stack(labels)
        arena = build_arena(self.series.values(), self.features, self.side, self.max_gap)
        self.baselines = self._baselines(labels, arena)
        self._windows = Windows(arena, self.window)
        self._change = line_changes(self.labels) if self.transitions else None
        self._unit = arena.unit if self.transitions else None
        self._fingerprint = zlib.crc32(arena.levels.data, zlib.crc32(self.labels.close_time.tobytes()))
        series = self.series.values()
        self._is_ready = np.concatenate([has_window(bars, self.window, self.max_gap) for bars in series])
        self.clock = StreamClock(self.labels, self._is_ready, self.walk)
        self.replay = self.make_replay(seed=self.seed)
        self._add_known(None)
        if not self.replay.memory.n_known:
            raise self._nothing_to_learn()
        n_draws = self.replay.n_batches * self.replay.batch_size
        self.n_warmup = self.clock.warmup = self.walk.warmup_epochs(self.replay.memory.n_events, n_draws)
        self._is_built = True

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return self._windows.n_features

    @property
    def n_side(self) -> int:
        """S, the side inputs of a window's last bar, the timeframe among them; 0 for none."""
        return self._windows.n_side

    def close_step(self) -> np.datetime64:
        """Move the clock to the end of the step, add what became known to the memory, and return the new `now`.

        During the warm-up, count one epoch of it; `now` stays.
        """
        before = self.clock.now
        self.clock.advance()
        self._add_known(before)
        return self.clock.now

    def update_verdicts(self, predictions: Predictions) -> None:
        """Weigh replayed rows by the verdicts on a model's current predictions instead of its earlier ones."""
        self.replay.refresh(predictions.row, predictions.probability)

    def train_dataloader(self) -> DataLoader[Batch] | GatherAhead:
        """Return the replay: batches drawn from what is known, when they are asked for."""
        return self._loader(WindowDataset(self._windows, self._unit), self.replay)

    def val_dataloader(self) -> DataLoader[Batch] | GatherAhead:
        """Return the stream: the rows of the clock's step, in order of close time, without labels."""
        return self._loader(WindowDataset(self._windows), StreamSampler(self.clock, self.walk.batch_size))

    def state_dict(self) -> dict[str, Any]:
        """Return the clock's step, the replay's state, and what tells whether the bars are still the same."""
        clock = {"step": self.clock.step, "warmup": self.clock.warmup}
        return {**clock, "replay": to_tensors(self.replay.state_dict()), "bars": self._fingerprint}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`."""
        if state_dict["bars"] != self._fingerprint:
            raise InputError("`data` must give the bars of the run that is resumed, got others: rows would not match.")
        self.clock.step, self.clock.warmup = state_dict["step"], state_dict["warmup"]
        self.replay.load_state_dict(to_arrays(state_dict["replay"]))

    def _baselines(self, labels: Mapping[Series, Labels], arena: Arena) -> dict[str, IntArray]:
        """Return what each baseline predicts at each row; the learned one from side inputs, else from channels."""
        rules = [baseline_directions(bars, labels[name], self.max_gap) for name, bars in self.series.items()]
        baselines = {rule: np.concatenate([directions[rule] for directions in rules]) for rule in rules[0]}
        learned = online_logistic(arena.side if arena.n_side else arena.features, self.labels)
        return {**baselines, "online_logistic": learned}

    def _loader(self, dataset: WindowDataset, sampler: Any) -> DataLoader[Batch] | GatherAhead:
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        move_windows(self._windows, device, self.resident)
        return loader(dataset, sampler, device)

    def _add_known(self, before: np.datetime64 | None) -> None:
        rows = self.labels.newly_known(before, self.clock.now)
        direction = self.labels.direction[rows]
        is_class = (direction >= 0) & (direction < self.n_classes) & self._is_ready[rows]
        known_at = self.labels.known_at[rows]
        if self.transitions:
            is_class &= self._is_ready[known_at]
        rows, known_at, label = rows[is_class], known_at[is_class], direction[is_class]
        event = self.labels.event[rows]
        change = None if self._change is None else self._change[event]
        self.replay.add(Lessons(rows, event, label, known_at=known_at, change=change))

    def _nothing_to_learn(self) -> InputError:
        """Return why there is nothing to train on when the walk starts: the labels, or where it starts."""
        labels, classes = self.labels, DIRECTIONS_OF[self.n_classes]
        known = labels.direction[labels.known_at >= 0]
        counts = ", ".join(f"{np.count_nonzero(known == code)} {word}" for code, word in DIRECTION_WORDS.items())
        found = f"{len(known)} known labels of {len(labels)} bars ({counts})"
        if not np.isin(known, classes).any():
            words = " or ".join(DIRECTION_WORDS[code].upper() for code in classes)
            is_flat = (known == FLAT).any()
            fix = "a smaller `labels.flat_band` or n_classes=3" if is_flat else "constant prices have no pivots"
            return InputError(f"`labels` must make bars {words} ({fix}), got {found}.")
        n_before = len(labels.newly_known(None, self.clock.now))
        got = f"{self.clock.start}, by which {n_before} of {found} are known, none of a bar with a whole window"
        return InputError(f"`walk.start` must leave bars with known labels before it, got {got} to learn from.")

    def _check_lengths(self) -> None:
        if not self.series:
            raise InputError("`series` must hold bars of at least one series, got none.")
        for name, bars in self.series.items():
            if len(bars) < self.window:
                got = f"{len(bars)} bars of {name.symbol} {name.timeframe}"
                raise InputError(f"`window` must be at most the bars of each series, got {self.window} for {got}.")


class StreamSampler(Sampler[Draw]):
    """Yield the rows of the clock's step under way in batches of equal weight."""

    def __init__(self, clock: StreamClock, batch_size: int) -> None:
        self.clock = clock
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Draw]:
        rows = self.clock.rows
        for start in range(0, len(rows), self.batch_size):
            part = rows[start : start + self.batch_size]
            yield Draw(part, np.ones(len(part)))

    def __len__(self) -> int:
        """The batches of the largest step: Lightning asks once and keeps the number."""
        return -(-self.clock.most_rows // self.batch_size)


def default_replay(seed: int) -> ReplaySampler:
    """Return the sampler that `configs/replay/gradient.yaml` describes."""
    detector = ChangeDetector()
    return make_sampler(
        batch_size=256, n_batches=8, weigh=weigh_by_gradient, half_life=2800.0, detector=detector, seed=seed
    )
