"""`make containers`: builds the images, runs the Compose stack with podman, and prints what it saw.

It needs root, and podman, buildah, runc, netavark, aardvark-dns, iptables, debootstrap and catatonit (Debian
packages), and takes about 20 minutes. If the base image of the Dockerfile or the image of Postgres cannot be pulled,
one is made of Debian packages under the same tag, and the table says so. CONTAINER_BUILD_OPTIONS are further words
for `buildah build`, e.g. volumes with a mirror of PyPI; TORCH_INDEX is another index of torch. The table and the
SBOMs are written to build/containers.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
OUT = ROOT / "build" / "containers"
BASE, POSTGRES = "docker.io/library/python:3.11-slim-bookworm", "docker.io/library/postgres:18-bookworm"
WEB, RAY = "http://127.0.0.1:8080", "http://127.0.0.1:8265"
PROJECT = "hpo-check"
USER = "10001"
PYTHON_PACKAGES = "ca-certificates,python3,python3-venv,python3-pip,libgomp1,procps"
POSTGRES_ENTRYPOINT = """#!/bin/sh
# What the official image does for a first start, of Debian's own package.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin) data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
    install --directory --owner=postgres --group=postgres --mode=0700 "$data"
    cp "$POSTGRES_PASSWORD_FILE" /tmp/password && chown postgres /tmp/password
    options="--encoding=UTF8 --locale=C.UTF-8 --pwfile=/tmp/password --auth-host=scram-sha-256"
    su postgres -c "$bin/initdb $options --username=$POSTGRES_USER $data"
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
    su postgres -c "$bin/pg_ctl -D $data -w -o '-c listen_addresses= ' start"
    su postgres -c "$bin/createdb --username=$POSTGRES_USER $POSTGRES_DB" || true
    su postgres -c "$bin/pg_ctl -D $data -w stop"
fi
exec su postgres -c "exec $bin/postgres -D $data -c 'listen_addresses=*'"
"""


class Failed(Exception):
    """A step did not do what it should."""


def run(*words: str, check: bool = True, seconds: float = 1800, **options: object) -> str:
    """Returns what a command prints.

    Raises:
        Failed: if it fails.
    """
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, **options)  # type: ignore[call-overload]
    if check and done.returncode:
        raise Failed(f"{shlex.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return str(done.stdout)


def until(what: str, happened: Callable[[], object], seconds: float = 300) -> None:
    """Waits until something is true.

    Raises:
        Failed: if it does not become true in time.
    """
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds:g} s: {what}")
        time.sleep(1)


def missing() -> str | None:
    """Returns why the containers cannot be run here; None: they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it needs Linux and root"
    tools = [one for one in ("podman", "buildah", "runc", "debootstrap", "iptables") if shutil.which(one) is None]
    tools += [] if shutil.which("podman-compose", path=_path()) else ["podman-compose (pip)"]
    return f"these are not installed: {', '.join(tools)}" if tools else None


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


class Report:
    """What was seen, step by step."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []

    def add(self, step: str, result: str) -> None:
        """Adds a step's result and prints it at once."""
        self.rows.append((step, result))
        print(f"{step}: {result}", flush=True)

    def write(self) -> None:
        """Writes the table."""
        OUT.mkdir(parents=True, exist_ok=True)
        lines = ["| step | result |", "|---|---|", *(f"| {step} | {result} |" for step, result in self.rows)]
        (OUT / "report.md").write_text("\n".join(lines) + "\n")


def base_image(report: Report) -> None:
    """Pulls the Dockerfile's base image, or makes one of Debian packages."""
    if _is_there(BASE):
        return
    if _pulled(BASE):
        report.add("base image", "pulled")
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        run("debootstrap", "--variant=minbase", f"--include={PYTHON_PACKAGES}", "bookworm", str(root))
        (root / "usr" / "bin" / "python").symlink_to("python3")
        for path in (root / "var/cache/apt/archives").glob("*.deb"):
            path.unlink()
        shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
        run("sh", "-c", f"tar -C {shlex.quote(str(root))} -c . | podman import - {BASE}")
    report.add("base image", "made by debootstrap (no registry answered)")


