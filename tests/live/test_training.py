"""A Trainer that walks a live feed: what is stored when, and how it ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
from scripted import ScriptedSource
from sqlalchemy import Engine, text
from trainer_parts import SERIES, make_datamodule, make_module, make_trainer

from trendtrain.callbacks import LedgerWriter, TrendValidation, WalkCheckpoint
from trendtrain.data import PivotDataModule
from trendtrain.data.datamodule import Live
from trendtrain.live.feed import LiveFeed
from trendtrain.market import Bars, Series
from trendtrain.storage import Ledger, open_database
from trendtrain.stream import HeldBars, Walk

__all__ = ["make_datamodule", "make_module", "make_trainer"]
A, B = SERIES
START = SERIES[A].close_time[600]
N_STEPS = 25
END = SERIES[A].close_time[600 + N_STEPS]
N_PREDICTIONS = sum(int(((bars.close_time > START) & (bars.close_time <= END)).sum()) for bars in SERIES.values())


class EndsLate(ScriptedSource):
    """Says that no bar will come only when it was asked once more after the last."""

    is_over = False

    def take(self, timeout: float) -> dict[Series, Bars]:
        taken = super().take(timeout)
        self.is_over = not taken and not self._arrivals
        return taken

    @property
    def is_done(self) -> bool:
        return self.is_over


class Watch(pl.Callback):
    """Count what is stored at each moment."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.moments: list[tuple[str, int, int]] = []  # what happens, steps closed, predictions stored

    def note(self, what: str, trainer: Any) -> None:
        with self.engine.connect() as connection:
            n = connection.execute(text("SELECT count(*) FROM prediction_rows")).scalar_one()
        self.moments.append((what, trainer.datamodule.stream.step, n))

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.note("train", trainer)

    def on_walk_step(self, trainer: Any, step: Any) -> None:
        self.note("judged", trainer)

    def on_predictions(self, trainer: Any, index: int, predictions: Any, series: Any) -> Any:
        self.note("stored", trainer)
        return predictions


@pytest.fixture
def live_datamodule(make_datamodule: Callable[..., PivotDataModule]) -> PivotDataModule:
    n = {name: int((bars.close_time <= START).sum()) for name, bars in SERIES.items()}
    before = HeldBars({name: bars[: n[name]] for name, bars in SERIES.items()})
    later = {name: bars[n[name] : int((bars.close_time <= END).sum())] for name, bars in SERIES.items()}
    source = ScriptedSource.of(later)
    late = EndsLate(tuple(SERIES), source._arrivals)
    return make_datamodule(
        series=before,
        walk=Walk(str(START), warmup=0),
        live=Live(lambda data: LiveFeed(late, before, data.walk), max_batches=3),
    )


def test_a_feed_that_learns_late_that_it_has_ended_ends_the_fit_with_all_steps_and_a_checkpoint(
    live_datamodule: PivotDataModule, make_module: Any, make_trainer: Any, tmp_path: Path
) -> None:
    validation, opened = TrendValidation(), []
    next_of = LiveFeed.next
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiveFeed, "next", lambda feed: opened.append(next_of(feed)) or opened[-1])
        trainer = make_trainer(validation, WalkCheckpoint(tmp_path, every_seconds=3600.0))
        trainer.fit(make_module(), live_datamodule)
    assert live_datamodule.stream.step == N_STEPS
    assert [one is None for one in opened] == [False] * N_STEPS + [True]  # then it turned out that nothing was left
    assert validation.buffer.stats.total == N_PREDICTIONS
    assert (tmp_path / "last.ckpt").exists()


def test_predictions_are_stored_before_they_are_judged_and_before_training_goes_on(
    live_datamodule: PivotDataModule, make_module: Any, make_trainer: Any
) -> None:
    engine = open_database("sqlite://")
    watch = Watch(engine)
    writer = LedgerWriter(Ledger(engine), "run", commits=True)
    make_trainer(TrendValidation(), writer, watch).fit(make_module(), live_datamodule)
    n_stored = 0
    assert [what for what, _, _ in watch.moments if what != "train"] == ["stored", "judged"] * N_STEPS
    for what, step, n in watch.moments:
        if what == "stored":
            assert n > n_stored  # in the ledger, and the step is not closed yet
            n_stored = n
            assert step == sum(one == "judged" for one, _, _ in watch.moments[: watch.moments.index((what, step, n))])
        assert n == n_stored
    engine.dispose()


@pytest.mark.parametrize(("n_before", "last_step"), [(1, -1), (12, -1), (12, 50)])
def test_predictions_that_were_stored_before_a_stop_are_those_that_are_judged(
    n_before: int, last_step: int, make_datamodule: Callable[..., PivotDataModule], make_module: Any, make_trainer: Any
) -> None:
    engine = open_database("sqlite://")

    def run(steps: int | None, seed: int) -> None:
        before, n = HeldBars({A: SERIES[A][:600]}), 600 + 120
        walk = Walk(str(SERIES[A].close_time[599]), steps=steps, warmup=0)
        source = ScriptedSource.of({A: SERIES[A][600:n]})
        live = Live(lambda one: LiveFeed(source, before, one.walk), max_batches=1)
        data = make_datamodule(series=before, walk=walk, live=live, seed=seed)
        module = make_module()
        for parameter in module.parameters():
            parameter.data.mul_(1.0 - 2.0 * seed)  # another model, which mostly says the opposite
        writer = LedgerWriter(Ledger(engine), "run", commits=True)
        writer.load_state_dict({"last_step": last_step})  # steps may be cut in another way when a run goes on
        make_trainer(TrendValidation(), writer).fit(module, data)

    query = "SELECT open_time, direction, confidence, parameters, stored_at FROM prediction_rows ORDER BY 1"
    run(n_before, seed=0)
    with engine.connect() as connection:
        first = connection.execute(text(query)).all()
    run(None, seed=1)
    with engine.connect() as connection:
        assert connection.execute(text(query)).all()[:n_before] == first
        judged = "SELECT p.direction, v.truth, v.outcome FROM prediction_rows p JOIN verdict_rows v USING (open_time)"
        rows = connection.execute(text(f"{judged} WHERE outcome < 2 ORDER BY open_time")).all()
    assert len(rows) > 50
    assert all(outcome == (direction == truth) for direction, truth, outcome in rows)
    engine.dispose()
