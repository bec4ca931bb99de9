"""True energy: against closed forms, with DC, partial cycles, and whatever the chunks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from blondel.sim.truth import Truth, error_ppm

RATE = 8000.0


def wave(frames, hertz=60.0, volts=120.0, amps=5.0, lag_deg=60.0, dc=(0.0, 0.0), rate=RATE):
    angle = 1.0 + 2 * np.pi * hertz * np.arange(frames) / rate
    v = math.sqrt(2) * volts * np.sin(angle) + dc[0]
    i = math.sqrt(2) * amps * np.sin(angle - math.radians(lag_deg)) + dc[1]
    return v[:, None], i[:, None]


def fed(volts, amps, measured=True, chunk=50_000, **settings):
    truth = Truth(volts.shape[1], RATE, len(volts), **settings)
    for start in range(0, len(volts), chunk):
        part = slice(start, start + chunk)
        truth.add(volts[part], amps[part], measured if np.ndim(measured) == 0 else measured[part])
    return truth


def test_energy_of_whole_cycles():
    volts, amps = wave(80_000)
    truth = fed(volts, amps)
    assert truth.seconds == pytest.approx(10.0, rel=1e-14)
    np.testing.assert_allclose(truth.energy_wh, 120 * 5 * 0.5 * 10 / 3600, rtol=1e-12)
    np.testing.assert_allclose(truth.volts_rms, 120, rtol=1e-12)
    np.testing.assert_allclose(truth.amps_rms, 5, rtol=1e-12)
    np.testing.assert_allclose(truth.apparent_wh, 600 * 10 / 3600, rtol=1e-12)


@pytest.mark.parametrize("hertz", [45.0, 49.97, 60.0, 64.3])
@pytest.mark.parametrize("amps_rms", [100.0, 0.01])
def test_dc_is_removed_whatever_the_part_of_a_cycle(hertz, amps_rms):
    """1 % of full scale on both channels is a thousand times the energy of 10 mA."""
    settle, frames = 131_072, 240_007
    volts, amps = wave(frames, hertz, amps=amps_rms, dc=(5.0, 2.0))
    clean_v, clean_i = wave(frames, hertz, amps=amps_rms)
    measured = np.arange(frames) >= settle
    truth = fed(volts, amps, measured)
    expected = math.fsum((clean_v * clean_i)[settle:, 0]) / RATE / 3600
    # The wave's own mean over the measured part, which is no DC, stays in both.
    np.testing.assert_allclose(truth.energy_wh, expected, rtol=1e-7)
    np.testing.assert_allclose(truth.dc_volts, 5.0, atol=1e-6 * 120)
    np.testing.assert_allclose(truth.dc_amps, 2.0, atol=1e-6 * amps_rms)


def test_a_periodic_wave_has_its_mean_over_whole_periods_for_dc():
    generator = np.random.default_rng(3)
    period = generator.normal(0.5, 1, (1000, 2, 2))
    v, i = np.concatenate([period] * 7)[-6300:].transpose(2, 0, 1)
    truth = fed(v, i, period_frames=1000)
    np.testing.assert_allclose(truth.dc_volts, period[:, :, 0].mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(truth.dc_amps, period[:, :, 1].mean(axis=0), rtol=1e-12)
    part = fed(v[:700], i[:700], period_frames=1000)
    np.testing.assert_allclose(part.dc_volts, v[:700].mean(axis=0), rtol=1e-12)


def test_chunks_and_kinds_of_selection_make_no_difference():
    generator = np.random.default_rng(4)
    v, i = generator.normal(3, 100, (2, 5000, 2))
    measured = generator.random(5000) < 0.7
    whole = fed(v, i, measured, chunk=5000)
    for chunk in (1, 7, 4096):
        parts = fed(v, i, measured, chunk=chunk)
        np.testing.assert_allclose(parts.energy_wh, whole.energy_wh, rtol=1e-11)
        np.testing.assert_allclose(parts.apparent_wh, whole.apparent_wh, rtol=1e-12)
    masked, sliced = Truth(2, RATE, 5000), Truth(2, RATE, 5000)
    masked.add(v, i, np.arange(5000) >= 1234)
    sliced.add(v, i, slice(1234, None))
    np.testing.assert_array_equal(masked.energy_wh, sliced.energy_wh)
    settling = Truth(2, RATE, 5000)
    settling.add(v[:1234], i[:1234], False)
    settling.add(v[:0], i[:0])
    settling.add(v[1234:], i[1234:], True)
    np.testing.assert_allclose(settling.energy_wh, sliced.energy_wh, rtol=1e-11)
    assert settling.seconds == pytest.approx((5000 - 1234) / RATE)


def test_more_frames_than_announced_are_refused():
    truth = Truth(1, RATE, 10)
    truth.add(np.ones((10, 1)), np.ones((10, 1)))
    with pytest.raises(ValueError, match=r"^11 frames came; allowed: 10, as announced$"):
        truth.add(np.ones((1, 1)), np.ones((1, 1)))


def test_errors_are_relative_to_apparent_energy_where_the_power_factor_is_low():
    assert error_ppm(100.001, 100.0, 200.0) == pytest.approx(10.0)
    assert error_ppm(-100.001, -100.0, 200.0) == pytest.approx(-10.0)
    assert error_ppm(0.001, 0.0, 100.0) == pytest.approx(10.0)
    assert error_ppm(9.901, 9.9, 100.0) == pytest.approx(10.0)
    assert error_ppm(10.0001, 10.0, 99.0) == pytest.approx(10.0)
    assert error_ppm(0.0, 0.0, 0.0) == 0
    assert error_ppm(1.0, 0.0, 0.0) == math.inf
    volts, amps = wave(80_000, lag_deg=90)
    volts, amps = np.hstack([volts, wave(80_000)[0]]), np.hstack([amps, wave(80_000)[1]])
    truth = fed(volts, amps)
    shift = truth.apparent_wh * [1e-5, 0.5e-5]
    np.testing.assert_allclose(truth.error_ppm(truth.energy_wh + shift), [10, 10], rtol=1e-6)
    total = truth.energy_wh.sum()
    assert truth.total_error_ppm(total * (1 + 1e-5)) == pytest.approx(10)
