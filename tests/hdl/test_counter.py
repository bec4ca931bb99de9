"""Counter drive: counts against pulses, pulses against time. Its hardware is tested with the pulse outputs'."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blondel.hdl.config import MeterConfig
from blondel.sim.engine import Events, output_names
from blondel.sim.golden.counter import CounterDrive

#: 100 ms are 40 frames.
EQUAL = MeterConfig.for_model("MSNCT-1SC", sample_rate_hz=400.0, sample_bits=16)
CONFIGS = {
    "equal": EQUAL,
    "short gap": EQUAL.with_changes(counter_on_s=0.02, counter_gap_s=0.001),
    "short pulse": EQUAL.with_changes(counter_on_s=0.001, counter_gap_s=0.02),
    "shortest": EQUAL.with_changes(counter_on_s=0.001, counter_gap_s=0.001),
}
COUNTER = output_names(EQUAL).index("counter")


def times(config):
    return config.frames_in(config.counter_on_s), config.frames_in(config.counter_gap_s)


def edges_of(levels, start=0):
    levels = np.concatenate([[start], levels]).astype(bool)
    frame = np.flatnonzero(levels[1:] != levels[:-1])
    return Events(frame, np.full(len(frame), COUNTER, dtype=np.uint16), levels[1:][frame])


@pytest.mark.parametrize("name", CONFIGS)
def test_pulses_are_exact_and_none_is_lost(name):
    """Counts in a burst, then none: every pulse has its width, and the gaps are the shortest."""
    config = CONFIGS[name]
    on, gap = times(config)
    events = CounterDrive(config).process(60 * (on + gap), np.arange(50))
    np.testing.assert_array_equal(events.frame[0::2], np.arange(50) * (on + gap))
    np.testing.assert_array_equal(events.frame[1::2], np.arange(50) * (on + gap) + on)
    np.testing.assert_array_equal(events.level, np.arange(100) % 2 == 0)


def test_default_times():
    """100 ms and 100 ms at 8000 frames a second."""
    events = CounterDrive(MeterConfig.for_model("MDNCT-1SC")).process(10000, np.array([5, 7]))
    np.testing.assert_array_equal(events.frame, [5, 805, 1605, 2405])


@pytest.mark.parametrize("cut", range(0, 400, 13))
def test_waking_up_adds_no_pulse(cut):
    """An outage at any point of a pulse: counts that wait are driven after it, the others are not again."""
    counts = np.array([0, 10, 20, 300])
    before = CounterDrive(EQUAL)
    first = before.next(cut, counts[counts < cut])
    after = CounterDrive(EQUAL)
    after.preset(before.records)
    second = after.next(1000, counts[counts >= cut] - cut)
    assert first.level.sum() + second.level.sum() == len(counts) == after.records[0, 1]


@st.composite
def chunked_counts(draw):
    frames = draw(st.integers(1, 300))
    counts = draw(st.sets(st.integers(0, frames - 1)))
    cuts = draw(st.sets(st.integers(0, frames)))
    return frames, np.array(sorted(counts), dtype=np.int64), sorted({0, frames} | cuts), draw(st.integers(0, 3))


@pytest.mark.parametrize("name", CONFIGS)
@given(stimulus=chunked_counts())
@settings(deadline=None, max_examples=200)
def test_chunks_join_to_the_whole_and_to_a_plain_loop(name, stimulus):
    config = CONFIGS[name]
    frames, counts, cuts, waiting = stimulus
    whole = CounterDrive(config)
    whole.preset([[waiting, 0]])
    events = whole.next(frames, counts)

    twin = CounterDrive(config)
    twin.preset([[waiting, 0]])
    parts = []
    for start, end in itertools.pairwise(cuts):
        part = twin.next(end - start, counts[(counts >= start) & (counts < end)] - start)
        parts.append(Events(part.frame + start, part.output, part.level))
    assert Events.join(parts) == events
    np.testing.assert_array_equal(twin.records, whole.records)
    assert waiting + len(counts) == whole.records.sum()

    # The rule as it is written down, one frame after another.
    on, gap = times(config)
    timer, levels = 0, []
    for frame in range(frames):
        waiting += frame in counts
        timer = max(timer - 1, 0)
        if timer == 0 and waiting:
            waiting -= 1
            timer = on + gap
        levels.append(timer > gap)
    assert edges_of(levels) == events
    assert waiting == whole.records[0, 0]
