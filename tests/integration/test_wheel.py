"""A wheel, and one built from the source distribution, install and run outside the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("model=mlp", "data.source.n_bars=1500", "walk.steps=1", "walk.warmup=0", "trainer.accelerator=cpu")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"


def build(kind: str, source: Path, out: Path) -> Path:
    subprocess.run([sys.executable, "-c", BUILD.format(kind), str(out)], cwd=source, check=True, capture_output=True)
    (made,) = out.iterdir()
    return made


def checkout(folder: Path) -> Path:
    """A copy of the files that git knows, so that nothing lies about."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Both distributions, and a wheel of the source distribution."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools 77 is not installed", exc_type=ImportError)
    folder = tmp_path_factory.mktemp("dist")
    source = checkout(folder / "checkout")
    wheel, sdist = build("wheel", source, folder / "wheel"), build("sdist", source, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return SimpleNamespace(wheel=wheel, sdist=sdist, again=build("wheel", unpacked, folder / "again"))


def content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_a_wheel_holds_every_module_and_every_configuration(made: SimpleNamespace) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "trendtrain").rglob("*.py")}
    configs = {f"trendtrain/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert content(made.wheel) >= modules | configs | {"trendtrain/py.typed", "trendtrain/configs/__init__.py"}
    assert not [name for name in content(made.wheel) if not name.startswith("trendtrain/")]


def test_the_source_distribution_makes_the_same_wheel(made: SimpleNamespace) -> None:
    assert content(made.again) == content(made.wheel)


@pytest.mark.full
@pytest.mark.parametrize("which", ["wheel", "again"])
def test_it_trains_in_a_fresh_environment(made: SimpleNamespace, which: str, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", str(getattr(made, which))]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", *install], check=True)
    (packages,) = (tmp_path / "env" / "lib").glob("python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # without our own checkout's .pth
    (tmp_path / "work").mkdir()

    def ran(*command: str) -> str:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    trendtrain = str(tmp_path / "env" / "bin" / "trendtrain")
    where = ran(str(python), "-c", "import trendtrain, trendtrain.configs as c; print(trendtrain.__file__, c.__file__)")
    assert all(path.startswith(str(packages)) for path in where.split())
    assert ran(trendtrain, "--version").startswith("trendtrain 0.")
    assert "total predictions" in ran(trendtrain, "train", *SMALL)
    assert "MlpNet" in ran(trendtrain, "stats")
