"""What is drawn: the distribution asked for, from named random numbers alone."""

import pytest
import torch
from scipy.stats import chisquare, kstest
from transformers import GenerationConfig, LogitsProcessorList, Qwen2Config, Qwen2ForCausalLM

from morerl.models.rollout import Draw, drawn, uniforms, until_end

ROWS = 20_000
SAMPLING = {
    "plain": {},
    "temperature": {"temperature": 0.7},
    "top-k": {"top_k": 5},
    "top-p": {"top_p": 0.8},
    "min-p": {"min_p": 0.1},
    "all": {"temperature": 1.3, "top_k": 9, "top_p": 0.95, "min_p": 0.02},
}


def config(**sampling):
    return GenerationConfig(do_sample=True, **{"temperature": 1.0, "top_k": 0, "top_p": 1.0, **sampling})


@pytest.fixture(scope="module")
def scores():
    return 2 * torch.randn(1, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sampling", SAMPLING.values(), ids=SAMPLING)
def test_tokens_come_as_often_as_transformers_would_draw_them(scores, sampling):
    asked = config(**sampling)
    numbers = uniforms([str(n) for n in range(ROWS)], 1)
    chosen = Draw(numbers, asked)(torch.zeros(ROWS, 1, dtype=torch.long), scores.expand(ROWS, -1)).argmax(-1)
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=12, num_attention_heads=1, num_key_value_heads=1, **small))
    theirs = model._get_logits_processor(asked, logits_processor=LogitsProcessorList())
    expected = theirs(torch.zeros(1, 1, dtype=torch.long), scores).softmax(-1)[0].double()
    seen = chosen.bincount(minlength=12).double()
    assert (seen[expected == 0] == 0).all()
    possible = expected > 0
    assert chisquare(seen[possible], expected[possible] / expected.sum() * ROWS).pvalue > 1e-3


def test_a_token_of_no_probability_is_never_drawn_not_even_at_the_ends():
    scores = torch.tensor([[-torch.inf, 0.0, -torch.inf, 1.0, -torch.inf]]).expand(3, -1)
    numbers = torch.tensor([[0.0], [1 - 1e-16], [0.26]], dtype=torch.float64)
    left = Draw(numbers, config())(torch.zeros(3, 1, dtype=torch.long), scores)
    assert left.argmax(-1).tolist() == [1, 3, 1]
    assert torch.isfinite(left).sum(-1).tolist() == [1, 1, 1]


def test_a_rows_numbers_hang_on_its_name_alone():
    together = uniforms(["a", "b", "c"], 5)
    assert torch.equal(together[1:2], uniforms(["b"], 5)) and torch.equal(together[:, :3], uniforms(["a", "b", "c"], 3))
    assert len(together.unique()) == 15
    before = torch.random.get_rng_state()
    uniforms(["x"], 3)
    assert torch.equal(before, torch.random.get_rng_state())
    many = uniforms([str(n) for n in range(500)], 8)
    assert many.min() >= 0 and many.max() < 1
    assert kstest(many.flatten(), "uniform").pvalue > 1e-3 and kstest(many[:, 0], "uniform").pvalue > 1e-3


def test_generate_is_told_to_draw_nothing_itself():
    asked = config(temperature=0.5, top_p=0.9, max_new_tokens=7, repetition_penalty=1.2)
    told = drawn(asked)
    assert not told.do_sample and told.max_new_tokens == 7 and told.repetition_penalty == 1.2
    assert asked.do_sample and asked.temperature == 0.5


def test_a_completion_ends_with_its_first_end_token():
    rows = torch.tensor([[5, 9, 9, 1], [9, 5, 5, 5], [5, 6, 7, 8], [1, 2, 8, 9]])
    assert until_end(rows, [9, 8]) == [[5, 9], [9], [5, 6, 7, 8], [1, 2, 8]]
