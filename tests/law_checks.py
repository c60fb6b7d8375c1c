"""The laws of time as functions of bars, for generated and real bars alike."""

from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from arenas import arena_of
from reference import HIGH, LOW, slow_labels, slow_lines, slow_pivots

from trendtrain.features import bar_features, by_segment, price_levels, skill_features, volatility_unit
from trendtrain.laws import BarsFunction, check_causal
from trendtrain.market import Bars, Labels, LabelTracker, Lines, Pivots, PivotTracker, find_pivots, label_bars
from trendtrain.models import CnnNet, DuelingQNet, MlpNet, TransformerNet
from trendtrain.validation import BASELINE_NAMES, baseline_directions, online_logistic

Array = npt.NDArray[Any]


def assert_same(fast: Array, other: Array) -> None:
    """Compare bit by bit."""
    assert fast.dtype == other.dtype
    assert fast.shape == other.shape
    assert fast.tobytes() == other.tobytes()


def assert_same_fields(one: Any, other: Any) -> None:
    for field in fields(one):
        assert_same(np.asarray(getattr(one, field.name)), np.asarray(getattr(other, field.name)))


def assert_pivots_equal_reference(bars: Bars, **options: Any) -> None:
    highs, lows = find_pivots(bars, **options)
    names = ("level", "bar", "price", "known_at", "prominence", "segment")
    fast = [
        (part.kind, *row)
        for part in (highs, lows)
        for row in zip(*(getattr(part, name).tolist() for name in names), strict=True)
    ]
    slow = [tuple(pivot) for pivot in slow_pivots(bars, **options)]
    assert sorted(fast) == sorted(slow)
    for part, kind in ((highs, HIGH), (lows, LOW)):
        assert part.kind == kind
        assert_same(part.time, bars.open_time[part.bar])
        keys = list(zip(part.known_at.tolist(), part.level.tolist(), strict=True))
        assert keys == sorted(keys)


def assert_lines_equal_reference(bars: Bars, flat_band: float = 0.0, **options: Any) -> None:
    lines = label_bars(bars, flat_band=flat_band, **options).lines
    names = ("kind", "first_bar", "last_bar", "first_price", "last_price", "known_at", "direction")
    fast = list(zip(*(getattr(lines, name).tolist() for name in names), strict=True))
    assert fast == [tuple(line) for line in slow_lines(slow_pivots(bars, **options), flat_band)]


def assert_labels_equal_reference(bars: Bars, **options: Any) -> None:
    labels = label_bars(bars, **options)
    slow = slow_labels(bars, **options)
    assert labels.direction.tolist() == [label.direction for label in slow]
    assert labels.known_at.tolist() == [label.known_at for label in slow]
    names = ("kind", "first_bar", "last_bar", "first_price", "last_price", "known_at", "direction")
    columns = list(zip(*(getattr(labels.lines, name).tolist() for name in names), strict=True))
    fast_lines = [columns[event] if event >= 0 else None for event in labels.event.tolist()]
    assert fast_lines == [label.line and tuple(label.line) for label in slow]


def assert_pivots_survive_cut(bars: Bars, cut: int, **options: Any) -> None:
    for whole, before in zip(find_pivots(bars, **options), find_pivots(bars[:cut], **options), strict=True):
        assert_same_fields(whole.take(whole.known_at < cut), before)


def assert_survives_cut(fn: BarsFunction, bars: Bars, cut: int) -> None:
    check_causal(fn, bars, cuts=[cut], chunks=(), shortest=0)


def assert_labels_survive_cut(bars: Bars, cut: int, **options: Any) -> None:
    """Lines known at the cut, labels known at the cut; and nothing else. A bar and its close time are one `now`."""
    assert_survives_cut(partial(label_bars, **options), bars, cut)
    labels = label_bars(bars, **options)
    if cut:
        assert_same(labels.known(bars.close_time[cut - 1]), labels.known(cut - 1))


def assert_baselines_survive_cut(bars: Bars, cut: int, **options: Any) -> None:
    def baselines(bars: Bars) -> Array:
        labels = label_bars(bars, **options)
        answers = baseline_directions(bars, labels, options.get("max_gap"))
        learned = online_logistic(by_segment(bar_features, bars, options.get("max_gap")), labels)
        return np.column_stack([*(answers[name] for name in BASELINE_NAMES), learned])

    assert_survives_cut(baselines, bars, cut)


def assert_features_survive_cut(bars: Bars, cut: int, max_gap: int | None) -> None:
    for function in (bar_features, skill_features, unit_column, price_levels):
        assert_survives_cut(function, bars, cut)
        assert_survives_cut(lambda bars, function=function: by_segment(function, bars, max_gap), bars, cut)


