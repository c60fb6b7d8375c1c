"""Make the loggers of a run in its folder, and give any Lightning logger the points and pictures of a walk."""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from trendtrain.errors import InputError
from trendtrain.stream.walk_step import WalkStep


def tensorboard_logger(save_dir: Path, purge_step: int) -> TensorBoardLogger:
    """Return the logger of `tensorboard/` in a run folder; on resume, points from `purge_step` on are dropped."""
    return TensorBoardLogger(save_dir, name="tensorboard", version="", default_hp_metric=False, purge_step=purge_step)


def csv_logger(save_dir: Path, purge_step: int) -> CSVLogger:
    """Return the logger of `csv/metrics.csv` in a run folder; on resume, rows before `purge_step` are kept."""
    file = save_dir / "csv" / "metrics.csv"
    kept: list[dict[str, Any]] = []
    if file.exists():
        with file.open(newline="") as rows:
            kept = [row for row in csv.DictReader(rows) if int(row["step"]) < purge_step]
        file.unlink()  # Lightning would warn, and delete it
    for rest in file.parent.glob("hparams.yaml"):
        rest.unlink()
    logger = CSVLogger(save_dir, name="csv", version="")
    if kept:
        logger.experiment.metrics.extend({key: value for key, value in row.items() if value != ""} for row in kept)
    return logger


def mlflow_logger(
    save_dir: Path, run_name: str, tracking_uri: str | None = None, experiment_name: str = "trendtrain"
) -> MLFlowLogger:
    """Return a logger of MLflow; on resume it goes on with the MLflow run of the same name.

    Args:
        save_dir: The run folder.
        run_name: Name of the run.
        tracking_uri: Where MLflow keeps its runs; None for `mlflow.db` in the run folder.
        experiment_name: The experiment that the run belongs to.

    Raises:
        InputError: If mlflow is not installed.
    """
    try:
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        raise InputError("`logger` must find mlflow, got none: pip install trendtrain[mlflow].") from error
    uri = tracking_uri or f"sqlite:///{save_dir.resolve()}/mlflow.db"
    if uri.startswith("sqlite:///"):
        Path(uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(experiment_name)
    known = experiment and client.search_runs([experiment.experiment_id], f"attributes.run_name = '{run_name}'")
    run_id = known[0].info.run_id if known else None
    artifacts = None if tracking_uri else (save_dir.resolve() / "mlflow").as_uri()
    return MLFlowLogger(experiment_name, run_name, uri, artifact_location=artifacts, run_id=run_id)


def wandb_logger(
    save_dir: Path, run_name: str, project: str = "trendtrain", offline: bool = True, **options: Any
) -> WandbLogger:
    """Return a logger of Weights & Biases; on resume it goes on with the run of the same name.

    Args:
        save_dir: The run folder; the files of wandb lie in it, and `wandb sync` sends those of an offline run.
        run_name: Name of the run.
        project: The project that the run belongs to.
        offline: False to send points as the run goes on.
        **options: Other arguments of `WandbLogger`.

    Raises:
        InputError: If wandb is not installed.
    """
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise InputError("`logger` must find wandb, got none: pip install trendtrain[wandb].") from error
    save_dir.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(silent=True, console="off")
    name = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in run_name)
    return WandbLogger(
        run_name, save_dir, id=name, project=project, offline=offline, settings=settings, resume="allow", **options
    )


def log_step(loggers: Iterable[Logger], step: WalkStep, scalars: Mapping[str, float]) -> None:
    """Give loggers the scalars of a walk step, and `market_time`: seconds since 1970 at its end. NaN gives no point."""
    known = {name: value for name, value in scalars.items() if not math.isnan(value)}
    for logger in loggers:
        logger.log_metrics({**known, "market_time": market_seconds(step)}, step=step.index)


def log_picture(loggers: Iterable[Logger], step: WalkStep, name: str, png: bytes) -> None:
    """Give a picture to the loggers that take images."""
    from PIL import Image  # needed where figures are drawn; matplotlib brings it

    for logger in loggers:
        if isinstance(logger, MLFlowLogger):
            image = Image.open(io.BytesIO(png))
            logger.experiment.log_image(logger.run_id, image, artifact_file=f"{name}/{step.index}.png")
        elif hasattr(logger, "log_image"):
            logger.log_image(key=name, images=[Image.open(io.BytesIO(png))], step=step.index)


def market_seconds(step: WalkStep) -> float:
    """Return the end of a walk step in seconds since 1970."""
    return float(step.now.astype("datetime64[ms]").astype(np.int64)) / 1000.0


def finish(loggers: Iterable[Logger]) -> None:
    """End what would otherwise go on until the process ends, so that the next run of the process has its own."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()
