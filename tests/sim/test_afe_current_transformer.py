"""The current transformer: its circuit in the time domain against phasors, and what iron adds."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import numpy as np
import pytest

from blondel.hdl.config import LINES, MeterConfig
from blondel.sim.afe.burden import Burden
from blondel.sim.afe.current_transformer import CurrentTransformer, ct_errors, current_transformer
from blondel.sim.afe.front_end import FrontEnd
from blondel.sim.afe.lead import Lead
from blondel.sim.afe.parts import Parts

MU_0 = 4e-7 * math.pi
#: A core without Rayleigh region and saturation: 37.4 H with 1,000 turns.
LINEAR = CurrentTransformer(1000, winding_ohm=12.0, area_m2=6e-5, path_m=0.12, permeability=60e3, eddy_tan=0.03)


def phasor(ohm: float, henry: float, loss_ohm: float, hertz: float) -> complex:
    """Secondary current times turns over primary current, of the equivalent circuit."""
    magnetizing = 1 / (1 / (2j * math.pi * hertz * henry) + 1 / loss_ohm)
    return magnetizing / (magnetizing + ohm)


def solid_core(model: str = "MSNCT-1SC") -> CurrentTransformer:
    return current_transformer(MeterConfig.for_model(model))


@pytest.mark.parametrize("hertz", [45.0, 60.0, 300.0])
@pytest.mark.parametrize("length_ft", [0, 500])
@pytest.mark.parametrize("gap_m", [0.0, 20e-6])
def test_linear_errors_are_the_phasors(hertz, length_ft, gap_m):
    ct, lead = replace(LINEAR, gap_m=gap_m), Lead(length_ft)
    reluctance = (0.12 / 60e3 + gap_m) / (MU_0 * 6e-5)
    ohm = 3.0 + lead.ohm(20.0) + 12.0
    loss_ohm = 2 * math.pi * 60 * (1e6 * MU_0 * 60e3 * 6e-5 / 0.12) / 0.03
    expected = phasor(ohm, 1e6 / reluctance, loss_ohm, hertz)
    errors = ct_errors(ct, 10.0, lead=lead, temperature_c=20.0, hertz=hertz)
    assert errors.ratio_percent / 100 == pytest.approx(abs(expected) - 1, abs=1e-7)
    assert math.radians(errors.phase_minutes / 60) == pytest.approx(cmath.phase(expected), abs=1e-6)


def test_phase_at_the_frame_rate_is_the_phasors():
    config = MeterConfig.for_model("MSNCT-1SC")
    parts = replace(Parts.ideal(config), cts=(LINEAR,))
    angle = 2 * np.pi * 60 / config.sample_rate_hz * np.arange(48_000)[:, np.newaxis]
    codes = FrontEnd(config, parts).codes(0, 170 * np.cos(angle), 100 * np.cos(angle))[-8000:]
    volts, amps = np.exp(-1j * angle[-8000:, 0]) @ codes
    expected = phasor(3.0 + 12.0 * (1 + 0.00393 * 3), 1e6 * MU_0 * 60e3 * 6e-5 / 0.12, math.inf, 60.0)
    measured = cmath.phase(amps / volts)
    assert measured == pytest.approx(cmath.phase(expected), abs=1e-6)


def test_at_no_flux_the_permeability_is_the_rayleigh_regions():
    ct = replace(LINEAR, rayleigh=0.25, knee_t=0.02)
    linear = replace(LINEAR, permeability=60e3 / 1.25, eddy_tan=0.03 / 1.25)
    assert ct_errors(ct, 1e-4).phase_minutes == pytest.approx(ct_errors(linear, 1e-4).phase_minutes, rel=1e-4)


def test_well_above_the_knee_the_permeability_is_the_stated_one():
    ct = replace(LINEAR, rayleigh=0.25, knee_t=1e-5)
    assert ct_errors(ct, 100.0).phase_minutes == pytest.approx(ct_errors(LINEAR, 100.0).phase_minutes, rel=1e-3)


def test_hysteresis_has_rayleighs_loss():
    # Rayleigh: the loss tangent of a loop is 4/(3π) of the rise of permeability. Without eddy currents the ratio's
    # error is the phase's times the loss tangent, but for the second order of the phase.
    ct = replace(LINEAR, rayleigh=0.25, knee_t=1.0, eddy_tan=0.0)
    amps = 50.0
    peak_t = math.sqrt(2) * amps / 1000 * (3 + 12 * (1 + 0.00393 * 3)) / (2 * math.pi * 60) / (1000 * 6e-5)
    rise = 0.25 * peak_t / 1.25
    errors = ct_errors(ct, amps)
    phase = math.radians(errors.phase_minutes / 60)
    tangent = (-errors.ratio_percent / 100 - phase**2 / 2) / phase
    assert tangent == pytest.approx(4 / (3 * math.pi) * rise, rel=0.03)


@pytest.mark.parametrize("model", ["MSNCT-1SC", "MSNCT-1SP", "MSNCT-2SC", "MSNCT-2SP", "MSNCT-1NC"])
def test_errors_go_with_current_lead_burden_and_temperature(model):
    ct = solid_core(model)
    full = ct.turns / 10

    def phase(amps: float = full / 10, **changes: object) -> float:
        return ct_errors(ct, amps, **changes).phase_minutes

    currents = [phase(full * part) for part in (1e-4, 1e-2, 0.1, 1.0)]
    assert currents == sorted(currents, reverse=True)
    assert phase(lead=Lead(500)) > phase(lead=Lead(100)) > phase()
    assert phase(lead=Lead(500, awg=14)) < phase(lead=Lead(500))
    assert phase(burden=Burden(error=1.0)) > phase()
    assert phase(temperature_c=50.0) > phase() > phase(temperature_c=-20.0)
    ratios = [ct_errors(ct, full * part).ratio_percent for part in (1e-4, 1e-2, 0.1, 1.0)]
    assert ratios == sorted(ratios, reverse=True)


def test_a_gap_makes_the_phase_error_larger():
    assert ct_errors(solid_core("MSNCT-1SP"), 10.0).phase_minutes > 10 * ct_errors(solid_core(), 10.0).phase_minutes


def test_models_without_a_ct_have_the_solid_core_one_as_reference():
    assert solid_core("MSNCT-2NC") == solid_core("MSNCT-2SC")
    assert current_transformer(MeterConfig(line=LINES[50], class_amps=63.0)).turns == 630


def test_half_wave_saturates_the_core():
    config = MeterConfig.for_model("MSNCT-1SC")
    parts = replace(Parts.ideal(config), cts=(solid_core(),))
    sine = np.sin(2 * np.pi * 60 / config.sample_rate_hz * np.arange(24_000))[:, np.newaxis]
    errors = []
    for wave in (sine, np.maximum(sine, 0)):
        amps = 100 * math.sqrt(2) * wave
        codes = FrontEnd(config, parts).codes(0, 170 * sine, amps)[16_000:].astype(float)
        codes -= codes.mean(axis=0)
        watts = codes.prod(axis=1).mean() * config.v_lsb * config.i_lsb
        errors.append(watts / (170 * sine * amps)[16_000:].mean() - 1)
    assert abs(errors[0]) < 3e-4
    assert errors[1] < -0.3


def test_an_overload_is_followed_to_saturation_and_back():
    ct = solid_core()
    assert abs(ct_errors(ct, 500.0).ratio_percent) < 0.1
    assert ct_errors(ct, 5000.0).ratio_percent < -30


def test_ideal_ct_has_no_errors():
    assert ct_errors(CurrentTransformer(1000), 10.0) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert ct_errors(CurrentTransformer(1001), 10.0, nominal_ratio=1000).ratio_percent == pytest.approx(-100 / 1001)


def test_lead_is_the_wire_tables():
    # 18 AWG: 6.385 Ω for 1,000 ft at 20 °C, the usual wire table's figure.
    assert Lead(500).ohm(20.0) == pytest.approx(6.385, rel=1e-4)
    assert Lead(500).ohm(70.0) / Lead(500).ohm(20.0) == pytest.approx(1 + 0.00393 * 50)
    assert Lead(0).ohm(23.0) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length_ft": 501}, "length_ft is 501; allowed: 0 to 500"),
        ({"length_ft": math.nan}, "length_ft is nan; allowed: 0 to 500"),
        ({"awg": 40}, "awg is 40; allowed: 4 to 30"),
    ],
)
def test_a_lead_that_none_has_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Lead(**changes)
