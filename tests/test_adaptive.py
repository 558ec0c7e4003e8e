"""Adaptive draws: weights, floor, replay and refill, for any pool; the same again from the same standing."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from morerl.grpo_settings import MixingSettings
from morerl.mixing.adaptive import Draw, Pool, Standing, draw, learn, refill, replayed, start, weight, why
from morerl.schema import Rated

GROUP = 8
RATES = st.floats(0.0, 1.0)


def pool_of(rates, *, size=4, seed=0, pictures=None, ratios=None, drawn=None, **mixing):
    """A pool and a standing of those pass rates."""
    pool = Pool(
        ids=[f"s{row}" for row in range(len(rates))],
        pictures=pictures or [False] * len(rates),
        ratios=ratios or [1.0] * len(rates),
        mixing=MixingSettings(strategy="adaptive", **mixing),
        size=size,
        seed=seed,
    )
    return pool, Standing(rates=tuple(rates), drawn=tuple(drawn or [0] * len(rates)))


def run(pool, standing, windows, *, chance=None):
    """The draws of so many windows; rollouts come out as `chance` says for each row, or leave the rates as they are."""
    drawn = []
    for window in range(1, windows + 1):
        drawn.append(draw(pool, standing, window))
        passed = [standing.rates[one.row] if chance is None else chance(one.row, window) for one in drawn[-1]]
        standing = learn(pool, standing, window, drawn[-1], passed, GROUP)
    return drawn, standing


# --- what is known of a sample


def test_the_start_is_as_rated_with_one_more_rollout_of_the_average():
    rows = [Rated(id="a", n=1, n_correct=1), Rated(id="b", n=1, n_correct=0), Rated(id="c", n=9, n_correct=9)]
    average = 2 / 3
    assert start(rows).rates == pytest.approx([(1 + average) / 2, average / 2, (9 + average) / 10])
    assert start(rows).drawn == (0, 0, 0) and start(rows).rollouts == 0


@given(st.lists(st.tuples(st.integers(1, 16), st.integers(0, 16)), min_size=1, max_size=20))
def test_the_start_keeps_to_0_and_1_and_to_the_order_of_the_ratings(rows):
    rated = [Rated(id=str(at), n=n, n_correct=min(n, right)) for at, (n, right) in enumerate(rows)]
    rates = start(rated).rates
    assert all(0.0 <= rate <= 1.0 for rate in rates)
    for a, of_a in zip(rated, rates, strict=True):
        for b, of_b in zip(rated, rates, strict=True):
            assert a.n != b.n or a.n_correct <= b.n_correct or of_a >= of_b


def test_a_rate_is_an_exponential_average_and_every_rollout_counts():
    pool, standing = pool_of([0.5, 0.5, 0.9], decay=0.75)
    after = learn(pool, standing, 3, [Draw(row=0, why="spread"), Draw(row=2, why="spread")], [1.0, 0.25], GROUP)
    assert after.rates == pytest.approx((0.75 * 0.5 + 0.25, 0.5, 0.75 * 0.9 + 0.25 * 0.25))
    assert after.drawn == (3, 0, 3) and after.rollouts == 16
    again = learn(pool, after, 4, [Draw(row=1, why="spread")] * 2, [1.0, 0.0], GROUP)
    assert again.rates[1] == pytest.approx(0.75 * (0.75 * 0.5 + 0.25)) and again.rollouts == 32


def test_classes_and_weights_meet_at_the_floor():
    assert [why(rate, 0.05) for rate in (0.0, 0.05, 0.06, 0.5, 0.94, 0.95, 1.0)] == [
        *("floor", "floor", "spread", "spread", "spread", "replay", "replay")
    ]
    assert [weight(rate, 0.05) for rate in (0.0, 0.01, 0.5, 0.25)] == [0.05, 0.05, 0.25, 0.1875]


def test_a_sample_is_promoted_and_demoted_by_its_rollouts():
    pool, standing = pool_of([0.0, 1.0], size=2, replay=0.5, decay=0.5)
    seen = []
    for window in range(1, 7):
        seen.append({one.row: one.why for one in draw(pool, standing, window)})
        standing = learn(pool, standing, window, [Draw(row=0, why="floor"), Draw(row=1, why="replay")], [1.0, 0.0], 8)
    assert [one[0] for one in seen] == ["floor", "spread", "spread", "spread", "spread", "replay"]
    assert [one[1] for one in seen] == ["replay", "spread", "spread", "spread", "spread", "floor"]


# --- the draws


@given(st.lists(RATES, min_size=1, max_size=30), st.integers(1, 8), st.floats(0, 0.99), st.integers(0, 9))
def test_a_window_is_full_of_one_kind_and_repeats_only_where_it_must(rates, size, replay, seed):
    pictures = [row % 3 == 0 for row in range(len(rates))]
    pool, standing = pool_of(rates, size=size, seed=seed, pictures=pictures, replay=replay)
    drawn = draw(pool, standing, 5)
    kinds = {pictures[one.row] for one in drawn}
    available = pictures.count(kinds.copy().pop())
    assert len(drawn) == size and len(kinds) == 1
    assert len({one.row for one in drawn}) == min(size, available)
    assert all(one.why == why(rates[one.row], pool.mixing.floor) for one in drawn)
    assert draw(pool, standing, 5) == drawn


@given(st.integers(1, 12), st.floats(0, 0.99), st.integers(1, 300))
def test_the_replay_share_is_exact_to_one_place(size, replay, windows):
    mixing = MixingSettings(replay=replay)
    places = [replayed(mixing, window, size) for window in range(1, windows + 1)]
    assert abs(sum(places) - replay * size * windows) <= 1
    assert all(0 <= here <= math.ceil(replay * size) for here in places)


@given(st.integers(3, 20), st.integers(1, 6), st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 99))
def test_every_solved_sample_comes_round(solved, size, replay, seed):
    """In a pool that also holds more unsolved samples than fit: after ceil(solved / share) windows all were drawn."""
    pool, standing = pool_of([1.0] * solved + [0.5] * 10, size=size, replay=replay, seed=seed)
    windows = math.ceil((solved + 1) / (replay * size))
    drawn, _ = run(pool, standing, windows)
    again = Counter(one.row for window in drawn for one in window if one.why == "replay")
    assert set(again) == set(range(solved)) and max(again.values()) - min(again.values()) <= 1


@settings(max_examples=20)
@given(st.lists(RATES, min_size=2, max_size=12), st.integers(0, 99))
def test_no_sample_starves(rates, seed):
    """Whatever the rates: at the least weight, 0.05 of 2.8, missing 600 windows of four has chance 1e-13."""
    pool, standing = pool_of(rates, seed=seed, size=4)
    drawn, _ = run(pool, standing, 600)
    assert {one.row for window in drawn for one in window} == set(range(len(rates)))


@pytest.mark.parametrize("floor", [0.02, 0.1])
def test_draws_follow_the_spread_and_the_never_solved_have_the_floor(floor):
    """400 of p = 0 and 400 of p = 0.5, of which few fit: they are drawn as floor : 0.25."""
    pool, standing = pool_of([0.0] * 400 + [0.5] * 400, size=4, floor=floor, replay=0.0)
    drawn = Counter(one.why for window in run(pool, standing, 1500)[0] for one in window)
    expected = floor / (floor + 0.25)
    deviation = math.sqrt(expected * (1 - expected) / 6000)
    assert drawn["floor"] / 6000 == pytest.approx(expected, abs=4 * deviation)
    assert drawn["floor"] + drawn["spread"] == 6000


def test_learning_samples_are_drawn_while_they_are_learnt_and_seldom_after():
    """Rows 0-9 become solved after window 30; until then they have spread as rows 10-19 have always."""
    pool, standing = pool_of([0.5] * 20, size=4)
    rng = random.Random(0)
    drawn, _ = run(
        pool, standing, 160, chance=lambda row, window: 1.0 if row < 10 and window > 30 else rng.choice([0.25, 0.75])
    )
    early, late = (Counter(one.row < 10 for window in part for one in window) for part in (drawn[:30], drawn[80:]))
    assert 0.35 < early[True] / early.total() < 0.65
    assert late[True] / late.total() == pytest.approx(pool.mixing.replay, abs=0.02)


def test_a_kind_is_chosen_by_what_it_has_to_teach():
    pool, standing = pool_of([0.5] * 10 + [1.0] * 10, pictures=[True] * 10 + [False] * 10)
    kinds = Counter(pool.pictures[draw(pool, standing, window)[0].row] for window in range(1, 601))
    assert kinds[True] / 600 == pytest.approx(2.5 / 3.0, abs=0.06)


@given(st.lists(RATES, min_size=2, max_size=12), st.integers(1, 30), st.integers(0, 99))
def test_a_standing_read_from_json_goes_on_with_the_same_draws(rates, stop, seed):
    pool, standing = pool_of(rates, seed=seed)
    _, then = run(pool, standing, stop, chance=lambda row, window: (row * window % 9) / 8)
    read = Standing.model_validate_json(then.model_dump_json())
    assert read == then and draw(pool, read, stop + 1) == draw(pool, then, stop + 1)


def test_a_row_of_a_small_corpus_is_drawn_as_often_as_its_ratio_says():
    pool, standing = pool_of([0.5, 0.5], ratios=[1.0, 3.0], size=1, replay=0)
    drawn = Counter(draw(pool, standing, window)[0].row for window in range(1, 1201))
    assert drawn[1] / 1200 == pytest.approx(0.75, abs=0.05)


def test_the_solved_of_a_small_corpus_come_round_as_often_as_its_ratio_says():
    """30 solved rows of one corpus and 10 of another, each of which is to be drawn three times as often."""
    pool, standing = pool_of([1.0] * 40 + [0.5] * 8, ratios=[1.0] * 30 + [3.0] * 10 + [1.0] * 8, size=4, replay=0.5)
    drawn, _ = run(pool, standing, 1200)
    again = Counter(one.row >= 30 for window in drawn for one in window if one.why == "replay")
    assert again[True] / again.total() == pytest.approx(0.5, abs=0.03)


# --- refills


@given(st.lists(RATES, min_size=1, max_size=20), st.integers(1, 6), st.integers(0, 8), st.floats(0, 1))
def test_a_refill_is_of_the_windows_kind_new_unsolved_and_within_its_share(rates, size, count, share):
    pictures = [row % 2 == 0 for row in range(len(rates))]
    pool, standing = pool_of(rates, size=size, pictures=pictures, refill=share)
    drawn = draw(pool, standing, 1)
    kind = pictures[drawn[0].row]
    here = {one.row for one in drawn}
    more = refill(pool, standing, 1, drawn, count)
    rows = [one.row for one in more]
    left = [
        row
        for row in range(len(rates))
        if pictures[row] is kind and row not in here and why(rates[row], 0.05) != "replay"
    ]
    assert len(rows) == len(set(rows)) == min(count, math.floor(share * size), len(left))
    assert set(rows) <= set(left) and refill(pool, standing, 1, drawn, count) == more


@pytest.mark.parametrize(
    "wrong", [{"decay": 1.0}, {"floor": 0.0}, {"floor": 0.3}, {"replay": 1.0}, {"refill": -0.1}, {"strategy": "random"}]
)
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        MixingSettings(**wrong)
