"""Database URLs: what kind of database one names, and whether it can be read in one way only."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hpo.core.errors import StorageUnavailable, did_you_mean
from hpo.core.redaction import holds_secret, is_unclear, masked


def normalised(url: str) -> str:
    """Returns the URL with its driver named: sqlite or postgresql+psycopg.

    Raises:
        StorageUnavailable: if it is no such URL, or one that can be read in two ways.
    """
    if "\0" in url:
        raise StorageUnavailable("the storage's URL has a null byte in it, which no file and no server can have")
    parsed = parsed_url(url)
    if parsed.drivername == "sqlite":
        return url
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        _refuse_unclear(url, parsed)
        return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    raise StorageUnavailable(
        f"storage {masked(url)} is neither SQLite nor Postgres; expected sqlite:///hpo.db or postgresql://user@host/name"
    )


def sqlite_file(url: str) -> Path | None:
    """Returns the file of a SQLite URL, None for another database.

    Raises:
        StorageUnavailable: if the database would be in memory.
    """
    parsed = parsed_url(url)
    if parsed.drivername != "sqlite":
        return None
    if not parsed.database or parsed.database == ":memory:" or parsed.database.startswith("file:"):
        raise StorageUnavailable("a SQLite storage needs a file, e.g. sqlite:///hpo.db; one in memory would be lost")
    return Path(parsed.database)


def parsed_url(url: str) -> URL:
    """Returns the parts of a URL.

    Raises:
        StorageUnavailable: if it is none.
    """
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:  # ValueError: a port that is no number
        is_path = url.endswith((".db", ".sqlite")) and ":" not in url and not holds_secret(url)
        meant = f" Did you mean sqlite:///{url}?" if is_path else ""
        raise StorageUnavailable(
            f"the storage is not a URL; expected sqlite:///hpo.db or postgresql://user@host/name.{meant}"
        ) from error


def _refuse_unclear(url: str, parsed: URL) -> None:
    """Raises where a part of a password would be taken for something else, and then shown, or asked a name server.

    Raises:
        StorageUnavailable: if an @ or a ? was not escaped, or Postgres knows no parameter of such a name.
    """
    rest = url.partition("://")[2]
    at, colon = rest.find("@"), rest.find(":")
    if 0 <= colon < at:  # what follows the colon is a password, and not a port
        at = rest.find("@", colon + 1)
    user = rest[: max(at, 0)]
    if is_unclear(url) or "?" in user or any("@" in (part or "") for part in (parsed.host, parsed.database)):
        raise StorageUnavailable(
            f"storage {masked(url)} can be read in two ways; in a user, a password or a parameter write @ as %40, ? as "
            "%3F, / as %2F"
        )
    try:
        from psycopg.pq import Conninfo
    except ImportError:  # said when an engine is made
        return
    known = {one.keyword.decode() for one in Conninfo.get_defaults()}
    for name in sorted(set(parsed.query) - known):
        raise StorageUnavailable(
            f"storage {masked(url)} has a parameter that Postgres does not know.{did_you_mean(name, known)} "
            "In a password write & as %26"
        )
