"""The study is sound, it trains, and the same seed gives the same result."""

from pathlib import Path

import hpo

STUDY = Path(__file__).parents[1] / "studies" / "tumours.toml"


def searched(folder: Path) -> list[float | None]:
    """Returns the values that a search of two trials finds, kept in a folder of its own."""
    folder.mkdir()
    config = hpo.RunConfig(storage=f"sqlite:///{folder / 'hpo.db'}", outputs=folder / "outputs", backend="local")
    return [trial.value for trial in hpo.run(hpo.load_study(str(STUDY)), config, trials=2).trials]


def test_the_study_has_no_problems() -> None:
    """As `hpo check` says."""
    assert hpo.check(str(STUDY)).problems == ()


def test_a_search_learns_and_finds_the_same_again(tmp_path: Path) -> None:
    """Bit for bit: all randomness comes from ctx.streams."""
    first, again = searched(tmp_path / "first"), searched(tmp_path / "again")
    assert first == again
    assert max(value for value in first if value is not None) > 0.5  # 0 is guessing, 1 is never wrong
