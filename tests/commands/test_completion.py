"""The shells themselves complete what the scripts say, where they are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from trendtrain.cli import main

CASES = {
    "trendtrain pre": {"predict"},
    "trendtrain label --flat": {"--flat-band"},
    "trendtrain db co": {"compact"},
    "trendtrain train model=tr": {"model=transformer"},
    "trendtrain train seed=1 walk.st": {"walk.start=", "walk.step=", "walk.steps="},
    "trendtrain train model=mlp logger=cs": {"logger=csv"},
}
# `complete` prints what a shell would offer for a line.
BASH = """source {script}
COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; _trendtrain; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """compdef() {{ : }}; complete() {{ : }}; source =(grep -v '^autoload' {script})
compgen() {{ print -l -- ${{(M)${{=2}}:#${{4}}*}} }}
setopt sh_word_split ksh_arrays
COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}; _trendtrain; print -l -- "${{COMPREPLY[@]}}"
"""
FISH = """source {script}
complete -C '{line}'
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script for each shell."""
    return tmp_path_factory.mktemp("completion")


def offered(shell: str, code: str, line: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> set[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = folder / f"script.{shell}"
    assert main(["completion", shell]) == 0
    script.write_text(capfd.readouterr().out)
    run = code.format(script=script, line=line)
    done = subprocess.run([shell, "-c", run], capture_output=True, text=True, cwd=folder)
    assert done.stderr == ""
    return {answer.split("\t")[0] for answer in done.stdout.splitlines() if answer}


@pytest.mark.parametrize("line", CASES)
@pytest.mark.parametrize(("shell", "code"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_a_shell_completes(shell: str, code: str, line: str, scripts: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found, expected = offered(shell, code, line, scripts, capfd), CASES[line]
    if shell == "bash":  # completes what stands behind the last = alone
        expected = {word.partition("=")[2] if "=" in line.split()[-1] else word for word in expected}
    assert found == expected


def test_another_shell_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["completion", "csh"])
    assert "invalid choice: 'csh' (choose from 'bash', 'zsh', 'fish')" in capfd.readouterr().err
