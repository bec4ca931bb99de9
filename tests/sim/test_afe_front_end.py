"""The analog front end as a whole: each part's error, alone and where it belongs; and a population."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from harness import rng

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.afe.anti_alias import AntiAlias
from blondel.sim.afe.burden import Burden
from blondel.sim.afe.converter import AdcChannel, Oscillator
from blondel.sim.afe.divider import ADC_DIVIDER, VoltageDivider
from blondel.sim.afe.front_end import FrontEnd
from blondel.sim.afe.lead import Lead
from blondel.sim.afe.parts import Parts

CONFIG = MeterConfig.for_model("MSNCT-1SC")
IDEAL = Parts.ideal(CONFIG)
#: Frames of three cycles of 60 Hz.
CYCLES = 400


def sines(volts: float, amps: float, frames: int, hertz: float = 60.0, lag: float = 0.0, config=CONFIG):
    angle = 2 * np.pi * hertz / config.sample_rate_hz * np.arange(frames)[:, np.newaxis] * np.ones(config.elements)
    return math.sqrt(2) * volts * np.cos(angle), math.sqrt(2) * amps * np.cos(angle - lag)


def phasors(
    parts: Parts, volts=120.0, amps=100.0, hertz=60.0, lag=0.0, settle=8000, frames=16_000, config=CONFIG, **of
):
    """Return the first element's voltage and current that the codes stand for, in V and A rms, delay taken out."""
    wave_v, wave_i = sines(volts, amps, settle + frames, hertz, lag, config)
    codes = FrontEnd(config, parts, **of).codes(0, wave_v, wave_i)[settle:]
    turn = np.exp(-2j * np.pi * hertz / config.sample_rate_hz * np.arange(settle, settle + frames))
    found = math.sqrt(2) / frames * (turn @ codes[:, :2]) * [config.v_lsb, config.i_lsb]
    delay = 3 if parts.adc.sinc3 or parts.voltage_filters[0].time_constant_s else 0
    return found * np.exp(2j * np.pi * hertz / config.sample_rate_hz * delay)


def with_adc(**changes: object) -> Parts:
    return replace(IDEAL, adc=replace(IDEAL.adc, **changes))


@pytest.mark.parametrize("bits", [16, 24])
def test_ideal_parts_give_the_ideal_converters_codes(bits):
    config = MeterConfig.for_model("MDNCT-1SC", sample_bits=bits)
    random = np.random.default_rng(rng("ideal front end").getrandbits(64))
    volts, amps = random.uniform(-700, 700, (2000, 2)), random.uniform(-300, 300, (2000, 2))
    codes = FrontEnd(config, Parts.ideal(config), seed=7).codes(11, volts, amps)
    assert codes.max() == -codes.min() - 1 == 2 ** (bits - 1) - 1
    assert np.array_equal(codes, IdealAdc(config, seed=7).codes(11, volts, amps))


def test_chunks_joined_equal_the_whole():
    config = MeterConfig.for_model("MDNCT-2SP")
    parts = Parts.draw(config, 1, 2)
    volts, amps = sines(120, 20, 20_000, lag=0.7, config=config)
    whole = FrontEnd(config, parts, seed=3).codes(0, volts, amps)
    front_end = FrontEnd(config, parts, seed=3)
    cuts = [0, 1, 4, 5, 1000, 1000, 20_000]
    chunks = [front_end.codes(a, volts[a:b], amps[a:b]) for a, b in pairwise(cuts)]
    assert np.array_equal(np.concatenate(chunks), whole)


def test_elements_do_not_see_each_other():
    config = MeterConfig.for_model("MDNCT-1SP")
    parts = Parts.draw(config, 5, 0)
    volts, amps = sines(120, 20, 4000, config=config)
    both = FrontEnd(config, parts, seed=3).codes(0, volts, amps)
    one = FrontEnd(config, parts, seed=3).codes(0, volts * [0, 1], amps * [0, 1])
    assert np.array_equal(one[:, 2:], both[:, 2:])
    assert not np.array_equal(one[:, :2], both[:, :2])


