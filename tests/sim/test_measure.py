"""Measurements: figures against energies known beforehand, engines against each other."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from blondel.hdl.config import MeterConfig
from blondel.sim import measure as module
from blondel.sim.engine import Events, Record
from blondel.sim.golden.meter import GoldenMeter
from blondel.sim.measure import EnginesDiffer, make_engines, measure
from blondel.sim.source.loads import Sine
from blondel.sim.source.mains import Mains
from blondel.sim.source.recording import Recording
from blondel.sim.source.service import Service

SINGLE = MeterConfig.for_model("MSNCT-1SC")
DUAL = MeterConfig.for_model("MDNCT-1SC")
KEYS = [
    "model", "line_hz", "sample_rate_hz", "frames", "seconds", "elements", "delivered_wh", "received_wh", "true_wh",
    "error_ppm", "pulses", "counts", "flags", "engine", "bit_exact", "checked_frames",
    "real_time_factor",
]  # fmt: skip


def bench(*loads: tuple[float, str], volts: float = 120.0, hertz: float = 60.0) -> Service:
    return Service(Mains(volts=volts, hertz=hertz), [[Sine(amps, factor)] for amps, factor in loads])


def golden(config, source, *, seconds, settle_s=None, **more):
    settle = config.settle_s if settle_s is None else settle_s
    return measure(
        config, source, make_engines(config, "golden"), settle_frames=config.frames_in(settle),
        frames=config.frames_in(seconds), **more,
    )  # fmt: skip


class Twin(GoldenMeter):
    """A second engine, to be broken."""


def both(config, second, **more):
    engines = {"golden": GoldenMeter(config), "rtl": second}
    return measure(config, bench((10, "1")), engines, settle_frames=0, **more)


@pytest.mark.parametrize("seconds", [36.0, math.ceil((30 - SINGLE.settle_s) * 20) / 20])
def test_energy_pulses_and_counts_of_a_known_load(seconds):
    """100 A × 120 V are 120 Wh in 36 s, on a meter that has run for its settling.

    The second ends on a whole cycle, 30 s from power-up on or little later, while the counter is driven for 100 Wh.
    """
    figures = golden(SINGLE, bench((100, "1")), seconds=seconds).figures
    energy = 12_000 * seconds / 3600
    assert figures.total.true_wh == pytest.approx(energy, rel=1e-9)
    assert figures.total.delivered_wh == pytest.approx(energy, rel=1e-5)
    assert figures.total.received_wh == 0
    assert abs(figures.total.error_ppm) < 10
    assert figures.elements == (figures.total,)
    # What was metered while it settled decides when the pulses fall: every 10 Wh from power-up on.
    begin = 12_000 * SINGLE.settle_s / 3600
    expected = {wh: math.floor((begin + energy) / wh) - math.floor(begin / wh) for wh in (10, 100, 1000)}
    assert figures.pulses == expected
    assert figures.counts == expected[100] == 1
    assert figures.seconds == seconds
    assert figures.settle_s == SINGLE.settle_s


def test_json_has_the_fixed_keys_and_plain_numbers():
    figures = golden(DUAL, bench((10, "1"), (5, "0.5lag")), seconds=2, settle_s=2).figures
    shown = json.loads(json.dumps(figures.to_json(), allow_nan=False))
    assert list(shown) == [key for key in KEYS if key not in ("bit_exact", "checked_frames")]
    assert [list(each) for each in shown["elements"]] == [["delivered_wh", "received_wh", "true_wh", "error_ppm"]] * 2
    assert shown["model"] == "MDNCT-1SC"
    assert (shown["line_hz"], shown["sample_rate_hz"], shown["frames"], shown["seconds"]) == (60, 8000.0, 16000, 2.0)
    assert list(shown["pulses"]) == ["10", "100", "1000"]
    for key in ("delivered_wh", "received_wh", "true_wh"):
        assert shown[key] == pytest.approx(sum(each[key] for each in shown["elements"]), rel=1e-12)
    assert shown["engine"] == "golden"
    assert shown["flags"] == {
        "voltage": [False, False], "reversed": [False, False], "overrange": [False, False], "no_load": [False, False],
        "queued": False, "lost_frames": 0,
    }  # fmt: skip


def test_a_meter_of_its_own_tells_its_pulses():
    config = SINGLE.with_changes(model=None, pulse_wh=100, counter_wh=1000)
    shown = golden(config, bench((10, "1")), seconds=1, settle_s=0).figures.to_json()
    assert shown["model"] == "custom"
    assert shown["pulse_wh"] == 100


def test_two_engines_that_agree():
    shown = both(SINGLE, Twin(SINGLE), frames=8000).figures.to_json()
    assert list(shown) == KEYS
    assert (shown["bit_exact"], shown["checked_frames"]) == (True, 8000)
    assert shown["engine"] == "both"


@pytest.mark.parametrize("settle_s", [0.0, 3.3])
def test_the_rtl_takes_over_from_a_golden_model_that_settled_alone(settle_s):
    config = DUAL.with_changes(sample_rate_hz=2000.0)
    source = Service(Mains(volts=120, hertz=60), [[Sine(100)], [Sine(-30, "0.5lag")]], sample_rate_hz=2000)
    settle, frames = config.frames_in(settle_s), 6000
    found = {}
    for alone in (True, False):
        engines = make_engines(config, "both")
        figures = measure(config, source, engines, settle_frames=settle, frames=frames, settle_alone=alone).figures
        assert figures.checked_frames == frames + (0 if alone else settle)
        found[alone] = figures.to_json() | {"checked_frames": None, "real_time_factor": None}
        assert engines["rtl"].frames == settle + frames
    assert found[True] == found[False]


def test_the_figures_do_not_depend_on_the_chunks(monkeypatch):
    source = bench((10, "0.5lag"), (-3, "0.866lead"))
    whole = golden(DUAL, source, seconds=5, settle_s=3, trace=True)
    monkeypatch.setattr(module, "CHUNK_FRAMES", 777)
    parts = golden(DUAL, source, seconds=5, settle_s=3, trace=True)
    for name in ("delivered_wh", "received_wh"):
        assert getattr(whole.figures.total, name) == getattr(parts.figures.total, name)
    assert parts.figures.total.true_wh == pytest.approx(whole.figures.total.true_wh, rel=1e-12)
    assert parts.figures.pulses == whole.figures.pulses
    assert parts.figures.flags == whole.figures.flags
    assert np.array_equal(whole.trace.net_wh, parts.trace.net_wh)


@pytest.mark.parametrize("end", ["begin", "end"])
def test_the_truth_is_taken_as_much_earlier_as_the_pipeline_delays(end):
    """A burst of 100 A in the frames that the delay decides about would be thousands of ppm of a second.

    Offsets are not tracked: the burst has a mean of its own.
    """
    config = SINGLE.with_changes(offset_tracking=False)
    settle, frames = 136_050, 8000
    source = bench((1, "1"))
    edge = settle if end == "begin" else settle + frames
    burst = slice(edge - 2 * SINGLE.path_delay, edge)

    class Burst:
        sample_rate_hz, elements, duration_s, period_frames = 8000.0, 1, None, None

        def samples(self, start, count):
            volts, amps = source.samples(start, count)
            index = np.arange(start, start + count)
            amps[(index >= burst.start) & (index < burst.stop)] *= 100
            return volts, amps

    figures = measure(
        config, Burst(), make_engines(config, "golden"), settle_frames=settle, frames=frames
    ).figures
    assert abs(figures.total.error_ppm) < 1


def test_reversed_ct_on_one_element_of_two():
    figures = golden(DUAL, bench((20, "1"), (-10, "0.866lag")), seconds=10).figures
    first, second = figures.elements
    assert first.received_wh == 0
    assert second.delivered_wh == 0
    assert second.received_wh == pytest.approx(10 * 120 * 0.866 * 10 / 3600, rel=1e-5)
    assert second.true_wh == pytest.approx(-second.received_wh, rel=1e-5)
    assert figures.total.delivered_wh == first.delivered_wh
    assert figures.total.received_wh == second.received_wh
    assert figures.flags["reversed"] == [False, True]
    assert max(abs(each.error_ppm) for each in (first, second, figures.total)) < 10


def test_figures_are_never_negative():
    """Half a second in which power has just turned: less than the hysteresis flows back."""
    settle, frames = 20 * 8192, 400

    class Turning:
        sample_rate_hz, elements, duration_s, period_frames = 8000.0, 1, None, None
        source = bench((0.5, "1"))

        def samples(self, start, count):
            volts, amps = self.source.samples(start, count)
            return volts, np.where(np.arange(start, start + count)[:, np.newaxis] < settle, amps, -amps)

    figures = measure(
        SINGLE, Turning(), make_engines(SINGLE, "golden"), settle_frames=settle, frames=frames
    ).figures
    assert figures.total.delivered_wh == 0
    assert figures.total.received_wh == pytest.approx(60 * frames / 8000 / 3600, rel=0.03)


def test_error_is_relative_to_apparent_energy_where_there_is_hardly_real_energy():
    figures = golden(SINGLE, bench((50, "0.01lag")), seconds=10).figures
    error = figures.total.delivered_wh - figures.total.received_wh - figures.total.true_wh
    assert figures.total.error_ppm == pytest.approx(1e6 * error / (50 * 120 * 10 / 3600), rel=1e-4)


def test_no_energy_has_no_error():
    figures = golden(DUAL, bench((10, "1"), (0, "1")), seconds=2).figures
    assert figures.elements[1].error_ppm is None
    assert figures.elements[1].delivered_wh == 0
    assert figures.elements[0].error_ppm is not None
    assert figures.flags["no_load"] == [False, True]
    assert "NaN" not in json.dumps(figures.to_json())


@pytest.mark.parametrize(("source", "raised"), [
    (bench((10, "1"), volts=100), "voltage"),
    (bench((120, "1")), "overrange"),
    (bench((-10, "1")), "reversed"),
    (bench((0.001, "1")), "no_load"),
    (bench((10, "1")), None),
])  # fmt: skip
def test_flags_are_raised_by_their_cause_alone(source, raised):
    flags = golden(SINGLE, source, seconds=1, settle_s=3).figures.flags
    assert [name for name, value in flags.items() if value not in (0, [False])] == [raised] * bool(raised)


def test_an_element_that_starts_is_not_flagged_for_having_been_off():
    assert golden(SINGLE, bench((10, "1")), seconds=3, settle_s=0).figures.flags["no_load"] == [False]
    assert golden(SINGLE, bench((0, "1")), seconds=3, settle_s=0).figures.flags["no_load"] == [True]


def test_a_flag_that_fell_within_the_figures_was_raised():
    """The voltage comes back after the settling: its flag falls with the window after."""

    class Sag:
        sample_rate_hz, elements, duration_s, period_frames = 8000.0, 1, None, None
        source = bench((10, "1"))

        def samples(self, start, count):
            volts, amps = self.source.samples(start, count)
            return np.where(np.arange(start, start + count)[:, np.newaxis] < 16_000, 0.5 * volts, volts), amps

    assert golden(SINGLE, Sag(), seconds=4, settle_s=2).figures.flags["voltage"] == [True]
    assert golden(SINGLE, Sag(), seconds=1, settle_s=4).figures.flags["voltage"] == [False]


def test_pulses_that_queue_are_flagged():
    """At 0.5 s on, 0.5 s off, 12 kW are too much for 1 Wh."""
    config = SINGLE.with_changes(pulse_wh=1, counter_wh=10, pulse_min_s=0.5, model=None)
    figures = golden(config, bench((100, "1")), seconds=5, settle_s=1).figures
    assert figures.flags["queued"] is True
    assert figures.pulses[10] == 5


def test_a_wrong_edge_is_found_and_shown():
    class Late(Twin):
        def next(self, frames, ok=None):
            events = super().next(frames, ok)
            test = np.flatnonzero(events.output == 4)
            if test.size:
                events.frame[test[0]] += 1
            return events

    with pytest.raises(EnginesDiffer) as caught:
        both(SINGLE, Late(SINGLE), frames=20_000)
    message = str(caught.value)
    assert "golden: test rises after frame " in message
    assert "rtl: test rises after frame " in message
    numbers = [int(part.split()[0]) for part in message.split("frame ")[1:]]
    assert numbers[1] == numbers[0] + 1


def test_a_missing_edge_is_found_and_shown():
    class Deaf(Twin):
        def next(self, frames, ok=None):
            events = super().next(frames, ok)
            keep = slice(0, len(events) - 1)
            return Events(events.frame[keep], events.output[keep], events.level[keep])

    with pytest.raises(EnginesDiffer, match="rtl: no further edge"):
        both(SINGLE, Deaf(SINGLE), frames=20_000)


def test_a_wrong_register_is_found_and_shown():
    class Leaky(Twin):
        def state(self):
            state = super().state()
            state.energy[1, Record.DELIVERED, 0] += state.frames > 70_000
            return state

    with pytest.raises(EnginesDiffer, match=r"after 80000 frames; total, delivered accumulator: golden \d+, rtl \d+"):
        both(SINGLE, Leaky(SINGLE), frames=80_000)


def test_the_trace_ends_where_the_figures_do():
    result = golden(DUAL, bench((80, "1"), (-30, "0.866lead")), seconds=20, trace=True)
    figures, trace = result.figures, result.trace
    assert trace.time_s[0] == 0
    assert trace.time_s[-1] == 20
    assert np.all(np.diff(trace.time_s) > 0)
    assert trace.net_wh.shape == (len(trace.time_s), 2)
    assert trace.delivered_wh[-1].sum() == figures.total.delivered_wh
    assert trace.received_wh[-1].sum() == figures.total.received_wh
    watts = np.diff(trace.net_wh[:, 0]) * 3600 / np.diff(trace.time_s)
    # A point is a sample next to its cycle's end, in four cycles of 133.3 samples.
    assert watts == pytest.approx(9600, rel=1 / 533)
    for name, count in figures.pulses.items():
        times, before = trace.edges[f"output_{name}"]
        assert (len(times) + before) // 2 == count
        assert np.all((times >= 0) & (times < 20))
    # Four cycles of the waveform.
    assert trace.wave_s[-1] - trace.wave_s[0] == pytest.approx(4 / 60, abs=2 / 8000)
    assert np.abs(trace.volts).max() == pytest.approx(120 * math.sqrt(2), rel=1e-3)


def test_a_recording_s_trace_shows_where_the_power_is():
    frames = np.arange(16_000)
    volts = 170 * np.sin(2 * np.pi * 60 * frames / 8000)[:, np.newaxis]
    recording = Recording(volts, np.where(frames < 10_000, 0.0, 0.1)[:, np.newaxis] * volts, 8000.0)
    trace = golden(SINGLE, recording, seconds=2, settle_s=0, trace=True).trace
    assert trace.wave_s[0] >= 1.25
    assert np.abs(trace.amps).max() > 16


def test_progress_counts_every_frame():
    seen = []
    golden(SINGLE, bench((10, "1")), seconds=10, settle_s=1, progress=seen.append)
    assert sum(seen) == 88_000


def test_engines_are_made_at_power_up():
    for engine in make_engines(SINGLE, "golden").values():
        assert engine.state().frames == 0
    assert list(make_engines(SINGLE, "golden")) == ["golden"]