def postgres_image(report: Report) -> None:
    """Pulls the image of Postgres that the Compose file names, or makes one of Debian's package."""
    if _is_there(POSTGRES):
        return
    if _pulled(POSTGRES):
        report.add("image of Postgres", "pulled")
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "entrypoint.sh").write_text(POSTGRES_ENTRYPOINT)
        (Path(folder) / "Dockerfile").write_text(
            f"FROM {BASE}\n"
            "RUN apt-get update && apt-get install --yes --no-install-recommends postgresql"
            " && rm -rf /var/lib/apt/lists/*\n"
            "COPY --chmod=0755 entrypoint.sh /entrypoint.sh\n"
            "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin\n"
            'ENTRYPOINT ["/entrypoint.sh"]\n'
        )
        _build(Path(folder) / "Dockerfile", POSTGRES, folder)
    report.add("image of Postgres", "made of Debian's postgresql package, version 15 (no registry answered)")


def _is_there(tag: str) -> bool:
    return subprocess.run(["podman", "image", "exists", tag], check=False).returncode == 0


def _pulled(tag: str) -> bool:
    return subprocess.run(["podman", "pull", "--quiet", tag], capture_output=True, check=False).returncode == 0


def _build(file: Path, tag: str, context: str, *more: str) -> None:
    options = shlex.split(os.environ.get("CONTAINER_BUILD_OPTIONS", ""))
    words = ["buildah", "build", "--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"]
    run(*words, *options, *more, "--file", str(file), "--tag", tag, context, seconds=3600)


def images(report: Report) -> None:
    """Builds the images, and checks their size, user and layers."""
    index = os.environ.get("TORCH_INDEX")
    for target in ("web", "worker"):
        began = time.monotonic()
        more = ["--build-arg", f"TORCH_INDEX={index}"] if index and target == "worker" else []
        _build(ROOT / "docker" / "Dockerfile", f"hpo-{target}", str(ROOT), "--target", target, *more)
        size = int(run("podman", "image", "inspect", f"hpo-{target}", "--format", "{{.Size}}"))
        report.add(f"image hpo-{target}", f"{size / 1e6:.0f} MB, built in {time.monotonic() - began:.0f} s")
        who = run("podman", "run", "--rm", "--entrypoint", "id", f"hpo-{target}", "-u").strip()
        if who != USER:
            raise Failed(f"hpo-{target} runs as user {who}, not {USER}")
        sbom(f"hpo-{target}")
    report.add("user of both images", USER)
    report.add("SBOM of both images (CycloneDX)", "build/containers/hpo-web.cdx.json, hpo-worker.cdx.json")


INSTALLED = """
from importlib.metadata import distributions
print(*sorted(f"{one.name}=={one.version}" for one in distributions()), sep=chr(10))
"""
"""A script that prints what is installed; the image of the pages has no pip."""


def sbom(image: str) -> None:
    """Writes what an image has installed as a CycloneDX file."""
    OUT.mkdir(parents=True, exist_ok=True)
    listed = OUT / f"{image}.txt"
    listed.write_text(run("podman", "run", "--rm", "--entrypoint", "python", image, "-c", INSTALLED))
    made = OUT / f"{image}.cdx.json"
    run("cyclonedx-py", "requirements", str(listed), "--output-file", str(made), env={**os.environ, "PATH": _path()})
    if len(json.loads(made.read_text())["components"]) < 30:
        raise Failed(f"{made} has too few components")


