"""The converters ADS131M02, M04 and M08 at their pins, as their data sheets describe them.

Sources: Texas Instruments, *ADS131M02* SBAS853A (April 2021), *ADS131M04* SBAS890D (May 2021), *ADS131M08*
SBAS950B (February 2021); sections 6.6 to 6.8 (timing), 8.3.12 (CRC), 8.4 (reset, start-up), 8.5 (interface,
commands) and 8.6 (registers).

What the data sheets leave open is marked so in the methods' text. Not modelled, because nothing here uses it:
global chop, current detection, DC block, phase, offset and gain registers, DRDY as a pulse or open drain, a
chip select that is always low.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

__all__ = ["CHANNELS", "Ads131m", "Faults", "crc16"]

#: Channels of each part.
CHANNELS = {"ADS131M02": 2, "ADS131M04": 4, "ADS131M08": 8}

ID, STATUS, MODE, CLOCK, GAIN1, GAIN2, CFG = range(7)

#: Bits of STATUS; those of MODE that it repeats have the same places.
LOCK, F_RESYNC, REG_MAP, CRC_ERR, CRC_TYPE, RESET = (1 << bit for bit in range(15, 9, -1))
REG_CRC_EN, RX_CRC_EN, TIMEOUT = 1 << 13, 1 << 12, 1 << 4

#: CLKIN periods: wait after a reset, reset pulse, DRDY high before it falls again, an SPI frame's longest time.
START_CLKIN, RESET_CLKIN, DRDY_HIGH_CLKIN, TIMEOUT_CLKIN = 2 * (256 + 44), 2048, 4, 1 << 15
#: The sinc3 filter's first settled sample after a restart is the third.
SETTLING = 2


def crc16(bits: Sequence[int], polynomial: int = 0x1021) -> int:
    """Return the 16-bit CRC of bits, most significant first, seed FFFFh: CCITT, or 8005h for ANSI."""
    crc = 0xFFFF
    for bit in bits:
        crc = (crc << 1 ^ (polynomial if crc >> 15 ^ bit else 0)) & 0xFFFF
    return crc


def _bits(value: int, width: int) -> list[int]:
    return [value >> place & 1 for place in range(width - 1, -1, -1)]


def _number(bits: Sequence[int]) -> int:
    return int("".join(map(str, bits)) or "0", 2)


@dataclass
class Faults:
    """What goes wrong at a converter.

    Parameters
    ----------
    flip : set of int
        Bits of the next frame's DOUT that arrive inverted, 0 the first; used up by that frame.
    skip_drdy : int
        Conversions that DRDY will not announce.
    spurious_drdy, spurious_wait : float
        CLKIN periods for which DRDY is low without new data, and those before.
    stuck_dout : int or None
        Level at which DOUT is stuck.
    dead : set of int
        Channels that convert no more: zeros, and never ready.
    identity : int or None
        What the ID register says instead.
    """

    flip: set[int] = field(default_factory=set)
    skip_drdy: int = 0
    spurious_drdy: float = 0
    spurious_wait: float = 0
    stuck_dout: int | None = None
    dead: set[int] = field(default_factory=set)
    identity: int | None = None


class Ads131m:
    """One converter: give it its pins' levels, and it gives DRDY's and DOUT's.

    Call :meth:`step` whenever an input pin changes, and as CLKIN goes on; at least once for every level that
    SCLK and CS take. Or, where it is frames that matter, :meth:`begin_frame` and :meth:`end_frame`, and
    :meth:`step` only for CLKIN and SYNC/RESET.

    Parameters
    ----------
    part : str
        One of :data:`CHANNELS`.
    source : callable(int) -> sequence of int
        Codes of the channels at gain 1, signed, for the number of a conversion: 0 for the first since power-up.
        Default: zeros.

    Attributes
    ----------
    registers : dict of int
        Contents by address; writing here is damage that no command did.
    faults : Faults
        Faults to inject.
    conversions : int
        Conversions since power-up; a reset does not clear it.
    unsettled : set of int
        Conversions that came before the sinc3 filter had settled.
    frames, resets, crc_errors : int
        SPI frames, resets, and input CRC errors so far.
    drdy_n, dout : int
        Output pins; DOUT is 1 where the pin is not driven.
    """

    def __init__(self, part: str = "ADS131M04", source: Callable[[int], Sequence[int]] | None = None):
        self.channels = CHANNELS[part]
        self._source = source or (lambda number: [0] * self.channels)
        self.faults = Faults()
        self.conversions = self.frames = self.crc_errors = 0
        self.resets = -1
        self.unsettled: set[int] = set()
        every = (1 << self.channels) - 1
        largest = self.channels == 8
        self._writable = {
            MODE: 0x3F1F, CLOCK: every << 8 | (0xDF if largest else 0x3F),
            GAIN1: 0x0077 if self.channels == 2 else 0x7777, GAIN2: 0x7777 if largest else 0,
            CFG: 0x1FFF, 7: 0xFFFF, 8: 0x000F if largest else 0xFF0F,
        }  # fmt: skip
        self._defaults = {ID: 0x2000 | self.channels << 8, MODE: 0x0510, CLOCK: every << 8 | 0x0E, CFG: 0x0600}
        for channel in range(self.channels):
            for offset, mask in enumerate((0xFFC7, 0xFFFF, 0xFF00, 0xFFFF, 0xFF00)):
                self._writable[9 + 5 * channel + offset] = mask
            self._defaults[9 + 5 * channel + 3] = 0x8000
        self._cs_n = self._reset_n = 1
        self._sclk = 0
        self._low = 0.0
        self._last = [0] * self.channels
        self.reset()

    # ---- pins ------------------------------------------------------------------------------------

    @property
    def drdy_n(self) -> int:
        if self.faults.spurious_drdy > 0 and not self.faults.spurious_wait:
            return 0
        return int(not self._drdy or self._drdy_pulse > 0)

    @property
    def dout(self) -> int:
        level = 1 if self._cs_n else self._dout
        return level if self.faults.stuck_dout is None else self.faults.stuck_dout

    def step(
        self, *, cs_n: int | None = None, sclk: int = 0, din: int = 0, reset_n: int = 1, clkin: float = 0
    ) -> None:
        """Take the input pins' levels, ``clkin`` periods of CLKIN after the last call; without CS only time's."""
        if clkin:
            self._advance(clkin, reset_n)
        self._reset_n = reset_n
        if cs_n is None:
            return
        if cs_n != self._cs_n:
            if cs_n:
                self.end_frame()
            else:
                self.begin_frame()
        elif not cs_n and sclk != self._sclk:
            if sclk:
                self._shift_out()
            else:
                self._shift_in(din)
        self._sclk = sclk

    def _advance(self, clkin: float, reset_n: int) -> None:
        if self.faults.spurious_wait:
            self.faults.spurious_wait = max(0, self.faults.spurious_wait - clkin)
        else:
            self.faults.spurious_drdy = max(0, self.faults.spurious_drdy - clkin)
        self._drdy_pulse = max(0, self._drdy_pulse - clkin)
        self._frame_clkin += clkin
        if not self._reset_n and not reset_n:
            before, self._low = self._low, self._low + clkin
            if before < RESET_CLKIN <= self._low:
                self.reset()
            if self._low >= RESET_CLKIN:
                return
        else:
            self._low = 0.0
        if not self._standby:
            self._until -= clkin
            while self._until <= 0:
                self._until += 2 * self.osr
                self._convert()

    # ---- conversions -----------------------------------------------------------------------------

    @property
    def osr(self) -> int:
        """Oversampling ratio as configured; the data sheet has 16256 in one table, 16384 in another."""
        if self.channels < 8 and self.registers[CLOCK] >> 5 & 1:
            return 64
        return (128, 256, 512, 1024, 2048, 4096, 8192, 16256)[self.registers[CLOCK] >> 2 & 7]

    def reset(self) -> None:
        """Reset as power-up, the pin or the command does: registers to their defaults, filters restart."""
        self.registers = dict.fromkeys(self._writable, 0) | self._defaults
        self.resets += 1
        self._flags = 0
        self._locked = self._standby = False
        self._fifo: list[list[int]] = []
        self._drdy, self._drdy_pulse = False, 0.0
        # What the next frame begins with; None: STATUS.
        self._response: int | list[int] | None = 0xFF24
        self._command = 0
        self._out: list[int] = []
        self._in: list[int] = []
        self._full = self._shifted = 0
        self._frame_clkin = 0.0
        self._dout = 0
        self._complete = False
        self._seen = None
        self._restart(START_CLKIN)

    def _restart(self, wait: float) -> None:
        self._age = 0
        self._until = wait + 2 * self.osr

    def _convert(self) -> None:
        number = self.conversions
        self.conversions += 1
        if self._age < SETTLING:
            self.unsettled.add(number)
        self._age += 1
        codes = self._source(number)
        data = []
        for channel in range(self.channels):
            gain = 1 << (self.registers[GAIN1 + channel // 4] >> 4 * (channel % 4) & 7)
            alive = channel not in self.faults.dead and self.registers[CLOCK] >> 8 + channel & 1
            data.append(min(max(codes[channel] * gain, -(1 << 23)), (1 << 23) - 1) if alive else None)
        # The buffer holds two; which one goes when a third comes is not said.
        self._fifo = [*self._fifo, data][-2:]
        if self.registers[MODE] & REG_CRC_EN:
            contents = tuple(self.registers[address] for address in sorted(self._writable))
            if self._seen is not None and contents != self._seen:
                self._flags |= REG_MAP
            self._seen = contents
        if self.faults.skip_drdy:
            self.faults.skip_drdy -= 1
            self._drdy = False
        elif self._cs_n:
            self._drdy_pulse = DRDY_HIGH_CLKIN if self._drdy else 0.0
            self._drdy = True

    # ---- frames ----------------------------------------------------------------------------------

    @property
    def _word(self) -> int:
        return (16, 24, 32, 32)[self.registers[MODE] >> 8 & 3]

    @property
    def _polynomial(self) -> int:
        return 0x8005 if self.registers[MODE] & CRC_TYPE else 0x1021

    @property
    def status(self) -> int:
        """The STATUS register; its ready bits are those of the sample that the next frame brings."""
        ready = sum((value is not None) << channel for channel, value in enumerate(self._fifo[0])) if self._fifo else 0
        return self._flags | self.registers[MODE] & (CRC_TYPE | RESET | 0x0300) | self._locked << 15 | ready

    def _read(self, address: int) -> int:
        if address == ID and self.faults.identity is not None:
            return self.faults.identity
        return self.status if address == STATUS else self.registers.get(address, 0)

    def _data_bits(self, value: int) -> list[int]:
        if self._word == 16:
            return _bits(value >> 8 & 0xFFFF, 16)
        if self._word == 24:
            return _bits(value & 0xFFFFFF, 24)
        if self.registers[MODE] >> 8 & 1:
            return _bits(value & 0xFFFFFFFF, 32)
        return _bits((value & 0xFFFFFF) << 8, 32)

    def begin_frame(self) -> list[int]:
        """Begin a frame, as CS's fall does, and return its bits on DOUT."""
        self._cs_n = 0
        self.frames += 1
        self._in, self._shifted, self._frame_clkin = [], 0, 0.0
        word = self._word
        pad = [0] * (word - 16)
        self._complete = False
        if isinstance(self._response, list):
            # Several registers: they come instead of the conversion data.
            bits = [bit for value in self._response for bit in _bits(value, 16) + pad]
            self._data_end = None
        else:
            response = self.status if self._response is None else self._response
            if self._response is None:
                self._flags &= ~(F_RESYNC | REG_MAP | CRC_ERR)
            # Read again before the next conversion: the same data, no longer ready.
            if self._fifo:
                self._last = [value or 0 for value in self._fifo[0]]
            bits = _bits(response, 16) + pad
            for value in self._last:
                bits += self._data_bits(value)
            self._data_end = len(bits)
        self._out = bits + _bits(crc16(bits, self._polynomial), 16) + pad
        self._full = len(self._out)
        for place in self.faults.flip:
            if place < self._full:
                self._out[place] ^= 1
        self.faults.flip = set()
        stuck = self.faults.stuck_dout
        return self._out if stuck is None else [stuck] * self._full

    def _timed_out(self) -> bool:
        return bool(self.registers[MODE] & TIMEOUT) and self._frame_clkin > TIMEOUT_CLKIN

    def _shift_out(self) -> None:
        self._dout = self._out[self._shifted] if self._shifted < self._full and not self._timed_out() else 0
        self._shifted += 1

    def _shift_in(self, din: int) -> None:
        if self._timed_out():
            return
        self._in.append(din)
        word, count = self._word, len(self._in)
        if count == self._data_end and self._fifo:
            self._fifo.pop(0)
            # With another sample waiting, DRDY's pulse may be too narrow to be seen.
            self._drdy = bool(self._fifo)
        if count % word == 0:
            number = count // word - 1
            value = _number(self._in[-word:][:16])
            if number == 0:
                self._command = value
                self._written = 0
            elif self._command >> 13 == 0b011 and number <= (self._command & 0x7F) + 1 and not self._locked:
                # Registers are written as they come, whatever the CRC will be.
                self._write((self._command >> 7 & 0x3F) + number - 1, value)

    def _write(self, address: int, value: int) -> None:
        mask = self._writable.get(address, 0)
        if mask:
            self._written += 1
            old_osr = self.osr
            self.registers[address] = value & mask
            if self.osr != old_osr:
                # That a changed ratio makes the filter settle anew is not said, but cannot be otherwise.
                self._restart(0)

    def end_frame(self, bits: Sequence[int] = ()) -> None:
        """Take the bits on DIN that are not yet shifted in, and end the frame, as CS's rise does."""
        for bit in bits:
            self._shift_in(bit)
        self._cs_n = 1
        word = self._word
        words = len(self._in) // word
        self._response = None
        if words == 0 or self._timed_out():
            return
        command = self._command
        writes = command >> 13 == 0b011
        covered = 2 + (command & 0x7F) if writes else 1
        if self.registers[MODE] & RX_CRC_EN and words > covered:
            expected = crc16(self._in[: covered * word], self._polynomial)
            if _number(self._in[covered * word :][:16]) != expected:
                self._flags |= CRC_ERR
                self.crc_errors += 1
                return
        if command == 0x0655:
            self._locked, self._response = False, command
        elif command >> 13 == 0b101:
            address, count = command >> 7 & 0x3F, (command & 0x7F) + 1
            values = [self._read(address + n) for n in range(count)]
            self._response = [command | 0x4000, *values] if count > 1 else values[0]
        elif self._locked:
            return
        elif command == 0x0011:
            if len(self._in) >= self._full:
                self.reset()
            else:
                self._response = command
        elif command in (0x0022, 0x0033):
            self._standby, self._response = command == 0x0022, command
        elif command == 0x0555:
            self._locked, self._response = True, command
        elif writes and self._written:
            self._response = 0x4000 | command & 0x1F80 | self._written - 1
