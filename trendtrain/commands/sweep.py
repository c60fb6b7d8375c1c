"""Run the jobs of a sweep (`trendtrain train --multirun`), and report on all of them at its end."""

import math
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from trendtrain.commands.errors import exit_code_of, line_of
from trendtrain.errors import EXIT_CTRL_C, EXIT_FAILED, EXIT_SIGTERM
from trendtrain.keys import check_keys

if TYPE_CHECKING:
    from trendtrain.reports.sweep import SweptRun

exit_codes: list[int] = []  # of the sweeps that ended in this process: Hydra returns no value
running: list[Path] = []  # folders of the sweeps that have not ended


def reset() -> None:
    """Forget all sweeps."""
    exit_codes.clear()
    running.clear()


class SweepReport(Callback):
    """When all runs have ended, write `sweep.json` and show them in one table."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Let SIGTERM also end the processes of the runs: by default they would go on."""
        from trendtrain.reports.sweep import forget_runs

        signal.signal(signal.SIGTERM, _end)
        running.append(Path(config.hydra.sweep.dir))
        forget_runs(running[-1])

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Read the results from the runs' folders: the runs may have had processes of their own."""
        from trendtrain.reports.sweep import read_sweep

        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        folder = running[-1]
        runs = read_sweep(folder)
        if runs:
            _report(folder, runs)
        else:
            sys.stderr.write(f"trendtrain: error: the sweep in {folder} left no run.\n")
        exit_codes.append(max((run.exit_code for run in runs), default=EXIT_FAILED))
        running.pop()  # one that is left could not be reported


def report_interrupted(overrides: Sequence[str]) -> None:
    """Report the runs that ended before Ctrl-C or SIGTERM interrupted the sweep: Hydra calls no callback then."""
    from trendtrain.commands.resume import resume_line
    from trendtrain.reports.sweep import read_sweep
    from trendtrain.reports.terminal import show

    for folder in running:
        if runs := read_sweep(folder, is_cut=True):
            _report(folder, runs)
        show(resume_line(overrides, "hydra.sweep.dir", folder))


def _report(folder: Path, runs: Sequence["SweptRun"]) -> None:
    from trendtrain.reports.summary import without_nan, write_json
    from trendtrain.reports.sweep import as_json, link_charts
    from trendtrain.reports.sweep_report import sweep_tables
    from trendtrain.reports.terminal import show

    write_json(folder / "sweep.json", without_nan(as_json(runs)))
    show(sweep_tables(folder, runs, link_charts(folder, runs)))


def _end(number: int, frame: object) -> None:
    sys.exit(EXIT_SIGTERM)  # joblib then ends its workers


def is_running() -> bool:
    """Return whether the job that Hydra has just called belongs to a sweep."""
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def run_job(cfg: DictConfig, expected: tuple[type[Exception], ...]) -> float:
    """Train, print one line, and return `metric` for sweepers that optimise it.

    A failure is reported and kept in the run's folder, and the other runs go on. It counts as the worst value, as does
    a run without one: many sweepers end at NaN.
    """
    from trendtrain.parts import worst_value
    from trendtrain.reports.run_file import has_run
    from trendtrain.reports.sweep import note_failure, note_run
    from trendtrain.reports.sweep_report import run_line
    from trendtrain.reports.terminal import show
    from trendtrain.train import train

    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    note_run(Path(hydra.runtime.cwd) / hydra.sweep.dir, hydra.job.num, folder, hydra.overrides.task)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # within this process, Lightning handles SIGTERM
    cfg.trainer.enable_progress_bar = False  # several runs at once would write over each other's line
    written: Any = OmegaConf.to_container(cfg.run, resolve=False)
    cfg.run.name = f"{written['name']}-{hydra.job.num}"  # where it is given, all runs of the sweep have the same
    if cfg.ckpt == "last" and not has_run(folder):
        cfg.ckpt = None  # a sweep that goes on starts the runs that had not begun
    try:
        check_keys(cfg)
        summary = train(cfg)
    except expected as error:
        note_failure(folder, exit_code_of(error), line_of(error))
        sys.stderr.write(f"run {hydra.job.num} failed: {line_of(error)}  {' '.join(hydra.overrides.task)}\n")
    except Exception as error:
        note_failure(folder, EXIT_FAILED, f"{type(error).__name__}: {error}")
        sys.stderr.write(traceback.format_exc())
    else:
        show(run_line(hydra.job.num, hydra.overrides.task, summary))
        if summary.exit_code >= EXIT_CTRL_C:  # Ctrl-C and SIGTERM end the whole sweep
            sys.exit(summary.exit_code)
        value = float(summary.values[cfg.metric])
        return worst_value(cfg.metric) if math.isnan(value) else value
    return worst_value(cfg.metric)