def test_each_element_has_its_own_parts():
    config = MeterConfig.for_model("MDNCT-1SP")
    drawn = Parts.draw(config, 5, 0)
    quiet = [replace(each, noise=0.0) for each in drawn.adc.channels]
    tuples = {name: value for name, value in vars(drawn).items() if isinstance(value, tuple)}
    turned = replace(
        drawn,
        **{name: value[::-1] for name, value in tuples.items()},
        adc=replace(drawn.adc, channels=(*quiet[2:], *quiet[:2])),
    )
    volts, amps = sines(120, 20, 4000, config=config)
    codes = FrontEnd(config, replace(drawn, adc=replace(drawn.adc, channels=tuple(quiet)))).codes(0, volts, amps)
    swapped = FrontEnd(config, turned).codes(0, volts, amps)
    # What dithers is each element's own.
    assert abs(swapped[:, [2, 3, 0, 1]] - codes).max() <= 1
    assert abs(codes[:, :2] - codes[:, 2:]).max() > 1000


# ---- parts, one by one -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "volts_ppm", "amps_ppm"),
    [
        (replace(IDEAL, dividers=(VoltageDivider(error=1e-3, drift_ppm_per_k=25),)), 1000 + 500, 0),
        (replace(IDEAL, burdens=(Burden(error=-1e-3, drift_ppm_per_k=25),)), 0, -1000 + 500),
        (with_adc(channels=(AdcChannel(gain_error=2e-3, gain_drift_ppm_per_k=-10), AdcChannel())), 2000 - 200, 0),
        (with_adc(channels=(AdcChannel(), AdcChannel(gain_error=2e-3, gain_drift_ppm_per_k=-10))), 0, 2000 - 200),
        (with_adc(reference_error=1e-3, reference_drift_ppm_per_k=20), -1400, -1400),
    ],
    ids=["divider", "burden", "voltage gain", "current gain", "reference"],
)
def test_gains_and_their_drifts(parts, volts_ppm, amps_ppm):
    volts, amps = phasors(parts, temperature_c=43.0)
    # Products of the errors are 2 ppm at most.
    assert 1e6 * (volts / 120 - 1) == pytest.approx(volts_ppm, abs=2.5)
    assert 1e6 * (amps / 100 - 1) == pytest.approx(amps_ppm, abs=2.5)


def test_the_boards_divider_brings_500_volts_to_full_scale_but_for_its_error():
    nominal = Parts.nominal(CONFIG).dividers[0]
    assert 120 / ADC_DIVIDER.ratio() / 1.2 == pytest.approx(120 / 500 * nominal.gain(23.0))
    assert abs(nominal.error) < 2e-3


def test_offsets_and_their_drifts():
    parts = with_adc(channels=(AdcChannel(offset=1e-4), AdcChannel(offset=-2e-4, offset_drift_per_k=1e-6)))
    codes = FrontEnd(CONFIG, parts, temperature_c=33.0).codes(0, *sines(120, 100, 8000))
    assert codes.mean(axis=0) / 2**23 == pytest.approx([1e-4, -1.9e-4], abs=1e-8)


def test_noise_is_as_stated_and_depends_on_seed_and_frame_alone():
    parts = Parts.nominal(CONFIG)
    front_end = FrontEnd(CONFIG, parts, seed=1)
    nothing = np.zeros((50_000, 1))
    codes = front_end.codes(0, nothing, nothing)
    assert codes.std(axis=0) * [CONFIG.v_lsb, CONFIG.i_lsb] == pytest.approx(front_end.noise, rel=0.01)
    # 7.56 µV at gain 1, 6.62 µV at gain 2 where 0.6 V is twice the class amps.
    assert front_end.noise == pytest.approx((7.56e-6 / 1.2 * 500, 6.62e-6 / 0.6 * 200))
    assert abs(np.corrcoef(codes.T)[0, 1]) < 0.02
    late = FrontEnd(CONFIG, parts, seed=1).codes(40_000, nothing[:9000], nothing[:9000])
    assert np.array_equal(late, codes[40_000:49_000])
    assert not np.array_equal(FrontEnd(CONFIG, parts, seed=2).codes(0, nothing, nothing), codes)


