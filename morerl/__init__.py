"""Train and run vision-language models that say, with reasons, how things in a picture and a text are related.

`from morerl import Extractor` is what most programs need; it is imported when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from morerl.extract.extractor import Extractor

__all__ = ["Extractor"]


def __getattr__(name: str) -> object:
    if name == "Extractor":
        from morerl.extract.extractor import Extractor

        return Extractor
    raise AttributeError(f"module 'morerl' has no attribute {name!r}")
