"""`trendtrain report`: runs, each on one page for a browser."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from trendtrain.commands.options import add_db, add_json, existing_database, make_folder
from trendtrain.errors import InputError


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its options."""
    parser = commands.add_parser("report", help="report.html of runs: one file each, needs no network")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run that has ended")
    out = "FILE.html; of several runs a folder, for a NAME.html each; by default report.html in the run's folder"
    parser.add_argument("--out", type=Path, help=out)
    add_db(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the reports, and show where they are and what they say."""
    from trendtrain.reports.run_report import write_report
    from trendtrain.reports.skill import skill_of
    from trendtrain.reports.summary import read_summary, show_json
    from trendtrain.reports.terminal import show

    folders = list(dict.fromkeys(options.runs))
    targets = _targets(folders, options.out)
    with existing_database(options.db) as engine:
        written = [write_report(folder, engine, target) for folder, target in zip(folders, targets, strict=True)]
    skills = [skill_of(read_summary(folder)) for folder in folders]
    found = zip(folders, written, skills, strict=True)
    if options.json:
        show_json([{"run": str(folder), "report": str(path), "skill": text} for folder, path, text in found])
    else:
        show("\n".join(f"{path}: {text}" for _, path, text in found))
    return 0


def _targets(folders: Sequence[Path], out: Path | None) -> list[Path | None]:
    """Return the file to write for each run; None for that in its folder.

    Raises:
        InputError: If `--out` has no place for each run.
    """
    if out is None:
        return [None] * len(folders)
    if len(folders) == 1 and not out.is_dir():
        if out.suffix != ".html":
            raise InputError(f"`--out` must end in .html, got {out}.")
        return [out]
    if out.suffix and not out.is_dir():
        raise InputError(f"`--out` must be a folder for {len(folders)} runs (a name without an ending), got {out}.")
    targets = [out / f"{folder.resolve().name}.html" for folder in folders]
    if len(set(targets)) < len(targets):
        raise InputError(f"`--out` must have a name for each run, got folders of one name: {folders[0].name}.")
    make_folder(out)
    return list(targets)
