"""`scores.npz`: the scores of a run by event, and its history, from which its report is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from zipfile import BadZipFile

import numpy as np

from trendtrain.errors import InputError
from trendtrain.market.bars import AnyArray, Series
from trendtrain.storage.whole_file import whole_file
from trendtrain.validation.scoreboard import Scoreboard

_FILE: Final = "scores.npz"


@dataclass(frozen=True, eq=False)
class RunScores:
    """What `scores.npz` holds.

    Attributes:
        board: The scores.
        history: From `RunHistory.arrays`; empty where that callback was left out.
    """

    board: Scoreboard
    history: Mapping[str, AnyArray]

    def save(self, folder: Path) -> None:
        """Write the file into a run folder, whole or not at all."""
        names = {"symbol": [one.symbol for one in self.board.series], "baseline": list(self.board.baselines)}
        names["timeframe"] = [one.timeframe for one in self.board.series]
        parts = {"board": self.board.state_dict(), "name": names, "history": dict(self.history)}
        with whole_file(folder / _FILE, "hydra.run.dir", is_only_writer=True) as file:
            np.savez(file, **_flat(parts))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the content of the file in a run folder.

        Raises:
            InputError: If there is none, or it is not what a run writes.
        """
        path = folder / _FILE
        if not path.is_file():
            rule = "`run` must be the folder of a run that has ended, which writes scores.npz then"
            raise InputError(f"{rule}, got {folder}, which has none.")
        try:
            with np.load(path) as file:
                held = _nested({name: file[name] for name in file.files})
            names, state = held["name"], held["board"]
            series = [Series(*one) for one in zip(names["symbol"].tolist(), names["timeframe"].tolist(), strict=True)]
            board = Scoreboard(series, names["baseline"].tolist())
            board.load_state_dict(state)
        except (KeyError, ValueError, OSError, EOFError, BadZipFile) as error:
            rule = f"`run` must hold a {_FILE} as this version writes it"
            raise InputError(f"{rule}, got {path} ({type(error).__name__}: {error}).") from error
        return cls(board, held.get("history", {}))


def _flat(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested dicts as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{path}{name}.") if isinstance(value, Mapping) else {f"{path}{name}": value}
    return flat


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `_flat` made flat."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, name = key.split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[name] = value
    return nested
