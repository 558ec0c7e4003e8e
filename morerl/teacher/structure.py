"""Holding a server to the form of the answer part: the reasoning stays free, what stands in the answer tag does not.

A structural tag as xgrammar reads it, sent as `response_format`, which vLLM and SGLang pass on. Servers have been known
to ignore it, so the parser judges every reply all the same.
"""

from __future__ import annotations

from typing import Any

from morerl.schema import Sample
from morerl.task import TaskSpec


def response_format(sample: Sample, spec: TaskSpec) -> dict[str, Any]:
    """Free text up to the answer tag, then a legal answer in it, then the end."""
    content = _labels(spec) if sample.task == "pair" else {"type": "json_schema", "json_schema": _schema(sample, spec)}
    # a sequence, since xgrammar's triggered_tags with at_least_one allow no text before the first tag
    parts = [
        {"type": "any_text", "excludes": ["<answer>"]},
        {"type": "tag", "begin": "<answer>", "content": content, "end": "</answer>"},
    ]
    return {"type": "structural_tag", "format": {"type": "sequence", "elements": parts}}


def _labels(spec: TaskSpec) -> dict[str, Any]:
    return {"type": "or", "elements": [{"type": "const_string", "value": name} for name in spec.answers]}


def _schema(sample: Sample, spec: TaskSpec) -> dict[str, Any]:
    """JSON schema of the answer's object (see morerl.prompts.extraction)."""
    types = list(sample.types or spec.types)
    entity = {"id": _STRING, "text": _STRING, "type": {"enum": types}, "nth": {"type": "integer", "minimum": 1}}
    parts = {"entities": _list_of(entity, ["text", "type"])}
    if sample.task == "extract":
        labels = {"enum": [label.name for label in spec.labels]}
        parts["relations"] = _list_of({"head": _STRING, "label": labels, "tail": _STRING}, ["head", "label", "tail"])
    return _object(parts, list(parts))


_STRING = {"type": "string"}


def _list_of(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "array", "items": _object(properties, required)}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
