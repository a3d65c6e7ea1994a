"""The examples of docs/python.md, run from top to bottom. $COMMY_DOCS: where the docs are."""

import os
import pathlib
import re

import commy


def test_the_examples_of_the_page_run(directory: str) -> None:
    page = pathlib.Path(os.environ["COMMY_DOCS"], "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 9
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, 1):
        exec(compile(block, f"python.md, example {number}", "exec"), names)
    commy.cleanup()
