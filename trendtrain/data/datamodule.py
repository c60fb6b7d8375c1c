"""Serve known bars for training and the stream for validation, from one clock."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader

from trendtrain.data.arena import Arena, Batch
from trendtrain.data.arrays import to_arrays, to_tensors
from trendtrain.data.device import GatherAhead, Resident, loader, move_arena
from trendtrain.data.look_ahead import check_look_ahead
from trendtrain.data.windows import DrawsBetweenBars, StreamBatches, WindowDataset
from trendtrain.errors import InputError, check_at_least, check_choice
from trendtrain.features.bar import bar_features
from trendtrain.features.segmented import Features
from trendtrain.features.skill import skill_features
from trendtrain.market.bars import Bars
from trendtrain.market.directions import DIRECTION_WORDS, FLAT
from trendtrain.market.labels import Labels, label_bars
from trendtrain.market.synthetic import synthetic_market
from trendtrain.market.timeframe import format_timeframe, parse_timeframe
from trendtrain.replay.sampler import ReplaySampler, make_sampler
from trendtrain.replay.weights import weigh_by_gradient
from trendtrain.stream.feed import Feed, HeldBars, History, HistoryFeed
from trendtrain.stream.stream import RULES, Stream
from trendtrain.stream.tape import Labeler, Tape, label_rules
from trendtrain.stream.walk import Walk
from trendtrain.validation.change import ChangeDetector

_N_BARS_TO_CHECK = 1000
_N_LIVE_BARS_TO_CHECK = 3000
_LIVE_ROWS = 32  # predicted at once in live steps
_LOG = logging.getLogger("trendtrain.live")


@dataclass(frozen=True)
class Live:
    """Where a datamodule takes bars from that are still to come, and how it trains between two of them.

    Args:
        feed: Makes the feed of the stream from the datamodule; None for the steps of its `series`.
        max_batches: Training goes on until bars wait to be predicted, for one batch at least and so many at most; 0 for
            no training at all. None for `replay.n_batches` a step.
        max_bars: Newest bars of each series that can be learned from, so that memory does not grow; None for all.
    """

    feed: "Callable[[PivotDataModule], Feed] | None" = None
    max_batches: int | None = None
    max_bars: int | None = None


class PivotDataModule(pl.LightningDataModule):
    """Label one or many series and walk through them: replay of known bars for training, the stream for validation.

    Args:
        series: Bars or DataFrames (see `Bars.from_dataframe`) by (symbol, timeframe); or a `History` that reads them
            step by step.
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
        replay: Makes the sampler of known bars, given `memory` and `seed`.
        max_gap: As in the labeler: nothing spans a longer hole.
        n_classes: 2 (a FLAT label trains nothing) or 3.
        seed: Seed of the replay.
        baselines: Further ones to judge beside ours, by name: each gives the direction it predicts at each bar
            (down 0, up 1, flat 2), as features are given.
        check_causal: Whether `setup` checks functions that are not the package's own for look-ahead, on a sample.
        live: What differs where bars are still to come; None where `series` has them all.

    Attributes:
        n_warmup: Training epochs before the first step, in which the stream brings nothing.

    Raises:
        InputError: In `setup`, if the bars are too few, no label is known when the walk starts, or a function looks
            ahead.
    """

    def __init__(
        self,
        series: Mapping[Any, Any] | History,
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
        baselines: Mapping[str, Features] | None = None,
        check_causal: bool = True,
        live: Live | None = None,
    ) -> None:
        super().__init__()
        self.history = series if isinstance(series, History) else HeldBars(series)
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
        self.baselines = baselines or {}
        self.check_causal = check_causal
        self.live = live or Live()
        self.feed: Feed
        self.arena: Arena
        self.stream: Stream
        self.n_warmup = 0
        self._is_built = False

    def setup(self, stage: str | None = None) -> None:
        """Take in the bars before the walk, and fill the memory with what is known when it starts."""
        if self._is_built:
            return
        check_at_least("window", self.window, 2)
        check_choice("data.resident", self.resident, ("auto", True, False))
        if taken := sorted(set(self.baselines) & set(RULES)):
            raise InputError(f"`baselines` must have names other than {', '.join(RULES)}, got {taken[0]}.")
        self._build()
        if self.check_causal:
            self._check_look_ahead()
        self.stream.begin()
        self._wait_for_labels()
        self._check_classes()
        n_draws = self.replay.n_batches * self.replay.batch_size
        if self.live.max_batches != 0:
            self.n_warmup = self.stream.warmup = self.walk.warmup_epochs(self.replay.memory.n_events, n_draws)
        self._is_built = True

    def _build(self) -> None:
        """Make a new arena, memory and stream."""
        self.feed = feed = self.live.feed(self) if self.live.feed else HistoryFeed(self.history, self.walk)
        for name in feed.series if self.live.feed is None else ():
            if feed.n_bars(name) < self.window:
                got = f"{feed.n_bars(name)} bars of {name.symbol} {name.timeframe}"
                raise InputError(f"`window` must be at most the bars of each series, got {self.window} for {got}.")
        self.arena = Arena(self.window, [feed.n_bars(series) for series in feed.series], self.live.max_bars)
        self.stream = Stream(
            feed,
            self._new_tape,
            self.make_replay(seed=self.seed),
            self.arena.append,
            self.n_classes,
            self.transitions,
            tuple(self.baselines),
            self.live.max_bars,
        )

    def _wait_for_labels(self) -> None:
        """Take in bars until one can be learned from; live ones are waited for, where `raise_if_stopped` may raise."""
        is_told = False
        while not self.replay.memory.n_known and (self.live.max_batches != 0 or not any(self.stream.n_bars.values())):
            if self.live.feed is None or self.feed.is_done:
                raise self._nothing_to_learn()
            if not is_told:
                n_bars = ", ".join(f"{' '.join(name)} {n}" for name, n in self.stream.n_bars.items())
                _LOG.info("waiting for the first bar with a whole window and a known label; bars so far: %s", n_bars)
                is_told = True
            self.stream.skip()

    def _check_classes(self) -> None:
        """Raise if a model of three classes would see no FLAT label; with a band or live bars, it may come later."""
        label, rules = self.replay.memory.label, label_rules(self.labeler)
        may_come = self.live.feed is not None or (rules is not None and rules.flat_band > 0)
        if self.n_classes > FLAT and not may_come and not (label == FLAT).any():
            rule = "be 2 where no known label is FLAT (a `labels.flat_band` above 0 makes some)"
            raise InputError(f"`n_classes` must {rule}, got {self.n_classes} and {len(label)} labels without any.")

    def _check_look_ahead(self) -> None:
        name = max(self.feed.series, key=self.feed.n_bars)
        clock = self.feed.clock()  # where bars are live, a tail is enough of what may be years
        start = None if clock is None else clock - _N_LIVE_BARS_TO_CHECK * parse_timeframe(name.timeframe)
        bars = self.history.load(name, start, None)
        if not len(bars):  # the first live bars are still to come
            bars = synthetic_market(_N_BARS_TO_CHECK, seed=0, timeframe=name.timeframe)
        parts = {"data.features": self.features, "data.side": self.side}
        parts |= {f"baselines[{baseline!r}]": part for baseline, part in self.baselines.items()}
        check_look_ahead(self.labeler, parts, bars, self.max_gap)

    def _new_tape(self, number: int) -> Tape:
        return Tape(number, self.labeler, self.features, self.side, self.window, self.max_gap, self.baselines)

    @property
    def replay(self) -> ReplaySampler:
        """Draws what may be learned from."""
        return self.stream.replay

    @property
    def n_features(self) -> int:
        """F, the channels of a window."""
        return self.arena.n_features

    @property
    def n_side(self) -> int:
        """S, the side inputs of a window's last bar, the timeframe among them; 0 for none."""
        return self.arena.n_side

    @property
    def fills_batches(self) -> bool:
        """Whether the last batch of a step repeats its last row, as `StreamBatches` says: where bars are live."""
        return self.live.max_batches is not None

    def newest_bars(self) -> list[Bars | None]:
        """Return the newest bars of each series by its number; None before its first."""
        return self.stream.newest_bars()

    def train_dataloader(self) -> DataLoader[Batch] | GatherAhead | list[int]:
        """Return the replay: batches drawn from what is known, when they are asked for."""
        if self.live.max_batches == 0:
            return [0]  # an epoch without a batch would end without a validation
        draws = self.replay if self.live.max_batches is None else DrawsBetweenBars(self.stream, self.live.max_batches)
        return loader(WindowDataset(self.arena, self.transitions), draws, self._device())

    def val_dataloader(self) -> DataLoader[Batch] | GatherAhead:
        """Return the stream: the rows of the step under way, in order of close time, without labels."""
        n_rows = min(self.walk.batch_size, _LIVE_ROWS) if self.fills_batches else self.walk.batch_size
        batches = StreamBatches(self.stream, n_rows, self.fills_batches)
        return loader(WindowDataset(self.arena), batches, self._device())

    def state_dict(self) -> dict[str, Any]:
        """Return what later steps depend on; the bars are read again."""
        grid = {"start": str(self.feed.start), "step": format_timeframe(self.feed.length)}
        if self.feed.loaded_at is not None:
            grid["loaded_at"] = str(self.feed.loaded_at)
        return {**to_tensors(self.stream.state_dict()), "grid": grid}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict()`.

        Raises:
            InputError: If the walk has another grid, or the bars are not those of the state.
        """
        grid = state_dict["grid"]
        ours = {"start": str(self.feed.start), "step": format_timeframe(self.feed.length)}
        for name in ("start", "step") if isinstance(self.walk.start, str) else ("step",):
            if ours[name] != grid[name]:
                raise InputError(f"`walk.{name}` must stay {grid[name]} where a run goes on, got {ours[name]}.")
        self.walk = replace(self.walk, start=grid["start"])
        self._build()
        if "loaded_at" in grid:
            self.feed.loaded_at = np.datetime64(grid["loaded_at"], "ms")
        self.stream.load_state_dict(to_arrays(state_dict))

    def raise_if_stopped(self) -> None:
        """Raise where SIGTERM came: Lightning itself looks between batches alone, not while bars are waited for."""
        if self.trainer is not None and self.trainer.received_sigterm:
            raise SIGTERMException

    def teardown(self, stage: str) -> None:
        """Let the next `fit` start anew after a `fast_dev_run`."""
        if self.trainer is not None and self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            self._is_built = False

    def _device(self) -> torch.device:
        """Return where windows are gathered; the arena moves there."""
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        move_arena(self.arena, device, self.resident)
        return device

    def _nothing_to_learn(self) -> InputError:
        """Return why there is nothing to train on when the walk starts: the labels, or where it starts."""
        labels = Labels.stack({name: self.labeler(self.history.load(name, None, None)) for name in self.history.series})
        classes, start = range(self.n_classes), self.stream.now
        known = labels.direction[labels.known_at >= 0]
        counts = ", ".join(f"{np.count_nonzero(known == code)} {word}" for code, word in DIRECTION_WORDS.items())
        found = f"{len(known)} known labels of {len(labels)} bars ({counts})"
        if not np.isin(known, classes).any():
            words = " or ".join(DIRECTION_WORDS[code].upper() for code in classes)
            is_flat = (known == FLAT).any()
            fix = "a smaller `labels.flat_band` or n_classes=3" if is_flat else "constant prices have no pivots"
            return InputError(f"`labels` must make bars {words} ({fix}), got {found}.")
        n_before = np.count_nonzero(labels.known(start))
        got = f"{start}, by which {n_before} of {found} are known, none of a bar with a whole window"
        return InputError(f"`walk.start` must leave bars with known labels before it, got {got} to learn from.")


def default_replay(seed: int) -> ReplaySampler:
    """Return the sampler that `configs/replay/gradient.yaml` describes."""
    detector = ChangeDetector()
    return make_sampler(
        batch_size=256, n_batches=8, weigh=weigh_by_gradient, half_life=2800.0, detector=detector, seed=seed
    )
