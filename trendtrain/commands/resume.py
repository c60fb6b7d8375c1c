"""The command with which a run or a sweep that was interrupted goes on."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path


def resume_line(overrides: Sequence[str], key: str, folder: Path, command: str = "train") -> str:
    """Return what to type into a shell: the overrides of before, and where to go on.

    Args:
        overrides: As they were given.
        key: The key that names the folder: of a run, or of a sweep.
        folder: Where the run, or the sweep, was.
        command: `train` or `live`.

    Example:
        >>> print(resume_line(["seed=1", "overwrite=true", "--config-dir", "my"], "hydra.run.dir", Path("runs/a b")))
        resume:  trendtrain train seed=1 ckpt=last 'hydra.run.dir="runs/a b"' --config-dir my
    """
    again = [one for one in overrides if one.lstrip("+").partition("=")[0] not in ("ckpt", "overwrite", key)]
    text = str(folder)
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", text):  # otherwise Hydra reads more than a text in it
        # Backslashes count before a quote, the end, or what would be a reference, and stand for themselves elsewhere.
        escaped = re.sub(r'(\\*)("|\$\{)', r"\1\1\\\2", text)
        text = '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
    # Hydra takes no override behind an option that stands behind overrides.
    end = max((i for i, one in enumerate(again, 1) if "=" in one and not one.startswith("-")), default=len(again))
    return f"resume:  trendtrain {command} {shlex.join([*again[:end], 'ckpt=last', f'{key}={text}', *again[end:]])}"
