"""A server that reads: it answers an extraction prompt with every name the shown text holds, and each one's link to the
next; a pair by what stands between the two marks."""

import json
import re

from openai_server import said

TEXT = re.compile(r"^Text: (.*?)\n\n(?:Reason inside|Reason like)", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"Name\d+")


def shown(body):
    """The text that a request asks about."""
    prompt = body["messages"][0]["content"][-1]["text"]
    return TEXT.search(prompt).group(1)


def completion(answer, think="It says so."):
    return f"<think>{think}</think>\n<answer>{answer if isinstance(answer, str) else json.dumps(answer)}</answer>"


def extraction(entities, relations=()):
    """Rows as (text, type), by their order e1, e2, ...; relations as (head, label, tail)."""
    rows = [{"id": f"e{n}", "text": text, "type": type_} for n, (text, type_) in enumerate(entities, 1)]
    return completion(
        {"entities": rows, "relations": [{"head": h, "label": label, "tail": t} for h, label, t in relations]}
    )


def names(body, number=0):
    found = NAME.findall(shown(body))
    links = [(f"e{n}", "before", f"e{n + 1}") for n in range(1, len(found))]
    return said(extraction([(name, "name") for name in found], links))
