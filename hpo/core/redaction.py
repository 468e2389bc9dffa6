"""Finds and hides secrets in texts and environments. No other module looks for passwords."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"
"""The replacement of a secret."""

NO_URL = "(not a URL)"
"""Shown instead of an invalid URL, which may contain a password."""

_OF_LIBPQ = """
host hostaddr port dbname user sslmode connect_timeout application_name fallback_application_name options
client_encoding keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout service servicefile
passfile sslcert sslkey sslrootcert sslcrl sslcrldir sslcompression sslsni sslnegotiation sslcertmode
ssl_min_protocol_version ssl_max_protocol_version require_auth channel_binding gssencmode krbsrvname gsslib
gssdelegation requirepeer replication target_session_attrs load_balance_hosts min_protocol_version max_protocol_version
"""
_OF_SQLITE = (
    "mode uri cache immutable vfs nolock timeout check_same_thread isolation_level cached_statements detect_types"
)
_OF_FOLDERS = "region endpoint_url anon requester_pays versionid"

SHOWN_PARAMETERS = frozenset((_OF_LIBPQ + " " + _OF_SQLITE + " " + _OF_FOLDERS).split())
"""Parameters of a URL whose values may be shown. An allow-list, because the part of a password after an unescaped &
looks like one more parameter."""

_SECRET_NAME = (
    r"(?:[\w.]+[._-])?(?:ssl|pg|db)?(?:(?<!ask)pass|password|passwd|passphrase|passcode|pwd|secret|token|credentials?"
    r"|(?:api|access|account|private|secret|auth)[_-]?key|access[_-]?key[_-]?id|sharedaccesskey)"
)
"""Not every name that contains such a word: `max_tokens` is a number, `token_file` a path."""

_PAIR = re.compile(
    rf"""(?i)(?<![\w.-])(?P<name>{_SECRET_NAME})(?P<is>["']?\s*[=:]\s*)"""
    r"""(?P<value>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|[^\s,;&"']+)"""
)
"""`password=x`, as in libpq's connection strings, in tracebacks and in JSON."""

_IN_QUERIES = _SECRET_NAME + r"|key|secret|sig|signature|sas|x-amz-[\w-]+|authorization|auth"
"""Parameters that are shown without their values; of unknown ones not even the name is shown."""

_BEARER = re.compile(r"(?i)\b(bearer|basic) +[\w.~+/=-]{6,}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::[A-Za-z][A-Za-z0-9+.-]*)*://")
_URL = re.compile(_SCHEME.pattern + r"[^\s'\"<>]*")

_BARE = re.compile(r"([^\s:/@=]+):.+@")
"""A user and a password before a host, without a scheme."""

_PLAIN_FILES = ("sqlite", "file", "local")
"""Schemes with a local path and no user; sqlite includes its drivers."""

_DATABASES = ("postgres", "mysql", "mariadb", "oracle", "mssql", "redis", "mongodb")
"""Schemes whose user is shown even with a password."""

_TOKEN_AS_USER = ("http", "git", "ws")
"""Schemes whose user without a password is often a token; not so `abfs://container@account` and `sftp://user@host`."""

_WHOLE_WORDS = 12
"""Length in characters. A shorter secret is hidden only as a whole word: `postgres` is a common password."""

_OF_THE_DRIVER = re.compile(r"HPO_(?:STORAGE|FROM|TOKEN)(?:_FILE)?|OPTUNA_STORAGE|PG[A-Z]+")
_OF_RAY = re.compile(r"RAY_AUTH_TOKEN(?:_PATH)?")


def masked(url: str) -> str:
    """Returns a URL for display: without passwords, tokens and parameters not known to be harmless."""
    pieces = _pieces(url)
    return NO_URL if pieces is None else "".join(HIDDEN if secret else text for text, secret in pieces)


def is_unclear(url: str) -> bool:
    """Whether the end of user and password is ambiguous, because an apparent parameter contains an @."""
    scheme = _SCHEME.match(url)
    return scheme is not None and not _end_of_user(url[scheme.end() :])[1]


def secrets_in(url: str) -> set[str]:
    """Returns the secrets in a URL, as written and decoded (`%40` and `@`)."""
    written = {text for text, secret in _pieces(url) or () if secret and text}
    values = written | {part for text in written for mark in "=:" if (part := text.partition(mark)[2])}
    return {form for one in values for form in (one, unquote(one), unquote_plus(one)) if form}


def holds_secret(word: str) -> bool:
    """Whether one argument, option or value contains a secret: a URL with one, or a pair such as `password=x`."""
    return redacted_word(word) != word


def redacted_word(word: str) -> str:
    """Returns one argument, option or value without secrets; a URL in it extends to the end, including spaces."""
    found = _SCHEME.search(word)
    if found is None:
        return _without_pairs(_BARE.sub(rf"\1:{HIDDEN}@", word))
    return _without_pairs(word[: found.start()]) + masked(word[found.start() :])


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """Returns a foreign text, such as a driver's error or a traceback, without secrets.

    Args:
        text: text of any length.
        known: secrets to replace wherever they occur, e.g. `secrets_in(url)`.
    """
    return _without_pairs(_BEARER.sub(lambda found: f"{found[1]} {HIDDEN}", without(text, known)))


def without(text: str, known: Iterable[str]) -> str:
    """Returns one of our texts without known secrets and with masked URLs.

    Args:
        text: text of any length.
        known: secrets to replace wherever they occur.
    """
    for secret in sorted(known, key=len, reverse=True):
        pattern = re.escape(secret)
        if len(secret) < _WHOLE_WORDS:
            pattern = rf"(?<!\w){pattern}(?!\w)"
        text = re.sub(pattern, lambda _: HIDDEN, text)
    return _URL.sub(lambda found: masked(found[0]), text)


def known_secrets(environment: Mapping[str, str] | None = None, arguments: Iterable[str] = ()) -> set[str]:
    """Returns the secrets that this process was given.

    Args:
        environment: environment variables, including files that `HPO_*_FILE` name; None: this process's own.
        arguments: arguments of the command line.
    """
    environment = os.environ if environment is None else environment
    found: set[str] = set()
    for variable, text in environment.items():
        is_file = variable.startswith("HPO_") and variable.endswith("_FILE")
        name, value = (variable.removesuffix("_FILE"), _content(text)) if is_file else (variable, text)
        if "://" in value:
            found |= secrets_in(value)
        elif name != "PWD" and re.fullmatch(_SECRET_NAME, name, re.IGNORECASE):  # PWD is a shell's working directory
            found.add(value)
    for word in arguments:
        at = _SCHEME.search(word)
        found |= secrets_in(word[at.start() :]) if at else set()
    return {one for one in found if one.strip()}


def driver_variables(environment: Iterable[str] | None = None, *, of_ray: bool = False) -> list[str]:
    """Returns the environment variables that the driver needs and a training does not.

    They give access to the database, the pages and, with `of_ray`, the cluster. Credentials for the user's own data and
    services (`AWS_*`, `WANDB_API_KEY`, ...) are not included, because trainings use them.

    Args:
        environment: names of variables; None: this process's own.
        of_ray: whether to include Ray's token, which a Ray process needs to start but a training does not.
    """
    names = list(os.environ if environment is None else environment)
    return [name for name in names if _OF_THE_DRIVER.fullmatch(name) or (of_ray and _OF_RAY.fullmatch(name))]


def _pieces(url: str) -> list[tuple[str, bool]] | None:
    """Returns the parts of a URL, each with whether it is secret; None if it is not a URL."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return None
    rest = url[scheme.end() :]
    if rest.startswith("/") and scheme[0].startswith(_PLAIN_FILES):
        return [(scheme[0], False), *_query(rest)]
    is_database = scheme[0].startswith(_DATABASES)
    at, is_clear = _end_of_user(rest)
    if not is_clear:
        user = re.split("[:/?#@]", rest)[0] if is_database else ""
        return [(scheme[0], False), (user, False), *_secret(rest[len(user) :])]
    if at >= 0:
        user, colon, password = rest[:at].partition(":")
        if not is_database and (colon or scheme[0].startswith(_TOKEN_AS_USER)):
            user, colon, password = "", "", rest[:at]
        return [(scheme[0], False), (user + colon, False), *_secret(password), *_query(rest[at:])]
    end = next((place for place, letter in enumerate(rest) if letter in "/?#"), len(rest))
    host, colon, port = rest[:end].rpartition(":")
    if not colon or port.isdigit() or not port or rest[:end].endswith("]"):
        return [(scheme[0], False), *_query(rest)]
    return [(scheme[0], False), (host + colon, False), (port, True), *_query(rest[end:])]  # `user:password/name`


def _secret(text: str) -> list[tuple[str, bool]]:
    return [(text, True)] if text else []


def _end_of_user(rest: str) -> tuple[int, bool]:
    """Returns the index of the @ that ends user and password, -1 if there is none, and whether it is unambiguous.

    It is the last @, because a password may contain unescaped ones, unless that is in a parameter's value.
    """
    at, question = rest.rfind("@"), rest.find("?")
    if not 0 <= question < at:
        return at, True
    pairs = [pair.partition("=") for pair in rest[question + 1 : at].split("&")]
    return rest.rfind("@", 0, question), all(equals and _is_parameter(name) for name, equals, _ in pairs)


def _is_parameter(name: str) -> bool:
    return name.lower() in SHOWN_PARAMETERS or re.fullmatch(_IN_QUERIES, name, re.IGNORECASE) is not None


def _query(rest: str) -> Iterator[tuple[str, bool]]:
    path, question, query = rest.partition("?")
    path, sharp, fragment = path.partition("#") if "=" in path else (path, "", "")
    yield path + sharp, False
    yield from _secret(fragment)
    yield question, False
    for place, pair in enumerate(query.split("&") if question else ()):
        name, equals, value = pair.partition("=")
        yield ("&" if place else ""), False
        if name.lower() in SHOWN_PARAMETERS:
            yield pair, False
        elif equals and _is_parameter(name):
            yield name + equals, False
            yield value, True
        else:
            yield from _secret(pair)


def _without_pairs(text: str) -> str:
    return _PAIR.sub(lambda found: f"{found['name']}{found['is']}{HIDDEN}", text)


def _content(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read(4096).strip()
    except (OSError, UnicodeDecodeError):
        return ""
