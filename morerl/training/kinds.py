"""Values of TRL's options against the kinds that its configs declare: nothing there looks at them before they are used.

Left out on purpose: what a number or a name may be, which TRL says itself, and a switch where a name is declared, which
TRL takes in places (scale_rewards: false).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from morerl.errors import ConfigError


def check_kinds(kind: type[Any], options: Mapping[str, Any]) -> None:
    """Raises ConfigError for a value of another kind than the dataclass `kind` declares, naming the option."""
    declared = get_type_hints(kind)
    for name, value in options.items():
        wanted = declared[name]
        if isinstance(value, bool) and (wanted is str or str in get_args(wanted)):
            continue
        try:
            TypeAdapter(wanted, config=ConfigDict(strict=True, arbitrary_types_allowed=True)).validate_python(value)
        except ValidationError as error:
            raise ConfigError(f"trainer.{name}: want {_plain(wanted)}, found {value!r}") from error


def _plain(wanted: Any) -> str:
    return wanted.__name__ if isinstance(wanted, type) else str(wanted).replace("typing.", "")
