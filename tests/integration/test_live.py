"""`trendtrain live` on stored bars leaves what `trendtrain train` leaves."""

from pathlib import Path
from typing import Any

import pytest
from train_runs import RunIn

ONE = ("data.symbols=SYNTH-A", "data.timeframes=5m")
THREE = ("data.symbols=SYNTH-A", "data.timeframes=[5m,15m,1h]", "walk.step=6h")
SMALL = ("data.source.n_bars=2500", "walk.warmup=0.5", "replay.max_bars=1500")


@pytest.mark.parametrize("series", [ONE, THREE], ids=["one", "three"])
def test_lockstep_equals_train_to_the_bit(series: tuple[str, ...], tmp_path: Path) -> None:
    walked, replayed = (RunIn(tmp_path / name, *SMALL, *series) for name in ("train", "live"))
    assert walked.here() == 0
    assert replayed.live("live.lockstep=true") == 0
    ours, expected = replayed.ledger(), walked.ledger()
    for table, place in (("predictions", -1), ("runs", 2)):  # when they were stored; how many steps there are
        assert _without(ours.pop(table), place) == _without(expected.pop(table), place)
    assert ours == expected
    assert {**replayed.summary(), "config": None} == {**walked.summary(), "config": None}
    assert {**replayed.state(), "config": None} == {**walked.state(), "config": None}
    files = [{path.name for path in (run.folder / "checkpoints").iterdir()} for run in (walked, replayed)]
    assert files[0] == {name for name in files[1] if not name.startswith("version-")}  # which live runs keep beside
    assert replayed.charts() == walked.charts()


def _without(rows: list[tuple[Any, ...]], place: int) -> list[tuple[Any, ...]]:
    return [tuple(value for at, value in enumerate(row) if at != place % len(row)) for row in rows]
