"""The whole meter: the generated design against the golden model, bit for bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import SEED, rng
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vectors import BUSY, MIXED, busy_frames

from blondel.hdl.config import LINES, MeterConfig
from blondel.hdl.link.registers import Block
from blondel.hdl.meter import DEFAULT_OPTIONS, Options, frame_clocks
from blondel.hdl.model_number import ModelNumber
from blondel.sim.afe.adc import IdealAdc
from blondel.sim.engine import Events, Record, State, output_names
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl.engine import RtlMeter
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.service import Service

SERIAL_ENERGY = Options(serial_energy=True)
SMALLEST = Options(serial_multiplier=True, indicators=False, reached=(Block.ENERGY,))
ENGINES = {
    "golden": GoldenMeter,
    "rtl": RtlMeter,
    "rtl with serial energy": lambda config: RtlMeter(config, SERIAL_ENERGY),
}
OPTIONS = pytest.mark.parametrize("options", [DEFAULT_OPTIONS, SERIAL_ENERGY], ids=["", "serial energy"])
MODELS = [str(model) for model in ModelNumber.all()]


def assert_engines_agree(
    config: MeterConfig, frames: np.ndarray, ok: np.ndarray | None = None, options: Options = DEFAULT_OPTIONS
) -> Events:
    golden, rtl = GoldenMeter(config), RtlMeter(config, options)
    expected, shown = golden.next(frames, ok), rtl.next(frames, ok)
    assert shown == expected
    assert rtl.state() == golden.state()
    return expected


@pytest.mark.parametrize("line_hz", LINES)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_on_both_lines(model, line_hz):
    """At 400 frames/s three thousand frames last 7.5 s, enough for every pulse output to move."""
    config = MeterConfig.for_model(model, line_hz, sample_rate_hz=400.0)
    events = assert_engines_agree(config, *busy_frames(config))
    moved = {output_names(config)[number] for number in set(events.output.tolist())}
    assert {"output_10", "test", "no_load[0]", "reversed[0]", "overrange[0]"} <= moved


def test_every_output_moves_in_the_busy_run():
    # Pulses so long that they have to wait; and 500 Wh, where Output 1000 turns on, is near.
    config = BUSY.with_changes(pulse_min_s=1.0)
    frames, ok = busy_frames(config, 20_000)
    # A third of the voltage is out of the line's range.
    frames[-6000:, 0::2] //= 3
    golden, rtl = GoldenMeter(config), RtlMeter(config)
    near = golden.state()
    near.outputs[0] = 0, 95
    for meter in (golden, rtl):
        meter.preset(near)
    events = golden.next(frames, ok)
    assert rtl.next(frames, ok) == events
    assert rtl.state() == golden.state()
    assert {output_names(config)[number] for number in set(events.output.tolist())} == set(output_names(config))


@pytest.mark.parametrize("bits", [16, 20, 24])
@pytest.mark.parametrize("elements", [1, 3])
def test_other_widths_and_numbers_of_elements(bits, elements):
    config = MeterConfig(
        line=LINES[50], class_amps=5, elements=elements, sample_bits=bits, sample_rate_hz=1000.0, v_full_scale=800
    )
    assert_engines_agree(config, *busy_frames(config))


def test_many_elements():
    config = MeterConfig(line=LINES[60], class_amps=100, elements=64, test_kh_wh=10.0)
    assert_engines_agree(config, *busy_frames(config, 300))


@OPTIONS
def test_several_meters_move_all_their_outputs(options):
    # Pulses so long that they have to wait.
    config = MIXED.with_changes(pulse_min_s=1.0)
    events = assert_engines_agree(config, *busy_frames(config), options)
    moved = {output_names(config)[number] for number in set(events.output.tolist())}
    assert {f"{name}[{meter}]" for name in ("output_10", "test", "queued") for meter in range(3)} <= moved


@pytest.mark.parametrize("engine", ENGINES)
def test_each_of_several_meters_is_as_if_alone(engine):
    """The records and edges of a meter in a core are those of one with only its elements, in a core of its own."""
    frames, ok = busy_frames(MIXED)
    several = ENGINES[engine](MIXED)
    events, state = several.next(frames, ok), several.state()
    # Windows end where the core's first voltage crosses zero: here all voltages do.
    own = MIXED.with_changes(meters=(), elements=2, calibration=MIXED.calibration[2:6])
    assert own.tick == MIXED.tick
    alone = ENGINES[engine](own)
    expected = alone.next(frames[:, 2:6], ok)
    for name in ("output_10", "output_100", "output_1000", "counter", "test", "queued"):
        seen = events.of(output_names(MIXED).index(f"{name}[1]"))
        wanted = expected.of(output_names(own).index(name))
        assert (seen.frame.tolist(), seen.level.tolist()) == (wanted.frame.tolist(), wanted.level.tolist()), name
    np.testing.assert_array_equal(state.energy[[1, 2, MIXED.elements + 1]], alone.state().energy)
    np.testing.assert_array_equal(state.outputs[3:6], alone.state().outputs)


@pytest.mark.parametrize(
    ("meters", "options"),
    [
        ((1,) * 24 + (2,) * 20, DEFAULT_OPTIONS),
        ((2,) * 32, SERIAL_ENERGY),
        ((1,) * 64, SERIAL_ENERGY),
    ],
    ids=["mixed", "32xD serial energy", "64xS serial energy"],
)
def test_64_elements_in_many_meters(meters, options):
    config = MeterConfig.for_model("MDNCT-1SC", meters=meters)
    assert_engines_agree(config, *busy_frames(config, 400), options)


@pytest.mark.parametrize("engine", ENGINES)
def test_chunks_join_to_the_whole(engine):
    frames, ok = busy_frames(BUSY)
    whole = ENGINES[engine](BUSY)
    expected = whole.next(frames, ok)
    random = rng("chunks")
    cuts = sorted({0, len(frames), 1, 2, *(random.randrange(len(frames)) for _ in range(20))})
    parts = ENGINES[engine](BUSY)
    events = Events.join([parts.next(frames[a:b], ok[a:b]) for a, b in itertools.pairwise(cuts)])
    assert events == expected
    assert parts.state() == whole.state()


def test_process_starts_afresh():
    frames, ok = busy_frames(BUSY, 1000)
    golden = GoldenMeter(BUSY)
    assert golden.process(frames, ok) == golden.process(frames, ok)


def test_lost_frames_are_counted_and_never_metered():
    frames, _ = busy_frames(BUSY)
    random = np.random.default_rng(SEED)
    ok = random.random(len(frames)) < 0.7
    garbled = frames.copy()
    garbled[~ok] = random.integers(-(1 << 23), 1 << 23, (np.count_nonzero(~ok), BUSY.channels))
    for engine in ENGINES.values():
        clean, noisy, without = engine(BUSY), engine(BUSY), engine(BUSY)
        clean.next(frames, ok)
        noisy.next(garbled, ok)
        without.next(frames[ok])
        assert noisy.state() == clean.state()
        assert noisy.state().lost == np.count_nonzero(~ok)
        assert np.array_equal(without.state().energy, noisy.state().energy)


@pytest.mark.parametrize("engine", ENGINES)
def test_total_registers_are_the_sum_of_the_elements(engine):
    frames, ok = busy_frames(BUSY, 10_000)
    meter = ENGINES[engine](BUSY)
    for part in np.array_split(np.arange(len(frames)), 13):
        meter.next(frames[part], ok[part])
        energy = meter.state().energy
        for record in (Record.DELIVERED, Record.RECEIVED):
            assert energy[-1, record, 1] == energy[:-1, record, 1].sum() > 0 or part[0] < 5000


def test_totals_of_several_meters_are_the_sums_of_their_elements():
    meter = GoldenMeter(MIXED)
    meter.next(*busy_frames(MIXED, 10_000))
    energy = meter.state().energy[:, :, 1]
    for total, own in enumerate((slice(0, 1), slice(1, 3), slice(3, 4)), start=MIXED.elements):
        for record in (Record.DELIVERED, Record.RECEIVED):
            assert energy[total, record] == energy[own, record].sum() > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_meter_continues_where_another_stood(engine):
    """After an outage: registers and residuals go on, and no output has more than one extra edge."""
    frames, ok = busy_frames(BUSY, 12_000)
    first = ENGINES[engine](BUSY)
    before = first.next(frames[:6000], ok[:6000])
    stood = first.state()
    second = ENGINES[engine](BUSY)
    second.preset(stood)
    assert second.state() == stood
    after = second.next(frames[6000:], ok[6000:])
    ended = second.state()
    assert ended.frames + ended.lost == len(frames)
    assert (ended.energy[:, [Record.DELIVERED, Record.RECEIVED], 1] >= stood.energy[:, 2:, 1]).all()

    unbroken = ENGINES[engine](BUSY)
    unbroken.next(frames[:6000], ok[:6000])
    reference = unbroken.next(frames[6000:], ok[6000:])
    for number, name in enumerate(output_names(BUSY)[:5]):
        # What differs is what the offset tracking and the first samples after power-up meter differently.
        assert abs(len(after.of(number)) - len(reference.of(number))) <= 1, name
    assert len(before.of(0)) > 10


@OPTIONS
@pytest.mark.parametrize("config", [BUSY, MIXED], ids=["one meter", "several meters"])
def test_a_preset_meter_is_the_same_in_both_engines(config, options):
    frames, ok = busy_frames(config, 4000)
    source = GoldenMeter(config)
    source.next(frames, ok)
    golden, rtl = GoldenMeter(config), RtlMeter(config, options)
    for meter in (golden, rtl):
        meter.preset(source.state())
    assert golden.next(frames, ok) == rtl.next(frames, ok)
    assert golden.state() == rtl.state()


def test_registers_roll_over():
    state = GoldenMeter(BUSY).state()
    state.energy[:, Record.DELIVERED, 1] = (1 << BUSY.register_bits) - 1
    frames, ok = busy_frames(BUSY, 4000)
    golden, rtl = GoldenMeter(BUSY), RtlMeter(BUSY)
    for meter in (golden, rtl):
        meter.preset(state)
        meter.next(frames, ok)
    assert golden.state() == rtl.state()
    assert (golden.state().energy[:, Record.DELIVERED, 1] < 1 << 20).all()


@OPTIONS
def test_frozen_copies_are_coherent_and_nothing_is_lost(options):
    frames, ok = busy_frames(BUSY)
    rtl, golden = RtlMeter(BUSY, options), GoldenMeter(BUSY)
    rtl.next(frames[:1000], ok[:1000])
    golden.next(frames[:1000], ok[:1000])
    rtl.write_record(Block.STATUS, BUSY.elements, 1, 0)
    frozen = golden.state()
    rtl.next(frames[1000:], ok[1000:])
    golden.next(frames[1000:], ok[1000:])
    assert np.array_equal(rtl.state().energy, frozen.energy)
    assert not np.array_equal(golden.state().energy, frozen.energy)
    rtl.write_record(Block.STATUS, BUSY.elements, 0, 0)
    rtl.next(frames[:1], ok[:1])
    golden.next(frames[:1], ok[:1])
    assert rtl.state() == golden.state()


@OPTIONS
@pytest.mark.parametrize("config", [BUSY, MIXED], ids=["one meter", "several meters"])
def test_status_records_are_the_indicators(config, options):
    frames, ok = busy_frames(config)
    # A third of the last voltage is out of the line's range.
    frames[:, -2] //= 3
    golden, rtl = GoldenMeter(config), RtlMeter(config, options)
    levels = dict.fromkeys(output_names(config), 0)
    levels |= {f"no_load[{element}]": 1 for element in range(config.elements)}
    found = set()
    for part in np.split(np.arange(1200), [10, 400]):
        events = golden.next(frames[part], ok[part])
        rtl.next(frames[part], ok[part])
        levels |= {output_names(config)[number]: on for number, on in zip(events.output, events.level, strict=True)}
        for element in range(config.elements):
            status = [levels[f"{name}[{element}]"] for name in ("voltage", "reversed", "overrange", "no_load")]
            expected = sum(int(level) << bit for bit, level in enumerate(status))
            assert rtl.read_record(Block.STATUS, element) == (0, expected)
            rtl.write_record(Block.STATUS, element, -1, 0)
            assert rtl.read_record(Block.STATUS, element) == (0, expected), "writing it does nothing"
            found.add(expected)
    assert len(found) > 2


def test_calibration_words_can_be_read_through_the_register_port():
    rtl = RtlMeter(BUSY)
    for channel in range(BUSY.channels):
        assert rtl.read_record(Block.OFFSET, channel)[0] == BUSY.offset_word(channel)
        whole, coefficient = BUSY.phase_word(channel)
        assert rtl.read_record(Block.PHASE, channel) == (coefficient, whole)
        assert rtl.read_record(Block.GAIN, channel)[0] == BUSY.gain_word(channel)


def test_what_is_below_the_starting_load_is_not_metered():
    """A milliamp for so long that the gate withholds quanta: nothing is delivered, and nothing comes back."""
    config = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=400.0)
    source = Service(Mains(volts=120.0, hertz=60.0), [[Sine(0.001)]], sample_rate_hz=400.0)
    seconds = 20_000
    codes = IdealAdc(config, seed=SEED).codes(0, *source.samples(0, 400 * seconds))
    meter = GoldenMeter(config)
    for part in np.array_split(codes, 50):
        meter.next(part)
        assert meter.state().delivered_received(0) == (0, 0)
    assert meter.state().energy[0, Record.PENDING, 1] > 0, "quanta must have been withheld"
    assert float(meter.state().net(0) * config.product_wh) == pytest.approx(0.12 * seconds / 3600, rel=1e-3)


@pytest.mark.parametrize("elements", [1, 2])
def test_the_serial_multiplier_makes_the_same_meter(elements):
    config = BUSY.with_changes(elements=elements, calibration=BUSY.calibration[: 2 * elements])
    golden, rtl = GoldenMeter(config), RtlMeter(config, Options(serial_multiplier=True))
    frames, ok = busy_frames(config)
    assert rtl.next(frames, ok) == golden.next(frames, ok)
    assert rtl.state() == golden.state()


def test_without_indicators_all_else_is_the_same():
    frames, ok = busy_frames(BUSY, frames=2500)
    golden, rtl = GoldenMeter(BUSY), RtlMeter(BUSY, SMALLEST)
    expected, shown = golden.next(frames, ok), rtl.next(frames, ok)
    names = np.array(output_names(BUSY))
    watched = np.char.startswith(names[expected.output], ("voltage",)) | np.char.startswith(
        names[expected.output], ("overrange",)
    )
    assert watched.any()
    for column in ("frame", "output", "level"):
        np.testing.assert_array_equal(getattr(shown, column), getattr(expected, column)[~watched])
    energy = [rtl.read_record(Block.ENERGY, index) for index in range(BUSY.elements * Record.COUNT)]
    np.testing.assert_array_equal(np.array(energy), golden.state().energy[: BUSY.elements].reshape(-1, 2))


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (BUSY, DEFAULT_OPTIONS),
        (BUSY, Options(serial_multiplier=True)),
        (BUSY, SMALLEST),
        (BUSY, SERIAL_ENERGY),
        (MIXED, SERIAL_ENERGY),
    ],
    ids=["", "serial multiplier", "serial multiplier, no indicators", "serial energy", "serial energy, several meters"],
)
def test_a_frame_takes_the_clocks_that_the_core_says(config, options):
    frames, _ = busy_frames(config, 1000)
    rtl = RtlMeter(config, options)
    before = rtl.clocks
    rtl.next(frames)
    # Beside them, the first frame's way through the pipeline, and a few clocks at each window's end; the late frames of
    # a window need no squares.
    clocks = len(frames) * frame_clocks(config, options)
    assert -clocks / 1000 < rtl.clocks - before - clocks < 200


def test_shapes_are_checked():
    rtl = RtlMeter(BUSY)
    with pytest.raises(ValueError, match=r"frames has shape \(5, 3\); allowed: \(any, 4\)"):
        rtl.next(np.zeros((5, 3), np.int32))
    with pytest.raises(ValueError, match=r"ok has shape \(4,\); allowed: \(5,\)"):
        rtl.next(np.zeros((5, 4), np.int32), np.ones(4, bool))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_frames(data):
    """Hypothesis draws runs of constant, alternating and random frames, and which are invalid."""
    limit = 1 << (BUSY.sample_bits - 1)
    value = st.one_of(st.sampled_from([-limit, limit - 1, 0, 1, -1]), st.integers(-limit, limit - 1))
    row = st.lists(value, min_size=BUSY.channels, max_size=BUSY.channels)
    runs = data.draw(st.lists(st.tuples(row, st.integers(1, 400), st.booleans(), st.booleans()), max_size=8))
    frames, ok = [np.zeros((1, BUSY.channels), np.int32)], [np.array([True])]
    for levels, length, alternate, valid in runs:
        sign = np.where(np.arange(length) % 2, -1 if alternate else 1, 1)[:, np.newaxis]
        frames.append(np.clip(np.array(levels) * sign, -limit, limit - 1).astype(np.int32))
        ok.append(np.full(length, valid))
    assert_engines_agree(BUSY, np.concatenate(frames), np.concatenate(ok))


def test_events_compare_and_join():
    one = Events(np.array([1]), np.array([0], np.uint16), np.array([True]))
    assert Events.join([one, one]).of(0) == Events.join([one, one])
    assert one != Events(np.array([2]), one.output, one.level)
    assert len(Events.join([])) == 0


def test_state_gives_back_what_is_pending():
    energy = np.zeros((2, 4, 2), np.int64)
    config = MeterConfig.for_model("MSNCT-1SC")
    energy[0, Record.DELIVERED] = 10, 2
    energy[0, Record.PENDING] = -4, 1
    state = State(config, energy, np.zeros((3, 2), np.int64))
    assert state.net(0) == 10 + 2 * config.quantum - 4 + config.quantum
    assert state.delivered_received(0) == (10 + 2 * config.quantum, 0), "not loaded: what is pending is not metered"
    energy[0, Record.GATE, 1] = 0b001
    assert state.delivered_received(0) == (6 + 2 * config.quantum, 0)
    energy[0, Record.DELIVERED] = 1, 0
    assert state.delivered_received(0) == (0, 3)
    energy[0, Record.GATE, 1] = 0b101
    energy[0, Record.RECEIVED] = 7, 0
    energy[0, Record.PENDING] = 4, 0
    assert state.delivered_received(0) == (1, 3)
    energy[0, Record.PENDING] = 9, 0
    assert state.delivered_received(0) == (3, 0)
