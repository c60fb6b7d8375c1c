"""Show the runs of a sweep side by side as tables in the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from trendtrain.reports.summary import Summary
from trendtrain.reports.sweep import SeedMean, SweptRun, seed_means
from trendtrain.reports.terminal import Fitting, number

_SCORES = ("event accuracy", "95 % interval", "best rule", "model minus it", "nll", "ece", "seconds")


def sweep_tables(folder: Path, runs: Sequence[SweptRun]) -> RenderableType:
    """Return every run, and where seeds were swept the means over them."""
    parts: list[RenderableType] = [Fitting(_runs_table(folder, runs), _runs_narrow(folder, runs))]
    parts += [Text(f"run {run.folder} {run.status}") for run in runs if not run.values]
    means = seed_means(runs)
    if any(mean.n_seeds > 1 for mean in means):
        parts += [
            _means_table(means),
            Text("Errors are over seeds alone; each run's own interval is that of its bars."),
        ]
    return Group(*parts, f"sweep:   {folder / 'sweep.json'}\ncharts:  tensorboard --logdir {folder}")


def run_line(number_of_run: int, overrides: Sequence[str], summary: Summary) -> str:
    """Return the one line that a run of a sweep prints when it ends."""
    values = summary.values
    accuracy = number(values["event_accuracy"])
    return f"run {number_of_run} {values['status']}: event accuracy {accuracy}  {' '.join(overrides)}"


def _runs_table(folder: Path, runs: Sequence[SweptRun]) -> Table:
    keys = _keys(runs)
    table = _table(f"{len(runs)} runs in {escape(str(folder))}", ["run", *keys], _SCORES)
    for run in runs:
        table.add_row(run.folder, *_asked(run, keys), *(_numbers_of(run) if run.values else ["failed"]))
    return table


def _runs_narrow(folder: Path, runs: Sequence[SweptRun]) -> Table:
    """Return two lines a run; what was asked gives way, and numbers are never cut."""
    keys = _keys(runs)
    names = (Column(escape(key), overflow="fold") for key in ("run", *keys))
    scores = (Column(heading, justify="right", no_wrap=True) for heading in _in_pairs(_SCORES))
    title = f"{len(runs)} runs in {escape(str(folder))}"
    table = Table(*names, *scores, title=title, title_justify="left", box=SIMPLE, show_edge=False, padding=0)
    for run in runs:
        table.add_row(run.folder, *_asked(run, keys), *(_in_pairs(_numbers_of(run)) if run.values else ["failed"]))
    return table


def _in_pairs(cells: Sequence[str]) -> list[str]:
    """Return accuracy over interval, rule over difference, NLL over ECE, and the seconds."""
    return ["\n".join(cells[i : i + 2]) for i in range(0, len(cells), 2)]


def _keys(runs: Sequence[SweptRun]) -> list[str]:
    return list(dict.fromkeys(key for run in runs for key in run.overrides))


def _asked(run: SweptRun, keys: Sequence[str]) -> list[str]:
    return [escape(run.overrides.get(key, "")) for key in keys]


def _numbers_of(run: SweptRun) -> list[str]:
    low, high = run.values["accuracy_ci95"]
    interval = "too few events" if low is None else f"{low:.4f} to {high:.4f}"
    best = run.values["best_baseline"]
    against = "" if best is None else _signed(best["difference"], best["se"])
    accuracy = number(run.value("event_accuracy")) + ("" if run.status == "finished" else f" ({run.status})")
    scores = (f"{run.value(name):.4f}" for name in ("nll", "ece"))
    return [
        accuracy,
        interval,
        "" if best is None else best["name"],
        against,
        *scores,
        f"{run.value('wall_seconds'):.0f}",
    ]


def _means_table(means: Sequence[SeedMean]) -> Table:
    keys = list(dict.fromkeys(key for mean in means for key in mean.overrides))
    headings = ("seeds", "event accuracy", "minus the first", "nll", "ece")
    table = _table("means over seeds", keys, headings)
    for mean in means:
        accuracy = f"{number(mean.event_accuracy)}{_error(mean.seed_error)}"
        scores = (f"{mean.nll:.4f}", f"{mean.ece:.4f}")
        against = _signed(mean.difference, mean.difference_error)
        asked = (escape(mean.overrides.get(key, "")) for key in keys)
        table.add_row(*asked, str(mean.n_seeds), accuracy, against, *scores)
    return table


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    columns = (Column(heading, justify="right") for heading in numbers)
    return Table(*map(escape, names), *columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False)


def _signed(value: float | None, error: float | None) -> str:
    return "" if value is None or value != value else f"{value:+.4f}{_error(error)}"


def _error(error: float | None) -> str:
    return "" if error is None or error != error else f" +-{error:.4f}"
