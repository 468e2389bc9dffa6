"""Every sampler and every pruner: equal to Optuna's own, and a function of the seeds whatever the timing."""

from __future__ import annotations

import inspect
import random

import optuna
import pytest
from searches import in_random_order, one_by_one, open_source, plain_optuna, table, train

import hpo
from hpo.core.records import Job
from hpo.search.proposals import make_pruner, make_sampler
from hpo.store import prepare_optuna
from hpo.store.optuna_storage.studies import OptunaStudies
from hpo.study import PRUNERS, SAMPLERS

SAMPLER_CASES = {
    "tpe": {"n_startup_trials": 5, "group": True},
    "tpe+gp": {"n_startup_trials": 6},
    "random": {},
    "gp": {"n_startup_trials": 6},
    "cmaes": {"popsize": 4},
    "qmc": {"scramble": True},
    "grid": {},
    "nsgaii": {"population_size": 4},
    "nsgaiii": {"population_size": 4, "dividing_parameter": 2},
}
PRUNER_CASES = {
    "none": {},
    "median": {"n_startup_trials": 3},
    "percentile": {"percentile": 40.0, "n_startup_trials": 3},
    "hyperband": {},
    "successive-halving": {"reduction_factor": 2},
    "patient": {"patience": 1, "wrapped": "threshold", "wrapped_options": {"upper": 0.4}},
    "threshold": {"lower": 0.35, "n_warmup_steps": 1},
}
COUNTABLE = {
    "x": {"float": [0.0, 1.0], "step": 0.25},
    "k": {"int": [1, 4]},
    "gain": {"choice": [0.0, 0.5]},
}
TRIALS = 16


@pytest.fixture
def searched(curve):
    """Returns the toy study under a sampler, on a grid's space for a grid."""

    def made(sampler="tpe", pruner="median", **search):
        sampler_options, pruner_options = SAMPLER_CASES[sampler], PRUNER_CASES[pruner]
        if sampler == "tpe":
            sampler_options = {"n_startup_trials": 5}
        search |= {"sampler": sampler, "sampler_options": sampler_options}
        search |= {"pruner": pruner, "pruner_options": pruner_options}
        objective = {"direction": "minimize"} if pruner == "patient" else {}  # it wants curves that get worse
        return curve(search=search, objective=objective, **({"space": COUNTABLE} if sampler == "grid" else {}))

    return made


COMBINATIONS = [(sampler, "median") for sampler in SAMPLERS] + [("tpe", p) for p in PRUNERS if p != "median"]
COMBINATIONS += [("nsgaii", "hyperband"), ("qmc", "hyperband"), ("cmaes", "hyperband")]


def test_samplers_and_pruners_covered():
    assert set(SAMPLER_CASES) == set(SAMPLERS)
    assert set(PRUNER_CASES) == set(PRUNERS)


@pytest.mark.slow
@pytest.mark.parametrize("lag", [1, False])
@pytest.mark.parametrize(("sampler", "pruner"), COMBINATIONS)
def test_sequential_search_matches_optuna(tmp_path, searched, sampler, pruner, lag):
    study = searched(sampler, pruner, lag=lag)
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    one_by_one(open_source(durable, study, TRIALS))
    found = table(durable, study)
    assert found == plain_optuna(study, TRIALS)
    assert ("pruned" in {row[1] for row in found}) == (pruner != "none")
    durable.close()


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "pruner"), COMBINATIONS)
def test_lag_makes_table_reproducible(tmp_path, searched, sampler, pruner):
    study = searched(sampler, pruner, lag=4)
    tables = []
    for run in (0, 3):
        durable = OptunaStudies(f"sqlite:///{tmp_path / f'{run}.db'}", prepare_optuna)
        in_random_order(open_source(durable, study, TRIALS), 1 + run, random.Random(run))
        tables.append(table(durable, study))
        durable.close()
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'cut.db'}", prepare_optuna)
    draw = random.Random(1)
    for _ in range(4):  # drivers that each leave trials open, at steps that chance decides
        source = open_source(durable, study, TRIALS)
        for upto in (None, None, draw.randint(1, 3), None, draw.randint(1, 4)):
            if isinstance(job := source.ask(), Job):
                train(source, job, upto)
    one_by_one(open_source(durable, study, TRIALS))
    tables.append(table(durable, study))
    durable.close()
    assert len(tables[0]) == TRIALS
    assert all(other == tables[0] for other in tables)


OPTUNAS = {
    "tpe": optuna.samplers.TPESampler,
    "tpe+gp": hpo.MixedSampler,
    "random": optuna.samplers.RandomSampler,
    "gp": optuna.samplers.GPSampler,
    "cmaes": optuna.samplers.CmaEsSampler,
    "qmc": optuna.samplers.QMCSampler,
    "grid": optuna.samplers.GridSampler,
    "nsgaii": optuna.samplers.NSGAIISampler,
    "nsgaiii": optuna.samplers.NSGAIIISampler,
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "successive-halving": optuna.pruners.SuccessiveHalvingPruner,
    "patient": optuna.pruners.PatientPruner,
    "threshold": optuna.pruners.ThresholdPruner,
}
OURS = {
    "patient": {"wrapped", "wrapped_options"},
    "hyperband": {"max_resource"},
    "successive-halving": {"min_resource"},
}
PLAIN = ("int", "float", "bool", "int | None", "float | None", "bool | None")
DEPRECATED = {
    "tpe": {"consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints", "warn_independent_sampling"},
    "cmaes": {"sigma0", "inc_popsize", "warn_independent_sampling"},  # the last of each is ours to say
    "gp": {"warn_independent_sampling"},
    "qmc": {"warn_independent_sampling", "warn_asynchronous_seeding"},
}


