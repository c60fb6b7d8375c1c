"""Compare models of runs on the events they have in common."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, select

from trendtrain.errors import InputError
from trendtrain.market.bars import FloatArray
from trendtrain.storage.ledger.stats import newest, run_names, sums_by_line
from trendtrain.storage.schema import lines, runs, tracks
from trendtrain.validation.score import DIFFERENCES, SHARES, Estimate, calendar_blocks, estimate

_Key = tuple[int, str, int, int]  # series, kind, first and last time of a line
_Events = dict[_Key, tuple[int, float]]  # when each was known, ms, and what share it found correct


@dataclass(frozen=True)
class Contestant:
    """One model of one run, in its last pass.

    Attributes:
        run, model: Which.
        event_accuracy, accuracy_se, accuracy_ci95: On all its events, with the event-block error and 95 % interval, NaN
            below 8 blocks.
        n_events: How many events it has.
    """

    run: str
    model: str
    event_accuracy: float
    n_events: int
    accuracy_se: float
    accuracy_ci95: tuple[float, float]


@dataclass(frozen=True)
class Pair:
    """A contestant beside the first one, on the events of both.

    Attributes:
        run, model: The contestant.
        against_run, against_model: The first one.
        n_events: Events of both: lines of the same series and kind, between the same pivots.
        event_accuracy, against_accuracy: Of both on those events.
        difference: The contestant minus the first, the mean over events.
        difference_se, difference_ci95: Its event-block error and 95 % interval; NaN below 8 blocks.
        n_blocks: The number of these blocks.
    """

    run: str
    model: str
    against_run: str
    against_model: str
    n_events: int
    event_accuracy: float
    against_accuracy: float
    difference: float
    difference_se: float
    difference_ci95: tuple[float, float]
    n_blocks: int


@dataclass(frozen=True)
class Comparison:
    """The models of some runs, and all but the first beside the first.

    Attributes:
        contestants: The models, in the order in which the runs were named.
        pairs: All but the first, each beside the first.
        differences: Each key of the configuration that differs, with its value by run.
    """

    contestants: tuple[Contestant, ...]
    pairs: tuple[Pair, ...]
    differences: dict[str, dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name; NaN stays."""
        named = asdict(self)
        return {"runs": named["contestants"], "pairs": named["pairs"], "differences": named["differences"]}


def compare_runs(connection: Connection, names: Sequence[str]) -> Comparison:
    """Compare models as `Ledger.compare` does; each event counts once, whatever the number of predictions it judged."""
    known = run_names(connection)
    for name in names:
        if name not in known:
            raise InputError(f"`compare` must name some of {newest(known)}, got {name!r}.")
    events = {key: found for name in dict.fromkeys(names) for key, found in _events(connection, name)}
    if len(events) < 2:
        got = ", ".join(map(" ".join, events)) or f"no verdict by lines in {', '.join(names)}"
        raise InputError(f"`compare` must name runs with two models or more that lines judged, got {got}.")
    contestants = tuple(_contestant(*key, own) for key, own in events.items())
    first, *others = events.items()
    pairs = tuple(_pair(first, other) for other in others)
    return Comparison(contestants, pairs, _differences(connection, list(dict.fromkeys(names))))


def _differences(connection: Connection, names: list[str]) -> dict[str, dict[str, Any]]:
    rows = connection.execute(select(runs.c.id, runs.c.config).where(runs.c.id.in_(names)))
    configs = {name: dict(_flat(_config(text))) for name, text in rows}
    keys = sorted({key for config in configs.values() for key in config})
    values = {key: {name: configs[name].get(key) for name in names} for key in keys}
    return {key: of_runs for key, of_runs in values.items() if len({repr(value) for value in of_runs.values()}) > 1}


def _config(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a run that no command line started may keep any text
        return {}


def _flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(config, dict):
        yield prefix, config
        return
    for key, value in config.items():
        yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))


def _events(connection: Connection, run: str) -> Iterator[tuple[tuple[str, str], _Events]]:
    """Yield each model of a run with the events of its last pass, models by name."""
    last = select(tracks.c.model, func.max(tracks.c["pass"])).where(tracks.c.run_id == run).group_by(tracks.c.model)
    for model, pass_ in sorted((model, pass_) for model, pass_ in connection.execute(last)):
        of_pass = (tracks.c.run_id == run) & (tracks.c.model == model) & (tracks.c["pass"] == pass_)
        found = sums_by_line(of_pass).subquery()
        key = (lines.c.series_id, lines.c.kind, lines.c.first_time, lines.c.last_time)
        query = select(*key, lines.c.known_at, found.c.n_correct, found.c.n_valid)
        rows = connection.execute(query.join(found, found.c.line_id == lines.c.id).where(found.c.n_valid > 0))
        events = {(row[0], row[1], row[2], row[3]): (row[4], row[5] / row[6]) for row in rows}
        if events:
            yield (run, model), events


def _contestant(run: str, model: str, events: _Events) -> Contestant:
    share = np.array([share for _, share in events.values()])
    found = _estimate(list(events), [known_at for known_at, _ in events.values()], share, SHARES)
    return Contestant(run, model, found.mean, found.n_events, found.se, found.ci95)


def _pair(first: tuple[tuple[str, str], _Events], other: tuple[tuple[str, str], _Events]) -> Pair:
    (against, theirs), (own, ours) = first, other
    keys = [key for key in ours if key in theirs]
    if not keys:
        got = f"{' '.join(own)} and {' '.join(against)}, which share none"
        raise InputError(f"`compare` must name runs judged by the same lines, got {got}.")
    a, b = (np.array([events[key][1] for key in keys]) for events in (theirs, ours))
    found = _estimate(keys, [ours[key][0] for key in keys], b - a, DIFFERENCES)
    means = float(b.mean()), float(a.mean())
    return Pair(*own, *against, len(keys), *means, found.mean, found.se, found.ci95, found.n_blocks)


def _estimate(keys: list[_Key], known_at: list[int], values: FloatArray, bounds: tuple[float, float]) -> Estimate:
    series = np.array([key[0] for key in keys])
    return estimate(values, calendar_blocks(np.array(known_at).astype("datetime64[ms]"), series), bounds)
