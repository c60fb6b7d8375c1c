import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trendtrain.market import label_bars, synthetic_market
from trendtrain.market.compiled import compilation_notice, compiled, inlined

LABEL = """
from trendtrain.market import label_bars, synthetic_market
print(label_bars(synthetic_market(400, seed=0), max_gap=3).direction.sum())
"""
LOOP = """
from trendtrain.market.compiled import compiled

@compiled
def total(n):
    sum = 0
    for i in range(n):
        sum += i * i
    return sum
"""
EXPECTED = int(label_bars(synthetic_market(400, seed=0), max_gap=3).direction.sum())


def start(code: str, preexec: Any = None, **environment: str) -> "subprocess.Popen[str]":
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    variables = {**os.environ, **environment}
    return subprocess.Popen([sys.executable, "-c", code], env=variables, preexec_fn=preexec, **pipes)


def result(process: "subprocess.Popen[str]") -> int:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return int(out)


def new_function() -> Any:
    """Return a function without a file: numba finds no place to keep its code."""
    names: dict[str, Any] = {"__name__": "made_here"}
    exec("def double(x):\n    return x + x", names)
    return names["double"]


def test_a_function_whose_code_cannot_be_kept_is_compiled_anyway() -> None:
    assert compiled(new_function())(21) == 42


def test_an_inlined_function_is_a_part_of_its_caller_and_can_be_called_alone() -> None:
    double = inlined(new_function())

    def quadruple(x: int) -> int:
        return double(double(x))

    assert (compiled(quadruple)(21), double(21)) == (84, 42)


def test_without_the_compiler_the_labels_are_the_same() -> None:
    assert result(start(LABEL, NUMBA_DISABLE_JIT="1")) == EXPECTED


@pytest.fixture
def loop(tmp_path: Path) -> dict[str, str]:
    """A compiled loop in a module of its own: the environment in which it can be imported and kept."""
    (tmp_path / "loops.py").write_text(LOOP)
    cache = tmp_path / "cache"
    cache.mkdir()
    return {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}


CALL = "import loops; print(loops.total(10))"


def kept(loop: dict[str, str]) -> list[Path]:
    return list(Path(loop["NUMBA_CACHE_DIR"]).rglob("*.nbc"))


def test_a_full_disk_costs_the_kept_code_alone(loop: dict[str, str]) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    assert result(start(CALL, limit, **loop)) == 285
    assert all(file.stat().st_size <= 100 for file in kept(loop))
    assert result(start(CALL, **loop)) == 285
    assert kept(loop)


def test_processes_may_compile_at_once(loop: dict[str, str]) -> None:
    processes = [start(CALL, **loop) for _ in range(3)]
    assert [result(process) for process in processes] == [285] * 3
    assert kept(loop)
    assert result(start(CALL, **loop)) == 285


def test_a_numba_that_cannot_be_imported_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.5 or less. Got NumPy 9.9.')")
    code = "import sys; from trendtrain.cli import main; sys.exit(main(['label', 'bars.csv', '--out', 'x.parquet']))"
    process = start(code, PYTHONPATH=str(tmp_path))
    _, err = process.communicate(timeout=120)
    line = "trendtrain: error: `numba` must be importable, got: Numba needs NumPy 2.5 or less. Got NumPy 9.9.\n"
    assert (process.returncode, err) == (2, line)


@pytest.mark.parametrize(("seconds", "n_lines"), [(0.0001, 1), (1000.0, 0)])
def test_slow_compiling_is_announced_once(seconds: float, n_lines: int) -> None:
    lines: list[str] = []
    with compilation_notice(lines.append, seconds):
        for kind in (int, float, np.float32):
            assert compiled(new_function())(kind(21)) == 42
    assert len(lines) == n_lines
    assert all("made_here" in line for line in lines)
