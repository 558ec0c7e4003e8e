"""The doors: verbs, progress bars, exit codes. No logic, and no torch import before a stage runs."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import warnings

import typer

from morerl.cli.extracting import extract
from morerl.cli.judging import benchmark, check, compare, report, score
from morerl.cli.paging import page
from morerl.cli.training import demo, export, grpo, predict, rate, sft

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Train and run vision-language models that say, with reasons, how things in a picture and a
text are related.

A run is one YAML file. The stages meet in files below its `run.dir`, in this order:

`tools/build_reasoning.py` → **sft** → **rate** → **grpo** → **predict** → **score** → **report**

Any setting can be overridden: `morerl sft configs/more/qwen2_5_vl_7b.yaml run.seed=1 sft.trainer.learning_rate=5e-5`.
On many GPUs: `accelerate launch --config_file configs/accelerate/ddp.yaml -m morerl grpo CONFIG`.
A stage that was interrupted goes on where it was when the same command is given again.

To use a model on texts and pictures of your own: `morerl extract --help`, in the browser `morerl page --help`.""",
)
for verb in (check, sft, rate, grpo, predict, score, compare, report, benchmark, extract, page, export, demo):
    app.command()(verb)


def main() -> None:
    """Runs the CLI. Exit codes: 0 well, 2 a problem the message explains, 130 interrupted."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    # transformers and TRL warn each other of options that neither the user nor morerl set
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    try:
        app()
    except SystemExit as end:
        if not end.code:
            _leave_ranks()
        raise


def _leave_ranks() -> None:
    """Ends a rank that has done its work, without the interpreter's own end; returns where there are no ranks.

    There a thread of gloo that lets go of its last tensor aborts the process, and the launcher calls finished work a
    failure (pytorch/pytorch#190489). Ending the group does not end those threads: torch.distributed.nn holds on to it.
    """
    torch = sys.modules.get("torch")  # not imported for this
    if torch is None or not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return
    torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
