"""A result as a person reads it in a terminal. What records and models say is never markup, nor a control code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from morerl.extract.result import Answer, FoundEntity, FoundRelation, Result

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red")


def show_result(result: Result, console: Console) -> None:
    """The text with what was found in colour, a table of relations, the reasoning, and what went wrong."""
    from rich.table import Table

    if result.error is not None:
        console.print(_plain(f"{result.id or 'record'}: {result.error.reason}: {result.error.message}"), style="red")
        return
    colours = {kind: COLOURS[n % len(COLOURS)] for n, kind in enumerate(dict.fromkeys(e.type for e in result.entities))}
    console.print(_coloured(result, colours))
    found = Table(show_edge=False, header_style="dim")
    for column in ("id", "type", "text", "place", ""):
        found.add_column(column)
    for one in result.entities:
        place = "" if one.start is None else f"{one.start}-{one.end}"
        cells = (one.id, one.type or "", one.text, place, " ".join(_wrong(one)))
        found.add_row(*map(_plain, cells), style=colours[one.type] if one.start is not None else "red")
    for region in result.regions:
        box = ", ".join(f"{100 * side:.0f}%" for side in region.box)
        found.add_row(*map(_plain, (region.id, region.type or "", "(picture)", box, "")))
    if found.row_count:
        console.print(found)
    for link in result.relations:
        told = f"{_name(result, link.head)}  --{link.label}->  {_name(result, link.tail)}"
        console.print(_plain(" ".join([told, *_wrong(link)])), style="bold")
    if not result.relations:
        console.print("no relations" if result.entities or result.regions else "nothing found", style="dim")
    for answer in result.answers:
        console.print(_plain(_thought(result, answer)), style="dim")
    if result.problems:
        console.print(_plain("problems: " + ", ".join(result.problems)), style="yellow")


def _coloured(result: Result, colours: dict[str | None, str]) -> Text:
    text = _plain(result.text)
    for one in result.entities:
        if one.start is not None:
            text.stylize(f"bold {colours[one.type]}", one.start, one.end)
    return text


def _wrong(found: FoundEntity | FoundRelation) -> list[str]:
    return [*([found.status] if found.status != "exact" else []), *found.problems]


def _thought(result: Result, answer: Answer) -> str:
    """The reasoning behind an answer, under what was asked."""
    if answer.head is None or answer.tail is None:
        return answer.reasoning
    return f"{_name(result, answer.head)} and {_name(result, answer.tail)}: {answer.label}\n{answer.reasoning}"


def _name(result: Result, id_: str) -> str:
    return next((one.text for one in result.entities if one.id == id_), f"[{id_}]")


def _plain(text: str) -> Text:
    """Control codes, which a terminal would obey, as signs for what cannot be shown; as many characters as before."""
    from rich.text import Text

    shown = (c if c.isprintable() or c in "\n\t" or ord(c) > 159 else "\ufffd" for c in text)
    return Text("".join(shown))
