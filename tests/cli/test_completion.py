"""The shell completes commands, options and the names of studies: by the protocol that its script uses, and in bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "project"
ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash")


@pytest.fixture
def folder(tmp_path):
    """A folder with studies, and `hpo` as installers make it; what is wrong with a study is no matter here."""
    program = tmp_path / "bin" / "hpo"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom hpo.cli import main\nmain()\n")
    program.chmod(0o755)
    for name in ("studies/curve", "studies/curtain", "studies/.hidden", "studies/digits", "other/curious"):
        path = tmp_path / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text("not TOML")
    return tmp_path


def environment(folder, **more):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HPO_")}
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**clean, "PYTHONPATH": str(ROOT), "PATH": path, "HOME": str(folder), **more}


def completed(folder, line, **more):
    """Returns what is offered for the last word of a line, asked as the script for bash asks."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_HPO_COMPLETE": "complete_bash"}
    done = subprocess.run(
        ["hpo"], cwd=folder, env=environment(folder, **words, **more), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hpo run --study cu", ["curtain", "curve"]),
        ("hpo promote --trials 3 -s ", ["curtain", "curve", "digits"]),
        ("hpo run --study nothing", []),
        ("hpo run --studies other --study ", ["curious"]),
        ("hpo run --studies other --studies studies --study cur", ["curious", "curtain", "curve"]),
        ("hpo run --studies nowhere --study ", []),
        ("hpo status --study dig", ["digits"]),
        ("hpo seeds replay --study dig", ["digits"]),
        ("hpo run dig", ["digits"]),
        ("hpo promo", ["promote"]),
        ("hpo run --backend l", ["local"]),
    ],
)
def test_names_are_offered(folder, line, offered):
    assert completed(folder, line) == offered


def test_completion_reads_env_folders(folder):
    assert completed(folder, "hpo check --study ", HPO_STUDIES=f"other{os.pathsep}nowhere") == ["curious"]


def test_completion_loads_nothing_heavy(folder):
    """Nor are packages that bring studies imported, which are code of others and may be slow, or print."""
    (folder / "site" / "brought-1.0.dist-info").mkdir(parents=True)
    (folder / "site" / "brought-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\n")
    (folder / "site" / "brought-1.0.dist-info" / "entry_points.txt").write_text("[hpo.studies]\nbrought = brought\n")
    (folder / "site" / "brought.py").write_text("print('brought')\n__path__ = []\n")
    code = (
        "import atexit, sys\n"
        "sys.path.insert(0, 'site')\n"
        "heavy = ('torch', 'ray', 'optuna', 'sqlalchemy', 'numpy', 'hpo.api', 'hpo.study.loading')\n"
        "atexit.register(lambda: print(*[name for name in heavy if name in sys.modules], 'end'))\n"
        "sys.argv = ['hpo']\n"
        "from hpo.cli import main\n"
        "main()\n"
    )
    words = {"COMP_WORDS": "hpo run --study cur", "COMP_CWORD": "3", "_HPO_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(folder, **words),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["curtain", "curve", "end"], done.stderr


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_completion_works_in_bash(folder):
    script = subprocess.run(
        [BASH, "-c", "hpo --show-completion; true"], env=environment(folder), capture_output=True, text=True, check=True
    ).stdout
    assert "complete -o default -F _hpo_completion hpo" in script
    typed = "COMP_WORDS=(hpo run --study cur); COMP_CWORD=3; _hpo_completion hpo; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        [BASH, "-c", f"{script}\n{typed}"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["curtain", "curve"]


@pytest.mark.skipif(BASH is None, reason="there is no bash")
def test_install_writes_to_home(folder):
    done = subprocess.run(
        [BASH, "-c", "hpo --install-completion; true"],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "bash completion installed in" in done.stdout
    assert "_hpo_completion" in (folder / ".bash_completions" / "hpo.sh").read_text()
