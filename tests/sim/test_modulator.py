"""The second-order modulator: densities of ones, full scale, noise shaping, faults."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from blondel.hdl.frontend.sigma_delta import AD7403, AMC1306X05, AMC1306X25
from blondel.sim.afe.modulator import Fault, Modulator

CLOCKS = 1 << 18


def constant(part, volts, clocks=CLOCKS, **options):
    return Modulator(part, 1, **options).next(np.full((clocks, 1), float(volts)))[:, 0]


def longest_run(bits):
    edges = np.flatnonzero(np.diff(bits.astype(int)))
    return len(bits) if len(edges) == 0 else int(np.diff(np.concatenate([[-1], edges, [len(bits) - 1]])).max())


@pytest.mark.parametrize("part", [AMC1306X25, AMC1306X05, AD7403], ids=lambda part: part.name)
@pytest.mark.parametrize("fraction", [-1.0, -0.5, -0.001, 0.0, 0.3, 0.99, 1.0])
def test_density_of_ones_is_the_data_sheets(part, fraction):
    """50 % at 0 V, 89.06 % and 10.94 % at the ends of the specified range, a straight line between."""
    ones = constant(part, fraction * part.linear_v).mean()
    assert ones == pytest.approx(0.5 + fraction * (57 / 64 - 0.5), abs=2e-5)
    if fraction == 1.0:
        assert round(100 * ones, 2) == 89.06


@pytest.mark.parametrize("volts", [0.32, 0.4, 5.0])
def test_full_scale(volts):
    """The AMC1306 sends one other bit every 128 clocks, the AD7403 nothing but equal bits."""
    for sign, bit in ((1, 1), (-1, 0)):
        bits = constant(AMC1306X25, sign * volts)[1000:]
        others = np.flatnonzero(bits != bit)
        assert set(np.diff(others)) == {128}
        assert set(constant(AD7403, sign * volts)[1000:]) == {bit}
        # Short of full scale no part is ever silent for longer.
        assert longest_run(constant(AMC1306X25, sign * 0.319)) <= 128
        assert longest_run(constant(AMC1306X25, sign * 0.25)) < 32


def test_it_comes_back_from_an_overload():
    volts = np.full((CLOCKS, 1), 0.1)
    volts[1000:5000] = 3.0
    bits = Modulator(AD7403, 1).next(volts)[6000:, 0]
    assert bits.mean() == pytest.approx(0.5 + 0.1 / 0.64, abs=2e-5)


def test_noise_is_shaped_to_the_second_order():
    """40 dB a decade: fifteen a doubling of the decimation, here as noise up to a frequency and up to half of it."""
    n = np.arange(1 << 20)
    cycles = 101
    volts = 0.16 * np.sin(2 * np.pi * cycles / len(n) * n)[:, None]
    stream = 2.0 * Modulator(AD7403, 1).next(volts)[:, 0] - 1.0
    power = np.abs(np.fft.rfft(stream * np.hanning(len(n)))) ** 2
    power[: cycles + 3] = 0.0
    bands = [power[: len(n) // ratio].sum() for ratio in (128, 256, 512)]
    for wide, narrow in itertools.pairwise(bands):
        assert 10 * np.log10(wide / narrow) == pytest.approx(15.05, abs=1.5)


def test_a_parts_noise_is_what_was_asked_for():
    """Under a smooth window of 1024 bits the noise that is shaped away is gone, and the part's own is left."""
    window = np.hanning(1024) / np.hanning(1024).sum()
    spread = {}
    for noise_v in (0.0, 2e-3):
        stream = 2.0 * constant(AD7403, 0.05, noise_v=noise_v) - 1.0
        spread[noise_v] = np.std(stream.reshape(-1, 1024) @ window) * AD7403.full_scale_v
    assert spread[0.0] < 5e-6
    assert spread[2e-3] == pytest.approx(2e-3 * np.sqrt((window**2).sum()), rel=0.2)


def test_faults():
    """No supply: zeros, then 32 bits that alternate, then half a millisecond of bits that mean nothing."""
    clock_hz = 10e6
    volts = np.zeros((40_000, 2))
    fault = np.zeros(volts.shape, dtype=np.uint8)
    fault[1000:3000, 0] = Fault.NO_SUPPLY
    fault[1000:3000, 1] = Fault.COMMON_MODE
    bits = Modulator(AMC1306X25, 2, clock_hz=clock_hz).next(volts, fault)
    assert not bits[1000:3000, 0].any()
    assert bits[1000:3000, 1].all()
    assert bits[3000:3032, 0].tolist() == [1, 0] * 16
    startup = bits[3032:8000, 0]
    assert abs(startup.mean() - 0.5) < 0.05
    assert longest_run(startup) > 4
    # 0 V again: ones and zeros in turn, in pairs at most.
    assert longest_run(bits[8000:, 0]) <= 2
    assert longest_run(bits[3000:, 1]) <= 2


def test_power_up():
    bits = constant(AMC1306X25, 0.1, 20_000, clock_hz=10e6, powered=False)
    assert bits[:32].tolist() == [1, 0] * 16
    assert bits[6000:].mean() == pytest.approx(0.5 + 0.1 / 0.64, abs=1e-3)
    assert longest_run(constant(AMC1306X25, 0.0, 20_000, powered=True)) <= 2


def test_chunks_join_to_the_whole():
    n = np.arange(20_000)
    volts = np.stack([0.3 * np.sin(n / 700), 0.4 * np.cos(n / 900)], axis=1)
    fault = np.zeros(volts.shape, dtype=np.uint8)
    fault[9000:9500, 1] = Fault.NO_SUPPLY
    whole = Modulator(AMC1306X25, 2, noise_v=1e-4, seed=3).next(volts, fault)
    twin = Modulator(AMC1306X25, 2, noise_v=1e-4, seed=3)
    cuts = [0, 1, 130, 9001, 9400, 12_000, len(n)]
    parts = [twin.next(volts[a:b], fault[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert (Modulator(AMC1306X25, 2, noise_v=1e-4, seed=4).next(volts, fault) != whole).any()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"volts and fault are \(5, 3\) and \(5, 3\); allowed: \(clocks, 2\) both"):
        Modulator(AD7403, 2).next(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="noise_v is -1; allowed: 0 or more"):
        Modulator(AD7403, 2, noise_v=-1)
