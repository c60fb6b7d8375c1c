"""Read what the runs of a sweep found, and average it over seeds."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from omegaconf import OmegaConf

from trendtrain.reports.summary import write_json

_FAILURE_FILE = "failure.json"
_LEFT = ("summary.json", _FAILURE_FILE)  # one of them, by a run that has ended
_CUT_SHORT = ("interrupted", "terminated")


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        folder: Its run folder's name in the sweep's.
        overrides: What was asked of this run alone, such as `{"model": "mlp", "seed": "1"}`.
        status: As in its summary, or `failed: ...` with the reason.
        exit_code: 0, or what the failure would have given a run of its own.
        values: Its `summary.json`; empty where it failed.
    """

    folder: str
    overrides: dict[str, str]
    status: str
    exit_code: int
    values: dict[str, Any]

    def value(self, name: str) -> float:
        """Return a number of the summary; NaN where there is none."""
        found = self.values.get(name)
        return math.nan if found is None else float(found)


@dataclass(frozen=True)
class SeedMean:
    """What runs that differ by their seed alone found together.

    Attributes:
        overrides: What they have in common that others have not.
        n_seeds: How many came to an end of their own.
        event_accuracy, nll, ece: Means over seeds.
        seed_error: Standard error of the mean event accuracy over seeds; NaN of one. How much the market itself leaves
            to chance is not in it: seeds share the bars, unless those are synthetic.
        difference, difference_error: Mean difference of event accuracy to the first group on the same seeds, and its
            standard error over seeds; NaN for the first group.
    """

    overrides: dict[str, str]
    n_seeds: int
    event_accuracy: float
    seed_error: float
    nll: float
    ece: float
    difference: float
    difference_error: float


def note_failure(folder: Path, exit_code: int, reason: str) -> None:
    """Leave in a run's folder why it failed, for the table of its sweep."""
    (folder / "summary.json").unlink(missing_ok=True)  # of an earlier run
    write_json(folder / _FAILURE_FILE, {"exit_code": exit_code, "reason": reason})


def read_sweep(folder: Path, is_cut: bool = False) -> list[SweptRun]:
    """Return the runs of a sweep in the order of their numbers, with only the overrides in which they differ.

    Of a sweep that was cut off, runs that left nothing are left out: they had not ended.
    """
    homes = [home.parent for home in folder.glob("*/.hydra")]
    homes = [home for home in homes if not is_cut or any((home / name).exists() for name in _LEFT)]
    homes.sort(key=lambda home: (not home.name.isdigit(), int(home.name) if home.name.isdigit() else 0, home.name))
    asked = [_overrides(home) for home in homes]
    varied = {key for one in asked for key in one if any(other.get(key) != one[key] for other in asked)}
    return [
        _run(home, {key: value for key, value in one.items() if key in varied})
        for home, one in zip(homes, asked, strict=True)
    ]


def seed_means(runs: Sequence[SweptRun]) -> list[SeedMean]:
    """Return the mean of each group of runs that differ by their seed alone, each against the first group."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, SweptRun]] = {}
    for run in runs:
        key = tuple((name, value) for name, value in run.overrides.items() if name != "seed")
        members = groups.setdefault(key, {})
        if run.values and run.status not in _CUT_SHORT:
            members[run.overrides.get("seed", "")] = run
    first = next(iter(groups.values()), {})
    return [_mean(dict(key), members, first) for key, members in groups.items()]


def as_json(runs: Sequence[SweptRun]) -> dict[str, Any]:
    """Return the runs and their means as `sweep.json` holds them."""
    return {"runs": [asdict(run) for run in runs], "means": [asdict(mean) for mean in seed_means(runs)]}


def _run(home: Path, overrides: dict[str, str]) -> SweptRun:
    summary, failure = home / "summary.json", home / _FAILURE_FILE
    if summary.exists():
        values = json.loads(summary.read_text())
        return SweptRun(home.name, overrides, values["status"], 0, values)
    noted: dict[str, Any] = {"exit_code": 1, "reason": "it left no summary"}
    if failure.exists():
        noted = json.loads(failure.read_text())
    return SweptRun(home.name, overrides, f"failed: {noted['reason']}", noted["exit_code"], {})


def _overrides(home: Path) -> dict[str, str]:
    lines: list[str] = OmegaConf.to_container(OmegaConf.load(home / ".hydra" / "overrides.yaml"))  # type: ignore[assignment]
    pairs = (line.partition("=") for line in lines)
    return {key: value for key, _, value in pairs}


def _mean(overrides: dict[str, str], members: dict[str, SweptRun], first: dict[str, SweptRun]) -> SeedMean:
    accuracies = {seed: run.value("event_accuracy") for seed, run in members.items()}
    shared = [seed for seed in accuracies if seed in first and members is not first]
    differences = [accuracies[seed] - first[seed].value("event_accuracy") for seed in shared]
    return SeedMean(
        overrides,
        len(members),
        _average(list(accuracies.values())),
        _error(list(accuracies.values())),
        _average([run.value("nll") for run in members.values()]),
        _average([run.value("ece") for run in members.values()]),
        _average(differences),
        _error(differences),
    )


def _average(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan


def _error(values: Sequence[float]) -> float:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
