"""No output edge without its energy, no energy without its edge: proven for every load and every preset.

Each proof stands beside deliberately broken hardware that it must refuse, with a run that shows why.
"""

from __future__ import annotations

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from prove import Verdict, mutant, prove

from blondel.hdl.config import MeterConfig
from blondel.hdl.outputs import counter, pulses

#: As they are built: registers of 40 bits, 240 frames between the edges of Output 10, counts of 800 frames and 800;
#: and with the shortest times, a frame each, and a count per 1000 Wh.
CONFIGS = {
    "usual": MeterConfig.for_model("MDNCT-1SC"),
    "shortest": MeterConfig.for_model(
        "MSTCT-2SC",
        line_hz=50,
        sample_rate_hz=400.0,
        test_kh_wh=4.0,
        pulse_min_s=0.001,
        counter_on_s=0.001,
        counter_gap_s=0.001,
    ),
}


class Watch(wiring.Component):
    """Count what goes into an EdgeQueue and what comes out of it at an output, and assert that they agree.

    Parameters
    ----------
    width : int
        Bits of the queue.
    units : int
        Units of an edge.
    distance : int
        Fewest frames from an edge to the next.

    Members
    -------
    step, unit, write, value, waiting, timer
        The queue's own.
    edge : In(1)
        The output has an edge, in the clock after the step.
    edges : Out(width + 1)
        Edges since the last preset. Combinational.
    since : Out(range(distance))
        Frames since the last edge, until another is allowed. Combinational.
    stepped : Out(1)
        The last clock was a step.
    """

    def __init__(self, width: int, units: int, distance: int):
        self._width = width
        self._units = units
        self._distance = distance
        super().__init__(
            {
                "step": In(1),
                "unit": In(1),
                "write": In(1),
                "value": In(width),
                "waiting": In(width),
                "timer": In(range(distance)),
                "edge": In(1),
                "edges": Out(width + 1),
                "since": Out(range(distance)),
                "stepped": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        units, longest = self._units, self._distance - 1
        received = Signal(self._width + 1)
        emitted, emitted_before = Signal(self._width + 1), Signal(self._width + 1)
        edges_before = Signal.like(self.edges)
        since_before = Signal.like(self.since, init=longest)
        written = Signal()
        m.d.comb += [
            self.edges.eq(edges_before + self.edge),
            emitted.eq(emitted_before + Mux(self.edge, units, 0)),
            self.since.eq(Mux(self.stepped & (since_before != longest), since_before + 1, since_before)),
        ]
        with m.If(self.edge):
            m.d.comb += self.since.eq(0)
        with m.If(written):
            m.d.comb += self.since.eq(longest)
        m.d.sync += [
            self.stepped.eq(self.step),
            written.eq(self.write),
            emitted_before.eq(emitted),
            edges_before.eq(self.edges),
            since_before.eq(self.since),
        ]
        with m.If(self.step):
            m.d.sync += received.eq(received + self.unit)
        with m.If(self.write):
            m.d.sync += [received.eq(self.value), emitted_before.eq(0), edges_before.eq(0)]

        m.d.comb += [
            # A register's worth of units, without one more edge, is years of energy at full scale.
            Assume(~received[-1]),
            Assert(received == self.waiting + emitted),
            Assert(~self.edge | self.stepped),
            Assert(~self.edge | (since_before == longest)),
            # What is enough for an edge waits only because the last one is too near.
            Assert(~self.stepped | self.edge | (self.waiting < units) | (since_before != longest)),
            # For the induction: the timer is what is left of the distance, and no ghost rolls over.
            Assert(self.since + self.timer == longest),
            Assert(self.edges <= emitted),
        ]
        return m


def edge_of(m: Module, output: Signal, write: Value) -> Value:
    """Return whether an output changed with the last clock, by itself."""
    before, written = Signal(), Signal()
    m.d.sync += [before.eq(output), written.eq(write)]
    return (output != before) & ~written


def pulse_properties(config, module=pulses) -> wiring.Component:
    """Return PulseOutputs with what has to hold of it; records may be written at any time."""

    class PulseProperties(module.PulseOutputs):
        def elaborate(self, platform) -> Module:
            m = super().elaborate(platform)
            queue, test_queue, levels = (getattr(m.submodules, name) for name in ("queue", "test_queue", "levels"))
            step, write = Signal(), Signal()
            m.d.comb += [
                step.eq(self.i.valid & self.i.ready),
                write.eq(self.records.valid & self.records.ready & self.records.write),
                Assume(~write | self.records.index | (self.records.wdata.count < pulses.HALF_PULSES)),
            ]

            units = (config.pulse_half_ticks, config.test_half_ticks)
            distances = pulses.shortest_frames(config)
            watches = []
            for index, (each, output) in enumerate(((queue, self.output_10), (test_queue, self.test))):
                watch = Watch(config.queue_bits, units[index], distances[index])
                m.submodules[f"watch_{index}"] = watch
                watches.append(watch)
                m.d.comb += [
                    watch.step.eq(step),
                    watch.unit.eq(self.i.payload.tick),
                    watch.write.eq(write & (self.records.index == index)),
                    watch.value.eq(self.records.wdata.accumulator),
                    watch.waiting.eq(each.waiting),
                    watch.timer.eq(each.timer),
                    watch.edge.eq(edge_of(m, output, watch.write)),
                ]

            # Every tenth edge of Output 10, from the preset's half pulses on, is an edge of Output 100, and every
            # hundredth one of Output 1000.
            watch = watches[0]
            for output, halves in ((self.output_100, 10), (self.output_1000, 100)):
                edge = edge_of(m, output, watch.write)
                first = Signal(range(halves))
                shown, shown_before = Signal(config.queue_bits + 2), Signal(config.queue_bits + 2)
                m.d.comb += [
                    shown.eq(shown_before + Mux(edge, halves, 0)),
                    Assert(~edge | watch.edge),
                    Assert(first + watch.edges == shown + levels.half % halves),
                    # For the induction: the levels are the count's.
                    Assert(output == (levels.half // halves)[0]),
                ]
                m.d.sync += shown_before.eq(shown)
                with m.If(watch.write):
                    m.d.sync += [first.eq(levels.value % halves), shown_before.eq(0)]
            m.d.comb += Assert(self.output_10 == levels.half[0])
            m.d.comb += Assert(levels.half < pulses.HALF_PULSES)

            # What a frame tells the counter, and the flag.
            enough = [each.waiting >= unit for each, unit in zip((queue, test_queue), units, strict=True)]
            cleared = Signal()
            m.d.sync += cleared.eq(self.clear)
            with m.If(watch.stepped):
                m.d.comb += [
                    Assert(self.o.valid),
                    Assert(self.o.payload.count == (watch.edge & (levels.half % config.counter_half_pulses == 0))),
                    Assert(~(enough[0] | enough[1]) | self.queued | cleared),
                ]
            return m

    return PulseProperties(config)


def counter_properties(config, module=counter) -> wiring.Component:
    """Return CounterDrive with what has to hold of it; its record may be written at any time."""

    class CounterProperties(module.CounterDrive):
        def elaborate(self, platform) -> Module:
            m = super().elaborate(platform)
            queue = m.submodules.queue
            on, gap = config.frames_in(config.counter_on_s), config.frames_in(config.counter_gap_s)
            m.submodules.watch = watch = Watch(config.queue_bits, 1, on + gap)
            before = Signal()
            driven = Signal(config.queue_bits)
            m.d.sync += before.eq(self.counter)
            with m.If(watch.write):
                m.d.sync += driven.eq(self.records.wdata.count)
            m.d.comb += [
                watch.step.eq(self.i.valid & self.i.ready),
                watch.unit.eq(self.i.payload.count),
                watch.write.eq(self.records.valid & self.records.ready & self.records.write),
                watch.value.eq(self.records.wdata.accumulator),
                watch.waiting.eq(queue.waiting),
                watch.timer.eq(queue.timer),
                # A pulse begins.
                watch.edge.eq(self.counter & ~before),
                # The level is on for exactly its frames, from a pulse's beginning on.
                Assert(self.counter == (watch.since < on)),
                # The register counts the pulses.
                Assert(self.records.rdata.accumulator == queue.waiting),
                Assert(self.records.rdata.count == (driven + watch.edges)[: config.queue_bits]),
            ]
            return m

    return CounterProperties(config)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("properties", [pulse_properties, counter_properties], ids=["pulse outputs", "counter drive"])
def test_energy_and_edges_agree(properties, config, tmp_path):
    proof = prove(properties(config), tmp_path)
    assert proof.verdict is Verdict.PROVEN, proof.log


BROKEN_PULSES = {
    "waiting cleared, not reduced": (
        "self.waiting.eq(self.waiting + change)",
        "self.waiting.eq(Mux(self.edge, self.unit, self.waiting + change))",
    ),
    "edge without its energy": ("Mux(self.unit, 1 - units, -units)", "self.unit"),
    "edge a tick early": ("low >= units)", "low >= units - 1)"),
    "energy without its edge": ("(self.timer == 0) & one", "(self.timer == 0) & two"),
    "tick lost with an edge": ("Mux(self.unit, 1 - units, -units)", "-units"),
    "tick counted while it waits": ("step.eq(self.i.valid & self.i.ready)", "step.eq(self.i.valid)"),
    "edges too near": ("self.step & (self.timer == 0) & one", "self.step & one"),
    "edges a frame too near": ("self.timer.eq(self._distance - 1)", "self.timer.eq(self._distance - 2)"),
    "Output 100 an edge late": ("self.output_100.eq(self.next_half.", "self.output_100.eq(self.half."),
    "Output 1000 out of step": ("self.next_half >= HALF_PULSES // 2", "self.next_half > HALF_PULSES // 2"),
    "a half pulse skipped": ("self.half != HALF_PULSES - 1", "self.half != HALF_PULSES - 2"),
    "count without an edge": ("queue.edge & counts", "counts"),
    "test pulse late unseen": ("queue.late | test_queue.late", "queue.late"),
    "reading presets": ("self.records.ready & self.records.write", "self.records.ready"),
}

BROKEN_COUNTER = {
    "count lost during a pulse": (
        "queue.unit.eq(self.i.payload.count)", "queue.unit.eq(self.i.payload.count & (queue.timer == 0))",
    ),
    "pulse not counted": ("driven.eq(driven + 1)", "driven.eq(driven)"),
    "pulse a frame short": ("queue.timer == gap)", "queue.timer == gap + 1)"),
    "pulse a frame long": ("queue.timer == gap)", "queue.timer == gap - 1)"),
    "no gap": ("config.queue_bits, 1, on + gap)", "config.queue_bits, 1, on)"),
    "two counts a pulse": ("config.queue_bits, 1, on + gap)", "config.queue_bits, 2, on + gap)"),
}


@pytest.mark.parametrize("change", BROKEN_PULSES.values(), ids=BROKEN_PULSES)
def test_broken_pulse_outputs_are_refused(change, tmp_path):
    proof = prove(pulse_properties(CONFIGS["usual"], mutant(pulses, *change)), tmp_path)
    assert proof.verdict is Verdict.COUNTEREXAMPLE, proof.log


@pytest.mark.parametrize("change", BROKEN_COUNTER.values(), ids=BROKEN_COUNTER)
def test_broken_counter_drive_is_refused(change, tmp_path):
    # With the shortest times, a pulse of the wrong length shows within a few clocks.
    proof = prove(counter_properties(CONFIGS["shortest"], mutant(counter, *change)), tmp_path)
    assert proof.verdict is Verdict.COUNTEREXAMPLE, proof.log