@pytest.mark.parametrize("name", OPTUNAS)
def test_options_match_installed_optuna(name):
    fields = {**SAMPLERS, **PRUNERS}[name].model_fields
    taken = inspect.signature(OPTUNAS[name]).parameters
    for key, field in fields.items():
        if key not in OURS.get(name, ()):
            default = taken[key].default
            assert field.is_required() if default is inspect.Parameter.empty else field.default == default, key
    plain = {key for key, one in taken.items() if getattr(one.annotation, "__name__", one.annotation) in PLAIN}
    assert plain - {"seed"} - DEPRECATED.get(name, set()) <= set(fields)


BOUNDS = [
    ("sampler", "tpe", {"n_startup_trials": 0, "n_ei_candidates": 1, "multivariate": False, "constant_liar": False}),
    ("sampler", "tpe+gp", {"n_startup_trials": 0}),
    ("sampler", "gp", {"n_startup_trials": 0, "deterministic_objective": True}),
    ("sampler", "cmaes", {"n_startup_trials": 0, "popsize": 4, "consider_pruned_trials": True, "lr_adapt": True}),
    ("sampler", "cmaes", {"popsize": 4, "use_separable_cma": True}),
    ("sampler", "cmaes", {"popsize": 4, "with_margin": True}),
    ("sampler", "qmc", {"qmc_type": "halton"}),
    ("sampler", "nsgaii", {"population_size": 2, "mutation_prob": 0.0, "crossover_prob": 0.0, "swapping_prob": 0.0}),
    ("sampler", "nsgaii", {"population_size": 2, "mutation_prob": 1.0, "crossover_prob": 1.0, "swapping_prob": 1.0}),
    ("sampler", "nsgaiii", {"population_size": 2, "dividing_parameter": 1, "mutation_prob": 0.0}),
    ("pruner", "median", {"n_startup_trials": 0, "n_warmup_steps": 0, "interval_steps": 1, "n_min_trials": 1}),
    ("pruner", "percentile", {"percentile": 0.0}),
    ("pruner", "percentile", {"percentile": 100}),
    ("pruner", "hyperband", {"min_resource": 1, "max_resource": 1, "reduction_factor": 2, "bootstrap_count": 0}),
    ("pruner", "hyperband", {"bootstrap_count": 1}),
    ("pruner", "successive-halving", {"min_resource": 1, "reduction_factor": 2, "bootstrap_count": 1}),
    ("pruner", "patient", {"patience": 0, "min_delta": 0.0, "wrapped": "none"}),
    ("pruner", "threshold", {"lower": 0.2, "upper": 0.2, "n_warmup_steps": 0, "interval_steps": 1}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name", "options"), BOUNDS)
def test_option_bounds_work_in_optuna(tmp_path, curve, kind, name, options):
    space = {"space": COUNTABLE} if "with_margin" in options else {}
    study = curve(search={kind: name, f"{kind}_options": options, "lag": 2}, **space)
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    one_by_one(open_source(durable, study, 12))
    assert len(table(durable, study)) == 12
    durable.close()


def test_pruner_resources_follow_budget(curve):
    study = curve(search={"pruner": "hyperband", "budget": 81})
    assert make_pruner(study)._max_resource == 81
    study = curve(search={"pruner": "successive-halving", "budget": 300})
    assert make_pruner(study)._min_resource == 3


def test_resource_matches_optuna_guess():
    """The contract with successive halving's own guess."""
    study = optuna.create_study(pruner=optuna.pruners.SuccessiveHalvingPruner())
    first, second = study.ask(), study.ask()
    first.report(0.0, 300)
    study.tell(first, 0.0)
    second.report(0.0, 1)
    second.should_prune()
    assert study.pruner._min_resource == 3


@pytest.mark.slow
def test_exhausted_grid_ends_the_search(tmp_path, searched):
    study = searched("grid", "none", lag=2)
    durable = OptunaStudies(f"sqlite:///{tmp_path / 'hpo.db'}", prepare_optuna)
    source = open_source(durable, study, 60)
    one_by_one(source)
    assert source.total == 40
    params = [tuple(sorted(row[2].items())) for row in table(durable, study)]
    assert len(params) == len(set(params)) == 40
    assert not open_source(durable, study, 60).has_work
    durable.close()


def test_qmc_sequence_continues(tmp_path, searched):
    study = searched("qmc", "none", lag=1)
    whole = OptunaStudies(f"sqlite:///{tmp_path / 'whole.db'}", prepare_optuna)
    one_by_one(open_source(whole, study, 9))
    cut = OptunaStudies(f"sqlite:///{tmp_path / 'cut.db'}", prepare_optuna)
    for trials in range(1, 10):
        one_by_one(open_source(cut, study, trials))
    assert table(cut, study) == table(whole, study)
    assert len({row[2]["x"] for row in table(cut, study)}) == 9
    whole.close()
    cut.close()


def test_only_sequence_samplers_keep_seed(searched):
    assert make_sampler(searched("qmc"), 3)._seed == make_sampler(searched("qmc"), 4)._seed
    grids = [make_sampler(searched("grid"), number)._all_grids for number in (3, 4)]
    assert grids[0] == grids[1]
    draws = [make_sampler(searched("random"), number)._rng.rng.random() for number in (3, 4)]
    assert draws[0] != draws[1]
