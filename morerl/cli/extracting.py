"""The verb that uses a model: texts in, entities and relations out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from morerl.bars import sample_bar
from morerl.cli.options import usage
from morerl.terminal import one_message, say

if TYPE_CHECKING:
    from morerl.extract.extractor import Extractor
    from morerl.extract.result import Result


def extract(
    model: Annotated[str, typer.Argument(help="folder, also a run's, or hub id; with --endpoint its name there")],
    text: Annotated[str | None, typer.Option(help="one text")] = None,
    image: Annotated[Path | None, typer.Option(help="the picture that goes with --text")] = None,
    mention: Annotated[
        list[str] | None, typer.Option(help="words of --text to be related; may be given several times")
    ] = None,
    region: Annotated[
        list[str] | None, typer.Option(help="a box of --image, e.g. 0.1,0.2,0.5,0.9; may be given several times")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="many records: a JSONL file, see below")] = None,
    schema: Annotated[
        str | None,
        typer.Option(
            help="person,place | a guideline's name or .yaml | a .json of {type: definition}; default: the run's"
        ),
    ] = None,
    relations: Annotated[
        str | None, typer.Option(help="beside types: works for,lives in | a .json of {relation: definition}")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="write a JSON line a record here; else they are shown")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on after what is in --out, and ask again what has no answer there")
    ] = False,
    endpoint: Annotated[str | None, typer.Option(help="an OpenAI-compatible server: http://127.0.0.1:8000/v1")] = None,
    image_root: Annotated[Path | None, typer.Option(help="pictures of --file lie below; default: its folder")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="questions at once")] = None,
    window: Annotated[int, typer.Option(help="longer texts are read in windows of so many characters")] = 2000,
    max_new_tokens: Annotated[int | None, typer.Option(min=1, help="tokens an answer may have")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default: the run's")] = None,
) -> None:
    """Find entities and relations in texts and pictures.

    `morerl extract MODEL --text "Ada Lovelace met Babbage in London" --schema person,place --relations "met,was in"`

    What is found is shown with its place in the text. Types and relations need not be those of the training; a
    definition helps: `--schema types.json` with {"person": "a human being, by name"}. A model in a run's folder knows
    its own guideline, so `--schema` may be left out.

    How are given things related? `morerl extract runs/demo/grpo/model --text "Hale helps Osei" --image a.png
    --mention Hale --region 0.1,0.2,0.5,0.9` asks about every region with every mention.

    Many records: `morerl extract MODEL --file in.jsonl --schema person,place --out out.jsonl`, where a line of in.jsonl
    is {"text": ..., "image": ..., "mentions": [...], "regions": [...], "id": ...}; all but text may be left out.
    Results come in the same order. A record that cannot be used is a line with an "error" and stops nothing; the exit
    code is 2 only where the command itself is wrong.
    """
    with one_message("the same command with --resume" if file is not None and out is not None else None):
        if (text is None) == (file is None):
            raise usage('morerl extract needs --text "..." or --file records.jsonl')
        if file is not None and (image or mention or region):
            raise usage("--image, --mention and --region go with --text; the records of --file have their own")
        if resume and (out is None or file is None):
            raise usage("--resume goes on with the --out of a --file")
        if file is not None and not file.is_file():
            raise usage(f"no file {file}")
        if text is not None and out is not None and out.exists():
            raise usage(f"{out} is there already; give another --out")
        boxes = _boxes(region)
        if image is not None and image_root is None:
            image = image.resolve()  # the user's own word, be it a link
        from morerl.extract.extractor import Extractor

        root = image_root or (file or image or Path("x")).parent
        what: dict[str, Any] = {"schema": _schema(schema), "relations": _names(relations, "--relations")}
        how: dict[str, Any] = {"image_root": root, "window": window, "max_new_tokens": max_new_tokens}
        if endpoint is not None:
            extractor = Extractor.from_endpoint(endpoint, model, **what, **how)
        else:
            extractor = Extractor.from_pretrained(model, **what, **how, dtype=dtype)
        if file is not None:
            _many(extractor, file, out, resume, batch_size)
        elif text is not None:
            _one(extractor.extract(text, image, mentions=mention or (), regions=boxes), out)


def _one(result: Result, out: Path | None) -> None:
    from morerl.jsonl import write_text

    if out is None:
        _show([result])
        return
    write_text(out, [result.to_json() + "\n"])
    say(f"wrote {out}")


def _many(extractor: Extractor, file: Path, out: Path | None, resume: bool, batch_size: int | None) -> None:
    from morerl.extract.files import extract_file, read_lines
    from morerl.extract.findings import NOTHING

    if out is None:
        _show(extractor.extract_many(read_lines(file), batch_size=batch_size))
        return
    total, done = sum(1 for _ in read_lines(file)), 0
    with sample_bar("extract") as listener:

        def on_result() -> None:
            nonlocal done
            done += 1
            listener(done, total)

        counts = extract_file(
            extractor, read_lines(file), out, resume=resume, batch_size=batch_size, on_result=on_result
        )
    bad = {reason: count for reason, count in counts.items() if reason not in ("good", NOTHING)}
    told = f", {sum(bad.values())} with an error ({', '.join(f'{r} {n}' for r, n in bad.items())})" if bad else ""
    told += f", {counts[NOTHING]} not answered" if counts[NOTHING] else ""
    say(f"wrote {out}: {counts.total()} records{told}{'; --resume asks these again' if told else ''}")


def _show(results: Any) -> None:
    from rich.console import Console

    from morerl.cli.shown import show_result

    console = Console(highlight=False)
    for result in results:
        show_result(result, console)


def _schema(given: str | None) -> Any:
    """A guideline's name or file stays a string; anything else is names."""
    from morerl.guidelines import known_specs

    if given is None or given in known_specs() or Path(given).suffix.lower() in (".yaml", ".yml"):
        return given
    return _names(given, "--schema")


def _names(given: str | None, option: str) -> Any:
    """Names with commas between them, or the dict or list of a .json file."""
    if given is None or Path(given).suffix.lower() != ".json":
        return given and [name.strip() for name in given.split(",") if name.strip()]
    try:
        return json.loads(Path(given).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise usage(f"{option}: cannot read {given}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise usage(f"{option}: {given} is no JSON: {error}") from error


def _boxes(given: list[str] | None) -> list[list[float]]:
    try:
        return [[float(side) for side in box.split(",")] for box in given or ()]
    except ValueError as error:
        raise usage(f"--region: want x1,y1,x2,y2 as fractions of width and height ({error})") from error
