"""Sigma-delta decimation: hardware against golden twin at the pins, golden twin against the filter's definition."""

from __future__ import annotations

import gc
import itertools
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from amaranth.hdl import Value
from amaranth.lib import io
from amaranth.sim import Simulator
from harness import PoisonedMemory, plain, rng

from blondel.boards import BOARDS
from blondel.boards.top import FRONT_ENDS
from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.frontend.sigma_delta import AD7403, AMC1306X05, AMC1306X25, SigmaDelta, Sinc3
from blondel.sim.afe.modulator import Fault, Modulator
from blondel.sim.golden.frame import Frame as GoldenFrame
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.golden.sigma_delta import SigmaDelta as GoldenSigmaDelta


def sinc3(decimation, modulator_hz, *, bits=24, elements=1, divider=2, part=AMC1306X25):
    config = MeterConfig.for_model("MSNCT-1SC", elements=elements, sample_bits=bits,
                                   sample_rate_hz=modulator_hz / decimation)  # fmt: skip
    return Sinc3(config, decimation, divider, part)


#: Few clocks a frame: a part that may send constant streams, and samples as short as they may be.
SHORT = sinc3(72, 5e6, bits=16, part=AD7403)
#: A gain that is a power of two, a bit beyond the codes' range; eight clocks a bit.
POWER = sinc3(64, 5e6, bits=17, elements=2, divider=8, part=AD7403)
#: Two elements, a part that marks its full scale.
MARKED = sinc3(640, 5e6, elements=2)
#: What a meter has.
METER = sinc3(1500, 12e6)


@dataclass
class Run:
    """What a run at the pins gave."""

    items: list = field(default_factory=list)
    #: Edges at which frames' last bits were taken, and at which samples were first valid.
    ends: list[int] = field(default_factory=list)
    shown: list[int] = field(default_factory=list)