class Stack:
    """The services of the Compose file, as a project of their own.

    Args:
        secrets: folder of its secrets.
    """

    def __init__(self, secrets: Path) -> None:
        self.secrets = secrets
        self._file = ROOT / "docker" / "compose.yaml"

    def compose(self, *words: str, check: bool = True) -> str:
        """Runs podman-compose."""
        command = ["podman-compose", "--project-name", PROJECT, "--file", str(self._file), *words]
        return run(*command, check=check, env={**os.environ, "PATH": _path()})

    def up(self) -> None:
        """Starts the services in their order, and waits until each is ready."""
        for service in ("db", "ray-head", "ray-worker", "web"):
            self.compose("up", "--detach", "--no-build", "--no-deps", service)
            if service == "db":
                until(
                    "Postgres answers", lambda: self.answers("db", "pg_isready", "--host=127.0.0.1", "--username=hpo")
                )
            if service == "ray-head":
                until("Ray's head answers", lambda: self.answers("ray-head", "ray", "health-check"))

    def down(self, *words: str) -> None:
        """Removes the containers."""
        self.compose("down", *words, check=False)

    def execute(self, service: str, *words: str, check: bool = True) -> str:
        """Returns what a command in a service's container prints."""
        return run("podman", "exec", self.name(service), *words, check=check)

    def hpo(self, *words: str, check: bool = True) -> str:
        """Returns what a command of hpo prints on the head."""
        return self.execute("ray-head", "hpo-entrypoint", "hpo", *words, check=check)

    def state(self) -> str:
        """Returns what there is to read after a failure: states of the containers, and the ends of their logs."""
        shown = [run("podman", "ps", "--all", "--format", "{{.Names}} {{.Status}}", check=False)]
        for service in ("db", "ray-head", "ray-worker", "web"):
            log = run("sh", "-c", f"podman logs --tail 25 {self.name(service)} 2>&1", check=False)
            shown.append(f"-- {service}\n{log}")
        for words in (("ray", "status"), ("ray", "job", "list")):
            shown.append(f"-- {' '.join(words)}\n{self.execute('ray-head', *words, check=False)}")
        return "\n".join(shown)

    def name(self, service: str) -> str:
        """Returns the name of a service's container."""
        return f"{PROJECT}_{service}_1"

    def kill(self, service: str) -> None:
        """Kills the first process of a container, as a machine that fails does."""
        pid = run("podman", "inspect", "--format", "{{.State.Pid}}", self.name(service)).strip()
        os.kill(int(pid), 9)

    def answers(self, service: str, *words: str) -> bool:
        """Whether a command succeeds in a service's container."""
        return subprocess.run(
            ["podman", "exec", self.name(service), *words], capture_output=True, check=False
        ).returncode == 0  # fmt: skip


