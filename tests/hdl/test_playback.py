"""Playback: equal to its twin at the right clocks, and true to the load that was asked for."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from harness import rng

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.frontend.playback import DIVISOR_MAX, Playback, PlaybackLoad, PlaybackTables
from blondel.hdl.link.registers import Block, register_address
from blondel.hdl.meter import Meter, frame_clocks
from blondel.sim.engine import Record
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.golden.playback import Playback as GoldenPlayback

SINGLE = MeterConfig.for_model("MSNCT-1SC")
DUAL = MeterConfig.for_model("MDNCT-2SC", 50, sample_rate_hz=7812.5, sample_bits=20)
LEADING = PlaybackLoad(volts=231.0, amps=-37.0, power_factor=0.866, leading=True, hertz=49.3)


def play(config, clock_hz, load, frames, throttle=None):
    """Return a run's samples, and the clocks in which a frame's first sample was first valid."""
    dut = Playback(config, clock_hz, load)
    samples, starts = [], []

    async def bench(ctx):
        shown = None
        clock = 0
        while len(samples) < frames * config.channels:
            ready = throttle is None or throttle.random() < 0.7
            ctx.set(dut.o.ready, ready)
            if ctx.get(dut.o.valid):
                item = tuple(ctx.get(getattr(dut.o.payload, name)) for name in ("data", "ok", "last"))
                assert shown in (None, item), "payload changed while stalled"
                place = len(samples) % config.channels
                if place == 0 and shown is None:
                    starts.append(clock)
                shown = None if ready else item
                if ready:
                    assert item[1:] == (1, place == config.last_channel)
                    samples.append(item[0])
            else:
                assert shown is None, "valid fell while stalled"
            await ctx.tick()
            clock += 1

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return np.array(samples).reshape(frames, config.channels), starts


@pytest.mark.parametrize(
    ("config", "clock_hz", "load"),
    [(SINGLE, 120e3, PlaybackLoad()), (DUAL, 7812.5 * 9.37, LEADING), (DUAL, 7812.5 * 9, LEADING)],
    ids=["single, whole", "dual, fractional", "dual, as fast as can be"],
)
@pytest.mark.parametrize("throttled", [False, True], ids=["full speed", "throttled"])
def test_hardware_equals_golden(config, clock_hz, load, throttled):
    frames = 300
    rows, starts = play(config, clock_hz, load, frames, rng("playback") if throttled else None)
    np.testing.assert_array_equal(rows, GoldenPlayback(config, load).process(frames))
    # Frame n is due in the first clock that is n sampling intervals after clock 1.
    ratio = PlaybackTables(config, load).frames_per_clock(clock_hz)
    due = [1 + math.ceil(n / ratio) for n in range(frames)]
    if not throttled:
        assert starts == [clock + Playback.latency for clock in due]
    else:
        assert all(start >= clock + Playback.latency for start, clock in zip(starts, due, strict=True))


@pytest.mark.parametrize("rate", [400, 1200, 7812.5, 8000, 15360, 30707.2])
@pytest.mark.parametrize("clock_hz", [12e6, 16e6, 24e6])
def test_sample_rate_is_within_its_bound(rate, clock_hz):
    tables = PlaybackTables(SINGLE.with_changes(sample_rate_hz=rate), PlaybackLoad())
    ratio = tables.frames_per_clock(clock_hz)
    assert ratio.denominator <= DIVISOR_MAX
    error = float(ratio) * clock_hz / rate - 1
    assert abs(error) < 0.06e-6
    if rate == int(rate):
        assert ratio * int(clock_hz) == int(rate)


@pytest.mark.parametrize("rate", [1200, 1920, 7812.5, 8000, 31250])
@pytest.mark.parametrize(("factor", "leading"), [(1.0, False), (0.5, False), (0.866, True)])
@pytest.mark.parametrize("amps", [0.5, 10, -37, 100])
def test_load_is_what_was_asked_for(rate, factor, leading, amps):
    config = SINGLE.with_changes(sample_rate_hz=rate)
    load = PlaybackLoad(amps=amps, power_factor=factor, leading=leading)
    wanted = 120 * amps * factor
    assert PlaybackTables(config, load).watts == pytest.approx(wanted, rel=1e-5)
    twin = GoldenPlayback(config, load)
    rows = twin.next(round(40 * rate))
    mean = (rows[:, 0].astype(object) * rows[:, 1].astype(object)).sum() / len(rows) * config.v_lsb * config.i_lsb
    assert mean == pytest.approx(PlaybackTables(config, load).watts, rel=1e-5)
    # Where the voltage begins its period, a current that is behind has yet to turn positive.
    begin = PlaybackTables(config, load).words[256]
    assert np.sign(begin) * np.sign(amps) == (0 if factor == 1 else (1 if leading else -1))


def test_frequency_is_what_was_asked_for():
    for rate in (400, 8000, 1e6):
        for hertz in (45.0, 49.3, 60.0):
            tables = PlaybackTables(SINGLE.with_changes(sample_rate_hz=rate), PlaybackLoad(hertz=hertz))
            assert abs(tables.phase_step * rate / 2**28 - hertz) <= 2e-9 * rate


def test_chunks_join_to_the_whole():
    twin = GoldenPlayback(DUAL, LEADING)
    parts = [twin.next(n) for n in (0, 1, 500, 3)]
    np.testing.assert_array_equal(np.concatenate(parts), GoldenPlayback(DUAL, LEADING).process(504))


def test_meter_registers_what_is_played():
    seconds = 20
    frames = int(seconds * SINGLE.sample_rate_hz)
    load = PlaybackLoad(amps=100.0, power_factor=0.5)
    playback, meter = GoldenPlayback(SINGLE, load), GoldenMeter(SINGLE)
    delivered = []
    for more in (SINGLE.frames_in(SINGLE.settle_s), frames):
        meter.next(playback.next(more))
        rest, count = meter.state().energy[0, Record.DELIVERED]
        delivered.append(int(count) * SINGLE.quantum + int(rest))
    played = PlaybackTables(SINGLE, load).watts * seconds / 3600
    assert float((delivered[1] - delivered[0]) * SINGLE.product_wh) == pytest.approx(played, rel=1e-5)


def test_core_meters_what_is_played():
    """The core behind its front end, against both golden twins, with time to read between two frames."""
    config, frames = DUAL.with_changes(sample_rate_hz=8000), 100
    clocks = 2 * frame_clocks(config)
    m = Module()
    m.submodules.playback = playback = Playback(config, clocks * config.sample_rate_hz, LEADING)
    m.submodules.meter = meter = Meter(config)
    wiring.connect(m, playback.o, meter.samples)
    read = []

    async def bench(ctx):
        for _ in range(frames):
            await ctx.tick().until(meter.frame)
        port = meter.registers
        for word in (0, 1):
            ctx.set(port.address, register_address(config, Block.ENERGY, 4 + Record.PENDING, word))
            ctx.set(port.valid, 1)
            (value,) = await ctx.tick().sample(port.rdata).until(port.ready)
            read.append(value)
            ctx.set(port.valid, 0)
            await ctx.tick()

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    golden = GoldenMeter(config)
    golden.next(GoldenPlayback(config, LEADING).next(frames))
    pending = int(golden.state().energy[1, Record.PENDING, 0])
    assert pending < 0
    assert read[1] << 32 | read[0] == pending % (1 << 64)


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (PlaybackLoad(volts=400), "playback's volts is 400; allowed: 0 to 353.553 V rms"),
        (PlaybackLoad(amps=-150), "playback's amps is -150; allowed: ±141.421 A rms"),
        (PlaybackLoad(power_factor=1.1), "playback's power_factor is 1.1; allowed: 0 to 1"),
        (PlaybackLoad(hertz=70), "playback's hertz is 70; allowed: 45 to 65 Hz"),
    ],
)
def test_impossible_loads_are_refused(load, message):
    with pytest.raises(ConfigError) as caught:
        PlaybackTables(SINGLE, load)
    assert message in str(caught.value)


def test_a_clock_that_is_too_slow_is_refused():
    tables = PlaybackTables(DUAL, PlaybackLoad())
    assert tables.frames_per_clock(7812.5 * 9) == Fraction(1, 9)
    with pytest.raises(ConfigError, match=r"sample_rate_hz is 7812.5 with a clock of 70000 Hz"):
        tables.frames_per_clock(70e3)
