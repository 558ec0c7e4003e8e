"""A run folder: what made it, which stage is done, and whether a stage may go on in it.

<run.dir>/<stage>/config.yaml   the resolved settings
<run.dir>/<stage>/run.json      git revision, library versions, seed, hashes of the input files
<run.dir>/<stage>/done.json     written last, when the stage has ended well
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import time
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from morerl.config import dump_settings
from morerl.errors import ConfigError, DataError
from morerl.jsonl import write_json, write_text
from morerl.settings import Settings

SHARED = ("data", "images", "prompt", "model", "generate")
EXPORTED = "morerl.yaml"  # of an exported folder: how its model is asked
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "pillow")


def begin(
    settings: Settings,
    stage: str,
    inputs: list[Path],
    *,
    relevant: dict[str, Any] | None = None,
    accept: bool = False,
    remedy: str = "",
) -> dict[str, Any] | None:
    """Opens a stage's folder; returns its result if the stage is already done, else None.

    `relevant` settings are those that change what the stage makes; None: the sections SHARED and the stage's own.
    Raises ConfigError if the folder holds the work of other settings (naming what changed, and the `remedy`) and
    `accept` does not say that this is known, and DataError if an input file is missing.
    """
    folder = settings.run.dir / stage
    record = _record(settings, stage, inputs, relevant)
    old = read_json(folder / "run.json")
    if old is not None and not (accept and changes(old, record)):
        _refuse_other(folder, old, record, remedy)
        done = read_json(folder / "done.json")
        if done is not None:
            return done
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "done.json").unlink(missing_ok=True)
    write_text(folder / "config.yaml", [dump_settings(settings)])
    write_json(folder / "run.json", record)
    return None


def metrics_file(predictions: Path) -> Path:
    """Where the figures of a file of predictions lie: beside it, under its name without .jsonl."""
    stem = predictions.stem if predictions.suffix in (".jsonl", ".json") else predictions.name
    return predictions.with_name(f"{stem}.metrics.json")


def model_marks(model: Path | str) -> list[Path]:
    """The small file that tells one trained model from another, as an input; none for a model from elsewhere."""
    mark = Path(model) / "dev.json"
    return [mark] if mark.is_file() else []


def latest_model(run_dir: Path) -> Path:
    """The model of the latest stage of a run, whether it is there or not."""
    stage = "grpo" if (run_dir / "grpo" / "model").is_dir() else "sft"
    return run_dir / stage / "model"


def model_of(path: Path | str) -> Path | str:
    """The model of the latest stage where the path is a run's folder; else the path itself, or the hub id."""
    folder = Path(path)
    is_model = any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))
    return latest if not is_model and (latest := latest_model(folder)).is_dir() else path


def settings_file(model: Path | str) -> Path | None:
    """The settings a model is asked by: in an exported folder, or beside <run.dir>/<stage>/model; None elsewhere."""
    folder = Path(model)
    places = (folder / EXPORTED, folder.parent / "config.yaml") if folder.is_dir() else ()
    return next((path for path in places if path.is_file()), None)


def reasoning_files(settings: Settings) -> list[Path]:
    """The files of chains that SFT learns from."""
    named = settings.sft.reasoning or settings.run.dir / "reasoning.jsonl"
    return [named] if isinstance(named, Path) else list(named)


def finish(settings: Settings, stage: str, result: dict[str, Any]) -> dict[str, Any]:
    """Marks a stage as done and returns its result."""
    write_json(settings.run.dir / stage / "done.json", result)
    return result


def _record(settings: Settings, stage: str, inputs: list[Path], relevant: dict[str, Any] | None) -> dict[str, Any]:
    tree = settings.model_dump(mode="json")
    if relevant is None:
        relevant = {name: tree[name] for name in (*SHARED, stage) if name in tree}
        relevant["data"] = _without_guidelines(tree["data"])
    relevant = relevant | {"seed": settings.run.seed}
    return {
        "stage": stage,
        "seed": settings.run.seed,
        "settings": relevant,
        "inputs": {name: sha256(path) for name, path in _by_name(inputs).items()},
        "git": _git_revision(),
        "python": platform.python_version(),
        "versions": _versions(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _without_guidelines(data: dict[str, Any]) -> dict[str, Any]:
    """The section data without the guidelines' paths: the files themselves are inputs, whichever way they are named."""
    kept = {name: value for name, value in data.items() if name != "guidelines"}
    corpora = kept.get("corpora")
    return kept | ({"corpora": {n: _without_guidelines(one) for n, one in corpora.items()}} if corpora else {})


def _by_name(inputs: list[Path]) -> dict[str, Path]:
    """The files by the end of their path, so that a run may be moved; those that end alike by all of it."""
    ends = Counter("/".join(path.parts[-3:]) for path in inputs)
    return {end if ends[end] == 1 else str(path): path for path in inputs for end in ["/".join(path.parts[-3:])]}


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two records of run.json, a line each: settings and inputs."""
    before, now = (flatten({"settings": r["settings"], "inputs": r["inputs"]}) for r in (old, new))
    keys = before.keys() | now.keys()
    # {} -> {a: 1} is told by a alone
    parents = {key for key in keys if any(other.startswith(f"{key}.") for other in keys)}
    changed = sorted(key for key in keys - parents if before.get(key) != now.get(key))
    return [f"{key}: {before.get(key)!r} -> {now.get(key)!r}" for key in changed]


def _refuse_other(folder: Path, old: dict[str, Any], new: dict[str, Any], remedy: str) -> None:
    if changed := changes(old, new):
        raise ConfigError(
            f"{folder} was made with other settings or inputs:\n"
            + "\n".join(f"  {line}" for line in changed[:10])
            + f"\n{remedy or f'Delete {folder} to start this stage anew'}, or choose another run.dir."
        )


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object of a file, or None where it is missing or torn."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def how_to_make(path: Path) -> str:
    """What makes a file that a stage reads and does not find, by the file's name."""
    if path.name in ("train.jsonl", "dev.jsonl", "test.jsonl"):
        return f"make it: python tools/prepare_corpus.py FORMAT RAW --out {path.parent}"
    if "rated" in path.name:
        return "run `morerl rate` first"
    if "reasoning" in path.name:
        return "make it: python tools/build_reasoning.py CONFIG; or name your own in sft.reasoning"
    return "which stage makes it stands in `morerl --help`"


def sha256(path: Path) -> str:
    """Hash of a file's bytes. Raises DataError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; {how_to_make(path)}") from error
    return digest.hexdigest()


def _git_revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
