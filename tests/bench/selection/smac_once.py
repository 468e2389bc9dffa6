"""One run of SMAC3 on a table, in an environment of its own: `python smac_once.py TABLE.npz BUDGET SEED`.

It needs smac==2.4.1 and nothing of this project. Prints the row that SMAC3 ends with, and how many seeds it used.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
from ConfigSpace import Categorical, Configuration, ConfigurationSpace, Integer
from smac import HyperparameterOptimizationFacade as Facade
from smac import Scenario


def main() -> None:
    """Runs it."""
    file, budget, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with np.load(file) as stored:
        scores_CS, order, space = stored["scores"], list(stored["order"]), json.loads(str(stored["space"]))
    sizes = [len(values) for values in space.values()]
    known: dict[int, int] = {}

    def row(config: Configuration) -> int:
        places = [
            values.index(config[name]) if isinstance(values[0], str) else int(config[name])
            for name, values in space.items()
        ]
        return int(np.ravel_multi_index(places, sizes))

    worst = -float(np.nanmin(scores_CS))

    def cost(config: Configuration, seed: int) -> float:
        column = order[known.setdefault(seed, len(known)) % len(order)]  # its seeds, in the order in which it asks
        score = float(scores_CS[row(config), column])
        return worst if math.isnan(score) else -score  # an exception in the first training would end SMAC3

    params = [
        Categorical(name, values) if isinstance(values[0], str) else Integer(name, (0, len(values) - 1))
        for name, values in space.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            ConfigurationSpace(space={param.name: param for param in params}),
            deterministic=False,
            n_trials=budget,
            seed=seed,
            output_directory=Path(folder),
        )
        facade = Facade(
            scenario,
            cost,
            intensifier=Facade.get_intensifier(scenario, max_config_calls=min(3, len(order))),
            overwrite=True,
            logging_level=False,
        )
        facade._optimizer.save = lambda: None  # it writes all trials to the disk after each one
        found = facade.optimize()
        if hasattr(facade._runner, "close"):  # with several workers the interpreter waits for a minute as it ends
            facade._runner.close(force=True)
    found = found[0] if isinstance(found, list) else found
    print(json.dumps({"row": row(found), "seeds": len(known), "configurations": len(facade.runhistory.get_configs())}))


if __name__ == "__main__":
    main()
