"""The provenance of a result: the project's git commit and the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hpo.core.redaction import redacted_word


def project(root: Path) -> dict[str, object]:
    """Returns the project's commit, whether it was changed since, and the command line without secrets.

    Outside a git checkout, or without git, the commit is None.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {
        "git_commit": commit,
        "git_dirty": None if changes is None else bool(changes),
        "command_line": " ".join(_without_secrets(sys.argv)),
    }


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _without_secrets(arguments: list[str]) -> list[str]:
    """Replaces secrets; URLs are omitted entirely."""
    return [Path(arguments[0]).name, *("(url)" if "://" in word else redacted_word(word) for word in arguments[1:])]