def test_filters_delay_by_their_time_constants():
    parts = replace(IDEAL, voltage_filters=(AntiAlias(5e-6),), current_filters=(AntiAlias(2e-6, drift_ppm_per_k=1e4),))
    volts, amps = phasors(parts, temperature_c=33.0)
    for found, seconds in ((volts / 120, 5e-6), (amps / 100, 2.2e-6)):
        assert found == pytest.approx(1 / (1 + 2j * math.pi * 60 * seconds), abs=5e-7)


@pytest.mark.parametrize(("hertz", "within"), [(60, 1e-7), (300, 1e-6), (900, 3e-6), (1560, 4e-5)])
def test_droop_is_the_sinc3s(hertz, within):
    volts, amps = phasors(with_adc(sinc3=True), hertz=hertz)
    x = math.pi * hertz / CONFIG.sample_rate_hz
    assert volts / 120 == pytest.approx((math.sin(x) / x) ** 3, abs=within)
    assert amps / 100 == pytest.approx((math.sin(x) / x) ** 3, abs=within)


def test_crosstalk_is_of_volts_at_the_inputs():
    quiet = with_adc(crosstalk=1e-4, crosstalk_in_phase=3e-5, sinc3=True)
    droop = np.sinc(60 / CONFIG.sample_rate_hz) ** 3
    _, amps = phasors(quiet, amps=0.0)
    # 120 V are 0.288 V at the input; at the current's, 1.2 V at gain 2 are 400 A.
    assert amps == pytest.approx((3e-5 + 1e-4j) * 120 / 500 * 1.2 * 200 / 0.6 * droop, rel=1e-4)
    volts, _ = phasors(quiet, volts=0.0)
    assert volts == pytest.approx((3e-5 + 1e-4j) * 100 / 200 * 0.6 * 500 / 1.2 * droop, rel=1e-4)


def test_nonlinearity_is_a_third_harmonic():
    wave_v, wave_i = sines(480 / math.sqrt(2), 0, 2 * CYCLES)
    codes = FrontEnd(CONFIG, with_adc(cubic=3e-5)).codes(0, wave_v, wave_i)[:, 0] / 2**23
    third = 2 / len(codes) * abs(np.exp(-6j * np.pi * 60 / CONFIG.sample_rate_hz * np.arange(len(codes))) @ codes)
    assert third == pytest.approx(3e-5 / 4 * (480 / 500) ** 3, rel=0.01)


def test_the_clocks_error_is_in_the_sample_rate():
    crystal = Oscillator(error_ppm=20.0, linear_ppm_per_k=-0.2, cubic_ppm_per_k3=1e-4)
    front_end = FrontEnd(CONFIG, replace(IDEAL, oscillator=crystal), temperature_c=-5.0)
    assert front_end.sample_rate_hz == pytest.approx(8000 * (1 + (20 + 6 - 2.7) * 1e-6), rel=1e-9)


def test_it_begins_settled():
    # At a zero crossing a CT's flux would begin with as much DC as AC, and lose it in seconds.
    config = MeterConfig.for_model("MSNCT-1SC")
    parts = replace(IDEAL, cts=Parts.nominal(config).cts)
    early, late = (phasors(parts, lag=math.pi / 2, settle=settle)[1] for settle in (8000, 160_000))
    assert abs(early / late - 1) < 2e-6


