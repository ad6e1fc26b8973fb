"""Splits that refuse to leak: no subject and no step of a recording is on two sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsrep.data.layout import some
from tsrep.data.panel import Panel
from tsrep.errors import InputError, nearest


@dataclass(frozen=True)
class Split:
    """The sides of a split, each a panel with its rows in the order of the panel that was split."""

    train: Panel
    test: Panel
    validation: Panel | None = None


def by_subject(
    panel: Panel, test: float | Sequence[Any], validation: float | Sequence[Any] | None = None, *, seed: int = 0
) -> Split:
    """Splits so that everything of a subject is on one side.

    test, validation: the subjects of that side, or a share of all subjects (drawn with the seed, at least one).
    """
    if panel.subject is None:
        raise InputError("expected a panel with subjects, got one without: pass subject= to as_panel, or split by time")
    everyone = np.unique(panel.subject)
    order = np.random.default_rng(seed).permutation(everyone)
    tested = _chosen(everyone, test, order, "test")
    rest = order[~np.isin(order, tested)]
    validated = everyone[:0] if validation is None else _chosen(everyone, validation, rest, "validation")
    both = np.intersect1d(tested, validated)
    if len(both):
        raise InputError(f"subjects {some(both)} are named for test and for validation: name each on one side only")
    side = np.isin(panel.subject, tested) + 2 * np.isin(panel.subject, validated)
    if not (side == 0).any():
        raise InputError(f"expected a subject to train on, got all {len(everyone)} in test and validation")
    return Split(
        panel.rows(side == 0), panel.rows(side == 1), None if validation is None else panel.rows(side == 2)
    )  # fmt: skip


def by_time(
    panel: Panel, fractions: Sequence[float] = (0.6, 0.2, 0.2), *, boundaries: Sequence[int] | None = None
) -> Split:
    """Splits windows of recordings by time: the first part of every recording trains, the last one tests.

    fractions:  shares of each recording, (train, test) or (train, validation, test), that sum to at most one.
    boundaries: instead of fractions, steps of the recording: (a,) trains before a and tests from there; (a, b) trains
                before a, validates between and tests from b; (a, b, c) ends the test part at c.
    Windows that straddle a boundary are dropped, so no step is on two sides. A subject may well be on both.
    """
    end = panel.start + panel.lengths
    name = np.arange(len(panel)) if panel.recording is None else np.unique(panel.recording, return_inverse=True)[1]
    if boundaries is not None:
        if not 1 <= len(boundaries) <= 3 or list(boundaries) != sorted(set(boundaries)) or boundaries[0] <= 0:
            raise InputError(f"expected one to three rising steps as boundaries, got {tuple(boundaries)}")
        middle = len(boundaries) > 1
        cuts = np.array([0, *boundaries] + [np.iinfo(np.int64).max] * (len(boundaries) < 3))
        edges = np.broadcast_to(cuts, (len(panel), len(cuts)))
    else:
        if len(fractions) not in (2, 3) or min(fractions) <= 0 or sum(fractions) > 1 + 1e-9:
            raise InputError(
                f"expected two or three positive fractions with a sum of at most 1, got {tuple(fractions)}"
            )
        middle = len(fractions) == 3
        long = np.zeros(name.max() + 1, np.int64)
        np.maximum.at(long, name, end)
        share = np.concatenate([[0.0], np.cumsum(fractions)])
        edges = np.floor(long[name][:, None] * share + 1e-9).astype(np.int64)
    parts = [
        panel.rows((panel.start >= edges[:, i]) & (end <= edges[:, i + 1])) for i in range(edges.shape[1] - 1)
    ]  # fmt: skip
    for part, what in zip(parts, ("train", "validation", "test") if middle else ("train", "test"), strict=True):
        if not len(part):
            raise InputError(
                f"no window lies wholly in the {what} part of its recording: use shorter windows (of "
                f"{panel.length} steps now), or cut whole recordings with windows first"
            )
    split = Split(parts[0], parts[-1], parts[1] if middle else None)
    _check_sides(split, subjects=False)
    return split


def by_rows(
    panel: Panel,
    train: np.ndarray | Sequence[int],
    test: np.ndarray | Sequence[int],
    validation: np.ndarray | Sequence[int] | None = None,
    *,
    subjects: bool = True,
) -> Split:
    """Splits by given rows (indices or masks) and refuses a split that leaks.

    subjects: False allows one subject on two sides, for protocols that split a person's recordings by time or by trial.
    """
    everything = np.arange(len(panel))
    try:
        sides = [everything[np.asarray(rows)] for rows in (train, test, *([] if validation is None else [validation]))]
    except IndexError as error:
        raise InputError(f"expected rows of 0 to {len(panel) - 1}, or masks over {len(panel)} rows: {error}") from None
    rows, count = np.unique(np.concatenate(sides), return_counts=True)
    if (count > 1).any():
        raise InputError(
            f"{int((count > 1).sum())} rows are on two sides or twice on one (rows {some(rows[count > 1])})"
        )
    split = Split(*(panel.rows(side) for side in sides))
    _check_sides(split, subjects=subjects)
    return split


def check_leak(train: Panel, test: Panel, *, subjects: bool = True) -> None:
    """InputError where windows of one recording overlap across the two sides, or (subjects) a subject is on both.

    Recordings and subjects are known by `Panel.recording` and `Panel.subject`; a side without them goes unchecked.
    """
    if subjects and train.subject is not None and test.subject is not None:
        both = np.intersect1d(train.subject, test.subject)
        if len(both):
            raise InputError(f"{len(both)} subjects are on both sides ({some(both)}): split with by_subject")
    if train.recording is None or test.recording is None:
        return
    hit, where = _overlap(train, test)
    if len(hit):
        i, k = hit[0], where[0]
        end, train_end = test.start[i] + test.lengths[i], train.start[k] + train.lengths[k]
        raise InputError(
            f"{len(hit)} windows overlap windows of the other side in the same recording (first: recording "
            f"{test.recording[i]}, steps {test.start[i]} to {end} beside {train.start[k]} to {train_end}): "
            "split with by_time or by_subject"
        )


def stratified_fraction(label: np.ndarray, amount: float, seed: int = 0) -> np.ndarray:
    """Rows of a small labelled draw in which every class has its share, at least one: sorted (m,) int64.

    amount: a fraction (float, at most 1.0) or a number of rows (int).
    """
    label = np.asarray(label)
    kinds, code, have = np.unique(label, return_inverse=True, return_counts=True)
    whole = isinstance(amount, int | np.integer) and not isinstance(amount, bool)
    if whole and not len(kinds) <= amount <= len(label):
        raise InputError(
            f"expected at least one row for each of {len(kinds)} classes and at most {len(label)}, got {amount}"
        )
    if not whole and not 0 < amount <= 1:
        raise InputError(f"expected a fraction above 0 and up to 1.0, or a whole number of rows, got {amount}")
    total = int(amount) if whole else max(len(kinds), round(amount * len(label)))
    share = have * (total / len(label))
    want = np.maximum(1, np.floor(share).astype(np.int64))
    while want.sum() != total:  # largest remainders first; ends after at most one round over the classes
        short = want.sum() < total
        gap = np.where((want < have) if short else (want > 1), share - want, -np.inf if short else np.inf)
        want[gap.argmax() if short else gap.argmin()] += 1 if short else -1
    shuffled = np.random.default_rng(seed).permutation(len(label))
    by_class = shuffled[np.argsort(code[shuffled], kind="stable")]
    rank = np.arange(len(label)) - np.repeat(np.cumsum(have) - have, have)
    return np.sort(by_class[rank < np.repeat(want, have)])


def _chosen(everyone: np.ndarray, wanted: float | Sequence[Any], order: np.ndarray, what: str) -> np.ndarray:
    if isinstance(wanted, float | int):
        if not 0 < wanted < 1:
            raise InputError(f"expected {what} to be a share between 0 and 1 or a list of subjects, got {wanted}")
        return order[: max(1, round(wanted * len(everyone)))]
    if isinstance(wanted, str):
        wanted = [wanted]
    known = {str(subject): subject for subject in everyone}  # by text: a shell or a plan may say '7' for 7
    names = [str(subject) for subject in wanted]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"no subject {unknown[0]} for {what}: {nearest(unknown[0], known)}")
    if not names:
        raise InputError(f"expected at least one subject for {what}, got none")
    return np.array([known[name] for name in names])


def _check_sides(split: Split, subjects: bool) -> None:
    check_leak(split.train, split.test, subjects=subjects)
    if split.validation is not None:
        check_leak(split.train, split.validation, subjects=subjects)
        check_leak(split.validation, split.test, subjects=subjects)


def _overlap(train: Panel, test: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Rows of test that share a step with a row of train in their recording, and one such row of train for each.

    Recordings are laid end to end on one axis, far enough apart, so that one sort answers for all: a test window is
    hit when the furthest end among the train windows that begin before its end lies beyond its start.
    """
    assert train.recording is not None
    assert test.recording is not None
    code = np.unique(np.concatenate([train.recording, test.recording]), return_inverse=True)[1]
    train_end, test_end = train.start + train.lengths, test.start + test.lengths
    span = int(max(train_end.max(initial=0), test_end.max(initial=0))) + 1
    shift, test_shift = code[: len(train)] * span, code[len(train) :] * span
    order = np.argsort(shift + train.start, kind="stable")
    begin, end = (shift + train.start)[order], (shift + train_end)[order]
    furthest = np.maximum.accumulate(end)
    holder = np.maximum.accumulate(np.where(end == furthest, np.arange(len(end)), 0))
    before = np.searchsorted(begin, test_shift + test_end, side="left") - 1
    hit = (before >= 0) & (furthest[before] > test_shift + test.start)
    return np.flatnonzero(hit), order[holder[before[hit]]]
