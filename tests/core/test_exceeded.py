"""The limits of one training: how they are written, and when one is exceeded."""

from __future__ import annotations

import pytest

import hpo
from hpo.core.errors import UsageError
from hpo.core.limits import memory_of, time_of
from hpo.core.protocols import Resources
from hpo.study.validation import parse

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "amount"),
    [("8 GiB", 8 * GIB), ("8GB", 8e9), ("512 MiB", 2**29), ("1.5 tib", 1.5 * 2**40), (" 3 kb ", 3000)],
)
def test_memory_is_read(text, amount):
    assert memory_of(text) == amount


@pytest.mark.parametrize("text", ["", "8", "8 G", "-1 GiB", "0 GiB", "8 GiB a day", "1,5 GiB", "9" * 400 + " GiB"])
def test_other_texts_are_no_memory(text):
    with pytest.raises(ValueError, match="expected an amount of memory such as 512 MiB, 8 GiB or 8 GB, got"):
        memory_of(text)


def test_endless_time_is_no_limit():
    with pytest.raises(ValueError, match="expected a length of time"):
        time_of("9" * 400 + "h")


@pytest.mark.parametrize(
    ("limits", "seconds", "memory", "kind"),
    [
        ({}, 1e9, 1e12, None),
        ({"time": "2h"}, 7200, 1e12, None),
        ({"time": "2h"}, 7200.1, 0, "time"),
        ({"memory": "8 GiB"}, 1e9, 8 * GIB, None),
        ({"memory": "8 GiB"}, 0, 8 * GIB + 1, "memory"),
        ({"time": "1s", "memory": "8 GiB"}, 2, 9 * GIB, "time"),
    ],
)
def test_one_limit_is_exceeded(limits, seconds, memory, kind):
    assert Resources(**limits).exceeded(seconds, memory) == kind


def test_reasons_name_the_limit():
    limits = Resources(time="2h", memory="8 GiB")
    assert "ran for longer than 2h in one process" in limits.describe_exceeded("time")
    assert "needed more memory than 8 GiB" in limits.describe_exceeded("memory")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"time": "soon"}, "time: expected a length of time such as 90s"),
        ({"memory": "much"}, "memory: expected an amount of memory such as 512 MiB"),
        ({"time": 7200}, "time must be a text, not 7200"),
    ],
)
def test_unfit_limits_are_refused(limits, message):
    with pytest.raises(UsageError, match=message):
        hpo.Resources(**limits)


def study_with(**resources):
    return hpo.Study(
        name="mine",
        trainable="toys.curve:train",
        objective=hpo.maximize("val"),
        space={"x": hpo.Float(0, 1)},
        resources=resources,
    )


def test_limits_are_no_identity():
    plain, limited = study_with(cpu=2), study_with(cpu=2, time="2h", memory="8 GiB")
    assert limited.identity() == plain.identity()
    assert limited.resources == Resources(cpu=2, time="2h", memory="8 GiB")
    assert 'time = "2h"\nmemory = "8 GiB"' in limited.to_toml()


def test_no_limits_same_stored_study():
    assert set(study_with().content()["resources"]) == {"cpu", "gpu", "max_attempts", "slots"}


def test_check_names_unfit_limits():
    problems = parse({**study_with().content(), "resources": {"time": "soon", "memory": "8", "cpu": 1}})[1]
    assert [(problem.key, problem.message) for problem in problems] == [
        ("resources.time", "expected a length of time such as 90s, 30m, 1h30m or 1d, got 'soon'"),
        ("resources.memory", "expected an amount of memory such as 512 MiB, 8 GiB or 8 GB, got '8'"),
    ]
