"""The commands that the output tells a user to give next."""

from __future__ import annotations

import pytest

from hpo.cli.again import given_command, next_command
from hpo.store.lease import JOB

GIVEN = (
    "run --study x --cost 2 --trials 9 --gpu-hours=3 --deadline 2996-12-12T01:00 --promote --backend local --until -5"
)


def test_given_command_is_whole():
    assert given_command(GIVEN.split()) == f"hpo {GIVEN}"


def test_limits_of_costs_can_be_left_out():
    wanted = "hpo run --study x --trials 9 --promote --backend local --until -5"
    assert given_command(GIVEN.split(), limited=False) == wanted


def test_job_is_submitted_again(monkeypatch):
    monkeypatch.setenv(JOB, "hpo-x-1")
    assert given_command(["run", "--study", "x"]) == "hpo submit --study x"
    assert given_command(["promote", "--study", "x"]) == "hpo promote --study x"


@pytest.mark.parametrize("place", ["--storage sqlite:///a.db", "--storage=sqlite:///a.db", "--studies other"])
def test_next_command_keeps_the_place(place):
    assert next_command("promote", "x", f"run --study x {place} --trials 3".split()) == f"hpo promote --study x {place}"
