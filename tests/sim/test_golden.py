"""The golden meter's one fast pass against its blocks, one after another, on a seeded corpus."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import rng
from vectors import BUSY, busy_frames

from blondel.hdl.config import LINES, ChannelCalibration, MeterConfig
from blondel.sim.engine import Events, State, StateError, output_names
from blondel.sim.golden.counter import CounterDrive
from blondel.sim.golden.energy import Energy
from blondel.sim.golden.frame import Frame
from blondel.sim.golden.gain import Gain
from blondel.sim.golden.indicators import Indicators
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.golden.offset import Offset
from blondel.sim.golden.phase import Phase
from blondel.sim.golden.pipeline import CHUNK_FRAMES
from blondel.sim.golden.power import Power
from blondel.sim.golden.pulses import PulseOutputs


class BlockByBlock:
    """The same meter, from the blocks that the tests of ``tests/hdl`` hold against the hardware."""

    def __init__(self, config: MeterConfig):
        self._config = config
        self.frame, self.offset, self.phase, self.gain = Frame(config), Offset(config), Phase(config), Gain(config)
        self.power, self.indicators, self.energy = Power(config), Indicators(config), Energy(config)
        self.outputs = [(PulseOutputs(config), CounterDrive(config)) for _ in config.meter_elements]
        self._shown = np.repeat([False, False, False, True], config.elements)
        self._taken = 0

    def next(self, frames: np.ndarray, ok: np.ndarray) -> Events:
        samples, index, window, late, clip = self.frame.next(frames, ok)
        samples, clip = self.phase.next(self.offset.next(samples, window), clip)
        samples, clip = self.gain.next(samples, clip)
        ranges = self.indicators.next(samples, window, late, clip)
        ticks, flows = self.energy.next(self.power.next(samples), window)
        parts = []
        for meter, (pulses, counter) in enumerate(self.outputs):
            own, counts = pulses.next(len(frames), index[ticks[:, meter]])
            for events in (own, counter.next(len(frames), counts)):
                parts.append(Events(events.frame, events.output + np.uint16(6 * meter), events.level))
        status = np.concatenate([ranges & 1, flows & 1, ranges >> 1, flows >> 1], axis=1).astype(bool)
        before = np.concatenate([self._shown[np.newaxis], status])
        row, column = np.nonzero(before[1:] != before[:-1])
        self._shown = before[-1]
        first = output_names(self._config).index("voltage[0]")
        edges = Events(index[row], (first + column).astype(np.uint16), status[row, column])
        joined = Events.join([*parts, edges])
        order = np.lexsort((joined.output, joined.frame))
        frame = joined.frame[order] + self._taken
        self._taken += len(frames)
        return Events(frame, joined.output[order], joined.level[order])

    def preset(self, state: State) -> None:
        self.energy.preset(state.energy)
        for meter, (pulses, counter) in enumerate(self.outputs):
            pulses.preset(state.outputs[3 * meter :][:2])
            counter.preset(state.outputs[3 * meter + 2 :][:1])
        self.frame.preset(state.frames, state.lost)

    def state(self) -> State:
        outputs = np.concatenate([block.records for block in itertools.chain(*self.outputs)])
        return State(self._config, self.energy.records.copy(), outputs, self.frame.frames, self.frame.lost)


def random_config(random) -> MeterConfig:
    """Draw elements, widths, rate and calibration; few frames a second, so that much happens in few of them."""
    elements = random.choice([1, 1, 2, 2, 3, 9, 64])
    # One meter with all, or several.
    cuts = sorted(random.sample(range(1, elements), random.randrange(elements))) if random.random() < 0.4 else []
    meters = tuple(b - a for a, b in itertools.pairwise([0, *cuts, elements])) if cuts else ()
    bits = random.randint(16, 24)
    # The phase compensation reaches 3° at 50 Hz, 167 µs.
    channels = tuple(
        ChannelCalibration(
            offset=random.choice([None, 0.3, random.uniform(-1, 1) * (1 << (bits - 3))]),
            delay_s=random.uniform(-160e-6, 160e-6),
            gain=random.choice([1.0, 1.2499, random.uniform(0.76, 1.24)]),
        )
        for _ in range(2 * elements)
    )
    return MeterConfig(
        line=LINES[random.choice([50, 60])],
        class_amps=random.choice([20, 100, 200]),
        elements=elements,
        meters=meters,
        sample_bits=bits,
        sample_rate_hz=random.choice([8000.0, 12345.0]) if elements > 3 else random.choice([400.0, 1000.0, 8000.0]),
        calibration=random.choice([(), channels]),
        offset_tracking=random.random() < 0.7,
        no_load_fraction=random.choice([2e-5, 4e-4]),
        pulse_min_s=random.choice([0.03, 1.0]),
    )


def random_frames(random, config: MeterConfig) -> tuple[np.ndarray, np.ndarray]:
    """Draw busy frames, or random ones, or nothing but the extremes; some are invalid."""
    count = 3000 if config.elements < 4 else 600
    samples, ok = busy_frames(config, count)
    kind = random.choice(["busy", "busy", "noise", "extremes"])
    if kind != "busy":
        limit = 1 << (config.sample_bits - 1)
        generator = np.random.default_rng(random.getrandbits(64))
        samples = generator.integers(-limit, limit, samples.shape, dtype=np.int32)
        if kind == "extremes":
            samples = np.where(samples < 0, -limit, limit - 1).astype(np.int32)
    return samples, ok


def chunks(random, frames: int, longest: int) -> list[tuple[int, int]]:
    """Cut frames into chunks from one frame to ``longest``."""
    cuts = [0]
    while cuts[-1] < frames:
        cuts.append(min(frames, cuts[-1] + random.choice([1, 2, random.randint(1, longest)])))
    return list(itertools.pairwise(cuts))


@pytest.mark.parametrize("run", range(40))
def test_the_fast_pass_equals_the_blocks(run):
    random = rng(f"golden {run}")
    config = random_config(random)
    frames, ok = random_frames(random, config)
    meter, blocks = GoldenMeter(config), BlockByBlock(config)
    if random.random() < 0.5:
        # Where another meter stood: loaded or not, either direction, registers about to roll over.
        state = meter.state()
        for element in range(config.elements):
            state.energy[element, 0, 1] = random.choice([0, 1, 3, 4, 5, 7])
            state.energy[element, 1, 0] = random.choice([0, 1, -1]) * random.randrange(config.quantum)
            state.energy[element, 2:, 1] = random.choice([0, (1 << config.register_bits) - 1])
        meter.preset(state)
        blocks.preset(state)
    expected = Events.join([blocks.next(frames[a:b], ok[a:b]) for a, b in chunks(random, len(frames), 300)])
    longest = random.choice([50, len(frames)])
    shown = Events.join([meter.next(frames[a:b], ok[a:b]) for a, b in chunks(random, len(frames), longest)])
    assert shown == expected
    assert meter.state() == blocks.state()
    assert len(shown) > 0


def test_one_call_of_many_chunks_equals_the_blocks():
    frames, ok = busy_frames(BUSY, 20 * CHUNK_FRAMES + 7)
    meter, blocks = GoldenMeter(BUSY), BlockByBlock(BUSY)
    assert meter.next(frames, ok) == blocks.next(frames, ok)
    assert meter.state() == blocks.state()


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_frames_of_any_kind_of_array(dtype):
    frames, ok = busy_frames(BUSY)
    expected = GoldenMeter(BUSY).next(frames, ok)
    wide = np.zeros((len(frames), 2 * BUSY.channels), dtype=dtype)
    wide[:, ::2] = frames
    wide.flags.writeable = False
    assert GoldenMeter(BUSY).next(wide[:, ::2], ok.tolist()) == expected


def test_without_frames_nothing_happens():
    meter = GoldenMeter(BUSY)
    before = meter.state()
    assert len(meter.next(np.empty((0, BUSY.channels), np.int32))) == 0
    assert meter.state() == before


@pytest.mark.parametrize("run", range(6))
def test_a_meter_goes_on_from_what_another_saved(run):
    random = rng(f"saved {run}")
    config = random_config(random)
    frames, ok = random_frames(random, config)
    whole = GoldenMeter(config)
    expected = whole.next(frames, ok)
    meter, parts = GoldenMeter(config), []
    for first, last in chunks(random, len(frames), 400):
        saved, meter = meter.save(), GoldenMeter(config)
        meter.restore(saved)
        parts.append(meter.next(frames[first:last], ok[first:last]))
    assert Events.join(parts) == expected
    assert meter.state() == whole.state()
    assert meter.save() == whole.save()


def test_what_is_no_state_of_this_meter_is_refused():
    saved = GoldenMeter(BUSY).save()
    with pytest.raises(StateError, match="another configuration's"):
        GoldenMeter(BUSY.with_changes(clock_error_ppm=1.0)).restore(saved)
    for damaged in (b"", b"no state", saved[:-30]):
        with pytest.raises(StateError, match="no state of a meter"):
            GoldenMeter(BUSY).restore(damaged)
