"""What a project has around its code: workflows, templates, versions, the help of make."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from hpo.core.installed import DISTRIBUTION, version_of

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

CHECKED = {
    **dict.fromkeys(WORKFLOWS, ("vendor.github-workflows", "runs-on", "runs-at")),
    GITHUB / "dependabot.yml": ("vendor.dependabot", "interval", "every"),
    GITHUB / "ISSUE_TEMPLATE" / "bug.yml": ("vendor.github-issue-forms", "type: textarea", "type: area"),
    GITHUB / "ISSUE_TEMPLATE" / "idea.yml": ("vendor.github-issue-forms", "type: textarea", "type: area"),
    GITHUB / "ISSUE_TEMPLATE" / "config.yml": ("vendor.github-issue-config", "true", "maybe"),
    ROOT / "CITATION.cff": ("vendor.citation-file-format", "type: software", "type: program"),
}
"""Files, the schema of each, and a mistake that the check has to find."""


def problems(path, schema):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).returncode


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.name)
def test_files_fit_their_schemas(tmp_path, path):
    schema, right, wrong = CHECKED[path]
    assert problems(path, schema) == 0
    text = path.read_text()
    assert right in text
    (tmp_path / path.name).write_text(text.replace(right, wrong))
    assert problems(tmp_path / path.name, schema) == 1


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_do_little(path):
    """Every job names its permissions; only what publishes gets more than reading."""
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "timeout-minutes" in job
        assert name == "publish" or job["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_make_what_exists(path):
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    for step in [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]:
        for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
            assert target in targets
        for file in re.findall(r"(?<![\w/])docker/[\w./]+", step.get("run", "")):
            assert (ROOT / file).is_file()


def test_the_templates_are_where_they_are_named():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] if repo["repo"] == "local" for hook in repo["hooks"]]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    entries = {hook["entry"].split()[0].removeprefix(".venv/bin/") for hook in hooks}
    assert entries == set(re.findall(r"\$\(BIN\)/([\w-]+)", lint))


def test_help_lists_every_target():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "help"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        name for name in re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE) if name in phony.split()
    ]
    assert len(done.stdout.splitlines()) == len(phony.split())


def test_the_version_is_in_one_place():
    assert version_of(DISTRIBUTION) == PROJECT["version"]
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text())
    [newest, *_] = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)
    assert newest in ("Unreleased", PROJECT["version"])


def test_the_changelog_has_sections():
    sections = re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)
    assert sections
    assert set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    entries = CHANGELOG.partition("\n## ")[2]
    assert not re.search(r"^## .*\n\n- ", entries, re.MULTILINE)
