"""A command searched, promoted, verified and cross-validated, as any trainable is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import hpo
from hpo.core.errors import CodeChanged, UsageError
from hpo.core.records import Stage
from hpo.driver.data import audit
from hpo.store import Store
from hpo.study.loading import check

PROJECT = Path(__file__).parents[1] / "project"
RUN = "{python} programs/train.py --x {x} --epochs {budget} --seed {seed} --fold {fold} --out {folder}"


def study(root=PROJECT, run=RUN, name="program", **tables):
    return hpo.Study(
        name=name,
        command={"run": run, "artifacts": ["*.pt"], **tables.pop("command", {})},
        objective=hpo.maximize("val"),
        space={"x": hpo.Float(0.0, 1.0)},
        search={"trials": 4, "budget": 2, "pruner_options": {"n_startup_trials": 1, "n_warmup_steps": 0}, "lag": 1},
        promotion={"top": 1, "seeds": [42, 43]},
        **tables,
    ).located(root)


def stored(config, stage):
    store = Store(config.storage, create=False)
    found = store.evaluations(store.find("program"), stage)
    store.close()
    return [(one.job.key, one.status, one.value, [(step.step, step.metrics) for step in one.reports]) for one in found]


@pytest.mark.slow
def test_command_runs_all_verbs(config):
    outcome = hpo.run(study(), config)
    assert outcome.count("failed") == 0
    assert outcome.count("pruned") > 0
    report = hpo.promote(study(), config)
    assert [len(row.candidate.values) for row in report.ranking.rows] == [2]
    assert (config.outputs / "program" / "results_7" / "model.pt").read_bytes() == b"weights"
    assert all(one.is_identical for one in hpo.verify(study(), config))


def test_folds_of_a_command_differ(config):
    outcome = hpo.run(study(validation={"folds": 2}), config)
    folds = stored(config, Stage.SEARCH)
    assert {key[3] for key, *_ in folds} == {1, 2}
    values = {key[3]: value for key, _, value, _ in folds if key[0] == outcome.trials[0].number}
    assert values[1] != values[2]


def test_a_stopped_command_goes_on(config):
    """What was recorded is not trained again, and the table is that of a search without a stop."""
    hpo.run(study(), config, trials=2)
    two = stored(config, Stage.SEARCH)
    hpo.run(study(), config)
    assert stored(config, Stage.SEARCH)[: len(two)] == two


@pytest.mark.ray
@pytest.mark.slow
def test_a_command_is_the_same_on_ray(config, tmp_path, ray_slots):
    """Both backends record the same evaluations, prunings included."""
    hpo.run(study(), config)
    other = replace(config, storage=f"sqlite:///{tmp_path / 'ray.db'}", outputs=tmp_path / "ray", backend="ray")
    hpo.run(study(), other)
    assert stored(other, Stage.SEARCH) == stored(config, Stage.SEARCH)


def test_an_edited_program_is_changed_code(config, tmp_path):
    for name in ("train.py", "curves.py"):
        (tmp_path / "programs").mkdir(exist_ok=True)
        (tmp_path / "programs" / name).write_text((PROJECT / "programs" / name).read_text())
    of = study(tmp_path)
    hpo.run(of, config, trials=1)
    (tmp_path / "programs" / "curves.py").write_text("def value(x, epoch, gain):\n    return x\n")
    with pytest.raises(CodeChanged, match=r"programs/curves\.py changed"):
        hpo.run(of, config)


def test_the_file_of_a_command_says_the_same(tmp_path):
    of = study(run=[*RUN.split(), "a b", '"'], command={"metrics": {"val": 'val="(.*)"'}, "reads": ["HPO_SEED"]})
    (tmp_path / "studies").mkdir()
    of.to_toml(tmp_path / "studies")
    found = check(tmp_path / "studies" / "program.toml")
    assert found.problems == ()
    assert found.study.content() == of.content()


def test_a_command_has_no_data_to_audit(config):
    with pytest.raises(UsageError, match="a command cannot audit its data"):
        audit(study(), config)
