"""Options and experiments in a folder of the user's, as docs/models.md and docs/experiments.md say."""

import json
import re
from pathlib import Path

from trendtrain.cli import main

DOCS = Path(__file__).parents[1] / "docs"
EXPERIMENT = """# @package _global_
data:
  timeframes: [5m, 15m]
"""


def test_a_net_for_each_timeframe_is_an_option_in_a_folder_of_the_users(tmp_path: Path) -> None:
    (option,) = re.findall(
        r"```yaml\n# myconfigs/model/per_timeframe.yaml\n(.*?)```", (DOCS / "models.md").read_text(), re.S
    )
    for group, name, content in (("model", "per_timeframe", option), ("experiment", "mine", EXPERIMENT)):
        (tmp_path / "myconfigs" / group).mkdir(parents=True)
        (tmp_path / "myconfigs" / group / f"{name}.yaml").write_text(content)
    own = ("--config-dir", str(tmp_path / "myconfigs"), "model=per_timeframe", "experiment=mine")
    small = ("data.source.n_bars=3000", "walk.steps=1", "walk.warmup=0", "replay.n_batches=2", "replay.batch_size=32")
    quiet = ("trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "logger=none")
    where = (f"hydra.run.dir={tmp_path / 'run'}", f"db.url=sqlite:///{tmp_path / 'run.db'}")
    assert main(["train", *own, *small, *quiet, *where]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["config"]["model"]["net"]["timeframes"] == ["5m", "15m"]
    assert set(summary["series"]["SYNTH"]) == {"5m", "15m"}
