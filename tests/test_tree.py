"""Attention over trees against one dense mask that says who sees whom."""

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import scaled_dot_product_attention as sdpa
from transformers import AutoModelForCausalLM, FalconMambaConfig, MistralConfig, Qwen2Config, Qwen3NextConfig

from morerl.models.tree import Group, Shared, Tree, attend, block_mask, unsuited

CPU = torch.device("cpu")
GROUPS = (Group(5, (3, 1, 2)), Group(1, (4, 4)), Group(7, (0, 2, 0)), Group(3, (0, 0)))


def dense(groups):
    """[L, L] bool from the definition, token by token."""
    tokens = [
        (g, b) for g, group in enumerate(groups) for b, n in enumerate((group.trunk, *group.branches)) for _ in range(n)
    ]
    sees = [
        [k <= q and g == of_q and (b == 0 or b == branch_q) for k, (g, b) in enumerate(tokens)]
        for q, (of_q, branch_q) in enumerate(tokens)
    ]
    return torch.tensor(sees)


def states(length, heads=4, kv_heads=2, width=8):
    made = torch.Generator().manual_seed(length)
    return tuple(
        torch.randn(1, h, length, width, generator=made, dtype=torch.float64, requires_grad=True)
        for h in (heads, kv_heads, kv_heads)
    )


def expected(query, key, value, mask, scaling):
    return sdpa(query, key, value, attn_mask=mask, scale=scaling, enable_gqa=True).transpose(1, 2)


@pytest.mark.parametrize("scaling", [None, 0.3])
def test_a_packed_row_attends_as_the_dense_mask_says_with_its_gradients(scaling):
    tree = Tree(GROUPS, CPU)
    query, key, value = states(tree.length)
    ours, _ = attend(None, query, key, value, None, tree=tree, scaling=scaling)
    theirs = expected(query, key, value, dense(GROUPS), scaling)
    assert torch.allclose(ours, theirs)
    weights = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    of_ours = torch.autograd.grad((ours * weights).sum(), (query, key, value))
    of_theirs = torch.autograd.grad((theirs * weights).sum(), (query, key, value))
    assert all(torch.allclose(a, b) for a, b in zip(of_ours, of_theirs, strict=True))


@hypothesis_settings(max_examples=30)
@given(
    st.lists(
        st.builds(Group, st.integers(1, 6), st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)),
        min_size=1,
        max_size=4,
    )
)
def test_any_groups_attend_as_the_dense_mask_says(groups):
    tree = Tree(groups, CPU)
    query, key, value = states(tree.length)
    assert torch.allclose(
        attend(None, query, key, value, None, tree=tree)[0], expected(query, key, value, dense(groups), None)
    )


def test_flex_attentions_blocks_say_the_same():
    """On a GPU the same tree is a block mask; PyTorch runs it on a CPU too, unfused."""
    query, key, value = (x.detach().float() for x in states(dense(GROUPS).shape[0]))
    blocks = block_mask(GROUPS, CPU)
    out = flex_attention(query, key, value, block_mask=blocks, enable_gqa=True).transpose(1, 2)
    assert torch.allclose(out, expected(query, key, value, dense(GROUPS), None), atol=1e-6)


@pytest.mark.parametrize("padded", [False, True])
def test_a_decoding_step_reads_a_trunk_for_all_its_branches(padded):
    n, g, heads, kv_heads, t, own, width = 2, 3, 4, 2, 5, 2, 8
    made = torch.Generator().manual_seed(0)
    query = torch.randn(n * g, heads, 1, width, generator=made)
    trunk = [torch.randn(n, kv_heads, t, width, generator=made) for _ in "kv"]
    tips = [torch.randn(n * g, kv_heads, own, width, generator=made) for _ in "kv"]
    left = torch.tensor([[True] * t, [not padded, not padded, True, True, True]])
    hidden = torch.zeros(n, t).masked_fill(~left, torch.finfo(torch.float32).min)[:, None, None] if padded else None
    ours, _ = attend(None, query, *(Shared(a, b, hidden) for a, b in zip(trunk, tips, strict=True)), None)
    key, value = (torch.cat([a.repeat_interleave(g, 0), b], dim=2) for a, b in zip(trunk, tips, strict=True))
    mask = torch.cat([left.repeat_interleave(g, 0), torch.ones(n * g, own, dtype=torch.bool)], dim=1)[:, None, None]
    assert torch.allclose(ours, expected(query, key, value, mask, None), atol=1e-6)


SMALL = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 4}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (Qwen2Config(**SMALL, **HEADS), None),
        (MistralConfig(**SMALL, **HEADS, sliding_window=100), None),
        (MistralConfig(**SMALL, **HEADS, sliding_window=99), "windows of 99 tokens, and a row may have 100"),
        (FalconMambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1), "keeps a recurrent state"),
        (
            Qwen3NextConfig(**SMALL, **HEADS, head_dim=16, num_experts=2, num_experts_per_tok=1),
            "linear_attention layers|recurrent state",
        ),
    ],
    ids=lambda value: getattr(value, "model_type", None),
)
def test_a_model_that_cannot_is_told_apart_with_the_reason(config, reason):
    found = unsuited(AutoModelForCausalLM.from_config(config), 100)
    if reason is None:
        assert found is None
    else:
        assert any(part in found for part in reason.split("|"))
