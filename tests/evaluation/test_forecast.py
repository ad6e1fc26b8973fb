"""Ridge on frozen features equals a slow loop over sklearn's, known numbers are met again, and no forecast knows its future."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Sklearn

import tsrep
from tsrep.data.columns import clock
from tsrep.errors import InputError
from tsrep.evaluation import forecast
from tsrep.evaluation.forecast import (
    FLOOR,
    PENALTIES,
    Centre,
    Frame,
    Ridge,
    Scores,
    Task,
    centred_lags,
    frame,
    lagged,
    last_value,
    seasonal_naive,
)

CENTRES: tuple[Centre, ...] = ("none", "last", "window")
ENDS = (300, 400, 500)
LAGS = 6
HORIZONS = (1, 4, 11)


def walks(channels: int = 3, time: int = 500, seed: int = 0) -> np.ndarray:
    """Random walks that fall back to zero, the last of them mostly noise, so that penalties of all sizes are chosen."""
    rng = np.random.default_rng(seed)
    out = np.zeros((channels, time))
    for step in range(1, time):
        out[:, step] = 0.95 * out[:, step - 1] + rng.standard_normal(channels)
    out[-1] += 4 * rng.standard_normal(time)
    return out / out[:, : ENDS[0]].std(axis=1, keepdims=True)


def features_of(values: np.ndarray, to: Frame, shared: bool) -> list[np.ndarray]:
    """Lags and sixty columns of noise for each channel; or those of all channels in one."""
    noise = np.random.default_rng(1).standard_normal((*values.shape, 60)).astype(np.float32)
    each = [np.concatenate(pair, axis=1) for pair in zip(centred_lags(values, to, LAGS), noise, strict=True)]
    return [np.concatenate(each, axis=1)] * len(each) if shared else each


def slow(
    task: Task, features: list[np.ndarray], to: Frame, horizon: int, joint: bool, steps: np.ndarray
) -> tuple[Scores, list[np.ndarray]]:
    """Every penalty, channel and part in turn, with sklearn's ridge; and the forecasts on the test part of each channel."""
    train, ends = task.ends[0], task.ends

    def future(channel: int, at: range | np.ndarray) -> np.ndarray:
        return np.array([[task.values[channel, t + h] for h in range(1, horizon + 1)] for t in at])

    said: dict[tuple[int, float, str], np.ndarray] = {}
    missed: dict[tuple[int, float, str], np.ndarray] = {}
    parts = {"validation": range(train, ends[1] - horizon), "test": range(ends[1], ends[2] - horizon)}
    for channel, x in enumerate(features):
        centre, scale = to.centre[channel][:, None], to.scale[channel][:, None]
        own = steps[steps < train - horizon]
        y = (future(channel, own) - centre[own]) / scale[own]
        for penalty in PENALTIES:
            fitted = Sklearn(alpha=penalty, solver="cholesky").fit(x[own].astype(float), y)
            for part, at in parts.items():
                told = fitted.predict(x[np.array(at)].astype(float)).reshape(len(at), horizon)
                said[channel, penalty, part] = told * scale[np.array(at)] + centre[np.array(at)]
                missed[channel, penalty, part] = said[channel, penalty, part] - future(channel, at)

    def score(group: list[int], penalty: float) -> float:
        all_of = np.concatenate([missed[channel, penalty, "validation"].ravel() for channel in group])
        return float(np.sqrt((all_of**2).mean()) + np.abs(all_of).mean())

    groups = [list(range(len(features)))] if joint else [[channel] for channel in range(len(features))]
    chosen = [min(PENALTIES, key=lambda penalty: score(group, penalty)) for group in groups]
    each = {channel: penalty for group, penalty in zip(groups, chosen, strict=True) for channel in group}
    best = float(np.mean([score(group, penalty) for group, penalty in zip(groups, chosen, strict=True)]))
    test = np.concatenate([missed[channel, each[channel], "test"].ravel() for channel in each])
    scores = Scores(float((test**2).mean()), float(np.abs(test).mean()), best, tuple(chosen))
    return scores, [said[channel, each[channel], "test"] for channel in each]


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize(("joint", "shared"), [(True, True), (False, False), (True, False)])
def test_ridge_and_its_penalty_are_those_of_a_slow_loop(centre: Centre, joint: bool, shared: bool) -> None:
    task = Task(walks(), ENDS)
    to = frame(task.values, centre, LAGS)
    features = features_of(task.values, to, shared)
    ridge = Ridge(task, features, to, joint=joint, first=20)
    seen = set()
    for horizon in HORIZONS:
        fitted = ridge.fit(horizon)
        expected, said = slow(task, features, to, horizon, joint, np.arange(20, ENDS[0]))
        assert fitted.scores.penalties == expected.penalties
        assert len(fitted.scores.penalties) == (1 if joint else 3)
        assert fitted.scores.mse == pytest.approx(expected.mse, rel=1e-6)
        assert fitted.scores.mae == pytest.approx(expected.mae, rel=1e-6)
        assert fitted.scores.validation == pytest.approx(expected.validation, rel=1e-5)  # in single precision
        for channel, one in enumerate(said):
            found = fitted(channel, np.arange(ENDS[1], ENDS[2] - horizon))
            assert found.shape == one.shape
            np.testing.assert_allclose(found, one, rtol=0, atol=1e-6)
        seen |= set(fitted.scores.penalties)
    assert len(seen) > 1 and seen - {PENALTIES[0], PENALTIES[-1]}, "a choice that is always the same shows nothing"


