"""Studies whose every trial goes wrong in another way, and what has to hold of them all the same."""

from __future__ import annotations

import json

from hostile_trainings import hostile, trained
from hypothesis import strategies as st

import hpo
from hpo import api
from hpo.cli import tables
from hpo.cli.output import print_json, print_text
from hpo.core.records import Stage
from hpo.driver.session import RunContext, Session
from hpo.serve.views import write_report

CHOICES = {
    "value": ["innocent", *hostile.VALUES, *hostile.YIELDS],
    "error": list(hostile.ERRORS),
    "effect": [*hostile.EFFECTS, *hostile.TAKES_THE_PROCESS],
    "fact": list(hostile.FACTS),
    "loop": [True, False],
}
"""The params that say what goes wrong; nothing does by the first of most."""

CALM = {"value": "plain", "error": "none", "effect": "none", "fact": "none", "loop": True}


def hostile_params(*, kills=False):
    """Returns a strategy of what goes wrong in one training, one thing or several at once."""
    effects = CHOICES["effect"] if kills else list(hostile.EFFECTS)
    kinds = {
        "value": st.just("plain") | st.sampled_from([one for one in CHOICES["value"] if one != "innocent"]),
        "error": st.just("none") | st.sampled_from(CHOICES["error"]),
        "effect": st.just("none") | st.sampled_from(effects),
        "fact": st.just("none") | st.sampled_from(CHOICES["fact"]),
        "loop": st.booleans(),
        "epoch": st.integers(1, 3),
    }
    return st.fixed_dictionaries(kinds)


def study_of(curve, wanted, name="hostile", **tables):
    """Returns a study that tries these params one after the other, with an innocent training after every fifth."""
    configurations = []
    for number, params in enumerate(wanted):
        configurations.append({"x": (number + 1) / 10_000, **CALM, "epoch": 2, **params})
        if number % 5 == 4:
            configurations.append({"x": (number + 1.5) / 10_000, **CALM, "epoch": 2, "value": "innocent"})
    space = {"x": {"float": [0.0, 1.0]}, "epoch": {"int": [1, 3]}}
    space |= {param: {"choice": choices} for param, choices in CHOICES.items()}
    search = {"trials": len(configurations), "budget": 3, "sampler": "random", "pruner": "none"}
    search |= {"max_failures": len(configurations), "enqueue": configurations}
    return curve(name=name, trainable="toys.hostile:train", space=space, search=search, **tables)


def run_to_the_end(study, config, workers=None):
    """Searches, and returns the evaluations by trial, having seen that all that must hold does."""
    outcome = hpo.run(study, config, workers=workers)
    assert {trial.state for trial in outcome.trials} <= {"complete", "failed", "pruned"}
    assert len(outcome.trials) == study.search.trials
    with Session.open(study, RunContext.of(study, config), create=False) as found:
        evaluations = {one.job.trial: one for one in found.store.evaluations(found.stored, Stage.SEARCH)}
    assert sorted(evaluations) == list(range(study.search.trials))
    innocent = {}
    for trial in outcome.trials:
        evaluation = evaluations[trial.number]
        assert evaluation.status == trial.state, "both kinds of tables say the same"
        if trial.state == "failed":
            assert evaluation.error.strip()
            assert trial.error.strip()
        if trial.params["value"] == "innocent":
            innocent[trial.number] = str(evaluation.status), evaluation.digests.get("weights")
    expected = "complete", reference(config)
    others = [number for number, found in innocent.items() if found != expected]
    assert not others, [(innocent[n], evaluations[n].error, dict(evaluations[n - 1].job.params)) for n in others]
    again = hpo.run(study, config)
    assert [(one.number, one.state, one.value) for one in again.trials] == [
        (one.number, one.state, one.value) for one in outcome.trials
    ], "nothing is met again"
    return evaluations


def reference(config):
    """Returns the digest of the innocent training where no other was before it."""
    folder = config.outputs.parent / "reference"
    return trained(folder, value="innocent", stage=Stage.SEARCH, x=0.5).digests["weights"]


def read_all(study, config, capsys):
    """Reads the study by every command that reads, and the page of it."""

    def printed():
        text = capsys.readouterr().out
        text.encode()  # as a terminal gets it
        return text

    printed()
    for one in api.status(None, config):
        print_json(one.plain())
        json.loads(printed())
    print_text(tables.progress_table(api.status(None, config)))
    printed()
    for number in range(study.search.trials):
        trial, evaluations = api.show(study, number, config)
        print_json(tables.trial_values(trial, evaluations))
        json.loads(printed())
        print_text(tables.trial_text(trial, evaluations, study.objective))
        printed()
    page = write_report(study.name, config)
    assert "</html>" in page.read_text(encoding="utf-8")
