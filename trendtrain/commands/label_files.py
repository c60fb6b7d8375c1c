"""Label files of bars for use anywhere: what `trendtrain label` does."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from trendtrain.errors import InputError, check_choice
from trendtrain.label_report import describe_labels
from trendtrain.labelled import Labelled, LabelRules, label_series
from trendtrain.market.bars import Series
from trendtrain.report import labels_table
from trendtrain.storage.importers import find_files, read_bars
from trendtrain.storage.label_files import LABEL_ENDINGS, write_labels
from trendtrain.terminal import show


def label_files(options: Namespace) -> int:
    """Read, label and draw everything, then write it, and show what the labels are like.

    Raises:
        InputError: If an option or a file breaks a rule; nothing is written then.
    """
    files = [file for path in options.path for file in find_files(path)]
    is_folder = _is_folder(options.out, options.path, files)
    ending = _ending(options.out, options.format, is_folder)
    plots = _import_plots(options, files)
    rules = LabelRules(tuple(options.strength), options.tie, options.inside, options.max_gap, options.flat_band)
    given = (options.symbol, options.timeframe, options.layout, options.timezone)
    contents = [read_bars(file, *given) for file in files]
    targets = _targets(options.out, [series for series, _ in contents], ending) if is_folder else [options.out]
    _check_targets(targets, files)
    everything = [label_series(series, bars, rules) for series, bars in contents]
    figure = plots and plots.draw_labels(everything[0], options.plot_bars, options.plot_start)
    _write(everything, targets, options.out if is_folder else None)
    if plots:
        plots.save_figure(figure, options.plot)
    written = [*targets, options.plot] if plots else targets
    show(labels_table([describe_labels(labelled) for labelled in everything], written))
    return 0


def _is_folder(out: Path, paths: Sequence[Path], files: Sequence[Path]) -> bool:
    """Say whether `--out` names a folder: of several files it must; of a folder with one file it may."""
    if out.is_dir():
        return True
    if len(files) > 1 and out.suffix:
        raise InputError(f"`--out` must be a folder for {len(files)} files (a name without an ending), got {out}.")
    return len(files) > 1 or (paths[0].is_dir() and not out.suffix)


def _ending(out: Path, form: str | None, is_folder: bool) -> str:
    """Return the ending of the files to write; `--format` and the ending of one `--out` must agree."""
    if form is not None:
        check_choice("--format", form, tuple(ending[1:] for ending in LABEL_ENDINGS))
    if is_folder:
        return f".{form or 'parquet'}"
    if out.suffix not in LABEL_ENDINGS:
        raise InputError(f"`--out` must end in {' or '.join(LABEL_ENDINGS)}, got {out}.")
    if form is not None and out.suffix != f".{form}":
        raise InputError(f"`--format` must agree with the ending of `--out`, got {form} for {out}.")
    return out.suffix


def _import_plots(options: Namespace, files: Sequence[Path]) -> ModuleType | None:
    """Return the module that draws, None where nothing is to be drawn; matplotlib need not be installed then."""
    if options.plot is None:
        for name in ("plot_bars", "plot_start"):
            if getattr(options, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"`{option}` must come with `--plot`, got {getattr(options, name)} alone.")
        return None
    if len(files) > 1:
        raise InputError(f"`--plot` must have one file of bars, got {len(files)}.")
    try:
        from trendtrain import plots
    except ModuleNotFoundError as error:
        raise InputError("`--plot` must find matplotlib, got none: pip install trendtrain[plot].") from error
    plots.check_ending(options.plot)
    return plots


def _targets(folder: Path, names: Sequence[Series], ending: str) -> list[Path]:
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


def _write(everything: Sequence[Labelled], targets: Sequence[Path], folder: Path | None) -> None:
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"`--out` must be a folder that can be made, got {folder}: {error.strerror}.") from error
    for labelled, target in zip(everything, targets, strict=True):
        write_labels(labelled.bars, labelled.labels, target)
