"""Files of bars, however they look, as bars of the database."""

from trendtrain.importing.files import find_files, read_bars
from trendtrain.importing.imports import import_files
from trendtrain.importing.raw_bars import ReadOptions

__all__ = ["ReadOptions", "find_files", "import_files", "read_bars"]
