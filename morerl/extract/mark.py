"""What an extraction hangs on, as a mark: an interrupted file is gone on with only under the same one."""

from __future__ import annotations

from pathlib import Path

from morerl.extract.answerers import How
from morerl.extract.wanted import Wanted
from morerl.partial import fingerprint
from morerl.runs import model_marks, sha256
from morerl.settings import PromptSettings


def weights_of(path_or_id: str | Path) -> list[str]:
    """What tells the files of a model's folder from others put in their place; of a hub id nothing."""
    files = sorted(Path(path_or_id).glob("*.safetensors"))
    stats = [(path.name, path.stat()) for path in files]
    return [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats] + [
        sha256(one) for one in model_marks(path_or_id)
    ]


def mark_of(where: str | Path, model: list[str], given: Wanted, prompt: PromptSettings, how: How, window: int) -> str:
    """Of the model or server, what is asked, how it is worded and shown, and where pictures lie.

    A folder is the same one however its path is written.
    """
    specs = [spec.model_dump() for spec in given if spec is not None]
    asked = (prompt.model_dump(), how.images.model_dump(), str(how.image_root.resolve()), how.max_new_tokens, window)
    place = Path(where).resolve() if Path(where).is_dir() else where
    return fingerprint(str(place), model, specs, asked)
