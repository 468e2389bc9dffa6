"""Reads why a worker died."""

from __future__ import annotations

import os

REASON_LENGTH = 400
"""Characters of Ray's own account of a death; what matters comes last in it."""

LONGEST_TEXT = 2**14
"""Bytes that are read of such an account."""


def describe_death(text: str) -> str:
    """Returns why a worker died: the end of Ray's own account, or a sentence where the machine's memory was used up.

    Args:
        text: what Ray says of the death.
    """
    if "OutOfMemoryError" in text or "low on memory" in text:
        return (
            "Ray ended it because the memory of its machine was nearly used up, by this training or by others; run "
            "fewer at a time (--concurrency), or fail those that need too much ([resources] memory)"
        )
    return text[-REASON_LENGTH:] or "no reason given"


def error_text(error_file: str | None) -> str:
    """Returns what Ray says of a worker's death; ids come first in it, and advice on its command line.

    Only the text is read that Tune writes of the error. It pickles the error too, into a folder that on a cluster's
    machine others may write, and whoever unpickles a file runs what its writer wants.
    """
    try:
        with open(os.open(error_file or "", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LONGEST_TEXT))
            text = file.read(LONGEST_TEXT).decode(errors="replace")
    except OSError:
        return ""
    return " ".join(text.split())
