"""The driver of `tests.bench.slots`: `python -m tests.bench.napping ADDRESS FOLDER` answers with begins and ends."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import hpo
from hpo.store import Store
from tests.bench.channel import serve
from tests.bench.driver import CONCURRENCY, study_of


def main() -> None:
    """Serves."""
    address, folder = sys.argv[1], Path(sys.argv[2])
    numbers = itertools.count()

    def answer(count: int) -> dict[str, object]:
        config = folder / str(next(numbers))
        config.mkdir()
        url = f"sqlite:///{config / 'hpo.db'}"
        study = study_of(1, count, "tests.bench.toys:nap", lag=False)
        hpo.run(
            study, hpo.RunConfig(storage=url, outputs=config / "outputs", ray_address=address, concurrency=CONCURRENCY)
        )
        store = Store(url)
        stored = store.find(study.name)
        assert stored is not None
        metrics = [evaluation.metrics for evaluation in store.evaluations(stored)]
        store.close()
        return {"naps": [[one["begin"], one["end"], one["worker"]] for one in metrics]}

    serve(answer)


if __name__ == "__main__":
    main()
