"""Runs training jobs one after the other, each on ranks forked from this process: `ranks_run.py JOBS.json`.

torch, TRL and DeepSpeed take 15 seconds to import, which is more than all of a job. A job is {"stage": sft or grpo;
"launcher": an accelerate YAML, or null for one rank; "settings": a file; "kill_after": a step, or null}. accelerate
itself reads the YAML.
Prints one JSON object: the exit codes of each job's ranks.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import deepspeed
import torch
from accelerate.commands import launch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

import morerl.training.trainer  # noqa: F401 -- before the ranks part
from morerl.config import load_settings
from morerl.training import grpo, order, sft

RANKS = 2
HANGS_AFTER = 120  # seconds
Job = dict[str, Any]


def environment(launcher: str) -> dict[str, str]:
    """What `accelerate launch --config_file LAUNCHER` sets for every rank."""
    arguments = launch.launch_command_parser().parse_args(["--config_file", launcher, "script"])
    arguments, defaults, _ = launch._validate_launch_command(arguments)
    if not arguments.use_deepspeed:
        return prepare_multi_gpu_env(arguments)
    arguments.deepspeed_fields_from_accelerate_config = ",".join([*defaults.deepspeed_config, "mixed_precision"])
    return prepare_deepspeed_cmd_env(arguments)[1]


def shard_on_cpu() -> None:
    """PyTorch's FSDP2 knows CPU ranks and accelerate 1.15 does not: here it takes them for GPUs."""
    PartialState._prepare_backend = lambda *args, **kwargs: ("gloo", DistributedType.MULTI_GPU)
    PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))


def spread(completions: list[Any], **kwargs: Any) -> list[float]:
    """A reward that differs inside most groups, whatever an untrained model writes."""
    return [float(sum(completion[0]["content"].encode()) % 7) for completion in completions]


def half_spread(completions: list[Any], sample: list[str], **kwargs: Any) -> list[float]:
    """The same, but for half of the samples, whose groups have none."""
    dull = [sum(json.loads(row)["id"].encode()) % 2 for row in sample]
    return [0.0 if none else value for none, value in zip(dull, spread(completions), strict=True)]


def solved(completions: list[Any], **kwargs: Any) -> list[float]:
    """As many completions are right as not."""
    return [float(sum(completion[0]["content"].encode()) % 2) for completion in completions]


def be_rank(number: int, port: int, job: Job) -> None:
    """One rank's whole life. A hang ends in every thread's traceback."""
    faulthandler.enable()  # an abort says where
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    if job["launcher"] is not None:
        os.environ |= environment(job["launcher"])
        os.environ |= {"RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(RANKS)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        if "ACCELERATE_USE_FSDP" in os.environ:
            shard_on_cpu()
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False  # gloo does: a compiler takes 30 seconds
    grpo.reward_functions = lambda settings, tasks: (
        [half_spread if settings.grpo.mixing.strategy == "adaptive" else spread],
        [1.0],
    )
    order.solved_function = lambda tasks: solved

    def listener(done: int, total: int, figures: dict[str, float]) -> None:
        if done == job["kill_after"]:
            os.kill(os.getpid(), signal.SIGKILL)

    stage = {"sft": sft.run_sft, "grpo": grpo.run_grpo}[job["stage"]]
    stage(load_settings(Path(job["settings"])), listener=listener)


def run(job: Job) -> list[int]:
    """Exit codes of the job's ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return wait([fork(number, port, job) for number in range(RANKS if job["launcher"] else 1)])


def fork(number: int, port: int, job: Job) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        be_rank(number, port, job)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def wait(ranks: list[int]) -> list[int]:
    """Exit codes; as a launcher does, kills the other ranks when one has failed."""
    codes: dict[int, int] = {}
    while len(codes) < len(ranks):
        rank, status = os.wait()
        codes[rank] = os.waitstatus_to_exitcode(status)
        if status:
            for other in set(ranks) - codes.keys():
                os.kill(other, signal.SIGKILL)
    return [codes[rank] for rank in ranks]


if __name__ == "__main__":
    ended = [run(job) for job in json.loads(Path(sys.argv[1]).read_text())]
    sys.stdout.write(json.dumps({"codes": ended}) + "\n")
