"""Groups dealt into micro-batches: all of them, whole, balanced, and the same on any number of ranks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from morerl.training.window import choose, deal, group_tokens, merge, shares, take_groups


@given(tokens=st.lists(st.integers(1, 2000), min_size=1, max_size=40), batches=st.integers(1, 8))
def test_every_group_is_dealt_once_in_batches_of_like_size(tokens, batches):
    groups = list(range(len(tokens)))
    if len(groups) < batches:
        with pytest.raises(ValueError, match="cannot fill"):
            deal(groups, tokens, batches)
        return
    dealt = deal(groups, tokens, batches)
    assert sorted(group for batch in dealt for group in batch) == groups
    sizes = [len(batch) for batch in dealt]
    assert max(sizes) - min(sizes) <= 1 and sorted(sizes, reverse=True) == sizes  # the same on every rank
    weights = [sum(tokens[group] for group in batch) for batch in dealt]
    if len(set(sizes)) == 1:
        assert max(weights) - min(weights) <= max(tokens)  # as near as whole groups allow, by exchange


def test_long_and_short_groups_share_a_batch():
    assert deal([0, 1, 2, 3], [100, 90, 10, 1], 2) == [[0, 3], [1, 2]]


@given(log=st.integers(0, 5), steps=st.integers(1, 6), accumulation=st.integers(1, 6), ranks=st.sampled_from([1, 2, 4]))
def test_a_step_sees_the_same_groups_whatever_the_ranks(log, steps, accumulation, ranks):
    """One rank with the window whole, or several with a block each: the union of their shares is its share."""
    each = steps * 2**log
    alone = shares(each * ranks, steps, accumulation)
    mine = shares(each, steps, accumulation)
    assert steps % len(mine) == 0 and len({len(share) for share in mine}) == 1
    for share, whole in zip(mine, alone, strict=True):
        assert sorted(rank * each + group for rank in range(ranks) for group in share) == whole


def test_a_window_of_two_optimizer_steps_has_two_shares_and_one_inside_a_step_has_one():
    assert shares(8, 4, 2) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert shares(8, 2, 4) == shares(8, 4, 4) == [list(range(8))]
    assert [len(share) for share in shares(6, 3, 2)] == [2, 2, 2]


def test_groups_that_teach_come_first_and_others_fill_up():
    teaches = [False, True, False, True, True]
    assert choose(range(5), teaches, 3) == [1, 3, 4]
    assert choose(range(5), teaches, 2) == [1, 3]
    assert choose([0, 1, 2], teaches, 2) == [0, 1]


def window():
    """Three prompts of 2, 1 and 0 pictures and of 2, 3 and 1 tokens, two completions each."""
    return {
        "prompt_mask": torch.tensor([[0, 1, 1], [1, 1, 1], [0, 0, 1]]).repeat_interleave(2, 0),
        "completion_mask": torch.tensor([[1, 1], [1, 0], [1, 0], [1, 0], [0, 0], [1, 1]]),
        "advantages": torch.arange(6.0),
        "num_items_in_batch": torch.tensor(7),
        "num_images": [2, 1, 0],
        "image_grid_thw": torch.tensor([[1, 2, 2], [1, 2, 4], [1, 2, 6]]),
        "pixel_values": torch.arange(24).unsqueeze(1),
        "mm_token_type_ids": torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 0]]),
    }


def test_a_groups_tokens_count_its_prompt_once():
    assert group_tokens(window(), 2) == [2 + 3, 3 + 2, 1 + 2]


def test_taken_groups_keep_their_rows_and_pictures():
    taken = take_groups(window(), [1, 2], 2)
    assert taken["advantages"].tolist() == [2.0, 3.0, 4.0, 5.0] and taken["num_items_in_batch"] == 7
    assert taken["num_images"] == [1, 0] and taken["image_grid_thw"].tolist() == [[1, 2, 6]]
    assert taken["pixel_values"].flatten().tolist() == list(range(12, 24))
    assert taken["mm_token_type_ids"].tolist() == [[0, 1, 0], [0, 0, 0]]


def wider():
    """One prompt of 4 tokens and a picture, whose completions have 3 and 1 tokens."""
    return {
        "prompt_ids": torch.tensor([[5, 6, 7, 8]] * 2),
        "prompt_mask": torch.ones(2, 4, dtype=torch.long),
        "completion_ids": torch.tensor([[1, 2, 3], [4, 0, 0]]),
        "completion_mask": torch.tensor([[1, 1, 1], [1, 0, 0]]),
        "old_per_token_logps": torch.full((2, 3), -2.0),
        "advantages": torch.tensor([7.0, 8.0]),
        "num_items_in_batch": torch.tensor(4),
        "num_images": [1],
        "image_grid_thw": torch.tensor([[1, 2, 8]]),
        "pixel_values": torch.arange(100, 116).unsqueeze(1),
        "mm_token_type_ids": torch.tensor([[1, 0, 0, 0]]),
    }


def test_rounds_of_other_lengths_become_one_window_in_which_each_group_is_as_it_was():
    first = window() | {"prompt_ids": torch.arange(18).view(6, 3), "completion_ids": torch.arange(12).view(6, 2)}
    first["old_per_token_logps"] = -torch.arange(12.0).view(6, 2)
    merged = merge([first, wider()], filler=99)
    assert merged["prompt_ids"][0].tolist() == [99, 0, 1, 2] and merged["prompt_mask"][0].tolist() == [0, 0, 1, 1]
    assert merged["completion_ids"][0].tolist() == [0, 1, 99] and merged["completion_mask"][1].tolist() == [1, 0, 0]
    assert merged["num_images"] == [2, 1, 0, 1] and merged["num_items_in_batch"] == 7
    assert merged["old_per_token_logps"][1].tolist() == [-2, -3, 0]
    assert group_tokens(merged, 2) == [*group_tokens(first, 2), *group_tokens(wider(), 2)]
    alone = take_groups(merged, [3], 2)
    for key, value in wider().items():
        if key != "num_items_in_batch":
            assert alone[key] == value if isinstance(value, list) else torch.equal(alone[key], value)


def test_a_replaced_group_stands_in_the_others_place():
    first = window() | {"prompt_ids": torch.zeros(6, 3, dtype=torch.long)}
    first |= {"completion_ids": first["completion_mask"], "old_per_token_logps": torch.zeros(6, 2)}
    taken = take_groups(merge([first, wider()], filler=0), [0, 3, 2], 2)
    assert taken["advantages"].tolist() == [0.0, 1.0, 7.0, 8.0, 4.0, 5.0] and taken["num_images"] == [2, 1, 0]
    assert taken["pixel_values"].flatten().tolist() == [*range(12), *range(100, 116)]
    assert taken["mm_token_type_ids"].tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
