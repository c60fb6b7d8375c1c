"""Show a migration of annotations in the terminal."""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from trendtrain.annotations.migration import MigrationReport
from trendtrain.reports.terminal import Records, number


def migration_table(report: MigrationReport, out: Path) -> RenderableType:
    """Return what happened to the bars of each series, then the annotations and their sizes."""
    names = ("series", "embedded", "bars", "new or changed", "overwritten", "conflicts")
    rows = []
    for part in report.series:
        counts = (part.n_embedded, part.n_bars, part.n_changed, part.n_overwritten)
        first = f", first at {part.conflicts[0]}" if part.conflicts else ""
        rows.append([" ".join(part.series), *map(number, counts), f"{len(part.conflicts):,}{first}"])
    return Group(Records(names, rows), Text("\n".join(_lines(report, out)), no_wrap=True, overflow="ignore"))


def _lines(report: MigrationReport, out: Path) -> list[str]:
    n_bars = sum(part.n_bars for part in report.series)
    kept = f", {report.n_kept:,} there already" if report.n_kept else ""
    kept += f" ({report.n_differing:,} differ from their source and stay as they are)" if report.n_differing else ""
    still_open = f", {report.n_open:,} still open" if report.n_open else ""
    n = len(report.problems)
    left = f", {n:,} problem{'s' if n > 1 else ''}" if n else ""
    ratio = f", {report.bytes_before / report.bytes_after:,.0f} x smaller" if report.bytes_after else ""
    return [
        f"annotations: {report.n_written:,} written to {out}{kept}{still_open}{left}",
        f"bars:        {n_bars:,} read back from the database, none missing",
        f"size:        {report.n_files:,} files of {_size(report.bytes_before)} -> {_size(report.bytes_after)}{ratio}",
    ]


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:,.1f} kB"
