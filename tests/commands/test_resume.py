import shlex
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from trendtrain.commands.resume import resume_line

ANY, ODD = (
    st.characters(codec="utf-8", exclude_categories=["C"]),
    st.sampled_from(["\\", '"', "'", "${", "}", "a", "="]),
)
NAMES = st.text(ANY, min_size=1) | st.lists(ODD, min_size=1).map("".join)
FOLDERS = NAMES.map(lambda name: f"runs/{name}")
OVERRIDES = st.lists(
    st.sampled_from(["seed=1", "+tag='a b'", "~model.net", "ckpt=last", "overwrite=true", "hydra.run.dir=x"])
)
OPTIONS = st.lists(st.sampled_from([["--multirun"], ["--config-dir", "my"]]), max_size=2)


@given(FOLDERS)
def test_hydra_reads_the_folder_from_the_line(folder: str) -> None:
    *_, last = shlex.split(resume_line([], "hydra.run.dir", Path(folder)))
    override = OverridesParser.create().parse_override(last)
    assert OmegaConf.create({"dir": override.value()}).dir == str(Path(folder))


@given(OVERRIDES, OPTIONS)
def test_the_line_holds_all_that_was_given_in_its_order(overrides: list[str], options: list[list[str]]) -> None:
    given_ = [*overrides, *(word for option in options for word in option)]
    words = shlex.split(resume_line(given_, "hydra.run.dir", Path("run")))[3:]
    where = words.index("hydra.run.dir=run")
    assert words[where - 1] == "ckpt=last"
    kept = ("seed", "+tag", "~model", "--", "my")
    assert [*words[: where - 1], *words[where + 1 :]] == [word for word in given_ if word.startswith(kept)]
