"""What only a GPU shows: both stages in bfloat16, gradient checkpointing on, and decoding as on a CPU."""

import pytest
import torch

from morerl.jsonl import read_samples, write_records
from morerl.models.generate import generate
from morerl.models.load import load_model, load_processing
from morerl.schema import Rated
from morerl.tasks import load_tasks
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
            load_tasks(settings),
            prompt=settings.prompt,
            images=settings.images,
            settings=settings.generate,
        )
        for device in ("cpu", "cuda")
    )
    assert cpu == gpu


def test_the_compiled_block_mask_attends_as_the_dense_one_with_its_gradients():
    from test_tree import GROUPS, dense, expected, states

    from morerl.models.tree import Tree, attend

    gpu = torch.device("cuda")
    groups = [group for _ in range(20) for group in GROUPS]  # longer than a block
    query, key, value = (x.detach().float().to(gpu).requires_grad_() for x in states(dense(groups).shape[0], width=16))
    module = torch.nn.Module().train()
    ours, _ = attend(module, query, key, value, None, tree=Tree(groups, gpu))
    theirs = expected(query, key, value, dense(groups).to(gpu), None)
    assert torch.allclose(ours, theirs, atol=1e-3)
    pairs = [torch.autograd.grad(out.square().sum(), (query, key, value)) for out in (ours, theirs)]
    assert all(torch.allclose(a, b, rtol=1e-2, atol=1e-2) for a, b in zip(*pairs, strict=True))


@pytest.mark.parametrize("family", ["Qwen2.5-VL", "Qwen3-VL", "Qwen2"])
def test_shared_prompts_give_the_stock_log_probs_and_gradients(family, narrow_model, tmp_path):
    from test_engine import assert_close, both, gradients, scored, window_of

    stock, ours = both(family, narrow_model, tmp_path, use_cpu=False)
    theirs, window = window_of(stock), window_of(ours)
    assert (window["completion_ids"] == theirs["completion_ids"]).float().mean() > 0.9  # other sums, other last bits
    for trainer in (stock, ours):
        of_own = {**(theirs if trainer is stock else window)}
        of_own["completion_ids"], of_own["completion_mask"] = theirs["completion_ids"], theirs["completion_mask"]
        logps, _ = scored(trainer, of_own)
        (logps * theirs["completion_mask"] * theirs["advantages"][:, None]).sum().backward()
        trainer.seen = (logps * theirs["completion_mask"]).detach()
    assert torch.allclose(ours.seen, stock.seen, atol=1e-3)
    assert_close(gradients(ours), gradients(stock), 1e-2)
