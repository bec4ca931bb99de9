"""The analog parts of one meter: ideal ones, those that were drawn, or one meter out of a population."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.anti_alias import CURRENT_FILTER, VOLTAGE_FILTER, AntiAlias
from blondel.sim.afe.burden import CT_SECONDARY_A, Burden
from blondel.sim.afe.converter import ADC_CURRENT_GAIN, ADC_V, NOISE_V, Adc, AdcChannel, Oscillator
from blondel.sim.afe.current_transformer import CurrentTransformer, current_transformer
from blondel.sim.afe.divider import ADC_DIVIDER, VoltageDivider
from blondel.sim.afe.lead import Lead

__all__ = ["Parts"]

#: Nonlinearity: 6 ppm of the range off the straight line through its ends (typical; Texas Instruments' forum, thread
#: 886908), as a cube, which is off by 0.385 of its size. That is a third harmonic of −102 dB at full scale; the data
#: sheet's first page says −100 dB.
CUBIC = 2 * 6e-6 / 0.385
#: Crosstalk: −120 dB (first page of the data sheet of the ADS131M08, SBAS950). That it is capacitive is an assumption.
CROSSTALK = 1e-6

# Standard deviations of a population. A limit is taken as three of them, a typical value as one: an assumption.
# The resistors' and the capacitors' limits are those of the boards' pages.
#: Precision resistors: 0.1 %, 25 ppm/K.
RESISTOR, RESISTOR_PPM_PER_K = 1e-3 / 3, 25 / 3
#: Filters: capacitors of 5 % and 30 ppm/K (C0G), assumption.
FILTER, FILTER_PPM_PER_K = 0.05 / 3, 10.0
#: CTs: winding's resistance, core's cross-section, permeability, Rayleigh region, gap; assumptions. Turns are exact.
WINDING, AREA, PERMEABILITY, RAYLEIGH, GAP = 0.02, 0.02, 0.1, 0.2, 0.2
#: Permeability's drift in ppm/K; assumption.
PERMEABILITY_PPM_PER_K = 300.0
#: Converter: offset and its drift in V and V/K at the input, gain error, its drift in ppm/K, the reference's error and
#: drift: from memory of the ADS131M04's data sheet (typical), to be checked.
OFFSET_V, OFFSET_V_PER_K, GAIN, GAIN_PPM_PER_K, REFERENCE, REFERENCE_PPM_PER_K = 175e-6, 0.3e-6, 1e-3, 1.0, 1e-3, 7.5
#: Crosstalk's part in phase; assumption.
CROSSTALK_IN_PHASE = 5e-8
#: Crystal: error in ppm, and slope in ppm/K; assumption, within the 50 ppm of the boards' pages.
CLOCK_PPM, CLOCK_PPM_PER_K = 10.0, 0.05


@dataclass(frozen=True)
class Parts:
    """The analog parts of one meter.

    Parameters
    ----------
    dividers : tuple of VoltageDivider
        One for each element, as in all tuples here.
    cts : tuple of CurrentTransformer
        Current transformers.
    leads : tuple of Lead
        Between them and the meter.
    burdens : tuple of Burden
        Their burdens.
    voltage_filters, current_filters : tuple of AntiAlias
        Anti-alias filters.
    adc : Adc
        The converter.
    oscillator : Oscillator
        Its clock.
    """

    dividers: tuple[VoltageDivider, ...]
    cts: tuple[CurrentTransformer, ...]
    leads: tuple[Lead, ...]
    burdens: tuple[Burden, ...]
    voltage_filters: tuple[AntiAlias, ...]
    current_filters: tuple[AntiAlias, ...]
    adc: Adc
    oscillator: Oscillator

    @classmethod
    def ideal(cls, config: MeterConfig) -> Parts:
        """Return parts without any error."""
        each = config.elements
        return cls(
            dividers=(VoltageDivider(),) * each,
            cts=(CurrentTransformer(config.class_amps / CT_SECONDARY_A),) * each,
            leads=(Lead(),) * each,
            burdens=(Burden(),) * each,
            voltage_filters=(AntiAlias(),) * each,
            current_filters=(AntiAlias(),) * each,
            adc=Adc((AdcChannel(),) * config.channels),
            oscillator=Oscillator(),
        )

    @classmethod
    def nominal(cls, config: MeterConfig) -> Parts:
        """Return parts with their systematic errors and noise, but without tolerances."""
        each = config.elements
        voltage = AdcChannel(noise=NOISE_V[1] / ADC_V)
        current = AdcChannel(noise=NOISE_V[ADC_CURRENT_GAIN] / (ADC_V / ADC_CURRENT_GAIN))
        return cls(
            dividers=(VoltageDivider(config.v_full_scale / (ADC_V * ADC_DIVIDER.ratio()) - 1),) * each,
            cts=(current_transformer(config),) * each,
            leads=(Lead(),) * each,
            burdens=(Burden(),) * each,
            voltage_filters=(VOLTAGE_FILTER,) * each,
            current_filters=(CURRENT_FILTER,) * each,
            adc=Adc((voltage, current) * each, cubic=CUBIC, crosstalk=CROSSTALK, sinc3=True),
            oscillator=Oscillator(0.0, -0.2, 1.05e-4),
        )

    @classmethod
    def draw(cls, config: MeterConfig, seed: int, index: int) -> Parts:
        """Return the parts of one meter out of a population.

        Parameters
        ----------
        config : MeterConfig
            The meter's.
        seed, index : int
            Of the population, and of the meter in it, 0 or more; the meter depends on nothing else.
        """
        normal = np.random.default_rng([seed, index]).standard_normal
        nominal = cls.nominal(config)
        upper = RESISTOR / math.sqrt(ADC_DIVIDER.upper), RESISTOR_PPM_PER_K / math.sqrt(ADC_DIVIDER.upper)

        def divider(part: VoltageDivider) -> VoltageDivider:
            return VoltageDivider(
                (1 + part.error) * (1 + RESISTOR * normal()) / (1 + upper[0] * normal()) - 1,
                RESISTOR_PPM_PER_K * normal() - upper[1] * normal(),
            )

        def transformer(part: CurrentTransformer) -> CurrentTransformer:
            return replace(
                part,
                winding_ohm=part.winding_ohm * math.exp(WINDING * normal()),
                area_m2=part.area_m2 * math.exp(AREA * normal()),
                permeability=part.permeability * math.exp(PERMEABILITY * normal()),
                permeability_drift_ppm_per_k=part.permeability_drift_ppm_per_k + PERMEABILITY_PPM_PER_K * normal(),
                rayleigh=part.rayleigh * math.exp(RAYLEIGH * normal()),
                gap_m=part.gap_m * math.exp(GAP * normal()),
            )

        def burden() -> Burden:
            return Burden(RESISTOR * normal(), RESISTOR_PPM_PER_K * normal())

        def filter_(part: AntiAlias) -> AntiAlias:
            return AntiAlias(part.time_constant_s * (1 + FILTER * normal()), FILTER_PPM_PER_K * normal())

        def channel(part: AdcChannel, full_scale_v: float) -> AdcChannel:
            return replace(
                part,
                offset=OFFSET_V / full_scale_v * normal(),
                offset_drift_per_k=OFFSET_V_PER_K / full_scale_v * normal(),
                gain_error=GAIN * normal(),
                gain_drift_ppm_per_k=GAIN_PPM_PER_K * normal(),
            )

        full_scales = ADC_V, ADC_V / ADC_CURRENT_GAIN
        return cls(
            dividers=tuple(map(divider, nominal.dividers)),
            cts=tuple(map(transformer, nominal.cts)),
            leads=nominal.leads,
            burdens=tuple(burden() for _ in nominal.burdens),
            voltage_filters=tuple(map(filter_, nominal.voltage_filters)),
            current_filters=tuple(map(filter_, nominal.current_filters)),
            adc=replace(
                nominal.adc,
                channels=tuple(channel(part, full_scales[n % 2]) for n, part in enumerate(nominal.adc.channels)),
                reference_error=REFERENCE * normal(),
                reference_drift_ppm_per_k=REFERENCE_PPM_PER_K * normal(),
                crosstalk_in_phase=CROSSTALK_IN_PHASE * normal(),
            ),
            oscillator=replace(
                nominal.oscillator,
                error_ppm=CLOCK_PPM * normal(),
                linear_ppm_per_k=nominal.oscillator.linear_ppm_per_k + CLOCK_PPM_PER_K * normal(),
            ),
        )
