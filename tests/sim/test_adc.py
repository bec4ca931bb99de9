"""The ideal converter: its codes' mean, spread, range and offsets, and that any part can be had at once."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from blondel.hdl.config import MeterConfig
from blondel.sim.afe.adc import IdealAdc

CONFIG = MeterConfig.for_model("MDNCT-1SC")
FRAMES = 400_000


def constants(value_lsb, frames=FRAMES, config=CONFIG):
    """Volts and amps that are ``value_lsb`` LSB at every frame."""
    ones = np.full((frames, config.elements), float(value_lsb))
    return ones * config.v_lsb, ones * config.i_lsb


@pytest.mark.parametrize("value", [0.0, 0.25, -0.5, 1234.9, -3_000_000.37])
def test_dithered_codes_have_the_value_for_mean(value):
    codes = IdealAdc(CONFIG).codes(0, *constants(value))
    part = value - math.floor(value)
    bound = 6 * math.sqrt(part * (1 - part) / FRAMES) + 1e-6
    np.testing.assert_allclose(codes.mean(axis=0), value, rtol=0, atol=bound)
    assert set(np.unique(codes)) <= {math.floor(value), math.floor(value) + 1}


def test_without_dither_codes_are_rounded():
    for value, code in ((100.4, 100), (100.6, 101), (-100.4, -100), (-100.6, -101)):
        assert (IdealAdc(CONFIG, dither=False).codes(0, *constants(value, 10)) == code).all()


def test_dither_breaks_the_rounding_of_a_coherent_signal():
    """10 mA at 50 Hz and 8 kS/s: 160 samples that repeat, and their rounding with them."""
    config = MeterConfig.for_model("MSNCT-1SC", 50)
    angle = 2 * np.pi * np.arange(FRAMES) / 160
    volts, amps = (240 * math.sqrt(2) * np.sin(angle))[:, None], (0.01 * math.sqrt(2) * np.sin(angle))[:, None]
    errors = {}
    for dither in (False, True):
        codes = IdealAdc(config, dither=dither).codes(0, volts, amps)
        metered = (codes[:, 0] * config.v_lsb) @ (codes[:, 1] * config.i_lsb)
        errors[dither] = abs(metered / float(volts[:, 0] @ amps[:, 0]) - 1) * 1e6
    # 10 mA is 593 LSB peak; a random error of 0.41 LSB averages to 0.41 / 593 / √(n/2): 1.5 ppm.
    assert errors[True] < 6
    assert errors[False] > 2 * errors[True]


def test_channels_are_interleaved_and_independent():
    config = CONFIG.with_changes(elements=3)
    volts = np.tile([10.0, 20.0, 30.0], (1000, 1)) * config.v_lsb
    amps = np.tile([-11.0, -21.0, -31.0], (1000, 1)) * config.i_lsb
    codes = IdealAdc(config, dither=False).codes(0, volts, amps)
    assert codes.dtype == np.int32
    assert (codes == [10, -11, 20, -21, 30, -31]).all()
    dither = IdealAdc(config).codes(0, *constants(0.5, FRAMES, config)).astype(float)
    correlation = np.corrcoef(dither.T) - np.eye(6)
    assert abs(correlation).max() < 5 / math.sqrt(FRAMES)
    shifted = np.corrcoef(dither[1:, 0], dither[:-1, 0])[0, 1]
    assert abs(shifted) < 5 / math.sqrt(FRAMES)


@pytest.mark.parametrize("noise", [1.0, 50.0])
def test_noise_is_gaussian_and_of_the_rms_asked_for(noise):
    codes = IdealAdc(CONFIG, noise_lsb=noise).codes(0, *constants(0.5))
    spread = math.sqrt(noise**2 + 1 / 6)
    np.testing.assert_allclose(codes.std(axis=0), spread, rtol=0.01)
    np.testing.assert_allclose(codes.mean(axis=0), 0.5, atol=5 * spread / math.sqrt(FRAMES))
    part = abs(np.corrcoef(codes.T) - np.eye(4)).max()
    assert part < 5 / math.sqrt(FRAMES)
    if noise == 50.0:
        beyond = (abs(codes - 0.5) > 3 * spread).mean()
        assert beyond == pytest.approx(math.erfc(3 / math.sqrt(2)), rel=0.1)


@pytest.mark.parametrize("bits", [16, 20, 24])
def test_codes_stop_at_the_ends_of_the_range(bits):
    config = CONFIG.with_changes(sample_bits=bits)
    limit = 1 << (bits - 1)
    for value, code in ((limit - 1, limit - 1), (limit + 5, limit - 1), (1e30, limit - 1), (-limit, -limit),
                        (-limit - 7, -limit), (-1e30, -limit)):  # fmt: skip
        codes = IdealAdc(config, dither=False).codes(0, *constants(value, 5, config))
        assert (codes == code).all(), f"{value} LSB"


def test_offsets_are_in_lsb_and_in_parts_of_full_scale():
    zero = constants(0, 10)
    assert (IdealAdc(CONFIG, dither=False, offset_lsb=-12).codes(0, *zero) == -12).all()
    each = IdealAdc(CONFIG, dither=False, offset_lsb=(1, 2, 3, 4), offset_fraction=0.01).codes(0, *zero)
    assert (each == np.rint((1 << 23) * 0.01 + np.arange(1, 5))).all()
    each = IdealAdc(CONFIG, dither=False, offset_fraction=(0.5, -0.5, 0, 0.25)).codes(0, *zero)
    assert (each == [1 << 22, -(1 << 22), 0, 1 << 21]).all()


@pytest.mark.parametrize("settings", [{}, {"noise_lsb": 20.0, "offset_lsb": 3.5}], ids=["dither", "noise"])
def test_chunks_join_to_the_whole(settings):
    generator = np.random.default_rng(1)
    volts, amps = generator.normal(0, 100, (2, 5000, 2))
    adc = IdealAdc(CONFIG, seed=7, **settings)
    whole = adc.codes(10**12, volts, amps)
    cuts = [0, 1, 2, 4000, 4096, 5000]
    parts = [adc.codes(10**12 + a, volts[a:b], amps[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    again = IdealAdc(CONFIG, seed=7, **settings).codes(10**12, volts, amps)
    np.testing.assert_array_equal(again, whole)
    other = IdealAdc(CONFIG, seed=8, **settings).codes(10**12, volts, amps)
    assert not np.array_equal(other, whole)


def test_arrays_may_be_laid_out_either_way():
    volts, amps = np.random.default_rng(2).normal(0, 100, (2, 500, 2))
    adc = IdealAdc(CONFIG)
    expected = adc.codes(0, volts, amps)
    np.testing.assert_array_equal(adc.codes(0, np.asfortranarray(volts), amps[::1]), expected)
    np.testing.assert_array_equal(adc.codes(0, np.repeat(volts, 2, axis=0)[::2], amps), expected)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"^offset_lsb has 3 channels; allowed: one number, or 4$"):
        IdealAdc(CONFIG, offset_lsb=(1, 2, 3))
    with pytest.raises(ValueError, match=r"^noise_lsb is -1; allowed: 0 or more$"):
        IdealAdc(CONFIG, noise_lsb=-1)
    with pytest.raises(ValueError, match=r"allowed: \(frames, 2\) both$"):
        IdealAdc(CONFIG).codes(0, np.zeros((5, 1)), np.zeros((5, 1)))
