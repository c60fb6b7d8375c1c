import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sqlalchemy import text

from trendtrain.cli import main
from trendtrain.data.predict import Predictor
from trendtrain.errors import InputError
from trendtrain.laws import check_causal
from trendtrain.market import Bars
from trendtrain.market.directions import UNKNOWN
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.table_files import write_bars

torch.set_num_threads(1)

WINDOW = 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A finished run of a small model, its bars in a file."""
    argv, environment, path = sys.argv, dict(os.environ), list(sys.path)
    folder = tmp_path_factory.mktemp("predict")
    url = f"sqlite:///{folder / 'run.db'}"
    small = ("data.source.n_bars=2000", f"data.window={WINDOW}", "model.net.kernels=[3,4]", "labels.max_gap=5")
    quiet = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "logger=none")
    assert main(["train", *small, *quiet, f"hydra.run.dir={folder / 'run'}", f"db.url={url}"]) == 0
    engine = open_database(url)
    bars = BarStore(engine).load("SYNTH", "5m")
    file = folder / "SYNTH_5m.csv"
    write_bars(bars, file)
    yield SimpleNamespace(
        folder=folder, engine=engine, bars=bars, file=file, ckpt=folder / "run" / "checkpoints" / "last.ckpt"
    )
    engine.dispose()
    sys.argv, sys.path[:] = argv, path
    os.environ.clear()
    os.environ.update(environment)


def test_the_model_says_of_the_last_step_what_it_said_in_the_run(run: SimpleNamespace) -> None:
    query = "select open_time, direction from predictions where step = (select max(step) from predictions)"
    with run.engine.connect() as connection:
        said = {row.open_time: row.direction for row in connection.execute(text(query))}
    answers = Predictor(run.ckpt).predict(run.bars)
    told = dict(zip(run.bars.open_time.astype(np.int64).tolist(), answers.direction.tolist(), strict=True))
    assert 0 < len(said) <= 256
    assert said == {time: told[time] for time in said}


def test_a_run_is_told_by_its_folder(run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [tmp_path / name for name in ("folder.csv", "file.csv")]
    for ckpt, path in zip((run.ckpt.parents[1], run.ckpt), out, strict=True):
        assert main(["predict", "--ckpt", str(ckpt), str(run.file), "--out", str(path)]) == 0
    assert out[0].read_bytes() == out[1].read_bytes()
    capsys.readouterr()
    assert main(["predict", "--ckpt", str(tmp_path), str(run.file), "--out", str(out[0])]) == 2
    rule = "`--ckpt` must be a checkpoint, or the folder of a run that has written one"
    assert f"{rule}, got {tmp_path}, in which there is no checkpoints/last.ckpt." in capsys.readouterr().err


def test_no_answer_changes_when_later_bars_come(run: SimpleNamespace) -> None:
    predictor = Predictor(run.ckpt)

    def chances(bars: Bars) -> np.ndarray:
        return np.nan_to_num(predictor.predict(bars).probability[:, 1], nan=-1.0).round(5)

    check_causal(chances, run.bars[:400], shortest=WINDOW)


def test_bars_without_a_whole_window_in_their_segment_have_no_answer(run: SimpleNamespace) -> None:
    bars = run.bars[:300]
    hole = np.concatenate([bars.open_time[:150], bars.open_time[150:] + 100 * bars.timeframe])
    split = Bars(hole, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.timeframe)
    direction = Predictor(run.ckpt).predict(split).direction
    assert (direction[: WINDOW - 1] == -1).all()
    assert (direction[150 : 150 + WINDOW - 1] == -1).all()
    assert direction[150 + WINDOW - 1] >= 0


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_command_writes_a_row_a_bar(run: SimpleNamespace, ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = run.folder / f"said.{ending}"
    assert main(["predict", "--ckpt", str(run.ckpt), str(run.file), "--out", str(out)]) == 0
    table = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out)
    answers = Predictor(run.ckpt).predict(run.bars)
    assert list(table) == ["open_time", "made_at", "direction", "confidence", "p_down", "p_up"]
    np.testing.assert_array_equal(table.direction, answers.direction)
    np.testing.assert_allclose(table.confidence, answers.confidence)
    np.testing.assert_allclose(table.p_up, answers.probability[:, 1])
    made_at = pd.DatetimeIndex(table.made_at).tz_convert(None).to_numpy().astype("datetime64[ms]")
    np.testing.assert_array_equal(made_at, run.bars.close_time)
    shown = capsys.readouterr().out
    assert "SYNTH 5m" in shown
    assert f"{answers.confidence[-1]:.4f}" in shown


def test_several_files_give_a_folder(run: SimpleNamespace, tmp_path: Path) -> None:
    other = tmp_path / "SYNTH2_5m.parquet"
    write_bars(run.bars[:500], other)
    assert main(["predict", "--ckpt", str(run.ckpt), str(run.file), str(other), "--out", str(tmp_path / "said")]) == 0
    assert sorted(file.name for file in (tmp_path / "said").iterdir()) == ["SYNTH2_5m.parquet", "SYNTH_5m.parquet"]


def test_a_checkpoint_holds_weights_and_text_alone(run: SimpleNamespace) -> None:
    state = torch.load(run.ckpt, weights_only=True)
    assert json.loads(state["config"])["data"]["window"] == WINDOW


def test_what_is_no_checkpoint_of_a_run_is_refused(run: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`ckpt` must be a checkpoint file, got .*none.ckpt: there is none"):
        Predictor(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("no weights")
    with pytest.raises(InputError, match=r"`ckpt` must be a checkpoint of a run, got .*text.ckpt"):
        Predictor(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"`ckpt` must be a checkpoint of `trendtrain train`, which holds its conf"):
        Predictor(tmp_path / "other.ckpt")
    state = torch.load(run.ckpt, weights_only=True)
    state["state_dict"].popitem()
    torch.save(state, tmp_path / "less.ckpt")
    with pytest.raises(InputError, match=r"`ckpt` must fit the code of its model, got .*less.ckpt"):
        Predictor(tmp_path / "less.ckpt")


@pytest.mark.parametrize("n_bars", [0, 5, WINDOW - 1])
def test_fewer_bars_than_a_window_have_no_answer(run: SimpleNamespace, n_bars: int) -> None:
    answers = Predictor(run.ckpt).predict(run.bars[:n_bars])
    assert answers.direction.tolist() == [UNKNOWN] * n_bars
    assert np.isnan(answers.confidence).all()
    assert np.isnan(answers.probability).all()
    assert answers.probability.shape == (n_bars, 2)
