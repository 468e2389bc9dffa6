"""Where a block of results goes, and what is never touched."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import UserDict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpo.core.errors import HpoError, OutputRefused
from hpo.results import Winner, require_writable, write_results
from hpo.results.block import _start

Make = Callable[..., Winner]
FAST = {"density": False, "epochs": 2}  # no predictions and small pictures, where the place is what is tested


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Returns every file's bytes and time of change."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replicates_become_results_7_8_9(make: Make, tmp_path: Path) -> None:
    places = write_results(tmp_path / "out", make(**FAST))
    assert places == tuple(tmp_path / "out" / f"results_{number}" for number in (7, 8, 9))
    seeds = [json.loads((place / "summary.json").read_text())["seed"] for place in places]
    assert seeds == [42, 43, 44]
    assert names(tmp_path / "out") == ["results_7", "results_8", "results_9"]


def test_a_second_call_writes_nothing(make: Make, tmp_path: Path) -> None:
    winner = make(**FAST)
    first = write_results(tmp_path / "out", winner)
    before = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "work")  # not even the trainings' files are needed any more
    assert write_results(tmp_path / "out", winner) == first
    assert contents(tmp_path / "out") == before


@pytest.mark.slow
def test_deleted_members_are_restored(make: Make, tmp_path: Path) -> None:
    out, winner = tmp_path / "out", make(epochs=3)
    write_results(out, winner)
    before = contents(out)
    shutil.rmtree(out / "results_8")
    write_results(out, winner)
    after = contents(out)
    assert after.keys() == before.keys()
    for path in before:
        assert before[path][0] == after[path][0]
        assert (before[path] == after[path]) == (not path.startswith("results_8"))


def test_the_first_member_is_restored_too(make: Make, tmp_path: Path) -> None:
    winner = make(**FAST)
    write_results(tmp_path, winner, first=20)
    shutil.rmtree(tmp_path / "results_20")
    assert write_results(tmp_path, winner, first=7)[0] == tmp_path / "results_20"


@pytest.mark.slow
def test_another_winner_uses_the_next_block(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_results(out, make(**FAST))
    before = contents(out)
    places = write_results(out, make(trial=3, **FAST))
    assert [place.name for place in places] == ["results_10", "results_11", "results_12"]
    assert {path: found for path, found in contents(out).items() if path in before} == before


@pytest.mark.slow
def test_other_seeds_are_another_block(make: Make, tmp_path: Path) -> None:
    write_results(tmp_path / "out", make(**FAST))
    places = write_results(tmp_path / "out", make(seeds=(42, 43, 44, 45, 46), **FAST))
    assert [place.name for place in places] == [f"results_{number}" for number in range(12, 17)]


def test_another_rule_keeps_the_block(make: Make, tmp_path: Path) -> None:
    first = write_results(tmp_path / "out", make(**FAST))
    assert write_results(tmp_path / "out", make(changes={"lambda_": 2.0, "score": -1.0}, **FAST)) == first


@pytest.mark.slow
def test_another_study_is_another_block(make: Make, tmp_path: Path) -> None:
    write_results(tmp_path / "out", make(**FAST))
    assert write_results(tmp_path / "out", make(changes={"uid": "v"}, **FAST))[0].name == "results_10"


def test_partly_used_blocks_are_skipped(make: Make, tmp_path: Path) -> None:
    (tmp_path / "results_8").mkdir()
    (tmp_path / "results_12").write_text("a file of the user's")
    os.symlink("nowhere", tmp_path / "results_13")
    places = write_results(tmp_path, make(**FAST))
    assert [place.name for place in places] == ["results_16", "results_17", "results_18"]
    assert not any((tmp_path / "results_8").iterdir())
    assert (tmp_path / "results_12").read_text() == "a file of the user's"


@pytest.mark.slow
def test_a_used_place_moves_the_block(make: Make, tmp_path: Path) -> None:
    winner = make(**FAST)
    write_results(tmp_path, winner)
    shutil.rmtree(tmp_path / "results_8")
    (tmp_path / "results_8").write_text("mine")
    assert [place.name for place in write_results(tmp_path, winner)] == ["results_10", "results_11", "results_12"]
    assert (tmp_path / "results_8").read_text() == "mine"
    (tmp_path / "results_8").unlink()
    assert write_results(tmp_path, winner)[0].name == "results_10"  # the whole block, not the one with a gap


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["{", "", "[]", "null", '{"hpo": 1}', '{"hpo": {"block": 7, "member": "x"}}', "\ud800", "[" * 100_000]
)
def test_foreign_summaries_are_left_alone(make: Make, tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    (out / "results_7").mkdir(parents=True)
    (out / "results_7" / "summary.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    before = contents(out)
    assert write_results(out, make(**FAST))[0].name == "results_10"
    assert contents(out).items() >= before.items()


def test_hostile_entries_are_left_alone(make: Make, tmp_path: Path) -> None:
    for name in (
        "results_x",
        "results_",
        "results_07",
        "results_7.bak",
        "results",
        "results_\N{ARABIC-INDIC DIGIT SEVEN}",
        "results_-1",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "results_9").mkdir()
    (tmp_path / "results_9" / "summary.json").mkdir()
    (tmp_path / "results_10").mkdir()
    os.mkfifo(tmp_path / "results_10" / "summary.json")  # to read it would never end
    assert write_results(tmp_path, make(**FAST))[0].name == "results_13"


@pytest.mark.slow
def test_renamed_copies_are_left_alone(make: Make, tmp_path: Path) -> None:
    winner = make(**FAST)
    first = write_results(tmp_path, winner)
    shutil.copytree(tmp_path / "results_7", tmp_path / "results_1")
    assert write_results(tmp_path, winner) == first
    shutil.rmtree(tmp_path / "results_7")
    shutil.rmtree(tmp_path / "results_8")
    shutil.rmtree(tmp_path / "results_9")
    assert write_results(tmp_path, winner) == first


def test_the_fullest_block_is_continued() -> None:
    assert _start({7: 0, 10: 0, 11: 1}, 3, 7) == 10
    assert _start({7: 0, 8: None, 9: 2}, 3, 7) == 10
    assert _start({}, 1, 7) == 7
    assert _start({7: None, 8: None}, 1, 7) == 9


def test_leftovers_of_writers_are_removed(make: Make, tmp_path: Path) -> None:
    for name in (f".results_8.{os.getpid()}", ".results_7.1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best_model.pt").write_text("half")
    (tmp_path / ".results_notes").mkdir()
    write_results(tmp_path, make(**FAST))
    assert [name for name in names(tmp_path) if name.startswith(".")] == [".results_notes"]


def test_missing_files_write_nothing(make: Make, tmp_path: Path) -> None:
    winner = make(**FAST)
    shutil.rmtree(winner.evaluations[2].files or "")
    with pytest.raises(HpoError, match="the files of trial 14 seed 44 are missing"):
        write_results(tmp_path / "out", winner)
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("name", ["best_model.pt", "predictions.npz"])
def test_missing_artifacts_write_nothing(make: Make, tmp_path: Path, name: str) -> None:
    winner = make(epochs=2)
    (Path(winner.evaluations[1].files or "") / name).unlink()
    with pytest.raises(HpoError, match=rf"seed 43 produced .*{name} is missing"):
        write_results(tmp_path / "out", winner)
    assert names(tmp_path / "out") == []


def test_damaged_predictions_write_nothing(make: Make, tmp_path: Path) -> None:
    winner = make(epochs=2)
    (Path(winner.evaluations[1].files or "") / "predictions.npz").write_bytes(b"no archive at all")
    with pytest.raises(HpoError, match="the predictions of trial 14 seed 43 cannot be read"):
        write_results(tmp_path / "out", winner)
    assert names(tmp_path / "out") == []


def test_foreign_predictions_are_refused(make: Make, tmp_path: Path) -> None:
    winner = make(epochs=2)
    one, other = (Path(evaluation.files or "") / "predictions.npz" for evaluation in winner.evaluations[:2])
    shutil.copyfile(other, one)
    with pytest.raises(HpoError, match="is not what trial 14 seed 42 produced"):
        write_results(tmp_path / "out", winner)


def test_a_failed_write_leaves_nothing(make: Make, tmp_path: Path) -> None:
    winner = make(changes={"project": {"command_line": "\ud800"}}, **FAST)  # cannot be encoded
    with pytest.raises(UnicodeEncodeError):
        write_results(tmp_path / "out", winner)
    assert names(tmp_path / "out") == []


def test_a_file_in_the_way_is_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("not a folder")
    for folder in (tmp_path / "outputs", tmp_path / "outputs" / "unet"):
        with pytest.raises(OutputRefused, match=rf"cannot write in {folder}: .*; choose another folder"):
            write_results(folder, make(**FAST))
        with pytest.raises(OutputRefused, match=rf"cannot write in {folder}: "):
            require_writable(folder)
    assert (tmp_path / "outputs").read_text() == "not a folder"


def test_a_broken_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outputs").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputRefused):
        require_writable(tmp_path / "outputs" / "unet")


@pytest.mark.parametrize("rights", [0o500, 0o000])
def test_a_read_only_folder_is_refused(make: Make, tmp_path: Path, rights: int) -> None:
    winner, out, user = make(**FAST), tmp_path / "out", os.geteuid()
    out.mkdir()
    out.chmod(rights)
    if user == 0:  # root can write anywhere
        os.seteuid(65534)
    try:
        for folder in (out, out / "unet" / "deep"):
            with pytest.raises(OutputRefused, match="Permission denied"):
                require_writable(folder)
            with pytest.raises(OutputRefused, match="Permission denied"):
                write_results(folder, winner)
    finally:
        os.seteuid(user)
        out.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files, even from root")
def test_a_read_only_file_system_is_refused(make: Make) -> None:
    with pytest.raises(OutputRefused):
        require_writable(Path("/proc/outputs"))
    with pytest.raises(OutputRefused):
        write_results(Path("/proc/outputs"), make(**FAST))


def test_a_name_too_long_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match="File name too long"):
        require_writable(tmp_path / ("x" * 300))
    with pytest.raises(OutputRefused, match="File name too long"):
        write_results(tmp_path / ("x" * 300), make(**FAST))


def test_a_writable_folder_stays_unchanged(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    require_writable(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.slow
def test_concurrent_writers_do_not_collide(make: Make, tmp_path: Path) -> None:
    winners = [make(trial=trial, seeds=(42, 43), **FAST) for trial in (1, 2, 1, 3)]
    places: dict[int, tuple[Path, ...]] = {}

    def write(index: int) -> None:
        places[index] = write_results(tmp_path / "out", winners[index])

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places[0] == places[2]
    assert names(tmp_path / "out") == sorted(f"results_{number}" for number in range(7, 13))
    for index, winner in enumerate(winners):
        for place, evaluation in zip(places[index], winner.evaluations, strict=True):
            found = json.loads((place / "summary.json").read_text())
            assert (found["hpo"]["trial"], found["seed"]) == (evaluation.job.trial, evaluation.job.seed)


def test_a_place_taken_late_moves_the_block(make: Make, tmp_path: Path) -> None:
    class Rival(UserDict[str, object]):
        """Project facts that take a place while they are being written."""

        def __iter__(self) -> Iterator[str]:
            (tmp_path / "results_9").mkdir(exist_ok=True)
            return super().__iter__()

    winner = make(changes={"project": Rival(git_commit="abc")}, **FAST)
    assert write_results(tmp_path, winner)[0].name == "results_10"
    assert names(tmp_path) == ["results_10", "results_11", "results_12", "results_9", "work"]
    assert not any((tmp_path / "results_9").iterdir())
