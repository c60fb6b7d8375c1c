"""Show the rows of a benchmark as a table, and keep them as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

Row = dict[str, float | str]

_WIDTH = 160  # where the output is no terminal


def show_rows(rows: Sequence[Row], path: Path | None) -> None:
    """Print rows, a column for each name that occurs in any, and write them to `path` if there is one."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table()
    for name in names:
        table.add_column(name, justify="left" if name == "job" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(_written(row.get(name, "")) for name in names))
    console = Console()
    Console(width=None if console.is_terminal else _WIDTH).print(table)
    if path:
        path.write_text(json.dumps(rows, indent=2, default=float) + "\n")


def _written(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"
