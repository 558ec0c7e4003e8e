"""What the package may import and call: no torch before a stage runs, nothing that runs what it reads."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for folder in ("morerl", "tools") for path in (ROOT / folder).rglob("*.py"))
ROOM = {".py", ".jinja", ".js"}
LIGHT = [
    "morerl",
    "morerl.cli",
    "morerl.config",
    "morerl.images",
    "morerl.jsonl",
    "morerl.corpora.more",
    "morerl.benchmark",
    "morerl.corpora.bio",
    "morerl.corpora.jsonl",
    "morerl.corpora.mrc",
    "morerl.corpora.prepare",
    "morerl.corpora.scier",
    "morerl.corpora.sem2010",
    "morerl.evaluation",
    "morerl.export",
    "morerl.extract.extractor",
    "morerl.interchange.brat",
    "morerl.interchange.hf",
    "morerl.interchange.label_studio",
    "morerl.models.endpoint",
    "morerl.task_check",
    "morerl.prompts.parse",
    "morerl.report.inspect_log",
    "morerl.prompts.render",
    "morerl.scoring",
    "morerl.rewards",
    "morerl.mixing",
    "morerl.runs",
    "morerl.scenes.release",
    "morerl.teacher.build",
    "morerl.training.checkpoint",
]
HEAVY = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"),
    *("requests", "httpx", "urllib", "http", "socket", "aiohttp"),
}
ALLOWED_MODULES = {"http.server"}  # it fetches nothing; the scenes' teacher serves on 127.0.0.1
FORBIDDEN_METHODS = {
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "os.system", "os.popen"),
    *("torch.load", "np.load", "numpy.load", "torch.hub.load"),
}


@pytest.mark.parametrize("module", LIGHT)
def test_it_imports_without_torch(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd="/")
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_there_are_sources():
    assert len(SOURCES) > 40


def faults(tree):
    """(line, what) for everything a user's data must never reach."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else []
        bad = [name for name in names if name.partition(".")[0] in FORBIDDEN_MODULES and name not in ALLOWED_MODULES]
        yield from ((node.lineno, name) for name in bad)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in FORBIDDEN_CALLS | FORBIDDEN_METHODS:
                yield node.lineno, called
            for keyword in node.keywords:
                if keyword.arg == "trust_remote_code" and not is_false(keyword.value):
                    yield node.lineno, "trust_remote_code"
                if keyword.arg == "shell" and not is_false(keyword.value):
                    yield node.lineno, "shell"
                if keyword.arg == "weights_only" and is_false(keyword.value):
                    yield node.lineno, "weights_only=False"


def is_false(node):
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_runs_unpickles_or_fetches_what_it_reads(path):
    assert list(faults(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "code",
    [
        "eval(x)",
        "import pickle",
        "from pickle import loads",
        "import urllib.request",
        "yaml.load(x)",
        "AutoModel.from_pretrained(p, trust_remote_code=True)",
        "AutoModel.from_pretrained(p, trust_remote_code=flag)",
        "subprocess.run(x, shell=True)",
        "torch.load(p)",
    ],
)
def test_the_check_sees_each_kind(code):
    assert len(list(faults(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["ast.literal_eval(x)", "yaml.safe_load(x)", "f(trust_remote_code=False)"])
def test_the_check_lets_the_safe_ones_pass(code):
    assert list(faults(ast.parse(code))) == []


def test_no_file_is_two_rooms():
    files = (path for path in (ROOT / "morerl").rglob("*") if path.suffix in ROOM)
    lengths = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > 250} == {}


def test_the_extractor_is_imported_when_it_is_asked_for():
    code = (
        "import sys, morerl; assert not [name for name in sys.modules if name.startswith('morerl.')]; "
        "from morerl import Extractor; assert Extractor.__module__ == 'morerl.extract.extractor'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