@pytest.mark.parametrize("centre", CENTRES)
def test_a_ridge_that_channels_share_is_that_of_their_stacked_steps(centre: Centre) -> None:
    task = Task(walks(), ENDS)
    to = frame(task.values, centre, LAGS)
    features = features_of(task.values, to, False)
    ridge = Ridge(task, features, to, joint=False, shared=True, first=20)
    for horizon in HORIZONS:
        fitted = ridge.fit(horizon)
        own, tried, test = (
            np.arange(*span) for span in ((20, 300 - horizon), (300, 400 - horizon), (400, 500 - horizon))
        )

        def future(at: np.ndarray, horizon: int = horizon) -> np.ndarray:
            """(channel, steps, horizon)"""
            return np.stack([[values[t + 1 : t + 1 + horizon] for t in at] for values in task.values])

        y = (future(own) - to.centre[:, own, None]) / to.scale[:, own, None]
        missed = {}
        for penalty in PENALTIES:
            one = Sklearn(alpha=penalty, solver="cholesky").fit(
                np.concatenate([x[own].astype(float) for x in features]), np.concatenate(list(y)))  # fmt: skip
            for at in (tried, test):
                said = np.stack([one.predict(x[at].astype(float)).reshape(len(at), horizon) for x in features])
                missed[penalty, at[0]] = said * to.scale[:, at, None] + to.centre[:, at, None] - future(at)
        score = {a: np.sqrt(np.square(missed[a, 300]).mean()) + np.abs(missed[a, 300]).mean() for a in PENALTIES}
        best = min(PENALTIES, key=lambda a: score[a])
        assert fitted.scores.penalties == (best,)
        assert fitted.scores.validation == pytest.approx(score[best], rel=1e-5)
        assert fitted.scores.mse == pytest.approx(np.square(missed[best, 400]).mean(), rel=1e-6)
        assert fitted.scores.mae == pytest.approx(np.abs(missed[best, 400]).mean(), rel=1e-6)
        np.testing.assert_allclose(fitted(1, test), missed[best, 400][1] + future(test)[1], rtol=0, atol=1e-6)


def test_without_a_test_part_the_errors_are_those_of_the_validation_part() -> None:
    values = walks()
    to = frame(values, "last", LAGS)
    features = features_of(values, to, False)
    whole = Ridge(Task(values, ENDS), features, to, joint=True, first=20).fit(4).scores
    short = Ridge(Task(values[:, : ENDS[1]], ENDS[:2]), features, to, joint=True, first=20).fit(4).scores
    assert (short.penalties, short.validation) == (whole.penalties, whole.validation)
    assert np.sqrt(short.mse) + short.mae == pytest.approx(short.validation, rel=1e-5)
    assert short.mse != pytest.approx(whole.mse, rel=1e-3)


