"""Judge a trained model on other bars, through `TrendValidation`, as a run judges its stream."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl

from trendtrain.callbacks.trend_validation import TrendValidation
from trendtrain.data.predict import Predictor
from trendtrain.errors import InputError
from trendtrain.market.bars import Bars, Series
from trendtrain.train import quiet_lightning
from trendtrain.validation.simple_rules import baseline_directions


def evaluate(predictor: Predictor, series: Mapping[Series, Bars]) -> dict[Series, dict[str, Any]]:
    """Return the scores of each series, as `summary.json` holds them, beside the simple rules on the same bars.

    The model does not learn on the way. Bars that its run may have trained on are left out; `n_in_sample` counts them.

    Raises:
        InputError: If a series has no other bars with a whole window before them.
    """
    return {name: _evaluate(predictor, name, bars) for name, bars in series.items()}


def _evaluate(predictor: Predictor, name: Series, bars: Bars) -> dict[str, Any]:
    is_known = predictor.in_sample(name, bars)
    loader, n_rows = predictor.loader(bars, ~is_known)
    if not n_rows:
        got = f"{len(bars)} bars of {' '.join(name)}, {int(is_known.sum())} of them in sample"
        raise InputError(f"`path` must hold bars with a whole window that the run has not trained on, got {got}.")
    labels = predictor.label(bars)
    trend = TrendValidation(labels, baseline_directions(bars, labels, predictor.max_gap))
    with quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            callbacks=[trend],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        trainer.validate(predictor.module, loader, verbose=False)
    judged = bars.open_time[~is_known]
    scores = {key: value for key, value in trend.summary().items() if key not in ("series", "status", "steps")}
    span = {"first": str(judged[0]), "last": str(judged[-1])}
    return {"n_predicted": n_rows, "n_in_sample": int(is_known.sum()), **span, **scores}
