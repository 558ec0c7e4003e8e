"""What a choice of /v1/chat/completions says. A server may send anything: the client does not check its shape."""

from __future__ import annotations


def said(message: object) -> str:
    """The content of a message, text parts joined, behind its reasoning; "" where there is no content."""
    content = getattr(message, "content", None)
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str) or not content:
        return ""
    if (reasoning := _apart(message)) and "<think>" not in content:
        content = f"<think>{reasoning}</think>\n{content}"  # vLLM and `transformers serve` take the tags off
    # half a surrogate pair, which JSON may hold, could not be written to a file
    return content.encode("utf-8", "replace").decode()


def _apart(message: object) -> str:
    found = (getattr(message, name, None) for name in ("reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str) and text), "")


def why_silent(choice: object) -> str:
    """Why a choice has no content, as far as it says."""
    message = getattr(choice, "message", None)
    told = f"a choice without content (finish_reason {getattr(choice, 'finish_reason', None)!r})"
    if refusal := getattr(message, "refusal", None):
        return f"{told}: {refusal}"
    return f"{told}, only reasoning; more generate.max_new_tokens may help" if _apart(message) else told
