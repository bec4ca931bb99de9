"""The whole core: samples in; energy, pulses, counts and registers out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import MeterConfig
from blondel.hdl.frontend.frame import Frame
from blondel.hdl.items import sample_item
from blondel.hdl.link.registers import Block, Registers, RegisterSignature, Status
from blondel.hdl.metrology.energy import Energy, RecordKind
from blondel.hdl.metrology.gain import Gain
from blondel.hdl.metrology.multiplier import Multiplier, SerialMultiplier
from blondel.hdl.metrology.offset import Offset
from blondel.hdl.metrology.phase import Phase
from blondel.hdl.metrology.power import Power
from blondel.hdl.metrology.serial_energy import SerialEnergy
from blondel.hdl.outputs.indicators import Indicators, NoIndicators
from blondel.hdl.outputs.pulses import LEVELS, EventSignature, PulseOutputs, Queue

__all__ = ["DEFAULT_OPTIONS", "Meter", "Options", "frame_clocks"]


@dataclass(frozen=True)
class Options:
    """How the core is built. None of these changes what is metered.

    Parameters
    ----------
    serial_multiplier : bool
        Multiply bit by bit: for devices without multiplier blocks, and for as few elements as its clocks allow.
        Default false.
    serial_energy : bool
        Energy records in one memory, with one access in a clock: for more elements than block RAM has room for, on
        devices with large RAMs, and for as few as the clocks allow. Default false.
    indicators : bool
        Whether voltage and current are watched; else ``voltage`` and ``overrange`` stay 0. Default true.
    reached : tuple of Block
        Blocks that the register port reaches, see :class:`blondel.hdl.link.registers.Registers`. Default: all.
    shown : int or None
        Meters, from the first one on, whose outputs and indicators are at the ports. Default: all.
    """

    serial_multiplier: bool = False
    serial_energy: bool = False
    indicators: bool = True
    reached: tuple[Block, ...] = tuple(Block)
    shown: int | None = None

    def shown_of(self, config: MeterConfig) -> tuple[int, int]:
        """Return how many meters, and how many elements, are at the ports."""
        meters = config.meter_elements[: self.shown]
        return len(meters), sum(meters)


#: With everything, and a multiplier that takes a clock.
DEFAULT_OPTIONS = Options()


def frame_clocks(config: MeterConfig, options: Options = DEFAULT_OPTIONS) -> int:
    """Return the clocks that the core takes for a frame where frames come without a pause.

    An element's way from the gain stage to the energy stage, which takes it, but at least its meter's turn at the
    outputs: of several meters, the sum is an upper bound. With the serial multiplier an element's seven products, five
    without indicators, and the clocks in which no stage asks. At a window's end a few more. The clock has to be at
    least as many times the sample rate.
    """
    if options.serial_multiplier:
        products, others = (7, 9) if options.indicators else (5, 15)
        return config.elements * (products * SerialMultiplier.latency_of(config) + others)
    if options.serial_energy:
        turns = [SerialEnergy.turn_clocks * elements + 1 for elements in config.meter_elements]
        return sum(max(turn, PulseOutputs.latency + 1) for turn in turns)
    if len(config.meter_elements) == 1:
        return max(28 * config.elements + 5, PulseOutputs.latency)
    return sum(max(28 * elements, PulseOutputs.latency + 1) for elements in config.meter_elements) + 5


class Meter(wiring.Component):
    """One pipeline for all elements, one multiplier, and the registers.

    Parameters
    ----------
    config : MeterConfig
        What to build.
    options : Options
        How.

    Members
    -------
    samples : In(stream of sample_item)
        Channels of a frame one after another: voltage, then current, of element 0, 1, …; ``last`` on the
        frame's last. Ready, but with the last one only when the frame before it has left the frame input.
    registers : In(RegisterSignature)
        Read and preset every record, see :class:`blondel.hdl.link.registers.Block`.
    output_10, output_100, output_1000 : Out(meters shown)
        Pulse outputs, a bit for each meter: total delivered energy, half on, half off.
    test : Out(meters shown)
        Test pulse, ``test_kh_wh``.
    counter : Out(meters shown)
        Drive of the electromechanical counter.
    queued : Out(meters shown)
        Sticky: a pulse had to wait because the load exceeds what the shortest pulses allow.
    event : Out(EventSignature(config))
        Changes of all meters' outputs, where there are several.
    voltage, reversed, overrange, no_load : Out(elements of these meters)
        Indicators, a bit for each element: voltage out of the line's range in the last window; net energy
        flows backwards; sticky: a sample was at the end of its range, a stage saturated, or a window's
        current was above 110.5 % of the class amps; no load.
    frame : Out(1)
        For one clock after each frame, valid or not: all outputs show it.
    """

    def __init__(self, config: MeterConfig, options: Options = DEFAULT_OPTIONS):
        self._config = config
        self._options = options
        meters, elements = options.shown_of(config)
        super().__init__(
            {
                "samples": In(stream.Signature(sample_item(config))),
                "registers": In(RegisterSignature(config)),
                **{name: Out(meters) for name in LEVELS},
                "event": Out(EventSignature(config)),
                "voltage": Out(elements),
                "reversed": Out(elements),
                "overrange": Out(elements),
                "no_load": Out(elements),
                "frame": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.frame_input = frame_input = Frame(config)
        m.submodules.offset = offset = Offset(config)
        m.submodules.phase = phase = Phase(config)
        m.submodules.gain = gain = Gain(config)
        make_indicators = Indicators if self._options.indicators else NoIndicators
        m.submodules.indicators = indicators = make_indicators(config)
        m.submodules.power = power = Power(config)
        meters, elements = self._options.shown_of(config)
        make_energy = SerialEnergy if self._options.serial_energy else Energy
        m.submodules.energy = energy = make_energy(config, elements)
        m.submodules.pulses = pulses = PulseOutputs(config, meters)
        m.submodules.register_port = register_port = Registers(config, self._options.reached)
        m.submodules.status = status = Status(config)

        wiring.connect(m, wiring.flipped(self.samples), frame_input.i)
        pipeline = (frame_input, offset, phase, gain, indicators, power, energy, pulses)
        for upstream, downstream in itertools.pairwise(pipeline):
            wiring.connect(m, upstream.o, downstream.i)

        multiplying = [stage for stage in pipeline if "multiplier" in stage.signature.members]
        make_multiplier = SerialMultiplier if self._options.serial_multiplier else Multiplier
        m.submodules.multiplier = multiplier = make_multiplier(config, len(multiplying))
        for stage, request in zip(multiplying, multiplier.requests, strict=True):
            wiring.connect(m, stage.multiplier, request)

        wiring.connect(m, wiring.flipped(self.registers), register_port.port)
        blocks = {
            Block.ENERGY: energy,
            Block.OFFSET: offset,
            Block.PHASE: phase,
            Block.GAIN: gain,
            Block.FRAMES: frame_input,
            Block.PULSES: pulses,
            Block.STATUS: status,
        }
        for block, stage in blocks.items():
            # A stage has as many index bits as it has records: connect() would object to that.
            asked, records = register_port.blocks[block], stage.records
            m.d.comb += [
                records.valid.eq(asked.valid),
                records.index.eq(asked.index),
                records.word.eq(asked.word),
                records.write.eq(asked.write),
                records.wdata.accumulator.eq(asked.wdata.accumulator),
                records.wdata.count.eq(asked.wdata.count),
                asked.ready.eq(records.ready),
                asked.rdata.accumulator.eq(records.rdata.accumulator),
                asked.rdata.count.eq(records.rdata.count),
            ]
        # The counters' records are the pulse outputs' stage's too; both blocks get the same data.
        asked, records = register_port.blocks[Block.COUNTER], pulses.records
        outputs, counters = register_port.blocks[Block.PULSES].index, asked.index
        m.d.comb += [
            records.index.eq(
                Mux(asked.valid, Cat(Const(Queue.COUNTER, 2), counters), Cat(outputs[0], Const(0, 1), outputs[1:]))
            ),
            asked.ready.eq(records.ready),
            asked.rdata.accumulator.eq(records.rdata.accumulator),
            asked.rdata.count.eq(records.rdata.count),
        ]
        with m.If(asked.valid):
            m.d.comb += records.valid.eq(1)

        # The indicators are in the energy stage's records: what each element's status record shows.
        asked, records = register_port.blocks[Block.STATUS], energy.records
        flags = records.rdata.count
        with m.If(~register_port.blocks[Block.ENERGY].valid):
            m.d.comb += records.write.eq(0)
        with m.If(asked.valid & (asked.index != config.elements)):
            m.d.comb += [
                status.records.valid.eq(0),
                records.valid.eq(1),
                records.index.eq(Cat(Const(RecordKind.GATE, 2), asked.index)),
                asked.ready.eq(records.ready),
                asked.rdata.accumulator.eq(0),
                asked.rdata.count.eq(Cat(flags[3], flags[0] & flags[2], flags[4], ~flags[0])),
            ]

        wiring.connect(m, pulses.event, wiring.flipped(self.event))
        for name in (*LEVELS, "frame"):
            m.d.comb += getattr(self, name).eq(getattr(pulses, name))
        for name in ("voltage", "reversed", "overrange", "no_load"):
            m.d.comb += getattr(self, name).eq(getattr(energy, name))
        m.d.comb += [
            status.queued.eq(pulses.any_queued),
            energy.freeze.eq(status.freeze),
            indicators.clear.eq(status.clear),
            pulses.clear.eq(status.clear),
        ]
        return m
