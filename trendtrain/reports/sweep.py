"""Read the results of a sweep's runs, and average them over seeds."""

import json
import logging
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from trendtrain.reports.summary import write_json

_FAILURE_FILE = "failure.json"
_NOTES = ".runs"  # a folder in the sweep's, with a note on each run
_RESULTS = ("summary.json", _FAILURE_FILE)  # a run that has ended wrote one of them
_LONGEST_NAME = 200  # bytes, of a file system's 255
CHARTS = "tensorboard"  # in a run's folder; in the sweep's, links to those of the runs, by readable names
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        folder: Its run folder, from the sweep's where it lies in it.
        overrides: The overrides in which runs differ, such as `{"model": "mlp", "seed": "1"}`.
        status: As in its summary, or `failed: ...` with the reason.
        exit_code: 0, or the exit code that the failure would have given a single run.
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
    """The mean of runs that differ by their seed alone.

    Attributes:
        overrides: The overrides that they share and other runs do not.
        n_seeds: How many runs ended without an interruption.
        event_accuracy, nll, ece: Means over seeds.
        seed_error: Standard error of the mean event accuracy over seeds; NaN of one. It does not hold the chance of the
            market itself: seeds share the bars, unless those are synthetic.
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


def forget_runs(sweep: Path) -> None:
    """Forget the runs of an earlier sweep in the same folder."""
    for note in (sweep / _NOTES).glob("*.json"):
        note.unlink()


def note_run(sweep: Path, number: int, folder: Path, overrides: Sequence[str]) -> None:
    """Write down, in the folder of a sweep, where Hydra put a run that starts, and forget its failure of before."""
    (folder / _FAILURE_FILE).unlink(missing_ok=True)
    (sweep / _NOTES).mkdir(parents=True, exist_ok=True)
    write_json(sweep / _NOTES / f"{number}.json", {"folder": str(folder.absolute()), "overrides": list(overrides)})


def note_failure(folder: Path, exit_code: int, reason: str) -> None:
    """Write why a run failed into its folder, for the table of its sweep; what an earlier run left stays."""
    write_json(folder / _FAILURE_FILE, {"exit_code": exit_code, "reason": reason})


def read_sweep(sweep: Path, is_cut: bool = False) -> list[SweptRun]:
    """Return the runs of a sweep in the order of their numbers, with only the overrides in which they differ.

    If the sweep was interrupted, runs without a result are left out: they had not ended.
    """
    files = sorted((sweep / _NOTES).glob("*.json"), key=lambda file: int(file.stem))
    notes = [(Path(note["folder"]), _pairs(note["overrides"])) for note in (json.loads(f.read_text()) for f in files)]
    notes = [note for note in notes if not is_cut or any((note[0] / name).exists() for name in _RESULTS)]
    overrides = [pairs for _, pairs in notes]
    varied = {key for one in overrides for key in one if any(other.get(key) != one[key] for other in overrides)}
    root = sweep.absolute()
    return [_run(home, root, {key: own[key] for key in own if key in varied}) for home, own in notes]


def link_charts(sweep: Path, runs: Sequence[SweptRun]) -> Path:
    """Link the TensorBoard files of each run by its overrides, and return the folder for TensorBoard to show.

    That is the folder of the sweep if no run has such files, if no links can be made, or if its `tensorboard` holds
    anything else than links, such as the files of a run in that same folder.
    """
    links = sweep / CHARTS
    try:
        if links.exists() and not _remove_links(links):
            return sweep
        for number, run in enumerate(runs):
            charts = sweep / run.folder / CHARTS
            if charts.is_dir():
                links.mkdir(exist_ok=True)
                _new_link(links, run, number).symlink_to(os.path.relpath(charts, links))
    except OSError as error:
        _LOG.warning("TensorBoard shows the runs by their folders, because links failed: %s", error)
        return sweep
    return links if links.is_dir() else sweep


def seed_means(runs: Sequence[SweptRun]) -> list[SeedMean]:
    """Return the mean of each group of runs that differ by their seed alone, compared with the first group."""
    groups: dict[tuple[tuple[str, str], ...], dict[str, SweptRun]] = {}
    for run in runs:
        key = tuple((name, value) for name, value in run.overrides.items() if name != "seed")
        members = groups.setdefault(key, {})
        if run.values and run.status != "interrupted":
            members[run.overrides.get("seed", "")] = run
    first = next(iter(groups.values()), {})
    return [_seed_mean(dict(key), members, first) for key, members in groups.items()]


def as_json(runs: Sequence[SweptRun]) -> dict[str, Any]:
    """Return the content of `sweep.json`: the runs and their means."""
    return {"runs": [asdict(run) for run in runs], "means": [asdict(mean) for mean in seed_means(runs)]}


def _remove_links(folder: Path) -> bool:
    """Remove a folder of links, and return whether it is one; any other stays as it is."""
    found = list(folder.iterdir())
    if not all(entry.is_symlink() for entry in found):
        return False
    for link in found:
        link.unlink()
    folder.rmdir()
    return True


def _new_link(folder: Path, run: SweptRun, number: int) -> Path:
    """Return the path of the link to a run; its name is cut, and ends with a number if another run has it."""
    name = ",".join([run.folder, *(f"{key}={value}" for key, value in run.overrides.items())]).replace("/", "-")
    link = folder / os.fsencode(name)[:_LONGEST_NAME].decode(errors="ignore")
    return link.with_name(f"{link.name}~{number}") if link.is_symlink() else link


def _run(home: Path, sweep: Path, overrides: dict[str, str]) -> SweptRun:
    name = str(home.relative_to(sweep) if home.is_relative_to(sweep) else home)
    summary, failure = home / "summary.json", home / _FAILURE_FILE
    if summary.exists() and not failure.exists():
        values = json.loads(summary.read_text())
        return SweptRun(name, overrides, values["status"], 0, values)
    noted: dict[str, Any] = {"exit_code": 1, "reason": "it left no summary"}
    if failure.exists():
        noted = json.loads(failure.read_text())
    return SweptRun(name, overrides, f"failed: {noted['reason']}", noted["exit_code"], {})


def _pairs(overrides: Sequence[str]) -> dict[str, str]:
    return {key: value for key, _, value in (line.partition("=") for line in overrides)}


def _seed_mean(overrides: dict[str, str], members: dict[str, SweptRun], first: dict[str, SweptRun]) -> SeedMean:
    accuracies = {seed: run.value("event_accuracy") for seed, run in members.items()}
    shared = [seed for seed in accuracies if seed in first and members is not first]
    differences = [accuracies[seed] - first[seed].value("event_accuracy") for seed in shared]
    nll, ece = (_mean_error([run.value(name) for run in members.values()])[0] for name in ("nll", "ece"))
    accuracy, error = _mean_error(list(accuracies.values()))
    return SeedMean(overrides, len(members), accuracy, error, nll, ece, *_mean_error(differences))


def _mean_error(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and its standard error; NaN of too few values."""
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return fmean(values) if values else math.nan, error
