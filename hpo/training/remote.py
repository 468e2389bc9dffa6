"""Connects to the file systems of URLs, by fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hpo.core.errors import OutputRefused, UsageError, did_you_mean


def connect(url: str) -> tuple[Any, str]:
    """Returns the file system of a URL and the path in it.

    Raises:
        UsageError: if the protocol is unknown, or a package for it is missing.
        OutputRefused: if the file system cannot be reached.
    """
    import fsspec  # takes a tenth of a second, and a plain folder does not need it

    protocol = url.partition("://")[0]
    known = sorted(fsspec.available_protocols())
    if protocol not in known:
        raise UsageError(
            f"unknown protocol {protocol}://; a work folder is a path, or a URL with one of {', '.join(known)}."
            f"{did_you_mean(protocol, known)}"
        )
    try:
        remote, path = fsspec.url_to_fs(url, use_listings_cache=False)
    except ImportError as error:
        raise UsageError(f"a work folder at {protocol}:// needs a package: {first_line(error)}") from error
    except Exception as error:  # every file system has its own kinds of errors
        raise OutputRefused(f"cannot reach {url}: {first_line(error)}") from error
    return remote, str(path).rstrip("/")


@contextmanager
def os_errors(where: str) -> Iterator[None]:
    """Converts a file system's own errors into OSError."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{where}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """Returns an error as one line: its kind and the first line of its message."""
    return f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
