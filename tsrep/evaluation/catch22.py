"""catch22: twenty-two features that together tell the classes of most time series tasks apart, with mean and spread.

Lubba et al., Data Mining and Knowledge Discovery 33 (2019), arXiv:1901.10200. Written for whole panels: each feature is
computed for all rows at once, and nothing is compiled. Rows are z-scored first, as the reference implementation does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tsrep.errors import InputError
from tsrep.evaluation import catch22_dynamics as dynamics
from tsrep.evaluation.catch22_fluctuation import dfa, rescaled_range
from tsrep.evaluation.catch22_rows import Rows, counts, histogram

SHORTEST = 4
_CELLS = 2**21
"""Cells of time x time worked on at once."""


def catch22(values: np.ndarray) -> np.ndarray:
    """values (n, time) without gaps -> (n, 24) float64: the features in the order of `FEATURES`, mean and spread last.

    A feature that a row does not have (a constant row, one too short) is zero. Raises InputError under 4 steps.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[1] < SHORTEST or not np.isfinite(values).all():
        raise InputError(f"catch22 expects finite rows of shape (n, time >= {SHORTEST}), got {values.shape}")
    mean, spread = values.mean(axis=1), values.std(axis=1, ddof=1)
    out = np.zeros((len(values), len(FEATURES) + 2))
    out[:, -2:] = np.stack([mean, spread], axis=1)
    alive = np.flatnonzero(spread > 1e-12 * np.abs(values).max(axis=1))  # what is left of a constant row is rounding
    step = max(1, _CELLS // values.shape[1] ** 2)
    for begin in range(0, len(alive), step):
        rows = alive[begin : begin + step]
        known = Rows.of((values[rows] - mean[rows, None]) / spread[rows, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            out[rows, :-2] = np.stack([feature(known) for feature in FEATURES.values()], axis=1)
    return np.nan_to_num(out, nan=0.0, posinf=0.0, neginf=0.0)


def _mode(bins: int) -> Callable[[Rows], np.ndarray]:
    def mode(r: Rows) -> np.ndarray:
        """Middle of the fullest of equal bins, the mean of the middles where several are."""
        low, width = r.z.min(axis=1), np.ptp(r.z, axis=1) / bins
        count = histogram(r.z, low, width, bins)
        full = count == count.max(axis=1, keepdims=True)
        return np.asarray(low + width * ((np.arange(bins) + 0.5) * full).sum(axis=1) / full.sum(axis=1))

    return mode


def _trev(r: Rows) -> np.ndarray:
    return np.asarray((np.diff(r.z) ** 3).mean(axis=1))


def _high_fluctuation(r: Rows) -> np.ndarray:
    return np.asarray((np.abs(np.diff(r.z)) > 0.04).mean(axis=1))


def _longest(state: np.ndarray) -> np.ndarray:
    """(n, k) bool -> (n,) longest way from one False (or the end) to the next."""
    step = np.arange(state.shape[1])
    stop = ~state
    stop[:, -1] = True
    last = np.maximum.accumulate(np.where(stop, step, 0), axis=1)
    last = np.concatenate([np.zeros_like(last[:, :1]), last[:, :-1]], axis=1)
    return np.asarray(np.where(stop, step - last, 0).max(axis=1))


def _stretch_high(r: Rows) -> np.ndarray:
    return _longest(r.z[:, :-1] > r.z.mean(axis=1, keepdims=True))


def _stretch_decreasing(r: Rows) -> np.ndarray:
    return _longest(np.diff(r.z) < 0)


def _outlier_timing(sign: int) -> Callable[[Rows], np.ndarray]:
    def timing(r: Rows) -> np.ndarray:
        """Where in the series the values beyond a threshold lie, in [-1, 1]: the median over thresholds .01 apart.

        Thresholds that fewer than 2 % of the values on this side exceed are left out.
        """
        z = sign * r.z
        time = z.shape[1]
        total = (z >= 0).sum(axis=1)
        level = np.floor(np.where(z >= 0, z, -1) / 0.01).astype(
            int
        )  # the last threshold a value reaches, -100 for none
        thresholds = int(level.max()) + 1
        exact = counts(np.maximum(level, -1) + 1, thresholds + 1)[:, 1:]
        count = exact[:, ::-1].cumsum(axis=1)[:, ::-1]  # values that reach a threshold
        order = np.argsort(-z, axis=1, kind="stable")
        rank = np.argsort(order, axis=1)
        k = np.arange(1, int(total.max()) + 1)
        inside = (rank[:, None] < k[:, None]).cumsum(axis=2)  # (n, k, time): of the k largest, how many lie up to here
        lower = (inside >= ((k + 1) // 2)[:, None]).argmax(axis=2)
        upper = (inside >= (k // 2 + 1)[:, None]).argmax(axis=2)
        middle = ((lower + upper) / 2 + 1) / (time / 2) - 1
        kept = (count - 1) * 100 / total[:, None] > 2
        kept[:, 0] = True
        by_threshold = np.take_along_axis(middle, np.clip(count - 1, 0, len(k) - 1), axis=1)
        return np.nanmedian(np.where(kept, by_threshold, np.nan), axis=1)

    return timing


def _entropy_pairs(r: Rows) -> np.ndarray:
    """Entropy, in nats, of two successive steps as thirds."""
    share = counts(r.third[:, :-1] * 3 + r.third[:, 1:], 9) / (r.z.shape[1] - 1)
    return np.asarray(-np.where(share > 0, share * np.log(share), 0).sum(axis=1))


def _forecast_error(r: Rows) -> np.ndarray:
    mean = (r.z[:, :-3] + r.z[:, 1:-2] + r.z[:, 2:-1]) / 3
    return np.asarray((r.z[:, 3:] - mean).std(axis=1, ddof=1))


FEATURES: Mapping[str, Callable[[Rows], np.ndarray]] = {
    "DN_HistogramMode_5": _mode(5),
    "DN_HistogramMode_10": _mode(10),
    "CO_f1ecac": dynamics.acf_timescale,
    "CO_FirstMin_ac": dynamics.acf_first_min,
    "CO_HistogramAMI_even_2_5": dynamics.ami2,
    "CO_trev_1_num": _trev,
    "MD_hrv_classic_pnn40": _high_fluctuation,
    "SB_BinaryStats_mean_longstretch1": _stretch_high,
    "SB_TransitionMatrix_3ac_sumdiagcov": dynamics.transition_matrix,
    "PD_PeriodicityWang_th0_01": dynamics.periodicity,
    "CO_Embed2_Dist_tau_d_expfit_meandiff": dynamics.embedding_dist,
    "IN_AutoMutualInfoStats_40_gaussian_fmmi": dynamics.ami_timescale,
    "FC_LocalSimple_mean1_tauresrat": dynamics.whiten_timescale,
    "DN_OutlierInclude_p_001_mdrmd": _outlier_timing(1),
    "DN_OutlierInclude_n_001_mdrmd": _outlier_timing(-1),
    "SP_Summaries_welch_rect_area_5_1": dynamics.low_power,
    "SB_BinaryStats_diff_longstretch0": _stretch_decreasing,
    "SB_MotifThree_quantile_hh": _entropy_pairs,
    "SC_FluctAnal_2_rsrangefit_50_1_logi_prop_r1": lambda r: rescaled_range(r.z),
    "SC_FluctAnal_2_dfa_50_1_2_logi_prop_r1": lambda r: dfa(r.z),
    "SP_Summaries_welch_rect_centroid": dynamics.centroid,
    "FC_LocalSimple_mean3_stderr": _forecast_error,
}
"""Names of the reference implementation, in its order."""
