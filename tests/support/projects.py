"""A user's project that a test writes, edits and imports again, as a new process would."""

from __future__ import annotations

import sys
from pathlib import Path

from hpo.study.loading import load_study

STUDY = """
name = "toy"
trainable = "toy:train"
objective = {{ metric = "val" }}
search = {{ budget = {budget}, trials = {trials}, pruner = "none" }}
promotion = {{ top = 2, seeds = [42, 43] }}
{more}
[space]
x = {{ float = [0.0, 1.0] }}
"""

TOY = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Params:
    x: float
{fields}

def train(params, ctx):
    for epoch in ctx.epochs():
        yield {{"val": {value}}}

train.__annotations__ = {{"params": Params, "ctx": object}}
"""


class Project:
    """A folder with a study `toy` and the trainable `toy:train`.

    Args:
        folder: empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("studies/toy.toml", STUDY.format(budget=2, trials=2, more=""))
        self.toy()

    def toy(
        self, fields: str = "", value: str = "params.x + ctx.streams.init.numpy().random()", head: str = ""
    ) -> None:
        """Writes the trainable, with more fields of its params, another value, or other lines before it."""
        lines = "\n".join(f"    {line}" for line in fields.splitlines())
        self.write("toy.py", f"{head}\n{TOY.format(fields=lines, value=value)}")

    def study_file(self, *, budget: int = 2, trials: int = 2, more: str = "") -> None:
        """Writes the study, with other lines before its space."""
        self.write("studies/toy.toml", STUDY.format(budget=budget, trials=trials, more=more))

    def write(self, path: str, text: str) -> None:
        """Writes one file of the project, and forgets what was imported of the files before."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.forget()

    def forget(self) -> None:
        """Lets the next import read the files again, as in a new process."""
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]
        for cache in self.folder.rglob("__pycache__"):  # two edits within a second look alike to Python
            for file in cache.iterdir():
                file.unlink()

    def study(self):
        """Returns the study as its file says."""
        return load_study(str(self.folder / "studies" / "toy.toml"))
