"""`run.json`: who a run is, and what may change where it goes on."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import trendtrain
from trendtrain.errors import InputError, check_choice
from trendtrain.reports.summary import write_json

_FILE: Final = "run.json"
_LEFT: Final = (
    "summary.json",
    "scores.npz",
    "report.html",
    "failure.json",
    "live.json",
    "checkpoints",
    "tensorboard",
    "trainer",
)  # by a run, beside its `run.json`
_NO_NUMBER: Final = (  # settings that change no number
    "ckpt",
    "n_threads",
    "logger",
    "trainer.enable_progress_bar",
    "trainer.max_time",
    "callbacks.checkpoint",
    "callbacks.progress",
)
_LIVE: Final = (  # settings of a live run: whoever runs it may let it learn, more or less, or only predict
    "feed",
    "callbacks.monitor",
    "callbacks.subscribers",
    "callbacks.training",
    "callbacks.versions",
    "live.grace",
    "live.log",
    "live.max_batches",
    "live.metrics_port",
    "live.patience",
    "live.subscribers",
    "live.train",
    "live.warm",
    "callbacks.predict_only",
)
_MORE: Final = (  # settings that add steps, bars or series; the bars of before are compared with the checkpoint's
    "walk.steps",
    "data.path",
    "data.symbols",
    "data.timeframes",
    "data.layout",
    "data.timezone",
    "data.source",
)
_MOST_SHOWN: Final = 3  # changed settings in a message


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What `run.json` holds.

    Attributes:
        name: The run's name, also in ledger, charts and terminal.
        version: Of the package.
        commit: Of the package's checkout; None where it is installed without one.
        grid: When the walk started (`start`) and how long a step is (`step`), once both are known.
        config: Its resolved configuration.
    """

    name: str
    version: str = trendtrain.__version__
    commit: str | None = None
    grid: dict[str, str] | None = None
    config: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the content of the file in a run folder.

        Raises:
            InputError: If there is none, or it is not what a run writes.
        """
        if not has_run(folder):
            raise InputError(f"`hydra.run.dir` must be a run's folder, got {folder}, which has no {_FILE}.")
        try:
            return cls(**json.loads((folder / _FILE).read_text()))
        except (TypeError, ValueError) as error:
            rule = f"`hydra.run.dir` must hold a {_FILE} as this version writes it"
            raise InputError(f"{rule}, got {folder / _FILE}: {error}.") from error

    def save(self, folder: Path) -> None:
        """Write the file, with the version and commit of the code that runs."""
        write_json(folder / _FILE, asdict(replace(self, version=trendtrain.__version__, commit=_commit())))

    def changes(self, config: Mapping[str, Any], written: Mapping[str, Any]) -> str:
        """Return in words which settings are others in `config`, all of which may change; nothing where none is.

        Args:
            config: The resolved configuration with which the run goes on.
            written: The same with its references: of a setting that refers to another, the other is told.

        Raises:
            InputError: If a setting that changes results is another.
        """
        before, after = dict(_flat(self.config)), dict(_flat(config))
        changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
        changed.sort(key=lambda key: key.count("."))  # what is told first says most
        derived = {key for key, value in _flat(written) if "${" in str(value)}
        if refused := [key for key in changed if not _may_change(key)]:
            told = [key for key in refused if key not in derived] or refused
            pairs = (f"`{key}` was {_text(before.get(key))}, got {_text(after.get(key))}" for key in told)
            raise InputError(f"`ckpt=last` must keep the settings that change results: {_few(list(pairs))}.")
        told = [key for key in changed if key not in derived and key != "ckpt"]
        return _few([f"{key}={_text(after.get(key))} (was {_text(before.get(key))})" for key in told])


def has_run(folder: Path) -> bool:
    """Return whether a run has begun in a folder."""
    return (folder / _FILE).is_file()


def run_to_go_on_with(folder: Path, ckpt: object, overwrite: object) -> RunFile | None:
    """Return the run that goes on in a folder; None where one starts.

    Args:
        folder: The run folder.
        ckpt: `last` to go on; None to start; `auto` to go on where there is a run, else to start.
        overwrite: Whether to start anew where there is a run.

    Raises:
        InputError: If there is no run to go on with, or one that would be lost.
    """
    if not isinstance(overwrite, bool):
        raise InputError(f"`overwrite` must be true or false, got {overwrite!r}.")
    if ckpt is not None:
        check_choice("ckpt", ckpt, ("last", "auto"))
    if ckpt == "auto":
        ckpt = "last" if has_run(folder) and not overwrite else None
    if ckpt is None:
        if has_run(folder) and not overwrite:
            fix = "ckpt=last goes on with the run in it, overwrite=true deletes that and starts anew"
            raise InputError(f"`hydra.run.dir` must be a folder without a run ({fix}), got {folder}.")
        return None
    if overwrite:
        raise InputError("`overwrite=true` starts anew and `ckpt=last` goes on: leave one out, got both.")
    if not has_run(folder):
        beside = sorted(folder.parent.glob(f"*/{_FILE}"), key=lambda file: file.stat().st_mtime)
        newest = f"; the newest beside it is hydra.run.dir={beside[-1].parent}" if beside else ""
        rule = "`ckpt=last` must come with the folder of the run to go on with, hydra.run.dir=FOLDER"
        raise InputError(f"{rule}, got {folder}, in which none has begun{newest}.")
    return RunFile.read(folder)


def delete_run(folder: Path) -> None:
    """Delete what a run has left in its folder, except `run.json`, which the next one replaces."""
    for path in (folder / name for name in _LEFT if has_run(folder)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _commit() -> str | None:
    """Return the commit of the checkout that the package is part of; None where it is in none, or git is missing."""
    package = Path(trendtrain.__file__).resolve().parent
    command = ["git", "-C", str(package), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        return None
    # An environment inside somebody's checkout is no part of it.
    return found[1] if Path(found[0]) == package.parent else None


def _may_change(key: str) -> bool:
    return any(f"{key}.".startswith(f"{part}.") for part in (*_NO_NUMBER, *_LIVE, *_MORE))


def _flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its dotted key."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _text(value: object) -> str:
    """Return a value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _few(texts: list[str]) -> str:
    more = len(texts) - _MOST_SHOWN
    return ", ".join(texts[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
