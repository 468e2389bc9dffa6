"""The study is valid, it trains, and the same seed gives the same result."""

from pathlib import Path

import hpo

STUDY = Path(__file__).parents[1] / "studies" / "tumours.toml"


def search(folder: Path) -> list[float | None]:
    """Returns the values of a search of two trials, stored in a folder of its own."""
    folder.mkdir()
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    return [trial.value for trial in hpo.run(hpo.load_study(str(STUDY)), config, trials=2).trials]


def test_the_study_has_no_problems() -> None:
    """The same check as `hpo check`."""
    assert hpo.check(str(STUDY)).problems == ()


def test_search_learns_and_repeats(tmp_path: Path) -> None:
    """Two searches give the same bits, because all randomness comes from ctx.streams."""
    first, again = search(tmp_path / "first"), search(tmp_path / "again")
    assert first == again
    assert max(value for value in first if value is not None) > 0.5  # 0 is guessing, 1 is perfect
