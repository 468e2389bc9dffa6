"""A search whose length is a number of epochs."""

from __future__ import annotations

import random

import pytest
from searches import in_random_order, one_by_one
from typer.testing import CliRunner

import hpo
from hpo.cli.main import app
from hpo.core.errors import UsageError
from hpo.core.protocols import DONE
from hpo.driver.session import RunContext, Session
from hpo.search.source import SearchSource
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies


def evaluations(study, config):
    with Session.open(study, RunContext.of(study, config), create=False) as found:
        return found.store.evaluations(found.stored)


def epochs(study, config):
    return sum(len(one.reports) for one in evaluations(study, config))


@pytest.mark.slow
def test_epochs_total_is_kept(curve, config):
    """Search and race together; pruned trials leave room for others."""
    study = curve()
    said = ["--study", str(study.root / "studies" / "curve.toml"), "--storage", config.storage]
    there = ["--outputs", str(config.outputs), "--backend", "local"]
    done = CliRunner().invoke(app, ["run", *said, *there, "--epochs-total", "180"])
    assert done.exit_code == 0, done.output
    found = evaluations(study, config)
    assert 180 - 3 * 5 <= sum(len(one.reports) for one in found) <= 180
    assert len(found) > 36, "more trainings than whole ones would have been"
    assert "Ended: one more trial could exceed the 125 epochs of the search." in done.output
    assert (config.outputs / "curve" / "results_9" / "summary.json").is_file()


@pytest.mark.slow
def test_epochs_end_a_resumed_search_alike(curve, config, tmp_path):
    study = curve(search={"pruner": "hyperband", "budget": 5, "lag": 3})
    whole = hpo.run(study, config, epochs=90)
    other = hpo.RunConfig(storage=f"sqlite:///{tmp_path / 'other.db'}", outputs=tmp_path / "o", backend="local")
    for trials in (2, 7):
        hpo.run(study, other, trials=trials)
    again = hpo.run(study, other, epochs=90)
    assert [(one.params, one.value) for one in again.trials] == [(one.params, one.value) for one in whole.trials]
    assert epochs(study, config) <= 90
    assert hpo.run(study, config, epochs=90).own == whole.own


class UntilDone(SearchSource):
    """Asked no more once it has said that it is done, as backends do."""

    is_done = False

    def ask(self):
        answer = DONE if self.is_done else super().ask()
        self.is_done = answer is DONE
        return answer


@pytest.mark.slow
@pytest.mark.parametrize("epochs", range(60, 68))
def test_epochs_end_does_not_depend_on_timing(curve, epochs, tmp_path):
    study = curve(search={"pruner": "hyperband", "budget": 5, "lag": 3, "sampler": "random"})
    tables = []
    for number, drive in enumerate((one_by_one, lambda source: in_random_order(source, 3, random.Random(epochs)))):
        durable = OptunaStudies(f"sqlite:///{tmp_path / str(number)}", prepare_optuna)
        drive(UntilDone(study, durable.open(study.name, study.objective, {}), epochs=epochs))
        tables.append([(one.params, one.value) for one in durable.find(study.name).trials()])
        durable.close()
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (["--epochs-total", "4"], "less than one training"),
        (["--epochs-total", "60"], "leaves the search too few"),
        (["--epochs-total", "300", "--trainings", "60"], "not both"),
    ],
)
def test_unsplittable_epochs_are_refused(curve, config, said, why):
    study = curve()
    done = CliRunner().invoke(
        app, ["run", "--study", str(study.root / "studies" / "curve.toml"), "--storage", config.storage, *said]
    )
    assert isinstance(done.exception, UsageError)
    assert why in str(done.exception)


def test_epochs_of_several_seeds_are_not_limited(curve, config):
    with pytest.raises(UsageError, match="only if a trial is one training"):
        hpo.run(curve(search={"seeding": "replicated", "replicates": 2, "pruner": "none"}), config, epochs=90)
