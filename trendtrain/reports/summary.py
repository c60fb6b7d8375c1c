"""The results of a run, and `summary.json`."""

import json
import math
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from trendtrain.errors import InputError
from trendtrain.reports.terminal import number
from trendtrain.storage.whole_file import whole_file


@dataclass(frozen=True)
class Summary:
    """The results of a run.

    Attributes:
        values: The content of `summary.json`.
        folder: The run folder.
        exit_code: 0, 130 after Ctrl-C, 143 after SIGTERM.
    """

    values: dict[str, Any]
    folder: Path
    exit_code: int = 0

    def __repr__(self) -> str:
        """Return the run, how it ended, and its event accuracy beside the best simple rule's."""
        return f"Summary({'; '.join(' '.join(words) for words in self._words())})"

    def _repr_html_(self) -> str:
        """Return the same as a table, for a notebook."""
        rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self._words())
        return f"<table>{rows}</table>"

    def _words(self) -> list[tuple[str, str]]:
        values, error = self.values, self.values["accuracy_se"]
        words = [("run", values["name"]), ("status", f"{values['status']} after {values['steps']} steps")]
        accuracy = number(values["event_accuracy"]) + ("" if math.isnan(error) else f" +- {error:.4f}")
        words.append(("event accuracy", f"{accuracy}, {values['n_events']:,} events"))
        if (best := values["best_baseline"]) is not None:
            words.append(("minus the best rule", f"{best['difference']:+.4f} ({best['name']})"))
        return [*words, ("folder", str(self.folder))]

    def save(self) -> Path:
        """Write `summary.json` into the run folder, all at once, and return its path; NaN becomes null."""
        return write_json(self.folder / "summary.json", without_nan(self.values))


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the content of `summary.json` in a run folder; NaN is None.

    Raises:
        InputError: If there is none, or it is no JSON.
    """
    path = folder / "summary.json"
    try:
        values: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError as error:
        rule = "`run` must be the folder of a run that has ended, which writes summary.json then"
        raise InputError(f"{rule}, got {folder}, which has none.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"`run` must hold a summary.json as a run writes it, got {path}: {error}.") from error
    return values


def write_json(path: Path, values: dict[str, Any]) -> Path:
    """Write values as JSON, whole or not at all, and return the path."""
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    with whole_file(path, "hydra.run.dir", is_only_writer=True) as file:
        file.write(text.encode())
    return path


def show_json(values: Any) -> None:
    """Print nested dicts and lists as JSON; NaN becomes null."""
    sys.stdout.write(json.dumps(without_nan(values), indent=1) + "\n")


def without_nan(value: Any) -> Any:
    """Return nested dicts and lists with None in place of every NaN.

    Example:
        >>> without_nan({"a": [1.0, float("nan")]})
        {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