def assert_windows_survive_cut(bars: Bars, cut: int, max_gap: int | None, window: int = 8) -> None:
    """Windows and side inputs, and what nets answer to them, are those of the cut bars."""
    rows = np.arange(window - 1, cut)
    whole, before = (batch_of(part, rows, max_gap, window) for part in (bars, bars[:cut]))
    for name in ("window", "side"):
        assert_same(whole[name].numpy(), before[name].numpy())
    with torch.inference_mode():
        for net in small_nets(whole["window"].shape[2], whole["side"].shape[1], window):
            answers = [net(batch["window"], batch["side"]).numpy() for batch in (whole, before)]
            assert_same(*answers)


def batch_of(bars: Bars, rows: Array, max_gap: int | None, window: int) -> dict[str, torch.Tensor]:
    arena = arena_of(bars, window=window, features=bar_features, side=bar_features, max_gap=max_gap)
    return arena.gather(torch.from_numpy(rows))


def small_nets(n_features: int, n_side: int, window: int) -> list[torch.nn.Module]:
    shape = {"n_features": n_features, "n_side": n_side}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = [
            MlpNet(**shape, widths=(8,)),
            CnnNet(**shape, window=window, width=8, kernels=(2, window // 2)),
            DuelingQNet(**shape, window=window, width=8, kernels=(2, window // 2)),
            TransformerNet(**shape, window=window, width=8, patch=4, n_heads=2),
        ]
    return [net.eval() for net in nets]


def unit_column(bars: Bars) -> Array:
    return volatility_unit(bars)[:, None]


def pivots_in_chunks(bars: Bars, edges: list[int], **options: Any) -> tuple[list[Pivots], list[Pivots]]:
    tracker = PivotTracker(**options)
    parts = [tracker.update(bars[a:b]) for a, b in zip([0, *edges], [*edges, len(bars)], strict=True)]
    return [highs for highs, _ in parts], [lows for _, lows in parts]


def assert_chunks_change_nothing(bars: Bars, edges: list[int], **options: Any) -> None:
    for whole, parts in zip(find_pivots(bars, **options), pivots_in_chunks(bars, edges, **options), strict=True):
        for field in fields(Pivots):
            if field.name != "kind":
                joined = np.concatenate([getattr(part, field.name) for part in parts])
                assert_same(joined, getattr(whole, field.name))


def assert_labels_in_chunks_change_nothing(bars: Bars, edges: list[int], **options: Any) -> None:
    tracker, whole = LabelTracker(**options), LabelTracker(**options).update(bars)
    parts = [tracker.update(bars[a:b]) for a, b in zip([0, *edges], [*edges, len(bars)], strict=True)]
    for name in ("start", "end", "direction", "known_at", "event"):
        assert_same(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))
    for field in fields(Lines):
        joined = np.concatenate([getattr(part.lines, field.name) for part in parts])
        assert_same(joined, getattr(whole.lines, field.name))


def assert_chunks_come_when_known(bars: Bars, edges: list[int], **options: Any) -> None:
    """A pivot comes with the very chunk that holds its `known_at`, neither sooner nor later."""
    starts, ends = [0, *edges], [*edges, len(bars)]
    for parts in pivots_in_chunks(bars, edges, **options):
        for start, end, part in zip(starts, ends, parts, strict=True):
            assert ((part.known_at >= start) & (part.known_at < end)).all()


def line_rows(lines: Lines, events: Array, shift: int = 0) -> list[tuple[Any, ...]]:
    """Return the lines of events as rows, their bars counted from `shift`."""
    part = lines[events]
    bars = (part.first_bar - shift, part.last_bar - shift, part.known_at - shift)
    names = ("kind", "first_price", "last_price", "direction")
    return list(zip(*(x.tolist() for x in (*bars, *(getattr(part, name) for name in names))), strict=True))


def rows_of_labels(labels: Labels, bars: Array, shift: int = 0) -> list[tuple[Any, ...]]:
    """Return direction, known_at and line of each labelled bar, bars counted from `shift`."""
    event = labels.event[bars]
    lines = iter(line_rows(labels.lines, event[event >= 0], shift))
    known_at = labels.known_at[bars]
    known_at = np.where(known_at >= 0, known_at - shift, known_at)
    rows = zip(labels.direction[bars].tolist(), known_at.tolist(), event.tolist(), strict=True)
    return [(direction, known, next(lines) if e >= 0 else None) for direction, known, e in rows]
