"""Write a file whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from trendtrain.errors import TRY_AGAIN, InputError, StorageError, is_disk_fault


@contextmanager
def whole_path(path: Path, argument: str, is_only_writer: bool = False) -> Iterator[Path]:
    """Give the path of a file beside `path` to write; at the end move it onto `path`, or delete it after an error.

    Args:
        path: The target. What it holds stays until the new content is complete and on the disk.
        argument: What the user named `path` with, for the error message.
        is_only_writer: Whether no other process writes `path`: after a kill, the next write then replaces what was
            left. Otherwise each process has its own file.

    Raises:
        InputError: If the file cannot be written.
        StorageError: If the disk is full or failing.
    """
    process = "" if is_only_writer else f".{os.getpid()}"
    beside = path.with_name(f".{path.name}{process}.partial")
    try:
        try:
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        if is_disk_fault(error):
            raise StorageError(f"Writing `{argument}` to {path} failed: {reason}. {TRY_AGAIN}") from error
        raise InputError(f"`{argument}` must be a file that can be written, got {path}: {reason}.") from error


@contextmanager
def whole_file(path: Path, argument: str, is_only_writer: bool = False) -> Iterator[BinaryIO]:
    """Open the file that `whole_path` gives for writing."""
    with whole_path(path, argument, is_only_writer) as beside, beside.open("wb") as file:
        yield file
