"""What is wrong with a sampler or a pruner named as `module:Class`, found by `hpo check` and for studies in Python."""

from __future__ import annotations

import re

import pytest

import hpo
from hpo.study.loading import check
from hpo.study.plugins import plugin_problems

WRONG = [
    ({"sampler": "toys.nothing:It"}, "search.sampler", "no module 'toys.nothing' in .* or installed"),
    ({"sampler": "toys.samplers:Climbr"}, "search.sampler", r"expected .* no 'Climbr'\. Did you mean Climber\?"),
    (
        {"sampler": "toys.samplers:Coin"},
        "search.sampler",
        r"expected a class with the base optuna\.samplers\.BaseSampler; Coin has other bases",
    ),
    (
        {"pruner": "toys.samplers:random"},
        "search.pruner",
        r"expected a class with the base optuna\.pruners\.BasePruner; random is of type module",
    ),
    (
        {"sampler": "toys.samplers:Climber", "sampler_options": {"widht": 0.1}},
        "search.sampler_options.widht",
        r"Climber has no such argument \(arguments: width\)\. Did you mean width\?",
    ),
    (
        {"sampler": "toys.samplers:Climber", "sampler_options": {"seed": 3}},
        "search.sampler_options.seed",
        r"hpo gives the seed, which follows from \[search\] sampler_seed; leave it out",
    ),
    ({"pruner": "toys.samplers:Coin"}, "search.pruner_options.chance", "is missing: Coin has no default"),
    (
        {"sampler": "toys.samplers:Raising"},
        "search.sampler",
        r"'toys.samplers:Raising' cannot be made with its options \(none\): ValueError: no licence",
    ),
]


@pytest.mark.parametrize(("search", "key", "message"), WRONG, ids=[f"{key}-{i}" for i, (_, key, _) in enumerate(WRONG)])
def test_problems_of_plugins(curve, search, key, message):
    (found,) = plugin_problems(search, curve().root)
    assert found.key == key
    assert re.search(message, found.message)


def test_check_imports_plugins(tmp_path):
    (tmp_path / "studies").mkdir()
    path = tmp_path / "studies" / "checked.toml"
    (tmp_path / "checked_plugins.py").write_text("def train(x, ctx):\n    yield {'v': x}\n\n\nclass Mine:\n    pass\n")
    path.write_text(
        'name = "checked"\ntrainable = "checked_plugins:train"\nobjective = {metric = "v"}\n'
        'space = {x = {float = [0.0, 1.0]}}\nsearch = {budget = 2, sampler = "checked_plugins:Mine"}\n'
    )
    (found,) = check(path).problems
    assert str(found.message).endswith("optuna.samplers.BaseSampler; Mine has other bases")


def test_plugins_of_python_studies(curve, config):
    study = curve(search={"sampler": "toys.nothing:It"})
    with pytest.raises(hpo.StudyInvalid, match=r"search\.sampler +no module 'toys\.nothing'"):
        hpo.run(study, config)
    assert not (config.outputs.parent / "hpo.db").exists()


def test_no_table_is_no_plugin(tmp_path):
    assert list(plugin_problems(3, tmp_path)) == list(plugin_problems({"sampler": 3}, tmp_path)) == []
