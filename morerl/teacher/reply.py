"""What a teacher is: a function from a sample and the messages it is shown to a reply."""

from __future__ import annotations

from collections.abc import Callable

from morerl.prompts.render import Messages
from morerl.schema import Frozen, Sample


class Reply(Frozen):
    """One answer of a teacher, with what is known of how it came about."""

    text: str
    model: str
    finish_reason: str = "stop"
    usage: dict[str, int] = {}


Teacher = Callable[[Sample, Messages], Reply]
