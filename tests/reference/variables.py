"""The page of environment variables."""

from __future__ import annotations

from hpo.seeds.streams import STREAMS
from tests.reference.markdown import code, mark, table

COMMANDS = {
    "HPO_STORAGE": "URL of the database, where `--storage` is not given; the only place for a URL with a password",
    "HPO_STORAGE_FILE": "a file that contains this URL, where `HPO_STORAGE` is not set",
    "HPO_OUTPUTS": "folder of the results, where `--outputs` is not given",
    "HPO_WORKDIR": "folder or URL of checkpoints and artifacts, where `--workdir` is not given",
    "HPO_STUDIES": "folders of study files, where `--studies` is not given; several are separated as in `PATH`",
    "HPO_FROM": "URL of another tool's storage with a password, for `hpo import`, where `--from` is not given",
    "HPO_PROMOTE_FROM": "the same for `hpo promote`",
    "HPO_TOKEN": "token of `hpo serve`, where `--token-file` is not given",
}
"""Read by commands."""

PROGRAMS = {
    "HPO_PARAMS": "the params, as a JSON object",
    "HPO_SEED": "the seed of the training",
    **{f"HPO_SEED_{name.upper()}": f"the seed of the stream {name}" for name in STREAMS},
    "HPO_BUDGET": "the epochs of the training",
    "HPO_FOLD": "the fold, 0 to folds - 1; 0 without cross-validation",
    "HPO_FOLDS": "the number of folds; 0 without cross-validation",
    "HPO_FOLDER": "the training's own folder",
    "HPO_CHECKPOINT": "the folder that is kept if the study says `resumable = true`",
    "HPO_PROJECT": "the project's folder",
}
"""Set for the program of a study with a table [command]."""

CONTAINERS = {
    "HPO_BIND": "address that the Compose file opens ports on, 127.0.0.1",
    "HPO_PORT": "port of the pages, 8080",
    "HPO_RAY_PORT": "port of the Ray head, 6379",
    "HPO_FROM_FILE": "a file with the value of `HPO_FROM`",
    "HPO_TOKEN_FILE": "a file with the value of `HPO_TOKEN`",
}
"""Read by the entrypoint of the images, or by the Compose file."""

OTHERS = {
    "RAY_ADDRESS": "the Ray cluster to join, where `--ray-address` is not given",
    "RAY_API_SERVER_ADDRESS": "the cluster of `hpo submit` and `hpo logs`, where `--jobs-address` is not given",
    "RAY_AUTH_MODE": "`token` where the cluster requires one, with `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH`",
    "PGPASSWORD": "Postgres's password, like every other variable of libpq and the file `~/.pgpass`",
}
"""Read by Ray and Postgres."""

BEGIN = """# Environment variables

Variables that hpo and its parts read, and those that it sets for programs. An option on the command line counts
more than its variable. Secrets belong into variables or files, because every user of a machine can read command
lines: [security](../security.md#secrets).
"""


def variables() -> str:
    """Returns the page."""
    lines = [mark(), BEGIN]
    for title, found in (
        ("Read by commands", COMMANDS),
        ("Set for programs", PROGRAMS),
        ("In containers", CONTAINERS),
        ("Of Ray and Postgres", OTHERS),
    ):
        lines += [f"## {title}\n"]
        if found is PROGRAMS:
            lines += [
                "For the program of a study with a table `[command]`: [commands in any language](../programs.md).\n"
            ]
        lines += table(("variable", "what it is"), ((code(name), text) for name, text in found.items()))
    return "\n".join(lines).rstrip() + "\n"