@pytest.mark.parametrize("most", [100, 137])
def test_of_a_long_training_part_every_kth_step_is_learned_from(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(walks(), ENDS)
    to = frame(task.values, "last", LAGS)
    features = features_of(task.values, to, False)
    whole = Ridge(task, features, to, joint=False, first=20).fit(4).scores
    monkeypatch.setattr(forecast, "MOST", most)
    thin = Ridge(task, features, to, joint=False, first=20).fit(4).scores
    expected, _ = slow(task, features, to, 4, False, np.arange(20, ENDS[0], 3))
    assert len(np.arange(20, ENDS[0], 3)) <= most < len(np.arange(20, ENDS[0], 2))
    assert thin.penalties == expected.penalties
    assert thin.mse == pytest.approx(expected.mse, rel=1e-6)
    assert thin.mse != pytest.approx(whole.mse, rel=1e-3)


def etth1(channels: tuple[str, ...]) -> tuple[Task, np.ndarray]:
    """The task in units of the training part, and the calendar likewise: the protocol, without a line of what is tested here."""
    data = tsrep.load_dataset("ETTh1")
    assert data.validation is not None
    parts = (data.train, data.validation, data.test)
    end = data.train.length

    def standard(rows: np.ndarray) -> np.ndarray:
        spread = rows[:, :end].std(axis=1, keepdims=True)
        return (rows - rows[:, :end].mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)

    values = np.concatenate([part.values[0] for part in parts], axis=1).astype(float)
    stamps = np.concatenate([part.timestamps[0] for part in parts if part.timestamps is not None])
    kept = [data.train.channels.index(name) for name in channels]
    task = Task(standard(values[kept]), (end, end + data.validation.length, values.shape[1]))
    return task, standard(clock(stamps).astype(float)).T.astype(np.float32)


def by_lags(task: Task, calendar: np.ndarray, lags: int) -> Ridge:
    to = frame(task.values, "last", 1)
    features = [np.concatenate([own, calendar], axis=1) for own in centred_lags(task.values, to, lags)]
    return Ridge(task, features, to, joint=False, first=max(forecast.DROPPED, lags - 1))


ETT_HORIZONS = (24, 48, 168, 336, 720)
ETT_ALL = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


def test_ridge_on_raw_lags_gives_the_known_numbers_of_etth1_univariate(tsrep_data: Path) -> None:
    """methods.md §0.2, measured by a program of its own: 201 lags less the last value, and the calendar."""
    task, calendar = etth1(("OT",))
    ridge = by_lags(task, calendar, 201)
    found = np.array([(scores.mse, scores.mae) for h in ETT_HORIZONS for scores in (ridge.fit(h).scores,)])
    expected = [(0.027, 0.125), (0.040, 0.153), (0.068, 0.198), (0.078, 0.220), (0.102, 0.253)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), (0.063, 0.190), rtol=0, atol=1e-3)
    last = np.array([(scores.mse, scores.mae) for h in ETT_HORIZONS for scores in (last_value(task, h),)])
    np.testing.assert_allclose(last.mean(axis=0), (0.083, 0.218), rtol=0, atol=1e-3)


def test_ridge_on_raw_lags_gives_the_known_numbers_of_etth1_multivariate(tsrep_data: Path) -> None:
    task, calendar = etth1(ETT_ALL)
    ridge = by_lags(task, calendar, 336)
    found = np.array([(scores.mse, scores.mae) for h in ETT_HORIZONS for scores in (ridge.fit(h).scores,)])
    expected = [(0.305, 0.354), (0.341, 0.375), (0.405, 0.418), (0.437, 0.439), (0.472, 0.481)]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.mean(axis=0), (0.392, 0.414), rtol=0, atol=1e-3)
    last = np.array([(scores.mse, scores.mae) for h in ETT_HORIZONS for scores in (last_value(task, h),)])
    np.testing.assert_allclose(last.mean(axis=0), (1.296, 0.719), rtol=0, atol=1e-3)


@pytest.mark.parametrize("centre", CENTRES)
def test_a_pure_sine_is_forecast_at_every_horizon(centre: Centre) -> None:
    values = np.sqrt(2) * np.sin(2 * np.pi * np.arange(1400) / 24 + np.array([[0.3], [2.0]]))
    task = Task(values, (900, 1150, 1400))
    to = frame(values, centre, 30)
    ridge = Ridge(task, list(centred_lags(values, to, 30)), to, joint=False)
    for horizon in (1, 24, 77, 200):
        assert ridge.fit(horizon).scores.mse < 1e-3
    assert last_value(task, 77).mse > 0.5


def slow_season(task: Task, horizon: int, period: int) -> tuple[float, float]:
    missed = []
    for values in task.values:
        for step in range(task.ends[1], task.ends[2] - horizon):
            for ahead in range(1, horizon + 1):
                known = step + ahead
                while known > step:
                    known -= period
                missed.append(values[known] - values[step + ahead])
    return float(np.square(missed).mean()), float(np.abs(missed).mean())


