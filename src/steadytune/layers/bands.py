"""Uncertainty of nu from resamples of the examples: confidence bands, and how often each layer is selected."""

import math

import numpy as np

from steadytune.layers.resampling import RESAMPLING, Sample
from steadytune.results.variability import Bands
from steadytune.suite.variability import VariabilitySettings

COVERAGE = 0.95

# Lower bound on a resample's nu, as a share of the sample's: with a single example per class it would be 0.
LEAST = 1e-6


def confidence_bands(
    sample: Sample, nu: tuple[float, ...], examples: int, settings: VariabilitySettings, generator: np.random.Generator
) -> Bands:
    """Bands around `nu`, which was measured on `examples` examples, from resamples of those in `sample`.

    The sampling error of class means adds to the squared distance between them, and so roughly adds to 1/nu: nu is too
    low on few examples, most of all in layers with many effective dimensions, and lower again on resamples. The basic
    bootstrap removes this bias: 1/nu - (1/nu* - 1/nu_sample) over the resamples *. If the sample is a share f of the
    data, the mean of the error is multiplied by f and its deviations by sqrt(f), to match the whole data.
    """
    of_sample = sample.nu(np.ones((1, len(sample)), dtype=np.int64), settings)
    draws = RESAMPLING[settings.resampling](sample.classes, settings.resamples, generator)
    errors = _separation(np.maximum(sample.nu(draws, settings), LEAST * of_sample)) - _separation(of_sample)
    bias, share = errors.mean(axis=0), len(sample) / examples
    corrected = _separation(np.array(nu)) - share * bias
    resampled = corrected - math.sqrt(share) * (errors - bias)
    low, high = np.quantile(resampled, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    chosen = np.bincount(1 + resampled[:, 1:].argmax(axis=1), minlength=len(nu))
    return Bands(
        corrected=_variability(corrected),
        low=_variability(high),
        high=_variability(low),
        share=tuple((chosen / settings.resamples).tolist()),
        examples=len(sample),
        resamples=settings.resamples,
    )


def corrected_choice(bands: Bands, nu: tuple[float, ...]) -> int:
    """The layer of lowest corrected nu, 1 to L, or of lowest `nu` if no layer separates classes more than chance."""
    rivals = bands.corrected[1:] if math.isfinite(min(bands.corrected[1:])) else nu[1:]
    return 1 + int(np.argmin(rivals))


def _separation(nu: np.ndarray) -> np.ndarray:
    """1/nu: finite but huge for nu = 0, and 0 for nu = inf."""
    return 1 / np.maximum(nu, np.finfo(float).tiny)


def _variability(separation: np.ndarray) -> tuple[float, ...]:
    """Convert 1/nu back to nu; inf if subtracting the error has left nothing above 0."""
    return tuple(1 / value if value > 0 else math.inf for value in separation.tolist())
