"""Broken meters fail the type tests that should see it, and pass all others; the sound one passes all."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace

import numpy as np
import pytest
from numba import njit

from blondel.hdl.config import ChannelCalibration, MeterConfig
from blondel.sim.afe.front_end import Parts
from blondel.sim.calibrate import calibrate
from blondel.sim.engine import Events, State
from blondel.sim.golden.energy import Energy
from blondel.sim.golden.frame import Frame
from blondel.sim.golden.gain import Gain
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.golden.offset import Offset
from blondel.sim.golden.phase import Phase
from blondel.sim.golden.power import Power
from blondel.sim.golden.pulses import PulseOutputs
from blondel.sim.standards.laboratory import plan, run

#: A meter of each kind: its model, whose parts are drawn.
MODELS = {"single-element": "MSNCT-1SC", "dual-element": "MDNCT-2SC"}


@pytest.fixture(scope="module", params=MODELS)
def meter(request):
    """A drawn meter, calibrated: its configuration and its parts."""
    config = MeterConfig.for_model(MODELS[request.param])
    parts = Parts.draw(config, 1, 1)
    return calibrate(config, parts), parts


def type_test(config, parts, engine=GoldenMeter):
    test = plan(config, parts, "0.5", quick=True)
    return test.judge(run(replace(task, engine=engine) for task in test.tasks))


def with_currents(config, change):
    """Return a configuration in which every current's calibration is changed."""
    channels = [config.channel_calibration(channel) for channel in range(config.channels)]
    return config.with_changes(
        calibration=tuple(change(each) if n % 2 else each for n, each in enumerate(channels))
    )


def test_the_sound_meter_passes_all(meter):
    result = type_test(*meter)
    assert result.failed == ()
    assert [test.key for test in result.tests if test.passed is None] == ["lead_extension"]


def test_phase_off_by_a_tenth_of_a_degree(meter):
    """tan 60° × 0.1° is 0.30 %: within class 0.5 at 0.5 lagging, beyond 0.1 %."""
    config, parts = meter

    def late(current: ChannelCalibration) -> ChannelCalibration:
        return replace(current, delay_s=current.delay_s + 0.1 / 360 / config.line.hertz)

    result = type_test(with_currents(config, late), parts)
    assert result.failed == ("wide_range",)
    worst = result.test("wide_range").worst
    assert worst.stimulus["factor"] == "0.5lag"
    assert worst.value == pytest.approx(-100 * math.radians(0.1) * math.sqrt(3), abs=0.05)


def test_gain_off_by_six_tenths_of_a_percent(meter):
    """Every test of an error sees it; one of a change does not, nor one whose limit is wider."""
    config, parts = meter
    result = type_test(with_currents(config, lambda current: replace(current, gain=current.gain * 0.994)), parts)
    expected = {"load_performance", "power_factor", "data_sheet_temperature", "leading", "wide_range", "pulses"}
    assert set(result.failed) == expected | ({"elements"} if config.elements > 1 else set())


def test_no_dc_removal(meter):
    config, parts = meter
    result = type_test(config.with_changes(offset_tracking=False), parts)
    assert result.failed == ("dc_at_converter",)


def test_creep_gate_off(meter):
    """As low as it can be configured the gate opens on the converter's noise."""
    config, parts = meter
    result = type_test(config.with_changes(no_load_fraction=1e-7), parts)
    assert result.failed == ("no_load",)


class TruncatingMeter:
    """The core's blocks, but every product loses its low bits, 10⁻⁴ of the class amps' power in the mean."""

    def __init__(self, config):
        self.config = config
        self._frame, self._offset, self._phase, self._gain = Frame(config), Offset(config), Phase(config), Gain(config)
        self._power, self._energy, self._pulses = Power(config), Energy(config), PulseOutputs(config)
        sample_wh = 1e-4 * config.class_amps * config.line.v_nominal / config.sample_rate_hz / 3600
        self._bits = round(math.log2(2 * sample_wh / config.product_wh))
        self._frames = 0

    def next(self, frames, ok=None):
        samples, index, window, _, clip = self._frame.next(frames, np.ones(len(frames), dtype=bool))
        samples, clip = self._phase.next(self._offset.next(samples, window), clip)
        samples, _ = self._gain.next(samples, clip)
        products = self._power.next(samples) >> self._bits << self._bits
        ticks, _ = self._energy.next(products, window)
        events, _ = self._pulses.next(len(frames), index[np.flatnonzero(ticks)])
        self._frames += len(frames)
        return Events(events.frame + self._frames - len(frames), events.output, events.level)

    def state(self):
        outputs = np.concatenate([self._pulses.records, np.zeros((1, 2), dtype=np.int64)])
        return State(self.config, self._energy.records.copy(), outputs, self._frame.frames, self._frame.lost)


def test_truncating_accumulator(meter):
    """What it loses is a constant power: it counts where there is little or none."""
    assert set(type_test(*meter, TruncatingMeter).failed) == {"load_performance", "no_load", "starting", "wide_range"}


@njit
def _resonate(samples, b, a1, a2, state, out):
    """Run band-pass sections ``b (1 − z⁻²) / (1 + a1 z⁻¹ + a2 z⁻²)`` in a row; ``state`` is (sections, channels, 2)."""
    for n in range(samples.shape[0]):
        for channel in range(samples.shape[1]):
            value = float(samples[n, channel])
            for section in range(state.shape[0]):
                first, second = state[section, channel]
                result = b * value + first
                state[section, channel, 0] = second - a1 * result
                state[section, channel, 1] = -b * value - a2 * result
                value = result
            out[n, channel] = round(value)


class FundamentalOnly(GoldenMeter):
    """The meter behind a band-pass on every channel: gain 1 and no delay at the line's frequency."""

    SECTIONS, WIDTH = 6, 3.0

    def __init__(self, config):
        super().__init__(config)
        tangent = math.tan(math.pi * config.line.hertz / config.sample_rate_hz)
        scale = 1 + self.WIDTH * tangent + tangent**2
        b, a1, a2 = self.WIDTH * tangent / scale, 2 * (tangent**2 - 1) / scale, 1 - 2 * self.WIDTH * tangent / scale
        z = cmath.exp(-2j * math.pi * config.line.hertz / config.sample_rate_hz)
        assert b * (1 - z**2) / (1 + a1 * z + a2 * z**2) == pytest.approx(1)
        self._filter = b, a1, a2
        self._sections = np.zeros((self.SECTIONS, config.channels, 2))

    def next(self, frames, ok=None):
        out = np.empty_like(frames)
        _resonate(frames, *self._filter, self._sections, out)
        return super().next(out, ok)


def test_fundamental_only(meter):
    """Of 10 % × 40 % of fifth harmonic it reads none: 1 / 1.04 − 1; harmonics of one of both alone carry no energy."""
    result = type_test(*meter, FundamentalOnly)
    assert result.failed == ("harmonics", "waveforms")
    assert result.test("harmonics").worst.value == pytest.approx(-3.85, abs=0.02)
    failed = [point.stimulus["waveform"] for point in result.test("waveforms").points if not point.passed]
    assert failed == ["quadriform", "peaked"]
