"""Files of bars, however they look, as bars of the database."""

from trendtrain.storage.importers.files import find_files, read_bars
from trendtrain.storage.importers.imports import import_files, import_path
from trendtrain.storage.importers.raw_bars import ReadOptions

__all__ = ["ReadOptions", "find_files", "import_files", "import_path", "read_bars"]
