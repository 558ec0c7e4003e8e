"""inspect-ai, spaCy, trackio and wandb where the test set-up has put them: apart from what trains.

They stand in .venv/extras (see the Makefile) because TRL imports every tracker that it finds, on every start.
"""

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / ".venv" / "extras"
PATH = [*sys.path, str(FOLDER)]


def needs(*names):
    """Skips a test without these packages."""
    missing = [name for name in names if PathFinder.find_spec(name, PATH) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} cannot be had: `make .venv/extras/ready` says why")


def imported(name, monkeypatch):
    """The module, in this process; what trains here looks for its trackers after the test and does not find them."""
    needs(name.partition(".")[0])
    monkeypatch.setattr(sys, "path", PATH)
    return import_module(name)


def environment(home):
    """For a process that finds them, with nobody's settings and keys, and HOME where what is written is seen."""
    home.mkdir()
    kept = {"PATH": os.defpath, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(FOLDER)}


def command(name):
    """The program of that name that a package of theirs brings, for this interpreter."""
    beside = Path(sys.executable).parent / name
    return [str(beside)] if beside.is_file() else [sys.executable, str(FOLDER / "bin" / name)]
