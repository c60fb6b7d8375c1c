import re
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from trendtrain.callbacks import TrendValidation, WalkProgress
from trendtrain.callbacks.walk_progress import describe
from trendtrain.validation import TrendStats

Make = Callable[..., Any]


def step_with(finished: SimpleNamespace, stats: TrendStats) -> Any:
    return replace(finished.recorder.steps[0], now=np.datetime64("2020-03-01T12:34:56", "ms"), stats=stats)


def test_a_step_is_described_by_date_accuracy_and_pending(finished: SimpleNamespace) -> None:
    step = step_with(finished, TrendStats(validated=8, correct=5, void=1, pending=3))
    assert describe(step) == "2020-03-01 12:34  accuracy 0.625  pending 3"


def test_before_the_first_verdict_it_says_so(finished: SimpleNamespace) -> None:
    assert describe(step_with(finished, TrendStats(pending=3))) == "2020-03-01 12:34  no verdict yet  pending 3"


def test_the_line_ends_with_all_steps(
    capsys: pytest.CaptureFixture[str], make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    validation = TrendValidation()
    trainer = make_trainer(validation, WalkProgress(), enable_progress_bar=True)
    trainer.fit(make_module(), make_datamodule())
    shown = capsys.readouterr().out
    assert "12/12" in shown
    assert f"pending {validation.buffer.stats.pending}" in shown


def test_the_line_tells_of_the_warm_up(capsys: pytest.CaptureFixture[str], make_trainer: Make) -> None:
    progress, trainer = WalkProgress(), make_trainer(enable_progress_bar=True)
    progress.on_train_start(trainer, trainer.lightning_module)
    progress.on_warmup(trainer, done=3, total=7)
    progress.on_fit_end(trainer, trainer.lightning_module)
    assert re.search(r"3/7 warm-up, nothing predicted yet", capsys.readouterr().out)


def test_after_a_warm_up_live_steps_have_no_end(
    capsys: pytest.CaptureFixture[str], make_trainer: Make, finished: SimpleNamespace
) -> None:
    progress, trainer = WalkProgress(), make_trainer(enable_progress_bar=True)
    progress.on_train_start(trainer, trainer.lightning_module)
    progress.on_warmup(trainer, done=1, total=1)
    progress.on_walk_step(trainer, replace(finished.recorder.steps[0], n_steps=None))
    progress.on_fit_end(trainer, trainer.lightning_module)
    assert "1/? " in capsys.readouterr().out


def test_disabled_it_shows_nothing(
    capsys: pytest.CaptureFixture[str], make_trainer: Make, make_module: Make, make_datamodule: Make
) -> None:
    progress = WalkProgress()
    trainer = make_trainer(TrendValidation(), progress, enable_progress_bar=True, max_epochs=1)
    progress.disable()
    trainer.fit(make_module(), make_datamodule())
    assert "walk" not in capsys.readouterr().out
