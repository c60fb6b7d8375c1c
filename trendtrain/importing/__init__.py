"""Files of bars, however they look, as bars of the database."""

from typing import TYPE_CHECKING, Any

from trendtrain.importing.files import find_files, read_bars
from trendtrain.importing.raw_bars import ReadOptions

if TYPE_CHECKING:
    from trendtrain.importing.imports import import_files

__all__ = ["ReadOptions", "find_files", "import_files", "read_bars"]


def __getattr__(name: str) -> Any:
    if name != "import_files":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from trendtrain.importing.imports import import_files  # needs SQLAlchemy, which takes a fifth of a second

    return import_files
