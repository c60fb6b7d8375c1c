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
from trendtrain.evaluate import evaluate
from trendtrain.laws import check_causal
from trendtrain.market import Bars, Series, label_bars, random_walk
from trendtrain.market.directions import UNKNOWN
from trendtrain.storage import BarStore, open_database
from trendtrain.storage.table_files import write_bars

torch.set_num_threads(1)

WINDOW = 12
SYNTH = Series("SYNTH", "5m")


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


def test_no_prediction_changes_when_later_bars_come(run: SimpleNamespace) -> None:
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
    assert list(table) == ["open_time", "made_at", "direction", "confidence", "p_down", "p_up", "in_sample"]
    np.testing.assert_array_equal(table.in_sample, Predictor(run.ckpt).in_sample(SYNTH, run.bars))
    np.testing.assert_array_equal(table.direction, answers.direction)
    np.testing.assert_allclose(table.confidence, answers.confidence)
    np.testing.assert_allclose(table.p_up, answers.probability[:, 1])
    made_at = pd.DatetimeIndex(table.made_at).tz_convert(None).to_numpy().astype("datetime64[ms]")
    np.testing.assert_array_equal(made_at, run.bars.close_time)
    shown = capsys.readouterr().out
    assert "SYNTH 5m" in shown
    assert f"in sample: {table.in_sample.sum():,} of 2,000 bars of SYNTH 5m: the run may have trained on them" in shown
    assert "never seen" not in shown
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


# -- what the run has trained on --------------------------------------------------------------------------------------


def test_what_the_run_has_drawn_from_is_in_sample(run: SimpleNamespace) -> None:
    state = torch.load(run.ckpt, weights_only=True)["PivotDataModule"]
    rows = np.unique(state["replay"]["memory"]["rows"]["row"].numpy())
    in_sample = Predictor(run.ckpt).in_sample(SYNTH, run.bars)
    assert len(rows) > 500
    assert in_sample[rows].all()
    assert not in_sample[-3:].any()  # without a label


def test_bars_beyond_the_run_and_of_other_series_are_not_in_sample(run: SimpleNamespace) -> None:
    predictor, n = Predictor(run.ckpt), len(run.bars)
    early = Bars(  # as many bars again, before those of the run
        np.concatenate([run.bars.open_time - np.timedelta64(365, "D"), run.bars.open_time]),
        *(np.tile(getattr(run.bars, name), 2) for name in ("open", "high", "low", "close", "volume")),
        run.bars.timeframe,
    )
    assert not predictor.in_sample(SYNTH, early)[:n].any()
    assert predictor.in_sample(SYNTH, early)[n:].sum() > 500
    assert not predictor.in_sample(Series("SYNTH", "15m"), run.bars).any()


def test_a_symbol_and_a_timeframe_that_the_run_never_saw_are_named(
    run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bars(random_walk(300, seed=0, timeframe="1h"), file := tmp_path / "OTHER_1h.csv")
    assert main(["predict", "--ckpt", str(run.ckpt), str(file), "--out", str(tmp_path / "o.csv")]) == 0
    shown = capsys.readouterr().out
    assert "never seen: symbol OTHER: the run was trained on SYNTH." in shown
    assert "never seen: timeframe 1h: the run was trained on 5m." in shown
    assert "in sample" not in shown


# -- eval -------------------------------------------------------------------------------------------------------------


def test_a_model_is_judged_on_bars_that_it_has_not_trained_on(
    run: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bars(run.bars, file := tmp_path / "LATER_5m.csv")  # the same bars under another name: no longer in sample
    assert main(["eval", "--ckpt", str(run.folder / "run"), str(run.file), str(file), "--json"]) == 0
    known, new = json.loads(capsys.readouterr().out)
    predictor = Predictor(run.ckpt)
    in_sample, direction = predictor.in_sample(SYNTH, run.bars), predictor.predict(run.bars).direction
    assert known["n_in_sample"] == in_sample.sum()
    assert known["n_predicted"] == ((direction >= 0) & ~in_sample).sum() == known["stats"]["total_predictions"]
    labels = label_bars(run.bars, max_gap=5)
    judged = (direction >= 0) & (labels.direction >= 0) & (labels.direction != 2)
    assert (new["symbol"], new["n_in_sample"]) == ("LATER", 0)
    assert new["stats"]["validated_predictions"] == judged.sum()
    assert new["stats"]["correct_predictions"] == (direction == labels.direction)[judged].sum()
    assert main(["eval", "--ckpt", str(run.folder / "run"), str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"LATER 5m: {new['n_predicted']:,} bars, 2020-01-01 to 2020-01-0" in shown
    assert f"event accuracy  {new['event_accuracy']:.4f}, {new['n_events']:,} events" in shown
    assert f"best rule       {new['best_baseline']['name']}" in shown
    assert "never seen: symbol LATER" in shown


def test_bars_that_are_all_in_sample_are_refused(run: SimpleNamespace, tmp_path: Path) -> None:
    write_bars(run.bars[:1000], file := tmp_path / "SYNTH_5m.csv")
    predictor = Predictor(run.ckpt)
    few = run.bars[:1000]
    n_left = int((predictor.predict(few).direction[~predictor.in_sample(SYNTH, few)] >= 0).sum())
    assert n_left  # the last ones, which this file does not label
    assert main(["eval", "--ckpt", str(run.ckpt), str(file)]) == 0
    with pytest.raises(InputError, match="`path` must hold bars with a whole window that the run has not trained on"):
        evaluate(predictor, {SYNTH: run.bars[:5]})


# -- export -----------------------------------------------------------------------------------------------------------


def batch_of(run: SimpleNamespace, n: int) -> dict[str, torch.Tensor]:
    batches, _ = Predictor(run.ckpt).loader(run.bars[:n], np.ones(n, np.bool_))
    return next(iter(batches))


def test_a_program_of_torch_says_what_the_model_says(run: SimpleNamespace, tmp_path: Path) -> None:
    assert main(["export", "--ckpt", str(run.folder / "run"), "--out", str(tmp_path / "model.pt2")]) == 0
    net, module = torch.export.load(tmp_path / "model.pt2").module(), Predictor(run.ckpt).module
    for n in (WINDOW, WINDOW + 1, 300):
        batch = batch_of(run, n)
        expected = module.validation_step(batch, 0)["logits"]
        assert len(expected) == n - WINDOW + 1
        torch.testing.assert_close(net(batch["window"], batch["side"]), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_onnx_says_what_the_model_says(
    run: SimpleNamespace, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed", exc_type=ImportError)
    pytest.importorskip("onnxscript", reason="onnxscript is not installed", exc_type=ImportError)
    assert main(["export", "--ckpt", str(run.folder / "run"), "--out", str(tmp_path / "model.onnx")]) == 0
    printed = capfd.readouterr()
    assert "  window  float32 (B, 12, 8)\n  side    float32 (B, 24)\n  logits  float32 (B, 2)" in printed.out
    assert printed.err == ""
    session, module = onnxruntime.InferenceSession(tmp_path / "model.onnx"), Predictor(run.ckpt).module
    for n in (WINDOW, WINDOW + 1, 300):
        batch = batch_of(run, n)
        (found,) = session.run(["logits"], {name: batch[name].numpy() for name in ("window", "side")})
        expected = module.validation_step(batch, 0)["logits"].detach()
        torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-5, rtol=1e-4)


def test_another_ending_is_refused(run: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--ckpt", str(run.ckpt), "--out", "model.txt"]) == 2
    assert "`--out` must end in .onnx or .pt2, got model.txt." in capsys.readouterr().err
