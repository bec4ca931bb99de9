"""The UART: requests and answers on two wires, in front of a real register port."""

from __future__ import annotations

import gc

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from harness import rng

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.link.registers import Block, RegisterSignature, register_address
from blondel.hdl.link.uart import Uart, request

CONFIG = MeterConfig.for_model("MDNCT-1SC")
CLOCK_HZ = 3e6


class Fixture(wiring.Component):
    """A UART, and a register port that holds each word's address mixed up, and is in no hurry."""

    def __init__(self, baud):
        super().__init__({"rx": In(1, init=1), "tx": Out(1)})
        self.uart = Uart(CONFIG, CLOCK_HZ, baud)

    def elaborate(self, platform):
        m = Module()
        m.submodules.uart = self.uart
        m.d.comb += [self.uart.rx.eq(self.rx), self.tx.eq(self.uart.tx)]
        return m


def word_at(address: int) -> int:
    return (address + 1) * 0x9E3779B1 & 0xFFFFFFFF


def simulate(baud, *conversations, error=0.0, pause=0):
    """Talk to the UART as a host whose clock is off by ``error``; return the bytes that came back to each."""
    dut = Fixture(baud)
    port = dut.uart.registers
    bit = 1 / (baud * (1 + error))
    answers, accesses = [], []

    async def serve(ctx):
        while True:
            while not ctx.get(port.valid):
                await ctx.tick()
            for _ in range(pause):
                await ctx.tick()
            ctx.set(port.rdata, word_at(ctx.get(port.address)))
            ctx.set(port.ready, 1)
            accesses.append((ctx.get(port.address), ctx.get(port.write)))
            while ctx.get(port.valid):
                await ctx.tick()
            ctx.set(port.ready, 0)
            ctx.set(port.rdata, 0)

    async def host(ctx):
        for sent, expected in conversations:
            for byte in sent:
                for level in [0, *(byte >> k & 1 for k in range(8)), 1]:
                    ctx.set(dut.rx, level)
                    await ctx.delay(bit)
            received = bytearray()
            while len(received) < expected:
                waited = 0
                while ctx.get(dut.tx):
                    await ctx.delay(bit / 20)
                    waited += 1
                    assert waited < 200, f"no answer to {sent.hex()}"
                await ctx.delay(bit * 1.5)
                value = 0
                for k in range(8):
                    value |= ctx.get(dut.tx) << k
                    await ctx.delay(bit)
                assert ctx.get(dut.tx) == 1, "the stop bit"
                received.append(value)
            answers.append(bytes(received))
            for _ in range(40):
                assert ctx.get(dut.tx) == 1, "nothing comes unasked"
                await ctx.delay(bit / 2)

    sim = Simulator(dut)
    sim.add_clock(1 / CLOCK_HZ)
    sim.add_testbench(serve, background=True)
    sim.add_testbench(host)
    sim.run()
    assert not any(write for _, write in accesses)
    return answers


@pytest.mark.parametrize("error", [0.0, 0.025, -0.025])
@pytest.mark.parametrize("baud", [57600.0, 115200.0])
def test_words_are_read(baud, error):
    generator = rng(f"uart {baud} {error}")
    width = RegisterSignature(CONFIG).members["address"].shape
    addresses = [0, (1 << width) - 1, *(generator.randrange(1 << width) for _ in range(4))]
    conversations = [(request(address), 4) for address in addresses]
    answers = simulate(baud, *conversations, error=error, pause=generator.randrange(50))
    assert [int.from_bytes(answer, "little") for answer in answers] == [word_at(address) for address in addresses]


def test_a_lost_byte_costs_one_answer():
    first, second = request(5), request(300)
    answers = simulate(115200.0, (first[:1], 0), (second, 4), (second, 4))
    assert [int.from_bytes(answer, "little") for answer in answers[1:]] == [word_at(300)] * 2
    assert word_at(300) != word_at(5)


def test_requests_have_every_address():
    largest = MeterConfig(line=CONFIG.line, class_amps=100, elements=64, test_kh_wh=10)
    assert RegisterSignature(largest).members["address"].shape <= 14
    for address in (0, 127, 128, register_address(largest, Block.STATUS, 64, 3)):
        one, two = request(address)
        assert (one & 0x80, two & 0x80) == (0x80, 0)
        assert one & 0x7F | two << 7 == address


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_a_baud_rate_beyond_the_clock_is_refused():
    with pytest.raises(ConfigError, match="baud is 400000; allowed: up to 375000 with a clock of 3e\\+06 Hz"):
        Uart(CONFIG, CLOCK_HZ, 400000.0)
    # What was refused is gone before the warning is an error again.
    gc.collect()
