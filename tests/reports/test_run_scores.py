from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trendtrain.errors import InputError
from trendtrain.reports.run_scores import RunScores


def test_what_a_run_wrote_are_the_scores_of_its_summary(small_run: SimpleNamespace) -> None:
    scores = RunScores.read(small_run.folder)
    found = scores.board.scores()
    for name in ("event_accuracy", "n_events", "accuracy_se", "nll", "ece"):
        assert found[name] == small_run.values[name]
    assert found["baselines"] == small_run.values["baselines"]
    assert repr(scores.board.breakdown()) == repr(small_run.values["breakdown"])  # also where NaN
    assert scores.board.series == (("SYNTH-A", "5m"), ("SYNTH-B", "5m"))
    assert scores.history["step"].tolist() == list(range(small_run.values["steps"]))
    assert scores.history["validated"][-1] == small_run.values["stats"]["validated_predictions"]


def test_scores_are_written_as_they_are_read(small_run: SimpleNamespace, tmp_path: Path) -> None:
    scores = RunScores.read(small_run.folder)
    scores.save(tmp_path)
    again = RunScores.read(tmp_path)
    np.testing.assert_array_equal(again.board.events().cell, scores.board.events().cell)
    assert again.board.metrics() == pytest.approx(scores.board.metrics(), nan_ok=True)


def test_a_folder_without_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`run` must be the folder of a run that has ended, .* which has none"):
        RunScores.read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK no zip"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "scores.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"`run` must hold a scores.npz as this version writes it"):
        RunScores.read(tmp_path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "scores.npz", other=np.zeros(3))
    with pytest.raises(InputError, match=r"`run` must hold a scores.npz as this version writes it"):
        RunScores.read(tmp_path)
