"""Label files of bars for use anywhere: what `trendtrain label` does."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from trendtrain.commands.out_files import make_folder_of, read_all
from trendtrain.errors import InputError
from trendtrain.importing import find_files
from trendtrain.market.labelled import label_series
from trendtrain.market.rules import PivotRules
from trendtrain.reports.label_files import write_labels
from trendtrain.reports.label_report import describe_labels
from trendtrain.reports.report import labels_table
from trendtrain.reports.terminal import show


def label_files(options: Namespace) -> int:
    """Read, label and draw everything, then write it, and show what the labels are like.

    Raises:
        InputError: If an option or a file breaks a rule; nothing is written then.
    """
    files = [file for path in options.path for file in find_files(path, options.layout)]
    plots = _import_plots(options, files)
    rules = PivotRules(tuple(options.strength), options.tie, options.inside, options.max_gap, options.flat_band)
    read, targets = read_all(options, files)
    everything = [label_series(series, bars, rules) for series, bars in read]
    figure = plots and plots.draw_labels(everything[0], options.plot_bars, options.plot_start)
    make_folder_of(targets, options.out)
    for labelled, target in zip(everything, targets, strict=True):
        write_labels(labelled.bars, labelled.labels, target)
    if plots:
        plots.save_figure(figure, options.plot)
    written = [*targets, options.plot] if plots else targets
    show(labels_table([describe_labels(labelled) for labelled in everything], written))
    return 0


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
        from trendtrain.charts import label_plot
    except ModuleNotFoundError as error:
        raise InputError("`--plot` must find matplotlib, got none: pip install trendtrain[plot].") from error
    label_plot.check_ending(options.plot)
    return label_plot
