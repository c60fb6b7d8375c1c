import os
from collections.abc import Callable
from pathlib import Path

import pytest

from trendtrain.errors import InputError
from trendtrain.storage.whole_file import whole_file


def test_content_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("old")
    with whole_file(path, "--out") as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "labels.csv", []
    path.write_text("old")

    def sync(number: int, fsync: Callable[[int], None] = os.fsync) -> None:
        seen.append((os.fstat(number).st_size, path.read_text()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", sync)
    with whole_file(path, "--out") as file:
        file.write(b"newer")
    assert seen == [(5, "old")]
    assert path.read_text() == "newer"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("old")

    def write_half() -> None:
        with whole_file(path, "--out") as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere" / "o.csv", tmp_path / "file" / "o.csv"):
        with pytest.raises(InputError) as caught, whole_file(path, "--out"):
            pass
        assert str(caught.value).startswith(f"`--out` must be a file that can be written, got {path}: No")


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "o.csv").mkdir()
    with pytest.raises(InputError, match="Is a directory"), whole_file(tmp_path / "o.csv", "--out") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["o.csv"]
