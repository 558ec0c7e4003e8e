"""What a reply of /v1/chat/completions says. A server may send anything: nothing of its shape is taken for granted.

Reasoning that a server keeps apart from the answer is put back in front of it. Left out on purpose: tool calls, log
probabilities, audio.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
MOST_TOKENS = 10**12  # a larger count is nonsense, and too large for a file of another language
MOST_NAME = 200  # characters of a model's name or a finish reason


class Answer(NamedTuple):
    """A reply with choices, and what it took to get it."""

    texts: list[str]  # one a choice; "" where it says nothing
    finish_reasons: list[str]  # one a choice; "" where the server gives none
    model: str  # as returned, else as asked for
    usage: dict[str, int]  # of COUNTS, those the server tells; of this reply alone
    tries: int = 1  # requests sent, this one included
    lost: int = 0  # of those, failed ones that the server may charge for
    silence: str | None = None  # why a text is "", in words fit for a log


class Unreadable(NamedTuple):
    """A reply without choices."""

    reason: str  # bad_json | no_choices
    detail: str


def read_answer(data: bytes, model: str) -> Answer | Unreadable:
    """The answer in the body of a reply to a request for `model`. Never raises."""
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        return Unreadable("bad_json", "a reply that is no whole JSON")
    fields = _mapping(reply)
    choices = fields.get("choices")
    if not isinstance(choices, list) or not choices:
        told = _mapping(fields.get("error")).get("message")
        return Unreadable("no_choices", told if isinstance(told, str) and told else "a reply without choices")
    texts = [said(_mapping(choice).get("message")) for choice in choices]
    return Answer(
        texts=texts,
        finish_reasons=[_name(_mapping(choice).get("finish_reason")) for choice in choices],
        model=_name(fields.get("model")) or model,
        usage=_usage(_mapping(fields.get("usage"))),
        silence=why_silent(choices[texts.index("")]) if "" in texts else None,
    )


def said(message: object) -> str:
    """The content of a message, text parts joined, behind its reasoning; "" where there is no content."""
    content = _mapping(message).get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str) or not content:
        return ""
    if (reasoning := _apart(message)) and "<think>" not in content:
        content = f"<think>{reasoning}</think>\n{content}"  # vLLM and `transformers serve` take the tags off
    return _writable(content)


def heard(message: object) -> str:
    """`said` of a message that is still being written: reasoning alone is there before the content."""
    reasoning = _apart(message)
    return said(message) or (_writable(f"<think>{reasoning}") if reasoning else "")


def why_silent(choice: object) -> str:
    """Why a choice has no content, as far as it says."""
    message = _mapping(choice).get("message")
    told = f"a choice without content (finish_reason {_name(_mapping(choice).get('finish_reason')) or None!r})"
    refusal = _mapping(message).get("refusal")
    if isinstance(refusal, str) and refusal:
        return f"{told}: {refusal}"
    return f"{told}, only reasoning; more generate.max_new_tokens may help" if _apart(message) else told


def _apart(message: object) -> str:
    found = (_mapping(message).get(name) for name in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text), "")


def _usage(told: dict[str, Any]) -> dict[str, int]:
    # a bool is an int to isinstance
    return {name: told[name] for name in COUNTS if type(told.get(name)) is int and 0 <= told[name] <= MOST_TOKENS}


def _name(value: object) -> str:
    return _writable(value[:MOST_NAME]) if isinstance(value, str) else ""


def _writable(text: str) -> str:
    # half a surrogate pair, which JSON may hold, could not be written to a file
    return text.encode("utf-8", "replace").decode()


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
