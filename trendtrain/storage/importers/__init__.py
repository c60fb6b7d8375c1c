"""Files of bars, however they look, as bars of the database."""

from trendtrain.storage.importers.files import find_files, import_files, import_path, read_bars

__all__ = ["find_files", "import_files", "import_path", "read_bars"]
