"""What a file holds, read but not yet understood."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from trendtrain.market.bars import BarsError

_SHOWN = 12


@dataclass(frozen=True, eq=False)
class Source:
    """A file's table as it stands.

    Attributes:
        path: The file.
        name: The name that tells about the bars: that of the file, or of the one file in a zip.
        table: Its rows; columns are numbered from 0 where the file names none.
        banner: The line above the header, empty where there is none.
    """

    path: Path
    name: str
    table: pd.DataFrame
    banner: str = ""

    @property
    def has_names(self) -> bool:
        """Whether the columns have names."""
        return not isinstance(self.table.columns, pd.RangeIndex)

    @property
    def names(self) -> frozenset[str]:
        """The names of the columns, as `plain_name` writes them; none where the file has none."""
        return frozenset(map(plain_name, self.table.columns)) if self.has_names else frozenset()

    @property
    def n_columns(self) -> int:
        """How many columns there are."""
        return len(self.table.columns)

    def take(self, *numbers: int) -> list[pd.Series]:
        """Return columns by number, from 0.

        Raises:
            BarsError: If there are fewer, or no rows.
        """
        if self.n_columns <= max(numbers):
            raise BarsError(f"this layout must have at least {max(numbers) + 1} columns, got {self.n_columns}.")
        return [self.table.iloc[:, number] for number in numbers]

    def shown_names(self) -> str:
        """Say which columns there are, for an error message."""
        if not self.has_names:
            return f"{self.n_columns} columns without names" if self.n_columns else "none"
        return ", ".join(str(name).strip() for name in self.table.columns[:_SHOWN])


def plain_name(name: object) -> str:
    """Return a column's name in lower case, without brackets, its words joined by `_`.

    Example:
        >>> plain_name(" <Open Time>")
        'open_time'
    """
    return str(name).strip().strip("<>").lower().replace(" ", "_")
