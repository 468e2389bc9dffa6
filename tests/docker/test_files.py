"""The files of the images: what their own checkers say of them, and what has to agree between them."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def run(*command, **options):
    environment = {"PATH": PATH, "HOME": os.environ.get("HOME", "/"), **options.pop("env", {})}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400, check=False, **options)


CHECKS = [
    (("hadolint", "--no-color"), "Dockerfile", ("pip install --no-cache-dir --no-deps .", "pip install requests")),
    (("shellcheck",), "entrypoint.sh", ('exec "$@"', "exec $@")),
    (("shellcheck",), "secrets.sh", ('mv "$new" "$folder"', 'mv $new "$folder"')),
    (("check-jsonschema", "--builtin-schema", "vendor.compose-spec"), "compose.yaml", ("shm_size", "shm_sise")),
    (
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec"),
        "compose.yaml",
        ("driver: nvidia", "driver: [n]"),
    ),
]


@pytest.mark.parametrize(("command", "name", "mistake"), CHECKS)
def test_hadolint_finds_mistakes(tmp_path, command, name, mistake):
    done = run(*command, str(DOCKER / name))
    assert done.returncode == 0, done.stdout + done.stderr
    text = (DOCKER / name).read_text()
    assert mistake[0] in text
    (tmp_path / name).write_text(text.replace(*mistake))
    assert run(*command, str(tmp_path / name)).returncode != 0


def test_scripts_may_be_executed():
    assert all(os.access(path, os.X_OK) for path in DOCKER.glob("*.sh"))


# Dockerfile.


def stages():
    """Returns the lines of each stage, continued ones joined, and the stage that each is made from."""
    lines = re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    found, origins = {}, {}
    for line in lines:
        if start := re.match(r"FROM (\S+) AS (\S+)", line):
            found[start[2]] = []
            origins[start[2]] = start[1]
        elif found:
            found[list(found)[-1]].append(line)
    return found, origins


def inherited(target):
    found, origins = stages()
    lines = []
    while target in found:
        lines = found[target] + lines
        target = origins[target]
    return lines


@pytest.mark.parametrize("target", ["worker", "worker-gpu", "web"])
def test_images_run_as_non_root(target):
    lines = inherited(target)
    assert [line for line in lines if line.startswith("USER")] == ["USER 10001:10001"]
    assert [line for line in lines if line.startswith("ENTRYPOINT")] == ['ENTRYPOINT ["hpo-entrypoint"]']
    assert any(line.endswith("docker/entrypoint.sh /usr/local/bin/hpo-entrypoint") for line in lines)


def test_versions_match_constraints():
    installs = [line for lines in stages()[0].values() for line in lines if "pip install" in line]
    assert len(installs) == 7
    for line in installs:
        assert "--constraint constraints.txt" in line or "--no-deps ." in line


def let_in(path):
    """Returns whether .dockerignore lets a file into the build: the last line that matches decides."""
    decided = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!")
        ours = pattern.removeprefix("**/")
        parts = [str(one) for one in [path, *path.parents][:-1]]
        if line and not line.startswith("#"):
            names = path.parts if pattern.startswith("**/") else parts
            if any(fnmatch.fnmatchcase(name, ours) for name in names):
                decided = line.startswith("!")
    return decided


def test_build_context_is_minimal():
    copied = []
    for line in DOCKERFILE.splitlines():
        if line.startswith("COPY") and "--from" not in line:
            copied += [word for word in shlex.split(line)[1:-1] if not word.startswith("--")]
    assert {"pyproject.toml", "constraints.txt", "hpo", "models", "studies", "docker/entrypoint.sh"} <= set(copied)
    for name in copied:
        assert (ROOT / name).exists()
        assert let_in(Path(name))
    kept_out = [
        "docker/secrets/token",
        "hpo.db",
        "outputs/digits/results_7",
        ".git/config",
        ".venv/bin/hpo",
        "in/a.dcm",
    ]
    assert not [name for name in [*kept_out, "hpo/__pycache__/a.pyc", "tests/conftest.py"] if let_in(Path(name))]


# What the image of the pages leaves out.


def needed(stage):
    """Returns the requirements of an image, as its build asks for them."""
    [line] = [line for line in stages()[0][stage] if "requirements.py" in line]
    command = shlex.split(line.removeprefix("RUN ").split(">")[0])
    done = run(sys.executable, str(DOCKER / "requirements.py"), *command[2:], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def closure(requirements):
    """Returns the installed distributions that some requirements bring, with all that these require."""
    found, open_ = {}, [Requirement(one) for one in requirements]
    while open_:
        one = open_.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        key = (name, *sorted(one.extras))
        if key in found or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        found[key] = distribution(one.name)
        for text in found[key].requires or []:
            inner = Requirement(text)
            if not inner.marker or any(inner.marker.evaluate({"extra": extra}) for extra in ["", *one.extras]):
                inner.marker = None
                open_.append(inner)
    return {name: one for (name, *_), one in found.items()}


@pytest.fixture(scope="module")
def web_site(tmp_path_factory):
    """A folder of packages: hpo, what the image of the pages installs, and nothing else that is installed here."""
    folder = tmp_path_factory.mktemp("site")
    for one in closure(needed("build-web")).values():
        for top in {file.parts[0] for file in one.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(one.locate_file(top))
    (folder / "hpo").symlink_to(ROOT / "hpo")
    return folder


LOOKS = """
import sys
sys.path.insert(0, sys.argv[1])
from hpo.cli import main
commands = sys.argv[2:]
for command in commands:
    sys.argv = ["hpo", *command.split()]
    try:
        main()
    except SystemExit as end:
        print(f"status {end.code or 0}: {command}", file=sys.stderr)
