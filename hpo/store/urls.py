"""Parses database URLs: the kind of database, and whether the URL is unambiguous."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.core.errors import StorageUnavailable, did_you_mean
from hpo.core.redaction import holds_secret, is_unclear, masked


def normalize_url(url: str) -> str:
    """Returns the URL with its driver: sqlite or postgresql+psycopg.

    Raises:
        StorageUnavailable: if it is not such a URL, or is ambiguous.
    """
    if "\0" in url:
        raise StorageUnavailable("the storage URL contains a null byte, which no file or server name can have")
    parsed = parsed_url(url)
    if parsed.drivername == "sqlite":
        return url
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        _check_unambiguous(url, parsed)
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    raise StorageUnavailable(
        f"storage {masked(url)} is neither SQLite nor Postgres; expected sqlite:///hpo.db or "
        "postgresql://user@host/name"
    )


def sqlite_file(url: str) -> Path | None:
    """Returns the file of a SQLite URL, None for another database.

    Raises:
        StorageUnavailable: if the database is in memory.
    """
    parsed = parsed_url(url)
    if parsed.drivername != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StorageUnavailable("a SQLite storage needs a file, e.g. sqlite:///hpo.db; one in memory would be lost")
    return Path(parsed.database)


def absolute_url(url: str) -> str:
    """Returns the URL with the absolute path of a SQLite file, which the current folder does not change.

    Raises:
        StorageUnavailable: if it is not a URL, or the database is in memory.
    """
    path = sqlite_file(url)
    if path is None:
        return url
    return parsed_url(url).set(database=str(path.absolute())).render_as_string(hide_password=False)


def parsed_url(url: str) -> URL:
    """Returns the parts of a URL.

    Raises:
        StorageUnavailable: if it is not a URL.
    """
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is not a number
        is_path = url.endswith((".db", ".sqlite")) and ":" not in url and not holds_secret(url)
        meant = f" Did you mean sqlite:///{url}?" if is_path else ""
        raise StorageUnavailable(
            f"the storage is not a URL; expected sqlite:///hpo.db or postgresql://user@host/name.{meant}"
        ) from error


def _check_unambiguous(url: str, parsed: URL) -> None:
    """Checks that no part of a password is parsed as something else, and then shown or sent to a name server.

    Raises:
        StorageUnavailable: if an @ or a ? is not escaped, or Postgres has no such parameter.
    """
    rest = url.partition("://")[2]
    at, colon = rest.find("@"), rest.find(":")
    if 0 <= colon < at:  # a password follows the colon, not a port
        at = rest.find("@", colon + 1)
    user = rest[: max(at, 0)]
    if is_unclear(url) or "?" in user or any("@" in (part or "") for part in (parsed.host, parsed.database)):
        raise StorageUnavailable(
            f"storage {masked(url)} is ambiguous; in a user name, a password or a parameter write @ as %40, ? as "
            "%3F, / as %2F"
        )
    try:
        from psycopg.pq import Conninfo
    except ImportError:  # reported when the engine is created
        return
    known = {one.keyword.decode() for one in Conninfo.get_defaults()}
    for name in sorted(set(parsed.query) - known):
        raise StorageUnavailable(
            f"storage {masked(url)} has a parameter that Postgres does not know.{did_you_mean(name, known)} "
            "In a password, write & as %26"
        )
