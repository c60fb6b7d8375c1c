"""Write a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from trendtrain.errors import InputError


@contextmanager
def whole_file(path: Path, argument: str) -> Iterator[BinaryIO]:
    """Open a file beside `path` for writing; move it onto `path` at the end, or drop it after an error.

    Args:
        path: Where the content goes; what stands there stays until the new content is complete.
        argument: What the user named `path` with, for the error message.

    Raises:
        InputError: If the file cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"`{argument}` must be a file that can be written, got {path}: {reason}.") from error
