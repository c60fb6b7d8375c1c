"""Label files of bars for use anywhere: what `trendtrain label` does."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from trendtrain.commands.options import files_of
from trendtrain.commands.out_files import make_folder_of, read_all
from trendtrain.errors import InputError, check_at_least
from trendtrain.market.labelled import Labelled, label_series
from trendtrain.market.rules import PivotRules
from trendtrain.market.timeframe import to_milliseconds
from trendtrain.reports.label_files import write_labels
from trendtrain.reports.label_report import describe_labels
from trendtrain.reports.report import labels_table
from trendtrain.reports.summary import show_json
from trendtrain.reports.terminal import show
from trendtrain.storage.whole_file import whole_file

_PLOT_ENDINGS: Final = (".png", ".html")
_N_BARS: Final = 300
_MOST_BARS: Final = 3_000


def label_files(options: Namespace) -> int:
    """Read, label and draw everything, then write it, and show what the labels are like.

    Raises:
        InputError: If an option or a file breaks a rule; nothing is written then.
    """
    files = files_of(options)
    draw = _drawing(options, files)
    rules = PivotRules(tuple(options.strength), options.tie, options.inside, options.max_gap, options.flat_band)
    read, targets = read_all(options, files)
    everything = [label_series(series, bars, rules) for series, bars in read]
    drawn = draw and draw(everything[0])
    make_folder_of(targets, options.out)
    for labelled, target in zip(everything, targets, strict=True):
        write_labels(labelled.bars, labelled.labels, target)
    written = [*targets]
    if drawn is not None:
        with whole_file(options.plot, "--plot") as file:
            file.write(drawn)
        written.append(options.plot)
    reports = [describe_labels(labelled) for labelled in everything]
    if options.json:
        show_json([asdict(report) | {"written": str(path)} for report, path in zip(reports, targets, strict=True)])
    else:
        show(labels_table(reports, written))
    return 0


def _drawing(options: Namespace, files: Sequence[Path]) -> Callable[[Labelled], bytes] | None:
    """Return what draws the content of the file to plot; None where nothing is to be drawn."""
    if options.plot is None:
        for name in ("plot_bars", "plot_start"):
            if getattr(options, name) is not None:
                option = f"--{name.replace('_', '-')}"
                raise InputError(f"`{option}` must come with `--plot`, got {getattr(options, name)} alone.")
        return None
    if len(files) > 1:
        raise InputError(f"`--plot` must have one file of bars, got {len(files)}.")
    if options.plot.suffix not in _PLOT_ENDINGS:
        raise InputError(f"`--plot` must end in {' or '.join(_PLOT_ENDINGS)}, got {options.plot}.")
    if options.plot.suffix == ".html":
        from trendtrain.charts.label_page import label_page

        return lambda labelled: label_page(labelled, _part(labelled, options)).encode()
    try:
        from trendtrain.charts.label_plot import label_picture
    except ModuleNotFoundError as error:
        rule = "`--plot` must find matplotlib for a .png"
        raise InputError(f"{rule}, got none: pip install trendtrain[plot], or take .html.") from error
    return lambda labelled: label_picture(labelled, _part(labelled, options))


def _part(labelled: Labelled, options: Namespace) -> slice:
    """Return the bars to draw.

    Raises:
        InputError: If an option of the plot breaks its rule.
    """
    bars, n_bars = labelled.bars, _N_BARS if options.plot_bars is None else options.plot_bars
    check_at_least("--plot-bars", n_bars, 1)
    if n_bars > _MOST_BARS:
        raise InputError(f"`--plot-bars` must be at most {_MOST_BARS}, got {n_bars}.")
    first = max(0, len(bars) - n_bars)
    if (start := options.plot_start) is not None:
        time = np.datetime64(to_milliseconds("--plot-start", start), "ms")
        first = int(np.searchsorted(bars.open_time, time))
        if first == len(bars):
            raise InputError(f"`--plot-start` must not lie after the last bar {bars.open_time[-1]}, got {start}.")
    return slice(first, min(len(bars), first + n_bars))
