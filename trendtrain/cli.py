"""The `trendtrain` command: train, import, label, stats."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trendtrain.errors import InputError

if TYPE_CHECKING:
    from omegaconf import DictConfig

_DEFAULT_DB = "sqlite:///trendtrain.db"
_EXIT_MISTAKE = 2
_EXIT_CTRL_C = 130


def main(arguments: list[str] | None = None) -> int:
    """Run a command; a user's mistake is one line and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] == ["train"]:
            return _train(arguments[1:])
        options = _parser().parse_args(arguments)
        return int(options.run(options))
    except InputError as error:
        return _say(error)
    except KeyboardInterrupt:
        return _EXIT_CTRL_C


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trendtrain", description="Train trend models on delayed labels.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help="the main job; takes Hydra overrides such as data=files data.path=FILE")
    _add_import(commands.add_parser("import", help="bars into the database, with a quality report"))
    _add_label(commands.add_parser("label", help="labels of a file of bars, one row a bar, as Parquet or CSV"))
    _add_stats(commands.add_parser("stats", help="the six numbers per model, symbol and timeframe"))
    return parser


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="+", type=Path, help="CSV, Parquet, Feather or JSON files, or folders of them")
    parser.add_argument("--symbol", help="symbol of the bars; by default from the file's name, as in ETHUSDT_1h.csv")
    parser.add_argument("--timeframe", help="their timeframe, such as 5m; by default from their times")
    parser.add_argument("--db", default=_DEFAULT_DB, help="database URL (%(default)s)")
    parser.set_defaults(run=_import)


def _add_label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="+", type=Path, help="CSV, Parquet, Feather or JSON files, or folders of them")
    out = "FILE.parquet or FILE.csv; of several files a folder, for a SYMBOL_TIMEFRAME.parquet each"
    parser.add_argument("--out", type=Path, required=True, help=out)
    parser.add_argument("--format", help="of the files in a folder: parquet or csv (parquet)")
    parser.add_argument("--strength", type=_whole, nargs="+", default=[1, 1], help="per level, two or more (1 1)")
    parser.add_argument("--tie", default="plateau", help="plateau or strict (%(default)s)")
    parser.add_argument("--inside", default="keep", help="keep or skip (%(default)s)")
    parser.add_argument("--flat-band", type=_real, default=0.0, help="relative price change that is FLAT (%(default)s)")
    parser.add_argument("--max-gap", type=_whole, help="missing bars that end a segment; by default none do")
    parser.add_argument("--symbol", help="as in import")
    parser.add_argument("--timeframe", help="as in import")
    parser.add_argument("--plot", type=Path, help="FILE.png or FILE.html: bars, pivots and lines of one input file")
    parser.add_argument("--plot-bars", type=_whole, help="bars to draw (300)")
    parser.add_argument("--plot-start", help="time of the first bar to draw; by default the last bars are drawn")
    parser.set_defaults(run=_label)


def _whole(text: str) -> int | str:
    """Return an integer; other text as it is, for the option's own rule to refuse in its own words."""
    try:
        return int(text)
    except ValueError:
        return text


def _real(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _add_stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", default=_DEFAULT_DB, help="database URL (%(default)s)")
    parser.add_argument("--run", dest="run_id", help="a run's id, or all; by default the latest run")
    parser.set_defaults(run=_stats)


def _import(options: argparse.Namespace) -> int:
    from trendtrain.report import import_table, show
    from trendtrain.storage.bars import BarStore
    from trendtrain.storage.database import open_database
    from trendtrain.storage.importers import find_files, import_files

    files = [file for path in options.path for file in find_files(path)]
    engine = open_database(options.db)
    try:
        reports = import_files(BarStore(engine), files, options.symbol, options.timeframe)
    finally:
        engine.dispose()
    show(import_table(reports))
    return 0


def _label(options: argparse.Namespace) -> int:
    from trendtrain.label_command import label_files

    return label_files(options)


def _stats(options: argparse.Namespace) -> int:
    from trendtrain.report import show, stats_table
    from trendtrain.storage.database import open_database
    from trendtrain.storage.ledger import Ledger

    engine = open_database(options.db)
    try:
        rows = Ledger(engine).stats(options.run_id)
    finally:
        engine.dispose()
    show(stats_table(rows) if rows else f"No predictions yet in {options.db}.")
    return 0


def _train(overrides: list[str]) -> int:
    """Let Hydra compose the configuration and call the job; its complaints are the user's mistakes."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    mistakes = (InputError, HydraException, OmegaConfBaseException)

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come here instead of being printed with a traceback
    exit_codes: list[int] = []
    is_started = False

    @hydra.main(version_base="1.3", config_path="pkg://trendtrain.configs", config_name="train")
    def job(cfg: "DictConfig") -> None:
        nonlocal is_started
        is_started = True
        try:
            exit_codes.append(_run_job(cfg))
        except mistakes as error:
            exit_codes.append(_say(error))

    sys.argv = ["trendtrain train", *overrides]
    sys.path.append(str(Path.cwd()))  # so that `_target_=mynet.MyNet` finds a user's file
    try:
        job()
    except mistakes as error:
        return _say(error)
    except OSError as error:
        if is_started:
            raise
        return _say(InputError(f"`hydra.run.dir` must be a folder that can be written, got {error}."))
    return max(exit_codes, default=0)


def _run_job(cfg: "DictConfig") -> int:
    from hydra.core.hydra_config import HydraConfig

    from trendtrain.callbacks.walk_checkpoint import WalkCheckpoint
    from trendtrain.report import show, summary_table
    from trendtrain.train import train

    checkpoint = WalkCheckpoint(Path(HydraConfig.get().runtime.output_dir) / "checkpoints").path
    if cfg.ckpt == "last" and not checkpoint.exists():
        show(f"There is no {checkpoint} yet: starting at the first step.")
    summary = train(cfg)
    show(summary_table(summary))
    return summary.exit_code


def _say(error: Exception) -> int:
    """Print an error as one line, the innermost user's mistake first, and return the exit code for it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, InputError):
        cause = cause.__cause__ or cause.__context__
    line = " ".join(str(cause or error).split())
    sys.stderr.write(f"trendtrain: error: {line}\n")
    return _EXIT_MISTAKE


if __name__ == "__main__":
    sys.exit(main())
