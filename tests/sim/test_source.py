"""Mains, sine loads and the service that joins them: spectra, power, drift, and any part at once."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from blondel.sim.source.loads import Kettle, Sine, power_factor
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

RATE = 8000.0
#: One second: whole cycles of every frequency in whole Hz.
SECOND = 8000
HARMONICS = {2: (0.01, 15.0), 3: (0.05, 170.0), 5: (0.03, 0.0), 25: (0.01, -40.0)}


def sampled(mains, loads=((),), start=0, count=SECOND, rate=RATE):
    return Service(mains, loads, sample_rate_hz=rate).samples(start, count)


def lines(wave, hertz):
    """Complex amplitudes at multiples of ``hertz``: of sin(kθ) the imaginary part is zero."""
    spectrum = np.fft.rfft(wave) / len(wave) * 2j
    return spectrum[:: round(hertz * len(wave) / RATE)]


@pytest.mark.parametrize("hertz", [45.0, 50.0, 60.0, 65.0])
def test_spectrum_is_what_was_asked_for(hertz):
    volts, _ = sampled(Mains(volts=230.0, hertz=hertz, harmonics=HARMONICS, dc_volts=1.5))
    got = lines(volts[:, 0], hertz)
    expected = np.zeros(len(got), dtype=complex)
    expected[0] = 1.5 * 2j
    expected[1] = 230 * math.sqrt(2)
    for order, (fraction, degrees) in HARMONICS.items():
        expected[order] = 230 * math.sqrt(2) * fraction * np.exp(1j * math.radians(degrees))
    np.testing.assert_allclose(got, expected, atol=1e-9)
    total = 230 * math.sqrt(1 + sum(f * f for f, _ in HARMONICS.values()))
    assert volts.std() == pytest.approx(total, rel=1e-12)


def test_elements_have_their_own_voltages_and_angles():
    volts, _ = sampled(
        Mains(volts=(118.0, 122.0, 120.0), hertz=60.0, angles_deg=(0.0, 180.0, -120.0), harmonics={3: (0.1, 30.0)}),
        ((), (), ()),
    )
    np.testing.assert_allclose(volts[:, 1], -volts[:, 0] * 122 / 118, atol=1e-9)
    first, third = lines(volts[:, 0], 60), lines(volts[:, 2], 60)
    assert np.angle(third[1], deg=True) == pytest.approx(-120)
    # The wave is delayed whole: three times the angle at the third harmonic.
    assert third[3] / abs(third[3]) == pytest.approx(first[3] / abs(first[3]))


def test_phase_stays_exact_for_a_day():
    day = 86_400 * SECOND
    mains = Mains(volts=120.0, hertz=59.97)
    late, _ = sampled(mains, start=day, count=100)
    cycles = (59.97 * 86_400) % 1
    angle = 2 * np.pi * (cycles + 59.97 * np.arange(100) / RATE)
    np.testing.assert_allclose(late[:, 0], 120 * math.sqrt(2) * np.sin(angle), atol=1e-6)


def test_frequency_drifts():
    mains = Mains(volts=120.0, hertz=50.0, drift_hz=0.2, drift_s=10.0)
    volts, _ = sampled(mains, count=10 * SECOND)
    v = volts[:, 0]
    rising = np.flatnonzero((v[:-1] < 0) & (v[1:] >= 0))
    crossings = (rising + v[rising] / (v[rising] - v[rising + 1])) / RATE
    middle = (crossings[1:] + crossings[:-1]) / 2
    frequency = 1 / np.diff(crossings)
    np.testing.assert_allclose(frequency, 50 + 0.2 * np.sin(2 * np.pi * middle / 10), atol=1e-3)
    assert np.ptp(frequency) > 0.39


def test_noise_is_white_gaussian_and_each_elements_own():
    mains = Mains(volts=0.0, hertz=50.0, noise_volts=2.0, seed=5)
    volts, _ = sampled(mains, ((), ()), count=200_000)
    np.testing.assert_allclose(volts.std(axis=0), 2.0, rtol=0.01)
    assert abs(np.corrcoef(volts.T)[0, 1]) < 0.012
    assert abs(np.corrcoef(volts[1:, 0], volts[:-1, 0])[0, 1]) < 0.012
    assert (abs(volts) > 6).mean() == pytest.approx(math.erfc(3 / math.sqrt(2)), rel=0.1)
    other, _ = sampled(Mains(volts=0.0, hertz=50.0, noise_volts=2.0, seed=6), ((), ()), count=100)
    assert not np.isclose(other, volts[:100]).any()


@pytest.mark.parametrize(
    ("text", "cosine", "degrees"),
    [("1", 1, 0), (1, 1, 0), (1.0, 1, 0), ("0.5lag", 0.5, 60), ("0.866lead", 0.866, -30.0029),
     (" .8 LAG", 0.8, 36.8699), ("0", 0, 90), ("0lead", 0, -90), ("-1", -1, 180), ("-0.5lag", -0.5, 120),
     ("-0.5lead", -0.5, -120)],
)  # fmt: skip
def test_power_factors(text, cosine, degrees):
    got = power_factor(text)
    assert got == pytest.approx((cosine, math.sin(math.radians(degrees))), abs=1e-6)
    assert got[0] == cosine
    volts, amps = sampled(Mains(volts=230.0, hertz=50.0), [[Sine(2.0, text)]])
    assert (volts * amps).mean() == pytest.approx(460 * cosine, abs=1e-9)
    assert amps.std() == pytest.approx(2.0)
    behind = np.angle(lines(volts[:, 0], 50)[1] / lines(amps[:, 0], 50)[1], deg=True)
    assert abs((behind - degrees + 180) % 360 - 180) < 1e-3


@pytest.mark.parametrize(
    "text", ["", "lag", "0.5", 0.5, "1.1", "-2lag", "nan", "0.5 ahead", "0.5lagx", "0.5,lag", "½lag"]
)
def test_what_is_no_power_factor_is_refused(text):
    with pytest.raises(ValueError, match=r"^power factor is .*; allowed: "):
        Sine(1.0, text)


def test_sine_load_has_harmonics_and_dc():
    load = Sine(10.0, "0.5lag", harmonics={3: (0.2, 30.0), 7: (0.1, -90.0)}, dc_amps=0.3)
    volts, amps = sampled(Mains(volts=120.0, hertz=60.0, harmonics={3: (0.1, 30.0)}), [[load]])
    got = lines(amps[:, 0], 60) / (10 * math.sqrt(2))
    assert got[0] == pytest.approx(0.3 * 2j / (10 * math.sqrt(2)))
    assert got[1] == pytest.approx(np.exp(-1j * math.pi / 3))
    assert got[3] == pytest.approx(0.2 * np.exp(1j * math.pi / 6))
    assert got[7] == pytest.approx(-0.1j)
    # The fundamental's half, and the third harmonic's in phase: 2 % of the fundamental's product.
    assert (volts * amps).mean() == pytest.approx(1200 * (0.5 + 0.02))


def test_loads_of_an_element_add_up():
    mains = Mains(volts=(120.0, 240.0), hertz=60.0)
    volts, amps = sampled(mains, [[Kettle(1200.0, 120.0), Sine(5.0, -1)], [Kettle(1200.0, 120.0)]])
    np.testing.assert_allclose((volts * amps).mean(axis=0), [1200 - 600, 4800])


@pytest.mark.parametrize(
    "mains",
    [Mains(volts=120.0, hertz=60.0),
     Mains(volts=(118.0, 122.0), hertz=59.9, angles_deg=(0.0, 180.0), harmonics=HARMONICS, drift_hz=0.1, dc_volts=1.0,
           noise_volts=0.5)],
    ids=["plain", "all"],
)  # fmt: skip
def test_chunks_join_to_the_whole(mains):
    service = Service(mains, [[Sine(5.0, "0.5lag"), Kettle(100.0, 120.0)], [Sine(3.0, "0.8lead", {3: (0.1, 5.0)})]])
    start, count = 12_345_678_901, 20_000
    volts, amps = service.samples(start, count)
    assert volts.shape == amps.shape == (count, 2)
    assert volts.dtype == amps.dtype == np.float64
    cuts = [0, 1, 2, 8191, 8192, 8199, 20_000]
    for a, b in itertools.pairwise(cuts):
        part_v, part_i = service.samples(start + a, b - a)
        np.testing.assert_array_equal(part_v, volts[a:b])
        np.testing.assert_array_equal(part_i, amps[a:b])


def test_a_source_says_what_it_is():
    service = Service(Mains(volts=120.0, hertz=60.0), [[], []], sample_rate_hz=4000, duration_s=2.5)
    assert (service.sample_rate_hz, service.elements, service.duration_s) == (4000.0, 2, 2.5)
    assert service.period_frames is None
    assert Service(Mains(volts=120.0, hertz=60.0), [[]]).duration_s is None
    assert service.samples(100, 0)[0].shape == (0, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"hertz": 0.0}, "hertz is 0.0; allowed: more than 0"),
     ({"hertz": math.nan}, "hertz is nan; allowed: more than 0"),
     ({"volts": math.inf}, "volts is inf; allowed: finite numbers"),
     ({"volts": (1.0, 2.0), "angles_deg": (0.0, 1.0, 2.0)}, "volts has 2 elements; allowed: as many as angles_deg, 3"),
     ({"drift_hz": 60.0}, "drift_hz is 60.0; allowed: less than hertz, 60"),
     ({"drift_s": 0.0}, "drift_s is 0.0; allowed: more than 0"),
     ({"noise_volts": -1.0}, "noise_volts is -1.0; allowed: 0 or more"),
     ({"harmonics": {1: (0.1, 0.0)}}, "harmonics has order 1; allowed: whole numbers from 2 on")],
)  # fmt: skip
def test_impossible_mains_are_refused(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Mains(**({"volts": 120.0, "hertz": 60.0} | settings))


def test_mains_must_fit_the_service():
    with pytest.raises(ValueError, match=r"^mains has 2 elements; allowed: as many as loads, 1$"):
        Service(Mains(volts=(1.0, 2.0), hertz=60.0), [[]])
    with pytest.raises(ValueError, match=r"^sample_rate_hz is 1000; allowed: more than 1080, twice"):
        Service(Mains(volts=1.0, hertz=60.0, harmonics={9: (0.1, 0.0)}), [[]], sample_rate_hz=1000)
