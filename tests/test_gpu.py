"""What only a GPU shows: both stages in bfloat16, gradient checkpointing on, and decoding as on a CPU."""

import pytest
import torch

from morerl.guidelines import load_spec
from morerl.jsonl import read_samples, write_records
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.schema import Rated
from morerl.teacher.build import run_teach
from morerl.training.grpo import run_grpo
from morerl.training.sft import run_sft

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")]


@pytest.mark.parametrize("lora", [None, {"r": 4, "target_modules": "all-linear"}])
def test_both_stages_train_in_bfloat16(make_settings, lora):
    start = make_settings().model.path
    settings = make_settings(model={"path": start, "dtype": "bfloat16", "freeze_vision": True, "lora": lora})
    run_teach(settings)
    assert run_sft(settings)["steps"] == 4
    rows = [Rated(id=f"more/train/{number:06d}", n=1, n_correct=number % 2) for number in range(1, 17)]
    write_records(settings.run.dir / "rated.jsonl", rows)
    assert run_grpo(settings)["steps"] == 4


def test_greedy_decoding_is_that_of_the_cpu(narrow_model, world, make_settings):
    settings = make_settings()
    samples = read_samples(world / "data" / "train.jsonl")[:16]
    processing = load_processing(narrow_model)
    cpu, gpu = (
        generate(
            load_model(narrow_model, settings.model).to(device),
            processing,
            samples,
            load_spec("more"),
            prompt=settings.prompt,
            images=settings.images,
            image_root=settings.data.image_root,
            settings=settings.generate,
        )
        for device in ("cpu", "cuda")
    )
    assert cpu == gpu