def status(url: str, token: str | None = None) -> int:
    """Returns the HTTP status of a page; 0: nothing answers."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def cluster(report: Report, stack: Stack) -> None:
    """Submits a study and promotes it, opens its page, and kills the worker and the head meanwhile."""
    began = time.monotonic()
    stack.up()
    report.add("Compose stack: db, ray-head, ray-worker, web", f"ready in {time.monotonic() - began:.0f} s")
    for service in ("ray-head", "ray-worker", "web"):
        if (who := stack.execute(service, "id", "-u").strip()) != USER:
            raise Failed(f"{service} runs as user {who}")
    if stack.execute("ray-worker", "sh", "-c", "ls /run/secrets").split() != ["ray_token"]:
        raise Failed("the worker has another secret than Ray's token")
    began = time.monotonic()
    stack.hpo("submit", "--study", "digits", "--trials", "4", "--promote", "--top", "2")
    until("the study is promoted", lambda: _promoted(stack), 1200)
    report.add("digits submitted (4 trials), promoted (2 x 3 seeds)", f"{time.monotonic() - began:.0f} s")
    until("the pages answer", lambda: status(f"{WEB}/healthz") == 200)  # they start over until there is a study
    token = (stack.secrets / "token").read_text()
    page = f"{WEB}/robustness/digits"
    seen = {
        "without a token": status(page),
        "with it": status(page, token),
        "Ray's without one": status(f"{RAY}/api/jobs/"),
    }
    if seen != {"without a token": 401, "with it": 200, "Ray's without one": 401}:
        raise Failed(f"the published ports answer {seen}")
    report.add("page through the published port", "200 with the token, 401 without; Ray's dashboard 401 without one")
    for service, trials in (("ray-worker", 7), ("ray-head", 10)):
        began, before = time.monotonic(), _trials(stack)
        stack.hpo("submit", "--study", "digits", "--trials", str(trials))
        until("a training runs", lambda: _progress(stack)["counts"].get("running"))
        stack.kill(service)
        until(f"{service} is back", lambda: stack.answers(service, "ray", "health-check"))  # noqa: B023
        if service == "ray-head":  # its driver died with it
            until("the driver's lease is over", lambda: not _progress(stack)["driven"])
            stack.hpo("submit", "--study", "digits", "--trials", str(trials))
        until(f"{trials} trials are over", lambda: _over(stack) >= trials, 900)  # noqa: B023
        if _trials(stack)[: len(before)] != before:
            raise Failed("trials of before have changed")
        report.add(f"{service} killed in a search", f"all {trials} trials, {time.monotonic() - began:.0f} s")


def upgrade(report: Report, stack: Stack) -> None:
    """Starts new containers over a database of an earlier version."""
    before = _trials(stack)
    older = (
        "import os\nfrom alembic import command\nfrom hpo.store.engine import make_engine\n"
        "from hpo.store.schema import alembic_config\nfrom hpo.store.urls import normalize_url\n"
        "engine = make_engine(normalize_url(os.environ['HPO_STORAGE']))\n"
        "with engine.begin() as connection:\n    command.downgrade(alembic_config(connection), '0008')\n"
    )
    stack.execute("ray-head", "hpo-entrypoint", "python", "-c", older)
    stack.down()
    stack.up()
    stack.hpo("run", "--study", "digits", "--trials", str(len(before) + 1), "--ray-address", "auto")
    if _trials(stack)[: len(before)] != before:
        raise Failed("trials of the earlier version have changed")
    report.add(
        "new containers over a database of migration 0008", f"its {len(before)} trials are there, one more was added"
    )


def secrets_in_layers(report: Report, secrets: Path) -> None:
    """Looks for the secrets of the stack in every layer of the images."""
    for image in ("hpo-web", "hpo-worker"):
        patterns = [word for path in sorted(secrets.iterdir()) for word in ("-e", path.read_text())]
        words = shlex.join(["grep", "--text", "--count", "--fixed-strings", *patterns])
        found = run("sh", "-c", f"podman save {image} | {words}", check=False).strip()
        if found != "0":
            raise Failed(f"a secret is in a layer of {image}: {found} lines")
    report.add("secrets in the layers of the images", "none")


def _progress(stack: Stack) -> dict[str, object]:
    found = json.loads(stack.hpo("status", "--study", "digits", "--json", check=False) or "[]")
    return found[0] if found else {"counts": {}, "driven": None, "promoted": None}


def _promoted(stack: Stack) -> bool:
    return _progress(stack)["promoted"] is not None


def _over(stack: Stack) -> int:
    counts = _progress(stack)["counts"]
    return sum(counts.get(state, 0) for state in ("complete", "pruned", "failed"))  # type: ignore[attr-defined]


def _trials(stack: Stack) -> list[tuple[object, ...]]:
    rows = json.loads(stack.hpo("trials", "--study", "digits", "--json"))
    return [(one["trial"], one["state"], one["value"]) for one in rows if one["state"] in ("complete", "pruned")]


def main() -> int:
    """Runs all steps and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the containers running")
    options = parser.parse_args()
    if why := missing():
        print(f"skipped: {why}")
        return 0
    secrets = ROOT / "docker" / "secrets"
    if secrets.exists():
        print(f"skipped: {secrets} exists, so a stack of yours may run here")
        return 0
    report, stack = Report(), Stack(secrets)
    try:
        run("sh", str(ROOT / "docker" / "secrets.sh"))
        base_image(report)
        postgres_image(report)
        images(report)
        cluster(report, stack)
        upgrade(report, stack)
        secrets_in_layers(report, secrets)
    except Failed as error:
        report.add("FAILED", str(error))
        print(stack.state(), file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            stack.down("--volumes")
            shutil.rmtree(secrets, ignore_errors=True)
        report.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
