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
from trendtrain.reports.terminal import Fitting, charts_line, number

_SCORES = ("event accuracy", "95 % interval", "best rule", "model minus it", "nll", "ece", "seconds")
_MEAN_SCORES = ("seeds", "event accuracy", "minus the first", "nll", "ece")


def sweep_tables(folder: Path, runs: Sequence[SweptRun], charts: Path) -> RenderableType:
    """Return a table of all runs, where seeds were swept the means over them, and how to see the charts."""
    parts: list[RenderableType] = [Fitting(*(_runs_table(folder, runs, n_lines) for n_lines in (1, 2)))]
    parts += [Text(f"run {run.folder} {run.status}") for run in runs if not run.values]
    means = seed_means(runs)
    if any(mean.n_seeds > 1 for mean in means):
        note = Text("Errors are over seeds alone; each run's own interval is that of its bars.")
        parts += [_means_table(means), note]
    return Group(*parts, f"sweep:   {folder / 'sweep.json'}{charts_line(folder, charts)}")


def run_line(run_number: int, overrides: Sequence[str], summary: Summary) -> str:
    """Return the one line that a run of a sweep prints when it ends."""
    values = summary.values
    accuracy = number(values["event_accuracy"])
    return f"run {run_number} {values['status']}: event accuracy {accuracy}  {' '.join(overrides)}"


def _runs_table(folder: Path, runs: Sequence[SweptRun], n_lines: int) -> Table:
    """Return a row of one or two lines a run; overrides fold, and numbers are never cut."""
    keys, scores = _keys(runs), [_stacked(_scores(run), n_lines) if run.values else ["failed"] for run in runs]
    title, headings = f"{len(runs)} runs in {escape(str(folder))}", _stacked(_SCORES, n_lines)
    table = _table(title, ("run", *keys), headings, padding=(0, 2 - n_lines))
    for run, cells in zip(runs, scores, strict=True):
        table.add_row(run.folder, *_overrides(run, keys), *cells)
    return table


def _means_table(means: Sequence[SeedMean]) -> Table:
    keys = _keys(means)
    table = _table("means over seeds", keys, _MEAN_SCORES, padding=(0, 1))
    for mean in means:
        accuracy = f"{number(mean.event_accuracy)}{_error(mean.seed_error)}"
        difference = _signed(mean.difference, mean.difference_error)
        cells = (str(mean.n_seeds), accuracy, difference, f"{mean.nll:.4f}", f"{mean.ece:.4f}")
        table.add_row(*_overrides(mean, keys), *cells)
    return table


def _table(title: str, names: Sequence[str], scores: Sequence[str], padding: tuple[int, int]) -> Table:
    columns = [Column(escape(name), overflow="fold") for name in names]
    columns += [Column(heading, justify="right", no_wrap=True) for heading in scores]
    return Table(*columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=padding)


def _stacked(cells: Sequence[str], n_lines: int) -> list[str]:
    """Return cells of `n_lines` lines: of two, accuracy over interval, rule over difference, NLL over ECE."""
    return ["\n".join(cells[i : i + n_lines]) for i in range(0, len(cells), n_lines)]


def _keys(runs: Sequence[SweptRun] | Sequence[SeedMean]) -> list[str]:
    return list(dict.fromkeys(key for run in runs for key in run.overrides))


def _overrides(run: SweptRun | SeedMean, keys: Sequence[str]) -> list[str]:
    return [escape(run.overrides.get(key, "")) for key in keys]


def _scores(run: SweptRun) -> list[str]:
    low, high = run.values["accuracy_ci95"]
    best = run.values["best_baseline"]
    return [
        number(run.value("event_accuracy")) + ("" if run.status == "finished" else f" ({run.status})"),
        "too few events" if low is None else f"{low:.4f} to {high:.4f}",
        "" if best is None else best["name"],
        "" if best is None else _signed(best["difference"], best["se"]),
        *(f"{run.value(name):.4f}" for name in ("nll", "ece")),
        f"{run.value('wall_seconds'):.0f}",
    ]


def _signed(value: float | None, error: float | None) -> str:
    return "" if value is None or value != value else f"{value:+.4f}{_error(error)}"


def _error(error: float | None) -> str:
    return "" if error is None or error != error else f" +-{error:.4f}"