# ---- what comes out --------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "limit_percent"), [("MSNCT-1SC", 0.05), ("MSNCT-2SC", 0.05), ("MSNCT-1SP", 0.5)])
def test_calibrated_once_a_nominal_meter_stays_within_its_limit(model, limit_percent):
    config = MeterConfig.for_model(model)
    nominal = Parts.nominal(config)
    quiet = tuple(replace(each, noise=0.0) for each in nominal.adc.channels)
    parts = replace(nominal, adc=replace(nominal.adc, channels=quiet))
    full = config.class_amps

    def power(amps: float, lag: float) -> complex:
        volts, found = phasors(parts, amps=amps, lag=lag, config=config)
        return volts * found.conjugate() / (120 * amps)

    calibration = power(0.15 * full, 0.0)
    for part in (1e-4, 1e-2, 0.1, 1.1):
        for lag in (0.0, math.pi / 3, -math.pi / 6):
            error = (power(part * full, lag) / calibration).real / math.cos(lag) - 1
            assert abs(100 * error) < limit_percent


# ---- a population ----------------------------------------------------------------------------------


def test_a_meter_depends_on_seed_and_index_alone():
    config = MeterConfig.for_model("MDNCT-1SP")
    first = Parts.draw(config, 7, 3)
    Parts.draw(config, 7, 4)
    assert Parts.draw(config, 7, 3) == first
    assert first not in (Parts.draw(config, 7, 4), Parts.draw(config, 8, 3))
    assert first.dividers[0] != first.dividers[1]
    assert first.cts[0] != first.cts[1]


def test_a_population_is_spread_about_the_nominal_meter():
    config = MeterConfig.for_model("MSNCT-1SP")
    nominal = Parts.nominal(config)
    drawn = [Parts.draw(config, 1, index) for index in range(400)]

    def spread(of, about, deviation):
        values = np.array([of(parts) for parts in drawn])
        assert values.mean() == pytest.approx(about, abs=4 * deviation / math.sqrt(len(drawn)))
        assert values.std() == pytest.approx(deviation, rel=0.1)

    # One resistor below, three above: each 0.1 % at three standard deviations.
    spread(lambda parts: parts.dividers[0].error, nominal.dividers[0].error, 1e-3 / 3 * math.sqrt(1 + 1 / 3))
    spread(lambda parts: parts.dividers[0].drift_ppm_per_k, 0, 25 / 3 * math.sqrt(1 + 1 / 3))
    spread(lambda parts: parts.burdens[0].error, 0, 1e-3 / 3)
    spread(lambda parts: parts.adc.channels[1].offset, 0, 175e-6 / 0.6)
    spread(lambda parts: parts.adc.reference_error, 0, 1e-3)
    spread(lambda parts: math.log(parts.cts[0].gap_m), math.log(nominal.cts[0].gap_m), 0.2)
    spread(lambda parts: parts.oscillator.error_ppm, 0, 10)
    assert {parts.adc.channels[0].noise for parts in drawn} == {nominal.adc.channels[0].noise}
    assert {parts.leads for parts in drawn} == {(Lead(),)}


# ---- bad input -------------------------------------------------------------------------------------


def test_parts_of_another_meter_are_refused():
    config = MeterConfig.for_model("MDNCT-1SC")
    with pytest.raises(ValueError, match="dividers has 1 parts; allowed: 2, one for each element"):
        FrontEnd(config, IDEAL)
    with pytest.raises(ValueError, match="leads has 1 parts; allowed: 2, one for each element"):
        FrontEnd(config, replace(Parts.ideal(config), leads=(Lead(500),)))
    with pytest.raises(ValueError, match="adc has 2 channels; allowed: 4"):
        FrontEnd(config, replace(Parts.ideal(config), adc=IDEAL.adc))


@pytest.mark.parametrize("temperature_c", [-56, 126, math.nan])
def test_a_temperature_that_no_meter_has_is_refused(temperature_c):
    with pytest.raises(ValueError, match=f"temperature_c is {temperature_c}; allowed: -55 to 125"):
        FrontEnd(CONFIG, IDEAL, temperature_c=temperature_c)


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"volts and amps are \(5, 2\) and \(5, 2\); allowed: \(frames, 1\) both"):
        FrontEnd(CONFIG, IDEAL).codes(0, np.zeros((5, 2)), np.zeros((5, 2)))
