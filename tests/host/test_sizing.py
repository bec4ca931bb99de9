"""Meters for recordings: a model where one covers it, else one made to measure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from harness import rng

from blondel.hdl.config import ConfigError
from blondel.host.sizing import config_for, extent
from blondel.sim.measure import make_engines, measure
from blondel.sim.source.recording import Recording

SHARED = Path(__file__).parents[2].parent / "shared" / "recordings"


def recording(*elements: tuple[float, float], hertz: float = 50.0, rate: float = 4000.0, seconds: float = 1.0):
    """Return sines of given voltage and current, rms."""
    wave = math.sqrt(2) * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)[:, np.newaxis]
    volts, amps = np.array(elements).T
    return Recording(wave * volts, wave * amps, rate)


@pytest.mark.parametrize("rate", [400.0, 1200.0, 30707.0])
@pytest.mark.parametrize("hertz", [45.0, 49.6, 50.0, 54.0, 56.0, 59.9, 60.0, 65.0])
def test_the_line_is_the_nearer_one(hertz, rate):
    assert extent(recording((230, 5), hertz=hertz, rate=rate)).line_hz == (50 if hertz < 55 else 60)


@pytest.mark.parametrize("hertz", [50.0, 60.0])
def test_the_line_of_four_cycles_and_of_a_dc_offset(hertz):
    short = recording((230, 5), hertz=hertz, rate=30707.0, seconds=0.067)
    assert extent(short).line_hz == hertz
    assert extent(Recording(short.volts + 500, short.amps, 30707.0)).line_hz == hertz


@pytest.mark.parametrize(("elements", "hertz", "model"), [
    ([(230, 5)], 50, "MSNCT-1NC"),
    ([(120, 109)], 60, "MSNCT-1NC"),
    ([(120, 115)], 60, "MSNCT-2NC"),
    ([(120, 5), (118, 150)], 60, "MDNCT-2NC"),
    ([(120, 5)] * 2, 60, "MDNCT-1NC"),
    ([(120, 5)] * 3, 60, None),
    ([(120, 5)], 50, None),
    ([(230, 5)], 60, None),
    ([(347, 120)], 60, None),
    ([(120, 230)], 60, None),
])  # fmt: skip
def test_a_model_where_it_covers_the_recording(elements, hertz, model):
    config = config_for(recording(*elements, hertz=hertz))
    assert config.model == model
    assert config.line.hertz == hertz
    assert config.elements == len(elements)
    assert config.sample_rate_hz == 4000.0


def test_a_peak_beyond_full_scale_is_not_covered():
    source = recording((120, 50), hertz=60)
    source.amps[100] = 250
    assert config_for(source).model == "MSNCT-2NC"
    source.volts[100] = -501
    assert config_for(source).model is None


def test_a_meter_made_to_measure_holds_the_recording():
    random = rng("sizing")
    for _ in range(60):
        elements = random.randint(3, 8)
        volts, amps = 10 ** random.uniform(0, 5.5), 10 ** random.uniform(-2, 5)
        rate = 10 ** random.uniform(2.7, 4.6)
        source = recording(*((volts * (1 + e / 20), amps) for e in range(elements)), rate=rate)
        # Spikes, as of a switching supply.
        source.amps[::50] *= random.choice((1, 6))
        config = config_for(source)
        size = extent(source)
        assert config.model is None
        assert size.v_peak * 1.05 <= config.v_full_scale
        assert size.i_peak * 1.05 <= config.i_full_scale
        assert (config.line.v_min <= size.v_rms).all()
        assert (size.v_rms <= config.line.v_max).all()
        assert (size.i_rms <= 1.1 * config.class_amps).all()
        assert config.counter_wh == 10 * config.pulse_wh
        # Sines of full scale do not queue.
        watts = config.elements * config.v_full_scale * config.i_full_scale / 2
        assert watts / 3600 / config.pulse_wh < 1 / (2 * config.pulse_min_s)


def test_full_scale_is_a_preferred_number_not_far_above_the_peak():
    config = config_for(recording((347, 120), (347, 100), (347, 140), hertz=60))
    assert (config.v_full_scale, config.i_full_scale) == (1000, 500)
    # 750 kW at full scale: 21 pulses of 10 Wh a second, and 16 are possible.
    assert config.pulse_wh == 100
    assert (config.line.v_min, config.line.v_max) == (312, 382)


@pytest.mark.parametrize("hertz", [45.0, 65.0])
@pytest.mark.parametrize("amps", [105.0, 210.0])
def test_full_scale_does_not_queue(amps, hertz):
    """Sines at the full scales around the step from 1 to 10 Wh."""
    config = config_for(recording((347, amps / 2), hertz=60))
    assert config.model is None
    wave = np.sin(2 * np.pi * hertz * np.arange(8 * 4000) / 4000)[:, np.newaxis]
    source = Recording(0.999 * config.v_full_scale * wave, 0.999 * config.i_full_scale * wave, 4000.0)
    flags = measure(config, source, make_engines(config, "golden"), settle_frames=0, frames=8 * 4000).figures.flags
    assert flags["queued"] is False


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
def test_an_inrush_does_not_queue():
    config = config_for(Recording.read(SHARED / "keating_ph3.npz"))
    source = Recording.read(SHARED / "keating_ph3.npz", repeat=None)
    flags = measure(config, source, make_engines(config, "golden"), settle_frames=0, frames=3 * 30707).figures.flags
    assert config.pulse_wh == 10
    assert flags["queued"] is False


@pytest.mark.parametrize("hertz", [16.7, 45.0, 50.3, 60.0, 65.0, 400.0])
def test_the_fundamental_is_found(hertz):
    source = recording((230, 5), hertz=hertz, seconds=4.0)
    assert extent(source).fundamental_hz == pytest.approx(hertz, abs=0.5)
    third = recording((90, 5), hertz=3 * hertz, seconds=4.0)
    both = Recording(source.volts + third.volts + 400, source.amps, 4000.0)
    assert extent(both).fundamental_hz == pytest.approx(hertz, abs=0.5)
    assert extent(Recording(0 * source.volts, source.amps, 4000.0)).fundamental_hz is None


def test_silence_can_be_metered():
    config = config_for(Recording(np.zeros((4000, 1)), np.zeros((4000, 1)), 4000.0))
    assert config.line.hertz in (50, 60)


@pytest.mark.parametrize(("source", "field"), [
    (recording((230, 5), rate=100.0), "sample_rate_hz is 100"),
    (Recording(np.ones((9, 1)), np.ones((9, 1)), 8e9), "sample_rate_hz is 8e\\+09"),
    (recording((7e6, 5)), "v_full_scale is"),
    (recording((230, 5e6)), "class_amps is"),
    (recording((1e8, 5)), "voltage has a peak of 1.41421e\\+08 V; allowed: up to 10,000,000 V"),
    (recording((230, 1e300)), "current has a peak of 1.41421e\\+300 A"),
])  # fmt: skip
def test_what_no_meter_can_be_made_for_is_refused(source, field):
    with pytest.raises(ConfigError, match=field):
        config_for(source)


def test_the_bits_are_the_user_s():
    assert config_for(recording((230, 5)), 16).sample_bits == 16
    assert config_for(recording((5000, 5)), 18).sample_bits == 18
