"""The results of a run, and `summary.json`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def save(self) -> Path:
        """Write `summary.json` into the run folder, all at once, and return its path; NaN becomes null."""
        return write_json(self.folder / "summary.json", without_nan(self.values))


def write_json(path: Path, values: dict[str, Any]) -> Path:
    """Write values as JSON, whole or not at all, and return the path."""
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    with whole_file(path, "hydra.run.dir", is_only_writer=True) as file:
        file.write(text.encode())
    return path


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
