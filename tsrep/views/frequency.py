"""Frequency mask: some of the frequencies of a series are missing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator

from tsrep.series import Series
from tsrep.views.augmentation import check, put, uniform


@dataclass(frozen=True)
class FrequencyMask:
    """Remove each frequency of each channel with probability `fraction`, but never the constant part.

    Frequencies are those of the whole window of T steps (T // 2 of them beside the constant one). Missing values and padding
    stand at the mean of what was observed while the spectrum is taken, so that they add no frequencies by a jump to zero,
    and are unobserved again afterwards.

    fraction: expected share of the frequencies that is removed, from 0 to 1.
    Source: the removing half of TF-C's perturbation, Zhang et al., NeurIPS 2022, arXiv:2206.08496.
    """

    fraction: float = 0.1

    def __post_init__(self) -> None:
        check("frequency_mask.fraction", self.fraction, 0, 1)

    def __call__(self, series: Series, generator: Generator) -> Series:
        # There is no Fourier transform of bfloat16, and on the CPU none of float16.
        exact = series.values if series.values.dtype == torch.float64 else series.values.float()
        mean = exact.sum(dim=2, keepdim=True) / series.observed.sum(dim=2, keepdim=True).clamp(min=1)
        spectrum = torch.fft.rfft((exact - mean).masked_fill(~series.observed, 0.0))
        removed = uniform(tuple(spectrum.shape), series, generator) < self.fraction
        removed[:, :, 0] = False
        # What is removed is subtracted, so that where nothing is removed the values stay exactly as they were.
        lost = torch.fft.irfft(spectrum * removed, n=series.length)
        return put(series, (exact - lost).to(series.values.dtype), series.observed)
