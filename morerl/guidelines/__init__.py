"""The annotation guidelines: one YAML file per corpus, read into a `TaskSpec`.

The packaged ones are known by their name; a guideline of one's own is given by the path of its file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml
from pydantic import ValidationError

from morerl.errors import ConfigError, DataError
from morerl.task import TaskSpec

_PACKAGED = Path(__file__).parent
_SUFFIXES = (".yaml", ".yml")


def known_specs() -> tuple[str, ...]:
    """Names of the packaged guidelines, sorted."""
    return tuple(sorted(path.stem for path in _PACKAGED.glob("*.yaml")))


def load_spec(name_or_path: str) -> TaskSpec:
    """The task a guideline describes: a packaged name (`more`) or the path of a YAML file.

    A file is read once per process. Raises ConfigError for a name that is not packaged, DataError
    (naming file and key) for a file that cannot be read, is not YAML or does not fit TaskSpec.
    """
    return _read(guideline_file(name_or_path))


def guideline_file(name_or_path: str) -> Path:
    """The YAML file of a guideline. Raises ConfigError as `load_spec` does."""
    if name_or_path in known_specs():
        return _PACKAGED / f"{name_or_path}.yaml"
    try:
        path = Path(name_or_path).expanduser()
    except RuntimeError as error:  # ~nobody
        raise ConfigError(f"{name_or_path}: {error}") from error
    if path.suffix.lower() in _SUFFIXES or path.is_file():
        return path.resolve()
    raise ConfigError(
        f"no guideline is called {name_or_path!r}; known names: {', '.join(known_specs())}. "
        "A guideline of your own is given as the path of its .yaml file"
    )


@cache
def _read(path: Path) -> TaskSpec:
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the guideline {path}: {error.strerror}") from error
    # ValueError: bad UTF-8 and impossible dates or numbers; RecursionError: brackets nested without end.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"the guideline {path} is not valid YAML: {error}") from error
    try:
        return TaskSpec.model_validate(fields)
    except ValidationError as error:
        raise DataError(f"{path}: {_first_problem(error, fields)}") from error


def _first_problem(error: ValidationError, fields: object) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) + _label_name(first["loc"], fields)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{where + ': ' if where else ''}{first['msg']}{more}"


def _label_name(where: tuple[int | str, ...], fields: object) -> str:
    """` (Cause-Effect)` for a problem inside that label: nobody counts list items by hand."""
    if len(where) < 2 or where[0] != "labels" or not isinstance(fields, dict) or not isinstance(fields["labels"], list):
        return ""
    label = fields["labels"][where[1]]
    return f" ({label['name']})" if isinstance(label, dict) and "name" in label else ""
