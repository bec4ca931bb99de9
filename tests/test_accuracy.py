"""What the arithmetic costs: the meter behind an ideal converter, against float64 truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from harness import SEED

from blondel.hdl.config import LINES, ChannelCalibration, MeterConfig
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.engine import Events, Record
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.measure import make_engines, measure
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.recording import Recording
from blondel.sim.source.service import Service

POWER_FACTORS = ("1", "0.5lag", "0.866lead")
#: The data sheet's 100 A meter, with an element for each power factor, so that one run has them all.
CONFIG = MeterConfig.for_model("MSNCT-1SC", elements=len(POWER_FACTORS))
DC = 0.01
RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings"


def run_golden(config, source, seconds):
    """Measure with the golden model, which equals the hardware bit for bit, after settling."""
    return measure(
        config,
        source,
        make_engines(config, "golden"),
        settle_frames=round(config.settle_s * config.sample_rate_hz),
        frames=round(seconds * config.sample_rate_hz),
        seed=SEED,
    ).figures


@pytest.mark.parametrize("hertz", [45.0, 50.0, 55.3, 60.0, 65.0])
@pytest.mark.parametrize("amps", [110.0, 10.0, 1.0, 0.1, 0.01])
def test_error_from_full_load_to_a_ten_thousandth(amps, hertz):
    loads = [[Sine(amps, factor, dc_amps=DC * CONFIG.i_full_scale)] for factor in POWER_FACTORS]
    source = Service(Mains(volts=120.0, hertz=hertz, dc_volts=DC * CONFIG.v_full_scale), loads)
    # The converter's dither averages out with the root of time: the smallest current takes longest.
    figures = run_golden(CONFIG, source, 300 if amps < 0.1 else 60)
    errors = [element.error_ppm for element in figures.elements]
    assert np.abs(errors).max() <= 10, errors


class Sampled:
    """120 V and 10 A at 60 Hz, sampled by a clock with an error, through CTs that lead and read low."""

    duration_s = None
    period_frames = None

    def __init__(self, clock_error_ppm: float, current: ChannelCalibration):
        self.sample_rate_hz = 8000 * (1 + clock_error_ppm / 1e6)
        self.current = current
        self.lag = np.array([0, np.arccos(0.5), -np.arccos(0.866)])
        self.elements = len(self.lag)

    def _product(self, start, count, lead, ratio):
        angle = 2 * np.pi * 60 * (start + np.arange(count))[:, np.newaxis] / self.sample_rate_hz
        volts = np.repeat(120 * np.sqrt(2) * np.sin(angle), self.elements, axis=1)
        return volts, ratio * 10 * np.sqrt(2) * np.sin(angle + lead - self.lag)

    def samples(self, start, count):
        return self._product(start, count, 2 * np.pi * 60 * self.current.delay_s, 1 / self.current.gain)

    def true_wh(self, start, count):
        return np.prod(self._product(start, count, 0, 1), axis=0).sum(axis=0) / self.sample_rate_hz / 3600


@pytest.mark.parametrize("current", [ChannelCalibration(), ChannelCalibration(gain=1.002, delay_s=3 / 360 / 60)])
@pytest.mark.parametrize("ppm", [-100, -50, 50, 100])
def test_error_of_the_clock(ppm, current):
    """A converter whose clock is fast registers too much, ppm for ppm; a meter that is told so does not."""
    calibrated = CONFIG.with_changes(calibration=(ChannelCalibration(), current) * CONFIG.elements)
    source = Sampled(ppm, current)
    start, frames = CONFIG.frames_in(CONFIG.settle_s), 20 * 8000
    true_wh = source.true_wh(start - CONFIG.path_delay, frames)
    # 3° are late by ppm of themselves, which a power factor of 0.5 makes a tenth of the clock's error.
    for config, expected, within in ((calibrated, ppm, 10), (calibrated.with_changes(clock_error_ppm=ppm), 0, 1)):
        delivered_wh = np.array([each.delivered_wh for each in run_golden(config, source, 20).elements])
        errors = 1e6 * (delivered_wh / true_wh - 1)
        assert np.abs(errors - expected).max() <= within, errors


@pytest.mark.parametrize("part_of_full_scale", [0.9, 0.015])
@pytest.mark.parametrize(
    "name",
    ["vk_fridge", "vk_kettle", "vk_television", "keating_ph1", "keating_ph2", "keating_ph3", "sv_rex640_ph_a",
     "sv_rex640_ph_b", "sv_rex640_ph_c", "ct_wisp2_swingA"],
)  # fmt: skip
def test_error_on_recordings(name, part_of_full_scale):
    """Real waveforms, scaled so that their peaks are at a part of the meter's range."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    path = RECORDINGS / f"{name}.npz"
    with np.load(path) as content:
        v_peak, i_peak, length = np.abs(content["v"]).max(), np.abs(content["i"]).max(), len(content["v"])
        fs = float(content["fs"])
    known = {each["name"]: each for each in json.loads((RECORDINGS / "manifest.json").read_text())}[name]
    config = MeterConfig(line=LINES[round(known["float_ref"]["f"] / 10) * 10], class_amps=100, sample_rate_hz=fs)
    repeat = max(1, round(60 * fs / length))
    source = Recording.read(
        path,
        repeat=None,
        v_scale=0.9 * config.v_full_scale / v_peak,
        i_scale=part_of_full_scale * config.i_full_scale / i_peak,
    )
    settle = -(-round(config.settle_s * fs) // length) * length
    figures = measure(
        config, source, make_engines(config, "golden"), settle_frames=settle, frames=repeat * length, seed=SEED
    ).figures
    assert abs(figures.total.error_ppm) <= 10


def test_recordings_through_both_engines():
    """All that fit one meter's sample rate at once, an element each: the engines agree in every integer."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    groups = {}
    for path in sorted(RECORDINGS.glob("*.npz")):
        with np.load(path) as content:
            groups.setdefault((float(content["fs"]), len(content["v"])), []).append(path)
    assert len(groups) > 3
    for (fs, length), paths in groups.items():
        source = Recording.read(*paths, repeat=None)
        config = MeterConfig(line=LINES[50], class_amps=100, elements=len(paths), sample_rate_hz=fs)
        scaled = Recording(
            0.9 * config.v_full_scale * source.volts / np.abs(source.volts).max(axis=0),
            0.9 * config.i_full_scale * source.amps / np.abs(source.amps).max(axis=0),
            fs,
            repeat=None,
        )
        figures = measure(config, scaled, make_engines(config, "both"), settle_frames=0, frames=3 * length).figures
        assert figures.bit_exact
        assert figures.frames == 3 * length


class Alternating:
    """A source whose current turns round every few whole cycles, and what was delivered and received."""

    sample_rate_hz = 8000.0
    elements = 2
    duration_s = None
    period_frames = None
    #: 60 Hz at 8 kS/s: three cycles are 400 frames.
    TURN_FRAMES = 400 * 47

    def __init__(self, amps: tuple[float, float]):
        self.amps = np.array(amps)

    def samples(self, start: int, count: int):
        n = np.arange(start, start + count)[:, np.newaxis]
        sine = np.sqrt(2) * np.sin(2 * np.pi * 60 * n / self.sample_rate_hz)
        direction = np.where(n // self.TURN_FRAMES % 2, -1, 1) * np.array([1, -1])
        return 120 * sine * np.ones(2), self.amps * sine * direction


def test_energy_that_turns_round_every_few_seconds():
    """Delivered and received each match the truth within 10 ppm of what went through."""
    config = MeterConfig.for_model("MDNCT-1SC")
    source = Alternating((60.0, 25.0))
    settle, frames = 8 * source.TURN_FRAMES, 40 * source.TURN_FRAMES
    adc, golden = IdealAdc(config, seed=SEED), GoldenMeter(config)
    volts, amps = source.samples(0, settle + frames)
    codes = adc.codes(0, volts, amps)
    golden.next(codes[:settle])
    before = golden.state()
    golden.next(codes[settle:])
    after = golden.state()
    window = slice(settle - config.path_delay, settle + frames - config.path_delay)
    energy = volts[window] * amps[window] / config.sample_rate_hz / 3600
    delivered, received = energy.clip(min=0).sum(axis=0), -energy.clip(max=0).sum(axis=0)
    throughput = delivered + received
    assert (np.abs(after.delivered_wh - before.delivered_wh - delivered) <= 10e-6 * throughput).all()
    assert (np.abs(after.received_wh - before.received_wh - received) <= 10e-6 * throughput).all()


@pytest.mark.parametrize(("amps", "factors"), [((40.0, 40.0), ("1", "-1")), ((5.0, 80.0), ("0.5lag", "-0.9lead"))])
def test_a_reversed_ct_on_one_element(amps, factors):
    config = MeterConfig.for_model("MDNCT-1SC")
    loads = [[Sine(a, factor)] for a, factor in zip(amps, factors, strict=True)]
    figures = run_golden(config, Service(Mains(volts=120.0, hertz=60.0), loads), 60)
    forward, backward = figures.elements
    assert figures.flags["reversed"] == [False, True]
    assert abs(forward.delivered_wh / forward.true_wh - 1) <= 10e-6
    assert abs(backward.received_wh / -backward.true_wh - 1) <= 10e-6
    assert forward.received_wh == backward.delivered_wh == 0
    assert figures.total.delivered_wh == pytest.approx(forward.delivered_wh)
    assert figures.total.received_wh == pytest.approx(backward.received_wh)


def test_starting_load_registers():
    """0.05 % of the class amps, from power-up: the registers, whole quanta, are within 1 % after an hour."""
    config = MeterConfig.for_model("MSNCT-1SC")
    source = Service(Mains(volts=120.0, hertz=60.0), [[Sine(0.0005 * config.class_amps)]])
    adc, golden = IdealAdc(config, seed=SEED), GoldenMeter(config)
    frames, chunk = round(3600 * config.sample_rate_hz), 1 << 16
    for start in range(0, frames, chunk):
        golden.next(adc.codes(start, *source.samples(start, min(chunk, frames - start))))
    registered = golden.state().energy[0, Record.DELIVERED, 1] * float(config.quantum_wh)
    assert registered == pytest.approx(0.0005 * config.class_amps * 120.0, rel=0.01)


def test_no_load_gives_no_pulse_in_a_day():
    """115 % voltage, open current circuits, 50 LSB rms of noise everywhere: 24 hours without a pulse."""
    config = MeterConfig.for_model("MSNCT-1SC")
    adc, golden = IdealAdc(config, seed=SEED, noise_lsb=50), GoldenMeter(config)
    chunk = 1 << 16
    volts, _ = Service(Mains(volts=1.15 * 120.0, hertz=60.0), [[]]).samples(0, 400 * 164)
    volts, amps = volts[:chunk], np.zeros((chunk, 1))
    # The voltage repeats after 400 frames (three cycles); a chunk is not a whole number of them, so
    # that its phase jumps from chunk to chunk.
    events = []
    for start in range(0, round(86400 * config.sample_rate_hz), chunk):
        events.append(golden.next(adc.codes(start, volts, amps)))
    edges = Events.join(events)
    for output in range(5):
        assert len(edges.of(output)) == 0
    assert (golden.state().energy[:, 2:, 1] == 0).all()
    assert golden.state().energy[0, Record.GATE, 1] & 1 == 0, "the element must count as not loaded"
