"""How an exported model is asked: its guidelines, and morerl.yaml, which names them and holds what shapes a prompt.

morerl.yaml is a config like any other, so that `morerl predict` and `morerl benchmark` read it; it holds no path of the
machine that the model was trained on.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import yaml

from morerl.data_settings import ALONE
from morerl.guidelines import guideline_file, load_spec
from morerl.jsonl import write_text
from morerl.runs import EXPORTED
from morerl.settings import Settings

ASKED = ("images", "prompt", "generate")
HEAD = f"""\
# How this model is asked, as it was trained. To answer samples of your own:
# morerl predict {{name}}/{EXPORTED} predict.model={{name}} data.dir=FOLDER data.image_root=FOLDER run.dir=FOLDER
"""


def write_asked(settings: Settings, out: Path, name: str) -> None:
    """Writes guidelines.yaml, or guidelines/<corpus>.yaml of each, and morerl.yaml into `out`, a folder to be `name`.

    Raises ConfigError or DataError for a guideline that cannot be found.
    """
    named = {corpus: _copied(one.guidelines, corpus, out) for corpus, one in settings.data.each.items()}
    tree = settings.model_dump(mode="json")
    asked = {"run": {"dir": f"runs/{name}"}, "data": _data(named, settings)}
    asked |= {section: tree[section] for section in ASKED}
    asked["model"] = {key: tree["model"][key] for key in ("dtype", "attention")}
    body = yaml.safe_dump(asked, sort_keys=False, allow_unicode=True)
    write_text(out / EXPORTED, [HEAD.format(name=shlex.quote(name)), body])


def _copied(guideline: str, corpus: str, out: Path) -> str:
    """The guideline's file, copied; its path in the folder."""
    inside = "guidelines.yaml" if corpus == ALONE else f"guidelines/{corpus}.yaml"
    load_spec(guideline)  # what cannot be read is said here
    (out / inside).parent.mkdir(exist_ok=True)
    shutil.copyfile(guideline_file(guideline), out / inside)
    return inside


def _data(named: dict[str, str], settings: Settings) -> dict[str, Any]:
    corpora = {corpus: {"dir": f"data/{corpus}", "guidelines": path} for corpus, path in named.items()}
    where = corpora[ALONE] | {"dir": "data"} if ALONE in corpora else {"corpora": corpora}
    return where | {"max_prompt_tokens": settings.data.max_prompt_tokens}