@pytest.mark.parametrize("horizon", [3, 7, 20])
def test_seasonal_naive_is_exact_on_what_repeats_and_a_slow_loop_elsewhere(horizon: int) -> None:
    pattern = np.random.default_rng(0).standard_normal((2, 7))
    repeats = Task(np.tile(pattern, 80)[:, :500], ENDS)
    exact = seasonal_naive(repeats, horizon, 7)
    assert (exact.mse, exact.mae) == (0.0, 0.0)
    assert seasonal_naive(repeats, horizon, 6).mse > 0.1
    task = Task(walks(), ENDS)
    for found, period in ((seasonal_naive(task, horizon, 7), 7), (last_value(task, horizon), 1)):
        assert (found.mse, found.mae) == pytest.approx(slow_season(task, horizon, period))
        assert np.isnan(found.validation)
        assert found.penalties == ()


def test_lags_are_the_values_up_to_each_step_and_the_first_one_before() -> None:
    values = walks(2, 40)
    found = lagged(values, 5)
    for channel in range(2):
        for step in range(40):
            expected = [values[channel, max(0, step - back)] for back in (4, 3, 2, 1, 0)]
            np.testing.assert_array_equal(found[channel, step], expected)


@pytest.mark.parametrize("centre", CENTRES)
def test_a_frame_is_undone_by_its_own_numbers_and_knows_no_future(centre: Centre) -> None:
    values = walks(2, 60)
    to = frame(values, centre, 8)
    lags = centred_lags(values, to, 8)
    assert lags.dtype == np.float32
    back = lags * to.scale[:, :, None] + to.centre[:, :, None]
    np.testing.assert_allclose(back, lagged(values, 8), rtol=0, atol=1e-6)
    if centre == "window":
        for channel, step in ((0, 3), (1, 30), (1, 59)):
            past = lagged(values, 8)[channel, step]
            assert to.centre[channel, step] == pytest.approx(past.mean())
            assert to.scale[channel, step] == pytest.approx(np.sqrt(past.var() + FLOOR))
    if centre == "last":
        assert (lags[:, :, -1] == 0).all()
    other = values.copy()
    other[:, 31:] += 5
    moved = frame(other, centre, 8)
    for left, right in ((to.centre, moved.centre), (to.scale, moved.scale), (lags, centred_lags(other, moved, 8))):
        np.testing.assert_array_equal(left[:, :31], right[:, :31])
    assert not np.array_equal(lags[:, 31:], centred_lags(other, moved, 8)[:, 31:]) or centre == "last"


def test_a_level_that_is_taken_off_comes_back() -> None:
    """Without its last value, or in units of its window, a series on a level never seen before is forecast like any other."""
    values = np.sin(2 * np.pi * np.arange(1000) / 20)[None] + np.where(np.arange(1000) < 800, 0, 50)
    task = Task(values, (600, 780, 1000))
    steps = np.arange(820, 990)  # their lags, too, are on the new level
    missed = {}
    for centre in CENTRES:
        to = frame(values, centre, 20)
        fitted = Ridge(task, list(centred_lags(values, to, 20)), to, joint=False, first=20).fit(5)
        missed[centre] = np.abs(fitted(0, steps) - task.futures(0, steps, 5)).max()
    assert missed["last"] < 1e-2 and missed["window"] < 1e-2
    assert missed["none"] > 1


@pytest.mark.parametrize("part", range(3))
def test_the_steps_of_a_part_have_their_whole_horizon_in_it(part: int) -> None:
    task = Task(walks(), ENDS)
    begin, end = (0, *ENDS)[part], ENDS[part]
    steps = task.steps(part, 9)
    assert steps.tolist() == [t for t in range(begin, end) if t + 9 < end]
    assert task.futures(1, steps, 9)[-1].tolist() == task.values[1, end - 9 : end].tolist()
    assert task.steps(part, 9, first=begin + 5)[0] == begin + 5


def test_what_cannot_be_forecast_is_refused() -> None:
    gap = walks()
    gap[1, 40:43] = np.nan
    with pytest.raises(InputError, match="without gaps to forecast, got 3 missing values; fill them"):
        Task(gap, ENDS)
    task = Task(walks(), ENDS)
    for part, name in enumerate(("training", "validation", "test")):
        horizon = (300, 100, 100)[part]
        assert len(task.steps(part, horizon - 1)) == 1
        with pytest.raises(InputError, match=f"expected a {name} part of more than {horizon} steps.*shorter horizon"):
            task.steps(part, horizon)
    to = frame(task.values, "last", 1)
    with pytest.raises(InputError, match=r"training part of more than 4 steps from step 320 on.*fewer lags"):
        Ridge(task, features_of(task.values, to, False), to, joint=False, first=320).fit(4)
