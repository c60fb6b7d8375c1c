"""An extension of griffe for the docs site: read the docstrings as this project writes them."""

import re
from typing import Any

import griffe

_GROUP = re.compile(r"^    (\w+(?:, \w+)+): (.*(?:\n {8,}.*)*)", flags=re.MULTILINE)


class OurDocstrings(griffe.Extension):
    """Show the section `Example:` as code, and an entry for several names as one entry each."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of an object that was read."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = _GROUP.sub(_one_entry_each, text)


def _one_entry_each(group: re.Match[str]) -> str:
    names, description = group.groups()
    return "\n".join(f"    {name}: {description}" for name in names.split(", "))
