"""Splits do not leak: clean ones pass, dirty ones raise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsrep.data import Panel, by_rows, by_subject, by_time, check_leak, stratified_fraction, windows
from tsrep.errors import InputError


def recordings(n: int = 6, time: int = 60) -> Panel:
    values = np.random.default_rng(0).standard_normal((n, 2, time)).astype(np.float32)
    return Panel(values, label=np.arange(n) % 2, subject=np.array([f"p{i // 2}" for i in range(n)]))


def test_a_subject_is_on_one_side_only() -> None:
    cut = windows(recordings(), 10, 5)
    split = by_subject(cut, test=["p1"], validation=["p0"])
    sides = [set(split.train.subject), set(split.validation.subject), set(split.test.subject)]
    assert sides == [{"p2"}, {"p0"}, {"p1"}]
    check_leak(split.train, split.test)
    with pytest.raises(InputError, match=r"1 subjects are on both sides \(p1\)"):
        check_leak(cut.rows(cut.recording != 2), split.test)


def test_a_share_of_subjects_is_drawn_with_the_seed() -> None:
    panel = recordings(20)
    one, again, other = (by_subject(panel, 0.3, 0.2, seed=s) for s in (1, 1, 5))
    assert set(one.test.subject) == set(again.test.subject) != set(other.test.subject)
    assert len(set(one.test.subject)) == 3
    assert len(set(one.validation.subject)) == 2
    assert len(one.train) == 10


@pytest.mark.parametrize(
    ("test", "validation", "message"),
    [
        (["p7"], None, "no subject p7 for test: did you mean"),
        (["p0", "p1", "p2"], None, "a subject to train on"),
        (["p0"], ["p0"], "for test and for validation"),
        (1.5, None, "between 0 and 1"),
        ([], None, "at least one subject"),
    ],
)
def test_impossible_splits_by_subject_are_refused(test: object, validation: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        by_subject(recordings(), test, validation)


def test_a_panel_without_subjects_is_not_split_by_them() -> None:
    with pytest.raises(InputError, match="without"):
        by_subject(Panel(np.zeros((3, 1, 4), np.float32)), 0.5)


@given(st.integers(2, 12), st.integers(1, 12), st.floats(0.3, 0.7))
def test_by_time_shares_no_step(length: int, hop: int, share: float) -> None:
    cut = windows(recordings(3), length, hop)
    split = by_time(cut, (share, 1 - share))
    held = [
        {(r, t) for r, s in zip(side.recording, side.start, strict=True) for t in range(s, s + length)}
        for side in (split.train, split.test)
    ]
    assert held[0]
    assert held[1]
    assert not held[0] & held[1]
    border = int(np.floor((cut.start.max() + length) * share + 1e-9))
    straddle = (cut.start < border) & (cut.start + length > border)
    assert len(split.train) + len(split.test) == len(cut) - straddle.sum()


def test_by_time_takes_boundaries_in_steps() -> None:
    cut = windows(recordings(2), 5, 5)
    split = by_time(cut, boundaries=(20, 40, 50))
    assert split.train.start.max() == 15
    assert (split.validation.start.min(), split.validation.start.max()) == (20, 35)
    assert (split.test.start.min(), split.test.start.max()) == (40, 45)
    assert by_time(cut, boundaries=(20,)).validation is None


def test_whole_recordings_are_not_split_by_time() -> None:
    with pytest.raises(InputError, match="cut whole recordings with windows"):
        by_time(recordings())
    with pytest.raises(InputError, match="fractions"):
        by_time(recordings(), (0.9, 0.9))


def test_overlapping_windows_on_two_sides_are_refused() -> None:
    cut = replace(windows(recordings(2), 10, 5), subject=None)
    even, odd = np.arange(0, len(cut), 2), np.arange(1, len(cut), 2)
    with pytest.raises(InputError, match=r"11 windows overlap .*recording 0, steps 5 to 15 beside 10 to 20\)"):
        by_rows(cut, even, odd)
    apart = by_rows(cut, np.flatnonzero(cut.start < 20), np.flatnonzero(cut.start >= 30))
    assert len(apart.train) == 8
    assert len(apart.test) == 10


def test_touching_windows_do_not_overlap() -> None:
    cut = replace(windows(recordings(2), 10, 10), subject=None)
    assert len(by_rows(cut, np.arange(0, 12, 2), np.arange(1, 12, 2)).test) == 6


@given(st.data())
def test_the_overlap_check_agrees_with_comparing_all_pairs(data: st.DataObject) -> None:
    def side(n: int) -> tuple[Panel, list[tuple[int, int, int]]]:
        whole = data.draw(
            st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 6)), min_size=n, max_size=n)
        )
        values = np.full((n, 1, 6), np.nan, np.float32)
        for i, (_, _, steps) in enumerate(whole):
            values[i, :, :steps] = 1
        recording, start, _ = (np.array(v) for v in zip(*whole, strict=True))
        return Panel(values, recording=recording, start=start), whole

    (train, a), (test, b) = side(4), side(3)
    leaks = any(r == q and s < u + w and u < s + v for r, s, v in a for q, u, w in b)
    if leaks:
        with pytest.raises(InputError, match="overlap"):
            check_leak(train, test)
    else:
        check_leak(train, test)


def test_rows_on_two_sides_are_refused() -> None:
    with pytest.raises(InputError, match=r"1 rows are on two sides.*rows 2"):
        by_rows(recordings(), [0, 1, 2], [2, 3], subjects=False)
    with pytest.raises(InputError, match="rows of 0 to 5"):
        by_rows(recordings(), [0], [9])
    with pytest.raises(InputError, match="subjects are on both sides"):
        by_rows(recordings(), [0, 2], [1, 3])
    assert len(by_rows(recordings(), [0, 2], [1, 3], subjects=False).train) == 2


def test_validation_is_checked_too() -> None:
    cut = replace(windows(recordings(1), 10, 5), subject=None)
    with pytest.raises(InputError, match="overlap"):
        by_rows(cut, [0], [9], [1])
    assert by_rows(cut, [0], [9], [4]).validation is not None


@given(st.lists(st.integers(0, 4), min_size=8, max_size=80), st.floats(0.01, 1.0), st.integers(0, 100), st.booleans())
def test_a_stratified_draw_has_every_class(labels: list[int], share: float, seed: int, whole: bool) -> None:
    label = np.array(labels)
    kinds, have = np.unique(label, return_counts=True)
    amount = max(len(kinds), round(share * len(label)))
    rows = stratified_fraction(label, amount if whole else share, seed)
    assert len(rows) == len(set(rows)) == amount
    got = np.array([(label[rows] == k).sum() for k in kinds])
    assert (got >= 1).all()
    assert (got <= have).all()
    np.testing.assert_array_equal(rows, stratified_fraction(label, amount if whole else share, seed))


def test_a_stratified_draw_follows_the_classes() -> None:
    label = np.repeat(["a", "b"], [900, 100])
    rows = stratified_fraction(label, 0.1)
    assert (label[rows] == "a").sum() == 90
    assert not np.array_equal(rows, stratified_fraction(label, 0.1, seed=1))
    for amount in (1, 0.0, 1.5):
        with pytest.raises(InputError, match="expected"):
            stratified_fraction(label, amount)
