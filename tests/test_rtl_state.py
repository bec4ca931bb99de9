"""The golden model's whole state, put into the generated design at any moment of a run."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from harness import rng
from vectors import BUSY, MIXED, busy_frames

from blondel.hdl.config import MeterConfig
from blondel.hdl.link.registers import Block
from blondel.sim.engine import Record, output_names
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.rtl import state
from blondel.sim.rtl.engine import RtlMeter, StateError

CONFIGS = {
    "busy": BUSY,
    "mixed, its pulses too slow": MIXED.with_changes(pulse_min_s=0.3),
    "single, 50 Hz, no tracking": MeterConfig.for_model("MSNCT-2SC", 50).with_changes(
        sample_rate_hz=3200.0, pulse_wh=1, test_kh_wh=0.2, pulse_min_s=0.05, offset_tracking=False
    ),
    "three elements, 16 bits": BUSY.with_changes(elements=3, model=None, calibration=(), sample_bits=16),
}


@pytest.fixture(params=CONFIGS, scope="module")
def config(request):
    return CONFIGS[request.param]


def moments(config):
    """Meter busy frames up to some places; yield the golden model and the frames that follow.

    The places are random; after them are a pulse of the counter and, where pulses have to wait, what shows that.
    """
    random = rng(f"moments {config!r}")
    frames, ok = busy_frames(config, 6000)
    golden = GoldenMeter(config)
    events, names = golden.next(frames, ok), output_names(config)
    places = random.sample(range(len(frames)), 6)
    for name in ("counter", "queued"):
        rises = [frame for frame, n, level in zip(events.frame, events.output, events.level, strict=True)
                 if level and names[n].startswith(name)]  # fmt: skip
        places += [random.choice(rises) + 1] if rises else []
    golden.reset()
    for start, stop in itertools.pairwise([0, *sorted(places)]):
        golden.next(frames[start:stop], ok[start:stop])
        copy = GoldenMeter(config)
        copy.restore(golden.save())
        following = slice(stop, stop + random.choice([1, 10, 1000]))
        yield copy, frames[following], ok[following]


def assert_equal(rtl, golden):
    assert rtl.state() == golden.state()
    assert state.differences(rtl, golden) == []
    # What is in no one's state, but shows at the register port.
    for element, status in enumerate(golden.blocks["indicators"].state.status):
        assert rtl.read_record(Block.ENERGY, Record.COUNT * element)[1] >> 3 == status
    content, meters = golden.content(), range(len(golden.config.meter_elements))
    queued = any(content[f"pulses[{meter}].queued"] for meter in meters)
    assert rtl.read_record(Block.STATUS, golden.config.elements)[1] == queued


def test_the_design_goes_on_where_the_model_stands(config):
    rtl = RtlMeter(config)
    for golden, frames, ok in moments(config):
        state.take_over(rtl, golden)
        assert_equal(rtl, golden)
        for part in (slice(None, len(frames) // 2), slice(len(frames) // 2, None)):
            assert rtl.next(frames[part], ok[part]) == golden.next(frames[part], ok[part])
            assert_equal(rtl, golden)


def test_whatever_differs_is_found(config):
    rtl = RtlMeter(config)
    golden = [golden for golden, _, _ in moments(config)][-1]
    state.take_over(rtl, golden)
    for name, chosen in state._words(golden, 0).items():
        words, _ = rtl.words(f"meter {name}")
        broken, index = words.copy(), next(iter(chosen))
        broken[index] ^= np.uint64(1)
        rtl.put_words(f"meter {name}", broken)
        found = state.differences(rtl, golden)
        assert any(line.startswith(f"{name}[{index}]: {broken[index]}, not {words[index]}") for line in found) or (
            name == "phase place" and found
        )
        rtl.put_words(f"meter {name}", words)
    assert state.differences(rtl, golden) == []


@pytest.mark.parametrize("name", ["meter no such thing", "meter power fsm_state[0]", "sample_data"])
def test_a_name_without_a_state_is_refused(name):
    with pytest.raises(StateError, match=f"no flip-flop and no memory called '{name}'".replace("[", r"\[")):
        RtlMeter(BUSY).words(name)
