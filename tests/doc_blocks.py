"""Runs what the documentation tells its readers to type: the bash and python blocks of a markdown file, in order.

An HTML comment on the line before a block says how it is held to its word:

    <!-- test: file NAME -->            the block is written to NAME, as the text tells the reader to
    <!-- test: parse-only: WHY -->      needs GPUs, weights or private corpora: every command and option must exist
    (nothing)                           bash and python blocks are run; other languages are to be read

`morerl ...` and `python ...` run in this process, because each start would import torch anew; the rest is given to
bash. What is not checked of a parse-only block: the options of the programs in OUTSIDE, which are not this project's.
"""

import argparse
import ast
import importlib.util
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from typer.main import get_command

from morerl.cli import app
from morerl.config import load_settings

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"(?:<!-- test: (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
OUTSIDE = ("vllm", "transformers", "trackio", "tensorboard", "inspect")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=\S*$")


class Block(NamedTuple):
    where: str  # file:line
    language: str
    text: str
    mark: str  # what the comment before it says; "" where there is none


def blocks(path):
    """The fenced blocks of a markdown file, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(
            f"{path.name}:{text.count(chr(10), 0, one.start('language')) + 1}",
            one["language"],
            one["text"],
            one["mark"] or "",
        )
        for one in FENCE.finditer(text)
    ]


def run(found):
    """Runs the blocks of one file in the working folder. Raises AssertionError naming the block that fails."""
    names = {"__name__": "__docs__"}
    for block in found:
        try:
            _run(block, names)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{block.where}: {error!r}\n{block.text}") from error


def _run(block, names):
    what, _, rest = block.mark.partition(" ")
    if what == "file":
        Path(rest).write_text(block.text, encoding="utf-8")
    elif what == "parse-only:":
        assert rest, "say why"
        check_only(block)
    else:
        assert not block.mark, f"unknown mark {block.mark!r}"
        if block.language == "python":
            exec(compile(block.text, block.where, "exec"), names)
        if block.language == "bash":
            for command in commands(block.text):
                _call(command)


def check_only(block):
    """Holds a block to this: it parses, and whatever of this project or of accelerate it names knows its options."""
    if block.language == "python":
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.ImportFrom | ast.Import):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                assert all(importlib.util.find_spec(name) for name in names), names
        return
    for command in commands(block.text):
        _known(shlex.split(command, comments=True))


def commands(text):
    """The commands of a bash block: continued lines joined, comment lines left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _call(command):
    words = shlex.split(command, comments=True)
    if words[0] == "morerl":
        code = app(words[1:], standalone_mode=False)
        assert not code, f"exit code {code}"
    elif words[0] == "python" and words[1] != "-c":
        _python(words[1:])
    else:
        subprocess.run(["bash", "-euc", command], check=True, timeout=60)


def _python(words):
    before, sys.argv = sys.argv, words if words[0] != "-m" else words[1:]
    try:
        if words[0] == "-m":
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        assert not end.code, f"exit code {end.code}"
    finally:
        sys.argv = before


def _known(words):
    while words and ASSIGNMENT.match(words[0]):
        words = words[1:]
    first, rest = words[0], words[1:]
    known = {"morerl": _verb, "python": _script, "make": _target, "accelerate": _launch, "uv": _extras}
    known |= dict.fromkeys(OUTSIDE, _outside)
    assert first in known, f"no way to check {first!r}"
    known[first](rest)


def _verb(words):
    """A verb with options it knows; a packaged config takes the overrides."""
    verb = get_command(app).commands[words[0]]
    context = verb.make_context(words[0], words[1:], resilient_parsing=False)
    config = context.params.get("config")
    if config is not None and (ROOT / config).is_file():
        load_settings(ROOT / config, list(context.params["overrides"] or []))
    else:
        assert config is None or str(config).isupper() or not str(config).startswith("configs/"), f"no {config}"


def _script(words):
    """A tool or benchmark of the repository whose source names every option, with the packaged configs it is given."""
    path = ROOT / (words[1].replace(".", "/") + ".py" if words[0] == "-m" else words[0])
    source = path.read_text(encoding="utf-8")
    for word in words[1:]:
        assert not word.startswith("--") or f'"{word.partition("=")[0]}"' in source, f"{path.name} has no {word}"
        assert not word.startswith("configs/") or (ROOT / word).is_file(), f"no {word}"


def _target(words):
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        assert re.search(rf"^{re.escape(word)}:", text, re.M), f"the Makefile has no {word}"


def _launch(words):
    """accelerate's own parser, and behind -m the verb with its options."""
    from accelerate.commands.launch import launch_command_parser

    assert words[0] == "launch"
    parsed = launch_command_parser(argparse.ArgumentParser().add_subparsers()).parse_args(words[1:])
    assert (ROOT / parsed.config_file).is_file(), parsed.config_file
    assert parsed.module and parsed.training_script == "morerl"
    _verb(parsed.training_script_args)


def _extras(words):
    """Every extra named in '.[a,b]' is one of the project's."""
    assert words[:2] == ["pip", "install"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for word in words:
        for name in (re.search(r"\[(.*)\]", word) or ["", ""])[1].split(","):
            assert not name or name in extras, f"no extra {name}"


def _outside(words):
    """All that can be known of another's program: an option that looks like JSON is JSON."""
    for word in words:
        assert not word.startswith("{") or json.loads(word)