def run_pins(filter_, bits, items, *, throttle=None, stall=None) -> Run:
    """Answer the clock's rising edges with bits, and collect samples; ``stall``: (items, clocks) of a pause."""
    channels = filter_.config.channels
    clock, data = io.SimulationPort("o", 1), io.SimulationPort("i", channels)
    dut = SigmaDelta(filter_, clock, data)
    words = bits.astype(np.int64) @ (1 << np.arange(channels))
    run = Run()

    async def modulator(ctx):
        sent, was_high, edge = 0, 0, 0
        ctx.set(data.i, int(words[0]))
        async for _, _, high in ctx.tick().sample(clock.o):
            # Here ``high`` is what the pin showed before this edge.
            edge += 1
            if high and not was_high:
                sent += 1
                ctx.set(data.i, int(words[sent % len(words)]))
                if sent % filter_.decimation == 0:
                    run.ends.append(edge - 1)
            was_high = high

    async def monitor(ctx):
        edge, stalled, was_valid = 0, None, False
        async for _, _, valid, ready, payload in ctx.tick().sample(dut.o.valid, dut.o.ready, Value.cast(dut.o.payload)):
            edge += 1
            if stalled is not None:
                assert valid, "valid fell while stalled"
                assert payload == stalled, "payload changed while stalled"
            stalled = payload if valid and not ready else None
            if valid and not was_valid:
                run.shown.append(edge)
            was_valid = valid and not ready

    async def drain(ctx):
        while len(run.items) < items:
            if stall is not None and len(run.items) == stall[0]:
                ctx.set(dut.o.ready, 0)
                await ctx.tick().repeat(stall[1])
            elif throttle is not None:
                ctx.set(dut.o.ready, 0)
                await ctx.tick().repeat(throttle.choice((1, 1, 5, 20)))
            ctx.set(dut.o.ready, 1)
            (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
            run.items.append(plain(payload))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(modulator, background=True)
    sim.add_testbench(monitor, background=True)
    sim.add_testbench(drain)
    sim.run()
    return run


def rows(filter_, run, name="data"):
    return np.array([item[name] for item in run.items]).reshape(-1, filter_.config.channels)


def stimulus(filter_, frames, name):
    """Bits of any density, long stretches of ones and of zeros among them."""
    generator = np.random.default_rng(rng(name).getrandbits(64))
    channels, length = filter_.config.channels, filter_.decimation * frames
    piece = max(filter_.decimation // 3, 8)
    density = generator.random((length // piece + 1, channels))
    # A part that marks its full scale sends a constant stream only when it is dead.
    least = 0.02 if filter_.part.marks_full_scale else 0.0
    density[generator.random(density.shape) < 0.1] = least
    density[generator.random(density.shape) < 0.1] = 1 - least
    return (generator.random((length, channels)) < np.repeat(density, piece, axis=0)[:length]).astype(np.uint8)


def settled(filter_, frames):
    """Frames until that many may be metered."""
    return filter_.settle_frames + frames


@pytest.mark.parametrize("filter_", [SHORT, POWER], ids=["short", "power of two"])
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(filter_, throttled):
    frames = settled(filter_, 12)
    bits = stimulus(filter_, frames + 2, f"sigma delta {throttled}")
    # The integrators wrap; the last frames are at the ends.
    bits[(frames - 7) * filter_.decimation : (frames - 3) * filter_.decimation] = 1
    bits[(frames - 3) * filter_.decimation :] = 0
    expected, ok = GoldenSigmaDelta(filter_).process(bits)
    run = run_pins(filter_, bits, frames * filter_.config.channels, throttle=rng("throttle") if throttled else None)
    np.testing.assert_array_equal(rows(filter_, run), expected[:frames])
    assert (rows(filter_, run, "ok") == ok[:frames, None]).all()
    assert (rows(filter_, run, "last") == [0] * filter_.config.last_channel + [1]).all()
    assert ok[:frames].sum() == 12
    limit = 1 << (filter_.config.sample_bits - 1)
    assert {limit - 1, -limit} <= set(expected[frames - 7 : frames].flat)
    if not throttled:
        first = np.array(run.shown[:: filter_.config.channels])
        assert set(first - run.ends[: len(first)]) == {filter_.latency}


def pins(filter_):
    return io.SimulationPort("o", 1), io.SimulationPort("i", filter_.config.channels)


def test_hardware_equals_golden_with_channels_that_die(monkeypatch):
    """As a meter has it; a memory that shows where data is used that was read while it was written."""
    monkeypatch.setattr("blondel.hdl.frontend.sigma_delta.Memory", PoisonedMemory)
    frames, died = 2 * MARKED.settle_frames + 6, MARKED.settle_frames + 4
    n = np.arange((frames + 2) * MARKED.decimation)
    volts = 0.25 * np.sin(2 * np.pi * 300 / MARKED.modulator_hz * n)[:, None] * [1.0, -0.8, 1.0, 0.01]
    fault = np.zeros(volts.shape, dtype=np.uint8)
    # One while the filter settles, which it does anew; the other in a good frame's last bits.
    fault[3 * MARKED.decimation : 3 * MARKED.decimation + 600, 3] = Fault.COMMON_MODE
    start = (died + 1) * MARKED.decimation - 100
    fault[start : start + 600, 1] = Fault.NO_SUPPLY
    bits = Modulator(AMC1306X25, 4, clock_hz=MARKED.modulator_hz).next(volts, fault)
    expected, ok = GoldenSigmaDelta(MARKED).process(bits)
    run = run_pins(MARKED, bits, frames * 4)
    np.testing.assert_array_equal(rows(MARKED, run), expected[:frames])
    assert (rows(MARKED, run, "ok") == ok[:frames, None]).all()
    assert np.flatnonzero(ok[:frames]).tolist() == [died - 1, died + 1 + MARKED.settle_frames]
    first = np.array(run.shown[::4])
    assert set(first - run.ends[: len(first)]) == {MARKED.latency}
    # All channels are decimated at the same instants.
    np.testing.assert_array_equal(expected[:, 0], expected[:, 2])


def test_a_sample_that_is_not_taken_spoils_no_other():
    frames = settled(SHORT, 14)
    bits = stimulus(SHORT, frames + 8, "stall")
    expected, ok = GoldenSigmaDelta(SHORT).process(bits)
    place = settled(SHORT, 3) * 2
    clocks = 2 * SHORT.decimation * SHORT.clock_divider
    run = run_pins(SHORT, bits, 2 * frames, stall=(place, clocks))
    data, good = rows(SHORT, run), rows(SHORT, run, "ok")
    assert set(good[place // 2 + 1 : place // 2 + SHORT.settle_frames].flat) == {0}
    # What was valid before the pause, and what is ok after it, are frames of the twin.
    whole = good.all(axis=1)
    assert whole[: place // 2].sum() == 3
    known = {tuple(row) for row in expected[ok]}
    assert all(tuple(row) in known for row in data[whole])


def test_a_sample_is_valid_before_it_is_ready():
    clock, data = pins(SHORT)
    dut = SigmaDelta(SHORT, clock, data)
    seen = []

    async def bench(ctx):
        for _ in range(SHORT.decimation * SHORT.clock_divider * 3):
            await ctx.tick()
            seen.append(ctx.get(dut.o.valid))

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert any(seen)


def boxes(decimation):
    """The impulse response: three boxes, convolved."""
    box = np.ones(decimation, dtype=np.int64)
    return np.convolve(np.convolve(box, box), box)


@pytest.mark.parametrize("filter_", [SHORT, POWER, MARKED, METER], ids=["short", "power of two", "marked", "meter"])
def test_golden_is_the_filter_of_its_definition(filter_):
    """In exact integers: three boxes, less the middle of the range, plus half an LSB, cut off."""
    frames = settled(filter_, 8)
    bits = stimulus(filter_, frames + 1, "definition")
    # The last frames: all ones, or the densest stream that still has marks; then zeros of the kind.
    for start, value in ((frames - 6, 1), (frames - 3, 0)):
        part = bits[start * filter_.decimation : (start + 3) * filter_.decimation]
        part[:] = value
        part[127::128] = value if filter_.part is AD7403 else 1 - value
    samples, ok = GoldenSigmaDelta(filter_).process(bits)
    response = boxes(filter_.decimation)
    assert response.sum() == filter_.gain
    limit = 1 << (filter_.config.sample_bits - 1)
    level = filter_.clip_level << (filter_.config.sample_bits - 6)
    seen = set()
    for frame in np.flatnonzero(ok[:frames]):
        # The two latest bits are still in the integrators.
        end = (frame + 1) * filter_.decimation - 2
        total = response @ bits[end - len(response) : end].astype(np.int64)
        code = (total - filter_.gain // 2 + (1 << filter_.shift >> 1)) >> filter_.shift
        code = np.where(code >= level, limit - 1, np.where(code < -level, -limit, code))
        np.testing.assert_array_equal(samples[frame], code)
        seen |= set(samples[frame])
    assert {limit - 1, -limit} <= seen
    assert ok[:frames].sum() >= (8 if filter_.part is AD7403 else 5)


def test_chunks_join_to_the_whole():
    bits = stimulus(MARKED, 30, "chunks")
    bits[7000:7400, 2] = 1
    twin = GoldenSigmaDelta(MARKED)
    whole, ok = twin.process(bits)
    twin.reset()
    cuts = [0, 1, 2, 640, 641, 7100, 7101, 12345, len(bits)]
    parts = [twin.next(bits[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), whole)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), ok)


def spectrum_db(samples, cycles):
    """Signal-to-noise ratio of a sine of whole cycles, in dB; DC apart."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    return 10 * math.log10(power[cycles] / (power[1:].sum() - power[cycles]))


#: Decimation and clock of the modulators on boards of 12 and of 16 MHz.
ON_BOARDS = {(768, 6e6), (1024, 8e6)}


def test_boards_have_the_ratios_that_are_measured():
    front_end, config = FRONT_ENDS["sigma-delta"], MeterConfig.for_model("MDNCT-1SC")
    found = set()
    for board in BOARDS.values():
        modulator_hz = board.clock_hz / 2
        found.add((modulator_hz / front_end.configure(config, board.clock_hz).sample_rate_hz, modulator_hz))
    assert found == ON_BOARDS


@pytest.mark.parametrize(
    ("decimation", "modulator_hz", "noise_v", "least_db"),
    [
        (256, 20e6, 0.0, 105.0), (512, 20e6, 0.0, 119.0), (768, 6e6, 0.0, 128.0), (1024, 8e6, 0.0, 134.0),
        (256, 20e6, 150e-6, 87.5), (768, 6e6, 150e-6, 92.5), (1500, 12e6, 150e-6, 95.0),
    ],
    ids=["256", "512", "768", "1024", *(f"{ratio}, with a part's noise" for ratio in (256, 768, 1500))],
)  # fmt: skip
def test_signal_to_noise_is_that_of_the_ideal_filter(decimation, modulator_hz, noise_v, least_db):
    """Against the same filter in float64, on the same bits of the second-order modulator, at ±250 mV."""
    filter_ = sinc3(decimation, modulator_hz, part=AD7403)
    frames, cycles = 2048, 29
    n = np.arange(decimation * (settled(filter_, frames) + 1))
    angle = 2 * np.pi * cycles / frames / decimation * n
    bits = Modulator(AD7403, 2, noise_v=noise_v).next(0.25 * np.stack([np.sin(angle), np.cos(angle)], axis=1))
    samples, ok = GoldenSigmaDelta(filter_).process(bits)
    ends = (np.flatnonzero(ok)[:frames] + 1) * decimation - 2
    response = boxes(decimation) / decimation**3
    for channel in range(2):
        stream = 2.0 * bits[:, channel] - 1.0
        ideal = [response @ stream[end - len(response) : end] for end in ends]
        ideal_db, own_db = spectrum_db(ideal, cycles), spectrum_db(samples[ok][:frames, channel], cycles)
        assert ideal_db >= least_db
        assert abs(own_db - ideal_db) <= 1.0


def test_group_delay_is_the_same_for_all_channels_and_as_stated():
    """One bit more at any place: its weights by age are the impulse response, and have their centre there."""
    filter_ = sinc3(256, 10e6, elements=2, part=AD7403)
    assert filter_.shift == 0
    decimation = filter_.decimation
    frames = settled(filter_, 6)
    bits = np.zeros((frames * decimation, 4), dtype=np.uint8)
    bits[::2] = 1
    base, ok = GoldenSigmaDelta(filter_).process(bits)
    weights = np.zeros((5 * decimation, 4), dtype=np.int64)
    start = (filter_.settle_frames + 1) * decimation
    for place in range(start + 1, start + decimation, 2):
        more = bits.copy()
        more[place] = 1
        change = GoldenSigmaDelta(filter_).process(more)[0] - base
        for frame in np.flatnonzero(ok):
            age = (frame + 1) * decimation - 1 - place
            if 0 <= age < len(weights):
                weights[age] = change[frame]
    assert (weights == weights[:, :1]).all()
    ages = np.arange(len(weights))
    for column in weights.T:
        assert abs(ages @ column / column.sum() - filter_.group_delay) <= 1e-3
    assert filter_.group_delay == 3 * 255 / 2 + 2


@pytest.mark.parametrize("hertz", [50.0, 60.0, 300.0, 1200.0, 3000.0])
def test_magnitude_and_phase_are_as_stated(hertz):
    """A sine's samples, fitted: amplitude by ``magnitude``, and the phase of ``group_delay``, on both channels.

    The modulator delays by two clocks of its own.
    """
    frames = 1600
    n = np.arange(METER.decimation * (settled(METER, frames) + 1))
    omega = 2 * np.pi * hertz / METER.modulator_hz
    volts = np.sin(omega * n)[:, None] * [0.25, 0.1]
    samples, ok = GoldenSigmaDelta(METER).process(Modulator(AMC1306X25, 2).next(volts))
    ends = (np.flatnonzero(ok) + 1) * METER.decimation - 1
    instants = ends - METER.group_delay - 2
    design = np.stack([np.sin(omega * instants), np.cos(omega * instants), np.ones(len(ends))], axis=1)
    for channel, amplitude in enumerate((0.25, 0.1)):
        (sine, cosine, offset), *_ = np.linalg.lstsq(design, samples[ok][:, channel].astype(float), rcond=None)
        expected = amplitude / 0.32 * float(METER.full_scale_code) * METER.magnitude(hertz)
        assert abs(math.hypot(sine, cosine) / expected - 1) <= 5e-6
        assert abs(math.atan2(cosine, sine)) <= omega * 0.05 + 5e-6
        assert abs(offset) <= 10


def test_scales_make_codes_into_volts_and_amps():
    """560 V and 200 A at ±320 mV: what the codes are multiplied by gives back what the line had."""
    filter_ = Sinc3.for_clock(
        MeterConfig.for_model("MSNCT-1SC", 50), 20e6, 1280, part=AMC1306X25, v_peak=560.0, i_peak=200.0
    )
    config = filter_.config
    assert config.sample_rate_hz == 7812.5
    frames = 1563 * 2
    n = np.arange(filter_.decimation * (settled(filter_, frames) + 1))
    wave = np.sin(2 * np.pi * 50 / filter_.modulator_hz * n)
    line = wave[:, None] * [240 * math.sqrt(2), 100 * math.sqrt(2)]
    bits = Modulator(AMC1306X25, 2, clock_hz=filter_.modulator_hz).next(line / [560 / 0.32, 200 / 0.32])
    samples, ok = GoldenSigmaDelta(filter_).process(bits)
    # 20 cycles are 3125 frames.
    whole = samples[ok][:3125].astype(float)
    volts, amps = np.sqrt(np.mean((whole - whole.mean(axis=0)) ** 2, axis=0)) * [config.v_lsb, config.i_lsb]
    assert abs(volts / 240 - 1) <= 2e-5
    assert abs(amps / 100 - 1) <= 2e-5


@pytest.mark.parametrize("amps", [100.0, 1.0])
def test_a_load_is_metered(amps):
    """120 V at half the power factor, lagging, by modulators with a part's noise: twelve cycles' energy."""
    config = MeterConfig.for_model("MSNCT-1SC", offset_tracking=False)
    filter_ = Sinc3.for_clock(config, 24e6, 1500, v_peak=400.0, i_peak=200.0)
    modulators = Modulator(AMC1306X25, 2, noise_v=150e-6)
    twin, meter = GoldenSigmaDelta(filter_), GoldenMeter(filter_.config)
    watt_hours = []
    for start, clocks in ((0, 600_000), (600_000, 2_400_000)):
        angle = 2 * np.pi * 60 / 12e6 * (start + np.arange(clocks))
        volts = np.stack([120 * np.sin(angle) / 400, amps * np.sin(angle - np.pi / 3) / 200], axis=1)
        meter.next(*twin.next(modulators.next(0.32 * math.sqrt(2) * volts)))
        pending, delivered, received = meter.state().energy[0, 1:].tolist()
        counts = delivered[1] - received[1] + pending[1]
        energy = pending[0] + delivered[0] - received[0] + counts * filter_.config.quantum
        watt_hours.append(float(energy * filter_.config.product_wh))
    # 1600 frames between the two, in which the noise that passes the filter averages out.
    noise = 150e-6 * math.sqrt((boxes(1500) ** 2.0).sum()) / 1500**3
    bound = 2e-6 + 4 * noise / (0.32 * amps / 200) / 0.5 / math.sqrt(1600)
    assert watt_hours[1] - watt_hours[0] == pytest.approx(120 * amps / 2 * 0.2 / 3600, rel=bound)


def test_clipping_reaches_the_frame():
    """±250 mV never clips; what goes to the modulator's full scale does, at both ends, and is not dead."""
    frames = 400
    n = np.arange(METER.decimation * (settled(METER, frames) + 1))
    wave = np.sin(2 * np.pi * 60 / METER.modulator_hz * n)
    bits = Modulator(AMC1306X25, 2).next(wave[:, None] * [0.25, 0.34])
    samples, ok = GoldenSigmaDelta(METER).process(bits)
    assert ok[METER.settle_frames :].all()
    samples, _, _, _, clip = GoldenFrame(METER.config).process(samples, ok)
    assert not clip[:, 0].any()
    # Above 94 % of 320 mV for as long as the sine of 340 mV stays there.
    assert 0.15 <= clip[:, 1].mean() <= 0.5
    limit = 1 << 23
    assert {limit - 1, -limit} <= set(samples[:, 1])


@pytest.mark.parametrize("bits", [16, 20, 24])
def test_clip_level_is_between_the_linear_range_and_the_marked_full_scale(bits):
    for decimation in range(400, 3000, 20):
        filter_ = sinc3(decimation, 10e6, bits=bits, part=AD7403)
        level = (filter_.clip_level << (bits - 6)) / filter_.full_scale_code
        assert 0.92 <= level < 126 / 128
        assert 0.25 < filter_.full_scale_code / (1 << bits) <= 0.5


def test_no_frame_is_metered_that_a_dead_channel_has_touched():
    """A supply that fails and comes back, a common mode out of range, at any time, for as long as it takes to be
    found out or longer."""
    generator = rng("dead")
    frames = 60
    n = np.arange(METER.decimation * frames)
    volts = 0.2 * np.sin(2 * np.pi * 60 / METER.modulator_hz * n)[:, None] * [1.0, 0.9]
    clean = Modulator(AMC1306X25, 2).next(volts)
    undisturbed, whole = GoldenSigmaDelta(METER).process(clean)
    startup = math.ceil(METER.modulator_hz * 0.0005)
    for trial in range(24):
        kind = (Fault.NO_SUPPLY, Fault.COMMON_MODE)[trial % 2]
        start = generator.randrange(12 * METER.decimation, 25 * METER.decimation)
        length = generator.choice((METER.judge_blocks * METER.first, 1500, 5000, 20000))
        fault = np.zeros(volts.shape, dtype=np.uint8)
        fault[start : start + length, trial // 2 % 2] = kind
        bits = Modulator(AMC1306X25, 2).next(volts, fault)
        samples, ok = GoldenSigmaDelta(METER).process(bits)
        over = start + length + (startup if kind is Fault.NO_SUPPLY else 0)
        ends = (np.arange(len(ok)) + 1) * METER.decimation - 2
        touched = (ends > start) & (ends - (3 * METER.decimation - 2) < over)
        assert not (ok & touched).any()
        # What is metered is what would have been, but for the noise of a modulator that started elsewhere.
        assert np.abs(samples[ok] - undisturbed[ok]).max() < 1 << 9
        # It ends.
        last = np.flatnonzero(touched)[-1]
        assert ok[last + METER.settle_frames + 1 :].all()
        assert (ok[: np.flatnonzero(touched)[0] - 1] == whole[: np.flatnonzero(touched)[0] - 1]).all()


def test_power_up_is_not_metered():
    n = np.arange(METER.decimation * 40)
    volts = np.full((len(n), 2), 0.1)
    bits = Modulator(AMC1306X25, 2, powered=False).next(volts)
    samples, ok = GoldenSigmaDelta(METER).process(bits)
    expected = 0.1 / 0.32 * float(METER.full_scale_code)
    assert np.abs(samples[ok] - expected).max() < 200
    assert np.abs(samples[~ok] - expected).max() > 1e5
    assert list(ok) == [False] * METER.settle_frames + [True] * (len(ok) - METER.settle_frames)


def test_formats():
    assert (METER.first, METER.second, METER.first_bits) == (12, 125, 11)
    assert (METER.filter_bits, METER.shift) == (32, 8)
    assert POWER.filter_bits == 19
    assert sinc3(1500, 12e6, elements=2).first == 20
    assert AMC1306X05.full_scale_v / AMC1306X05.linear_v == AMC1306X25.full_scale_v / AMC1306X25.linear_v


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sinc3(1500, 12e6, divider=3), "clock_divider is 3; allowed: even, 2 or more"),
        (lambda: sinc3(1501, 12e6), "decimation is 1501; allowed: even, 16 or more"),
        (lambda: sinc3(128, 12e6, part=AD7403), "decimation is 128 with 24 bits a sample; allowed: more, or up to 21"),
        (lambda: sinc3(1500, 30e6), "clock is 3e.07 Hz; allowed for the AMC1306x25: 5e.06 to 2e.07 Hz"),
        (lambda: sinc3(1502, 12e6), "in stages of 751 and 2; allowed: with 2 channels, a multiple of 12 by "),
    ],
)
def test_what_cannot_be_built_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


# What is refused is never elaborated: Amaranth says so, when it is collected.
@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_pins_must_be_as_many_as_there_are_channels():
    with pytest.raises(ConfigError, match="clock and data have 1 and 3 pins; allowed: 1 and 2"):
        SigmaDelta(METER, io.SimulationPort("o", 1), io.SimulationPort("i", 3))
    gc.collect()
