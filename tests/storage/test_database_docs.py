"""The numbers of docs/database.md are those of the code."""

from pathlib import Path

from trendtrain.storage.bars import blocks, packing

DOCS = Path(__file__).parents[2] / "docs" / "database.md"


def test_the_form_is_as_the_code_has_it() -> None:
    text = DOCS.read_text()
    assert f"up to {blocks.BLOCK_BARS:,} bars" in text
    for column, code in (("time", packing.LISTED), ("time", packing.EVEN), ("time", packing.STEPS)):
        assert f"| {column} | {code} |" in text
    assert f"| price, volume | {packing.PLAIN} |" in text
