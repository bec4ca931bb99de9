"""UART: the registers over two wires, each of which an opto-coupler can carry."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.link.registers import RegisterSignature

__all__ = ["BAUD", "Uart", "request"]

#: Default baud rate.
BAUD = 115200
#: The counter of a byte's bits: the start bit's number; then come eight bits, whose numbers end with 0 to 7, and
#: the stop bit, whose number is 0.
_START = 7


def request(address: int) -> bytes:
    """Return the two bytes that ask for a word.

    Parameters
    ----------
    address : int
        See :func:`blondel.hdl.link.registers.register_address`; 14 bits.
    """
    return bytes([0x80 | address & 0x7F, address >> 7])


class Uart(wiring.Component):
    """Answer each request, two bytes, with a register's word, four bytes, the low one first.

    A request's first byte has bit 7 set and the address's low seven bits, its second byte bit 7 clear and
    the rest. So a byte that was lost costs one answer only: a first byte always begins anew. Bytes that
    come while an answer goes are not heard. Nothing can be written. Bytes have 8 bits, no parity and a
    stop bit.

    Parameters
    ----------
    config : MeterConfig
        Gives the width of the address.
    clock_hz : float
        Frequency of the clock, in Hz.
    baud : float
        Bits per second, at most an eighth of the clock. Default 115200.

    Members
    -------
    rx : In(1)
        What comes, asynchronous; 1 while idle.
    tx : Out(1)
        What goes; 1 while idle. Straight from a flip-flop.
    registers : Out(RegisterSignature)
        The register port.

    Raises
    ------
    ConfigError
        The baud rate is too high for the clock.
    """

    def __init__(self, config: MeterConfig, clock_hz: float, baud: float = BAUD):
        if not 0 < baud <= clock_hz / 8:
            raise ConfigError(f"baud is {baud:g}; allowed: up to {clock_hz / 8:g} with a clock of {clock_hz:g} Hz")
        self._period = round(clock_hz / baud)
        super().__init__({"rx": In(1), "tx": Out(1, init=1), "registers": Out(RegisterSignature(config))})

    def elaborate(self, platform) -> Module:
        m = Module()
        port = self.registers
        rx = Signal()
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)

        timer = Signal(range(self._period))
        over = timer == 0
        number = Signal(4)
        is_data = number[3]
        byte = Signal(range(4))
        shift = Signal(8, reset_less=True)
        low = Signal(7, reset_less=True)
        sent = port.rdata.bit_select(Cat(number[:3], byte), 1)
        m.d.comb += port.address.eq(Cat(low, shift))
        m.d.sync += [timer.eq(Mux(over, self._period - 1, timer - 1)), self.tx.eq(1)]

        with m.FSM():
            with m.State("IDLE"):
                # The start bit's middle, from which every bit's is a period on.
                m.d.sync += [timer.eq(self._period // 2 - 1), number.eq(_START), byte.eq(0)]
                with m.If(~rx):
                    m.next = "RECEIVE"
            with m.State("RECEIVE"), m.If(over):
                m.d.sync += number.eq(number + 1)
                with m.If(is_data):
                    m.d.sync += shift.eq(Cat(shift[1:], rx))
                with m.Elif(number == 0):
                    m.d.sync += number.eq(_START)
                    m.next = "IDLE"
                    with m.If(shift[7]):
                        m.d.sync += low.eq(shift)
                    with m.Else():
                        m.next = "READ"
            with m.State("READ"):
                m.d.comb += port.valid.eq(1)
                m.d.sync += timer.eq(self._period - 1)
                with m.If(port.ready):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += port.valid.eq(1)
                m.d.sync += self.tx.eq(Mux(is_data, sent, number == 0))
                with m.If(over):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == 0):
                        m.d.sync += [number.eq(_START), byte.eq(byte + 1)]
                        with m.If(byte == 3):
                            m.next = "IDLE"
        return m
