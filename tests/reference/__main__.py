"""The generated pages of docs/reference: `python -m tests.reference` writes them, `--check` only compares them.

Each comes from what it describes: the tree of commands, the schema of study files, the HTTP API's own description, and
the public names of `hpo`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.reference.commands import commands
from tests.reference.http_api import http_api
from tests.reference.imports import picture
from tests.reference.public_names import public_names
from tests.reference.study_keys import study_keys
from tests.reference.variables import variables

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

PAGES = {
    "commands.md": commands,
    "study-files.md": study_keys,
    "environment.md": variables,
    "http-api.md": http_api,
    "python.md": public_names,
    "packages.svg": picture,
}


def main(arguments: list[str]) -> int:
    """Writes the pages; with `--check` returns 1 if one of them is not what would be written."""
    texts = {FOLDER / name: page() for name, page in PAGES.items()}
    old = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if arguments == ["--check"]:
        print(*(f"{path} is not current; write it with: make reference" for path in old), sep="\n")
        return bool(old)
    for path in old:
        path.write_text(texts[path], encoding="utf-8")
        print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
