"""Read files of bars, and choose where a command writes its result: in a file, or a folder with one for each series."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from trendtrain.commands.options import make_folder
from trendtrain.errors import InputError, check_choice
from trendtrain.importing import read_bars
from trendtrain.market.bars import Bars, Series
from trendtrain.storage.table_files import TABLE_ENDINGS


def read_all(options: Namespace, files: Sequence[Path]) -> tuple[list[tuple[Series, Bars]], list[Path]]:
    """Return the bars of files, and the file to write for each.

    Args:
        options: With `path`, `out`, `format`, and the options of `read_bars`.
        files: The files that `path` means.

    Raises:
        InputError: If an option or a file breaks its rule, or two files hold one series.
    """
    is_folder = _is_out_folder(options.out, options.path, files)
    ending = _ending_of(options.out, options.format, is_folder)
    given = (options.symbol, options.timeframe, options.layout, options.timezone)
    read = [read_bars(file, *given) for file in files]
    targets = _targets_in(options.out, [series for series, _ in read], ending) if is_folder else [options.out]
    _check_targets(targets, files)
    return read, targets


def _is_out_folder(out: Path, paths: Sequence[Path], files: Sequence[Path]) -> bool:
    """Return whether `--out` names a folder: of several files it must; of a folder with one file it may."""
    if out.is_dir():
        return True
    if len(files) > 1 and out.suffix:
        raise InputError(f"`--out` must be a folder for {len(files)} files (a name without an ending), got {out}.")
    return len(files) > 1 or (paths[0].is_dir() and not out.suffix)


def _ending_of(out: Path, form: str | None, is_folder: bool) -> str:
    """Return the ending of the files to write; `--format` and the ending of one `--out` must agree."""
    if form is not None:
        check_choice("--format", form, tuple(ending[1:] for ending in TABLE_ENDINGS))
    if is_folder:
        return f".{form or 'parquet'}"
    if out.suffix not in TABLE_ENDINGS:
        raise InputError(f"`--out` must end in {' or '.join(TABLE_ENDINGS)}, got {out}.")
    if form is not None and out.suffix != f".{form}":
        raise InputError(f"`--format` must agree with the ending of `--out`, got {form} for {out}.")
    return out.suffix


def _targets_in(folder: Path, names: Sequence[Series], ending: str) -> list[Path]:
    """Return the file of each series; a slash, as in BTC/USDT, becomes a hyphen."""
    return [folder / f"{symbol.replace('/', '-')}_{timeframe}{ending}" for symbol, timeframe in names]


def _check_targets(targets: Sequence[Path], files: Sequence[Path]) -> None:
    """Refuse two files of one series, and labels in the place of bars."""
    first: dict[Path, Path] = {}
    for target, file in zip(targets, files, strict=True):
        if target in first:
            raise InputError(f"`path` must hold each series once, got {target.stem} in {first[target]} and {file}.")
        first[target] = file
        if target.exists() and any(target.samefile(bars) for bars in files):
            raise InputError(f"`--out` must not replace a file of bars, got {target}.")


def make_folder_of(targets: Sequence[Path], out: Path) -> None:
    """Make the folder that `--out` names, if it names one."""
    if targets != [out]:
        make_folder(out)
