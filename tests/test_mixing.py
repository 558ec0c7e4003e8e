"""Orders fixed ahead: the paper's sizes, what is open in it, its ablation's rows, and the stream TRL is fed."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from morerl.errors import DataError
from morerl.grpo_settings import MixingSettings
from morerl.guidelines import load_spec
from morerl.jsonl import write_records
from morerl.mixing import schedule as fixed_ahead
from morerl.mixing.lines import first_step
from morerl.mixing.schedule import Epoch, schedule
from morerl.schema import Rated
from morerl.tasks import alone
from morerl.training.grpo import read_ratings

PAPER = MixingSettings(alpha=0.5, epochs=4)


def rated(hard, easy, *, n=1):
    rows = [Rated(id=f"h{i}", n=n, n_correct=0) for i in range(hard)]
    return rows + [Rated(id=f"e{i}", n=n, n_correct=n) for i in range(easy)]


def easy(epoch):
    return [id_ for id_ in epoch.ids if id_.startswith("e")]


def windows(*arguments, seed):
    """The ids of each window."""
    return [[slot.id for slot in window] for window in fixed_ahead.windows(*arguments, seed=seed)]


@pytest.fixture(scope="module")
def paper():
    return schedule(rated(2370, 8853), PAPER, seed=0)


def test_the_papers_counts_come_out(paper):
    assert [len(epoch.ids) for epoch in paper] == [4740, 3555, 2963, 2666]  # 592.5 is rounded up
    assert [epoch.easy for epoch in paper] == [2370, 1185, 593, 296]
    assert [epoch.epoch for epoch in paper] == [1, 2, 3, 4]


def test_every_hard_sample_is_in_each_epoch_once_and_no_easy_one_repeats(paper):
    hard = Counter(f"h{i}" for i in range(2370))
    assert all(Counter(id_ for id_ in epoch.ids if id_[0] == "h") == hard for epoch in paper)
    drawn = [id_ for epoch in paper for id_ in easy(epoch)]
    assert len(set(drawn)) == len(drawn) == 4444


def test_easy_samples_repeat_only_once_all_are_used_up():
    epochs = schedule(rated(10, 15), MixingSettings(alpha=1, epochs=6), seed=3)
    drawn = [id_ for epoch in epochs for id_ in easy(epoch)]
    assert len(drawn) == 60 and Counter(drawn) == {f"e{i}": 4 for i in range(15)}
    assert len({id_ for epoch in epochs[:1] for id_ in easy(epoch)}) == 10


def test_the_seed_decides_and_epochs_are_shuffled_apart():
    rows = rated(50, 200)
    assert schedule(rows, PAPER, seed=1) == schedule(rows, PAPER, seed=1) != schedule(rows, PAPER, seed=2)
    first, second = (e.ids for e in schedule(rows, MixingSettings(alpha=0, epochs=3), seed=1)[1:])
    assert sorted(first) == sorted(second) and first != second
    assert first != tuple(f"h{i}" for i in range(50))


@pytest.mark.parametrize(
    ("alpha", "hard", "many", "sizes"),
    [
        (0.0, 7, 20, [7, 0, 0, 0]),
        (1.0, 7, 20, [7, 7, 7, 7]),
        (0.5, 7, 5, [5, 4, 2, 1]),
        (0.5, 7, 0, [0, 0, 0, 0]),
    ],
)
def test_alpha_0_and_1_and_too_few_easy(alpha, hard, many, sizes):
    epochs = schedule(rated(hard, many), MixingSettings(alpha=alpha, epochs=4), seed=0)
    assert [epoch.easy for epoch in epochs] == sizes
    assert all(epoch.hard == hard and len(epoch.ids) == hard + epoch.easy for epoch in epochs)


def test_hard_and_easy_together_are_all_that_was_rated():
    rows = [Rated(id=f"r{n}", n=9, n_correct=n % 10) for n in range(50)]
    _, all_easy = schedule(rows, MixingSettings(alpha=99, epochs=2), seed=0)
    assert sorted(all_easy.ids) == sorted(row.id for row in rows)


def test_nothing_hard_is_an_error():
    with pytest.raises(DataError, match="none of the 5 rated samples is hard"):
        schedule(rated(0, 5), PAPER, seed=0)


@pytest.mark.parametrize(("below", "hard"), [(1.0, 3), (0.5, 1), (0.75, 2)])
def test_hard_is_a_pass_rate_below_the_threshold(below, hard):
    rows = [Rated(id=f"r{n}", n=4, n_correct=n) for n in (1, 2, 3, 4)]
    (epoch,) = schedule(rows, MixingSettings(epochs=1, hard_below=below), seed=0)
    assert epoch.hard == hard


# --- the paper's ablation


@pytest.mark.parametrize(
    ("strategy", "easy_ones"),
    [("progressive", [2370, 1185, 593, 296]), ("raw", [8853] * 4), ("hard_only", [0] * 4), ("fixed", [2370] * 4)],
)
def test_every_strategy_has_its_counts(strategy, easy_ones):
    epochs = schedule(rated(2370, 8853), MixingSettings(strategy=strategy), seed=0)
    assert [epoch.easy for epoch in epochs] == easy_ones and [epoch.hard for epoch in epochs] == [2370] * 4
    assert all(len(epoch.ids) == 2370 + epoch.easy for epoch in epochs)
    times = Counter(id_ for epoch in epochs for id_ in easy(epoch))
    assert not times or max(times.values()) == -(-sum(easy_ones) // 8853)  # none again until all are used up


def test_easy_ones_that_are_all_taken_are_each_taken_once():
    """Also where an epoch before has begun the round of draws."""
    _, second, third = schedule(rated(2, 5), MixingSettings(alpha=2, epochs=3), seed=0)
    assert (second.easy, third.easy) == (4, 5)
    assert sorted(easy(third)) == [f"e{n}" for n in range(5)]


def test_fixed_is_progressive_at_alpha_1_and_needs_no_alpha():
    rows = rated(12, 40)
    as_alpha_1 = schedule(rows, MixingSettings(alpha=1.0), seed=5)
    assert schedule(rows, MixingSettings(strategy="fixed", alpha=0.1), seed=5) == as_alpha_1


def test_raw_needs_nothing_hard_and_the_others_do():
    assert [e.easy for e in schedule(rated(0, 5), MixingSettings(strategy="raw", epochs=2), seed=0)] == [5, 5]
    for strategy in ("hard_only", "fixed", "adaptive"):
        with pytest.raises(DataError, match="none of the 5 rated samples is hard"):
            schedule(rated(0, 5), MixingSettings(strategy=strategy), seed=0)


# --- what must not change: the draws of runs that have been measured


def test_a_seeds_draws_are_those_they_have_always_been():
    rows = [Rated(id=f"{'pt'[n % 3 == 0]}{n}", n=1, n_correct=int(n % 4 > 0)) for n in range(24)]
    epochs = schedule(rows, MixingSettings(alpha=0.5, epochs=3), seed=7)
    assert [" ".join(epoch.ids) for epoch in epochs] == [
        "p4 p10 p14 p20 p22 t3 t18 p16 t12 p8 t6 t0",
        "p4 p7 t0 p16 p5 t12 p8 p11 p20",
        "p4 p1 t21 p20 p8 t12 p16 t0",
    ]
    assert [" ".join(window) for window in windows(epochs, 5, pictured, seed=7)] == [
        "p4 p10 p14 p20 p22",
        "t3 t18 t12 t6 t0",
        "p16 p8 p4 p7 p16",
        "p5 p8 p11 p20 p4",
        "t0 t12 t21 t12 t0",
        "p1 p20 p8 p16 p16",
    ]


# --- windows


def epochs_of(*orders):
    return [Epoch(epoch=n, hard=len(ids), easy=0, ids=tuple(ids)) for n, ids in enumerate(orders, 1)]


def pictured(id_):
    return id_.startswith("p")


def test_windows_keep_the_order_and_the_next_epoch_fills_what_is_open():
    made = windows(epochs_of("pabpc", "dpp"), 2, lambda id_: id_ == "p", seed=0)
    assert made[:4] == [["a", "b"], ["p", "p"], ["c", "d"], ["p", "p"]] and len(made) == 4


def test_the_last_window_is_filled_by_a_redraw_from_the_last_epoch_of_its_kind():
    orders = epochs_of(["t0", "p0", "t1", "t2"], ["p1", "p2", "p3", "p4"])
    made = windows(orders, 4, pictured, seed=0)
    assert made[0] == ["p0", "p1", "p2", "p3"]
    assert made[1][:3] == ["t0", "t1", "t2"] and set(made[1]) == {"t0", "t1", "t2"}
    assert made[2][0] == "p4" and set(made[2][1:]) <= {"p1", "p2", "p3", "p4"}
    assert windows(orders, 4, pictured, seed=0) == made


def test_a_slot_knows_its_epoch_and_whether_it_only_fills():
    (window,) = fixed_ahead.windows(epochs_of("p", "qr"), 5, lambda id_: True, seed=0)
    assert [(slot.epoch, slot.fill) for slot in window] == [(1, False), (2, False), (2, False), (2, True), (2, True)]


@pytest.mark.parametrize(
    ("micro_steps", "accumulation", "steps"),
    [(4, 4, [1, 2, 3]), (4, 2, [1, 3, 5]), (2, 4, [1, 1, 2]), (6, 4, [1, 2, 4]), (1, 1, [1, 2, 3])],
)
def test_a_windows_first_optimizer_step(micro_steps, accumulation, steps):
    assert [first_step(window, micro_steps, accumulation) for window in (1, 2, 3)] == steps


IDS = st.lists(st.sampled_from(["p0", "p1", "p2", "t0", "t1"]), min_size=1, max_size=15)


@given(st.lists(IDS, min_size=1, max_size=4), st.integers(1, 8), st.integers(0, 99))
def test_windows_are_of_one_kind_and_size_and_nothing_is_dropped(orders, size, seed):
    made = windows(epochs_of(*orders), size, pictured, seed=seed)
    assert all(len(window) == size and len({pictured(id_) for id_ in window}) == 1 for window in made)
    scheduled, trained = Counter(id_ for ids in orders for id_ in ids), Counter(i for w in made for i in w)
    assert scheduled <= trained and trained.total() - scheduled.total() < 2 * size
    assert set(trained) == set(scheduled)


@pytest.mark.parametrize(("count", "size", "group", "repeats"), [(12, 4, 8, 4), (6, 3, 2, 1), (8, 1, 3, 2)])
def test_the_stream_is_the_one_trl_would_draw_unshuffled(count, size, group, repeats):
    from trl.trainer.utils import RepeatSampler

    from morerl.training.sampler import WindowSampler

    rows = list(range(count))
    ours = WindowSampler([rows[i : i + size] for i in range(0, count, size)], group=group, repeats=repeats)
    stock = RepeatSampler(rows, mini_repeat_count=group, batch_size=size, repeat_count=repeats, shuffle=False)
    assert list(ours) == list(stock) and len(ours) == len(stock) == len(list(ours))


def test_the_stream_of_a_window_is_as_documented():
    from morerl.training.sampler import WindowSampler

    sampler = WindowSampler([[4, 7]], group=2, repeats=2)
    assert list(sampler) == [4, 4, 7, 7, 4, 4, 7, 7] == list(sampler)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("aba", "rated.jsonl: 'a' is rated twice"),
        ("az", "rated.jsonl: 'z' is not in the train split"),
        ("", "rated.jsonl rates no sample"),
    ],
)
def test_a_rating_is_of_a_train_sample_and_its_only_one(tmp_path, ids, message):
    rows = [Rated(id=id_, n=1, n_correct=number % 2) for number, id_ in enumerate(ids)]
    write_records(tmp_path / "rated.jsonl", rows)
    with pytest.raises(DataError, match=message):
        read_ratings(tmp_path / "rated.jsonl", {"a", "b"})


def test_a_rating_beyond_the_limit_of_the_data_is_said_to_be(tmp_path):
    write_records(tmp_path / "rated.jsonl", [Rated(id="z", n=1, n_correct=0)])
    limited = replace(alone(load_spec("more")), limit=2).limited
    with pytest.raises(DataError, match=r"'z' is not in the train split, of which data\.limit = 2 reads the first"):
        read_ratings(tmp_path / "rated.jsonl", {"a"}, limited)


def test_a_share_too_large_for_a_number_is_all_there_are():
    """100 ** 199 is more than a float holds."""
    (*_, last) = schedule(rated(3, 5), MixingSettings(alpha=100, epochs=200), seed=0)
    assert (last.hard, last.easy) == (3, 5)
