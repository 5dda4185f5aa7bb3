"""Analysis of results: spectra of field potentials, and how spikes lock to them. NumPy only."""

from somaflow.analysis.spectrum import (
    Spectrum,
    field_potential,
    power_spectrum,
    vector_strength,
)

__all__ = ["Spectrum", "field_potential", "power_spectrum", "vector_strength"]
