"""The manifest of docker/README.md, under the schema by which KubeRay's API server takes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

[JOB] = re.findall(
    r"```yaml\n(apiVersion: ray\.io.*?)```", (Path(__file__).parents[2] / "docker" / "README.md").read_text(), re.DOTALL
)
FILE = "KUBERAY_SCHEMA"
"""Variable that names a copy of ray.io_rayjobs.yaml, of KubeRay's releases."""


def strict(schema):
    """Refuses names that a schema does not know, which the API server would drop without a word."""
    if schema.get("x-kubernetes-int-or-string"):  # a type of Kubernetes
        del schema["anyOf"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for one in inner:
        if isinstance(one, dict):
            strict(one)


@pytest.fixture(scope="module")
def validator():
    if FILE not in os.environ:
        pytest.skip(f"{FILE} names no copy of ray.io_rayjobs.yaml, of a release of KubeRay")
    versions = yaml.safe_load(Path(os.environ[FILE]).read_text())["spec"]["versions"]
    [schema] = [one["schema"]["openAPIV3Schema"] for one in versions if one["name"] == "v1"]
    strict(schema)
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(schema)


def test_the_job_is_valid(validator):
    assert [error.message for error in validator.iter_errors(yaml.safe_load(JOB))] == []


@pytest.mark.parametrize(
    ("right", "wrong"), [("minReplicas: 2", "replicasMin: 2"), ("backoffLimit: 3", "backoffLimit: x")]
)
def test_mistakes_are_found(validator, right, wrong):
    assert right in JOB
    assert not validator.is_valid(yaml.safe_load(JOB.replace(right, wrong)))