"""


def on_web(site, cwd, *commands):
    """Runs commands one after the other in a process that has nothing but the site; returns their exit statuses too."""
    # -S: without the packages that are installed, -I: without the caller's variables
    done = run(sys.executable, "-I", "-S", "-c", LOOKS, str(site), *commands, cwd=cwd)
    return re.findall(r"^status (\d+): ", done.stderr, re.MULTILINE), done.stdout, done.stderr


def test_pages_need_no_large_package():
    brought = closure(needed("build-web"))
    assert not {"torch", "ray", "captum", "matplotlib"} & set(brought)
    assert {"optuna", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "optuna-dashboard", "a2wsgi"} <= set(brought)
    pinned = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    assert not set(brought) - pinned


@pytest.mark.slow
def test_read_only_commands_in_pages(tmp_path, web_site):
    for name in ("models", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    hpo = [sys.executable, "-c", "from hpo.cli import main; main()", "run", "--study", "digits", "--backend", "local"]
    made = run(*hpo, "--trials", "2", "--promote", "--top", "2", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert made.returncode == 0, made.stderr
    looks = ["studies", "status", "show --study digits 0", "rank --study digits", "compare 0 1 --study digits"]
    looks += ["--help", "serve --help", "report --study digits"]
    statuses, _, errors = on_web(web_site, tmp_path, *looks, "run --study digits")
    assert statuses == ["0"] * len(looks) + ["2"], errors
    assert "'models.digits:train' cannot be imported: it needs 'torch', which is not installed" in errors


def test_workers_differ_only_in_cuda():
    assert needed("build-worker") == needed("build-worker-gpu")
    assert {"torch>=2.13,<3", "ray[tune]>=2.54,<2.61", "ray[default]>=2.54,<2.61"} <= set(needed("build-worker"))


def test_missing_requirements_fail():
    script = [sys.executable, str(DOCKER / "requirements.py"), "--project", str(ROOT / "pyproject.toml")]
    extra = run(*script, "--extra", "wep")
    assert extra.returncode == 1
    assert re.search(r"^error: no extra wep in .*; there are bench, .*, web$", extra.stderr.strip())
    assert "error: torsh is no dependency in" in run(*script, "--without", "torsh").stderr
    everything = run(*script).stdout
    assert {"optuna", "ray[tune]"} <= {re.split("[><=]", line)[0] for line in everything.split()}


# compose.yaml.


def test_compose_targets_exist():
    built = {one["build"]["target"] for one in SERVICES.values() if "build" in one}
    assert built == {"worker", "worker-gpu", "web"} <= set(stages()[0])
    for one in SERVICES.values():
        if "build" in one:
            assert (DOCKER / one["build"]["context"] / one["build"]["dockerfile"]).resolve() == DOCKER / "Dockerfile"


def test_no_port_is_open_to_a_network():
    ports = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in SERVICES["db"]


def test_workers_cannot_reach_database():
    assert COMPOSE["networks"]["storage"]["internal"] is True
    for name in ("ray-worker", "ray-worker-gpu"):
        assert SERVICES[name]["secrets"] == ["ray_token"]
        assert SERVICES[name]["networks"] == ["cluster"]
        assert not [key for key in SERVICES[name]["environment"] if "STORAGE" in key or "PG" in key]
    assert "--num-cpus=0" in SERVICES["ray-head"]["command"]
    assert not [name for name, one in SERVICES.items() if "@" in json.dumps(one.get("environment", {}))]


def test_only_gpu_profile_requests_gpus():
    asking = {name for name, one in SERVICES.items() if "nvidia" in json.dumps(one)}
    assert asking == {name for name, one in SERVICES.items() if one.get("profiles") == ["gpu"]} == {"ray-worker-gpu"}


def test_secrets_stay_out_of_images(tmp_path):
    done = run("sh", str(DOCKER / "secrets.sh"), str(tmp_path / "secrets"))
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert (
        set(made)
        == set(COMPOSE["secrets"])
        == {one["file"].removeprefix("secrets/") for one in COMPOSE["secrets"].values()}
    )
    assert {secret for one in SERVICES.values() for secret in one.get("secrets", [])} == set(made)
    assert made["storage"] == f"postgresql://hpo:{made['db_password']}@db:5432/hpo"
    assert len({made["db_password"], made["ray_token"], made["token"]}) == 3
    assert min(map(len, made.values())) == 64
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    again = run("sh", str(DOCKER / "secrets.sh"), str(tmp_path / "secrets"))
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    ignored = run("git", "check-ignore", "docker/secrets/token", cwd=ROOT)
    assert ignored.returncode == 0, "docker/secrets is no line of .gitignore"


def test_documented_commands_exist():
    text = (DOCKER / "README.md").read_text() + (ROOT / "docs" / "containers.md").read_text()
    commands = re.findall(r"^\$ (docker compose .*|docker build .*|sh docker/.*)$", text, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        words = command.split("  #")[0].split()
        assert all((ROOT / word).exists() for word in words if word.startswith("docker/"))
        if "exec" in words:
            assert words[words.index("exec") + 1] in SERVICES
            assert "hpo-entrypoint" in words
        if "--target" in words:
            assert words[words.index("--target") + 1] in stages()[0]
        if "--scale" in words:
            assert words[words.index("--scale") + 1].split("=")[0] in SERVICES
