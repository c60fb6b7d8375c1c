"""Find the files of annotations in the old form, and the annotations in each."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trendtrain.annotations.small_form import parse_json
from trendtrain.errors import InputError


def find_old_files(sources: Sequence[Path], out: Path) -> list[Path]:
    """Return files, and the `.json` files of folders and of the folders in them, each once, in order.

    Args:
        sources: Files and folders.
        out: Where the migration writes; no source may lie there, nor around it.

    Raises:
        InputError: If nothing is there, a folder has no such file, or `out` lies among the sources.
    """
    files: dict[Path, Path] = {}
    for source in sources:
        found = sorted(_find(source))
        if not found:
            raise InputError(f"`src` must hold .json files, got the folder {source} without any.")
        inside = source if source.is_dir() else source.parent
        if (out.resolve().is_relative_to(inside.resolve()) and source.is_dir()) or out.resolve() == inside.resolve():
            raise InputError(f"`--out` must lie apart from the sources, got {out} for {source}.")
        for path in found:
            files.setdefault(path.resolve(), path)
    return list(files.values())


def read_old_file(path: Path) -> Iterator[tuple[str, object]]:
    """Yield each annotation of a file as it stands, and where it stands.

    A file holds one annotation, a list of them, or an object with them as `annotations`.

    Raises:
        InputError: If the file cannot be read, or is no JSON.
    """
    try:
        content = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: a file must be readable, got {error.strerror}.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if isinstance(content, dict) and "annotations" in content:
        content = content["annotations"]
        if not isinstance(content, list):
            raise InputError(f"{path}: `annotations` must be a list, got {content!r:.60}.")
    if not isinstance(content, list):
        yield str(path), content
        return
    for number, record in enumerate(content, 1):
        yield f"{path}, annotation {number}", record


def _find(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise InputError(f"`src` must name a file or folder that exists, got {source}.")
    return [file for file in source.rglob("*.json") if file.is_file() and not file.name.startswith(".")]
