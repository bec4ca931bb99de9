"""Front end for the metering converters ADS131M02, ADS131M04 and ADS131M08.

Sources: Texas Instruments, *ADS131M02* SBAS853A (April 2021), *ADS131M04* SBAS890D (May 2021), *ADS131M08*
SBAS950B (February 2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import io, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Out

from blondel.hdl.config import ConfigError, MeterConfig
from blondel.hdl.items import sample_item

__all__ = ["OSRS", "PARTS", "Ads131m", "clkin_hz", "crc16"]

#: Inputs of each part.
PARTS = {"ADS131M02": 2, "ADS131M04": 4, "ADS131M08": 8}
#: Oversampling ratios, and what the CLOCK register has for each. 64 is not for the M08; the largest is left
#: out: the data sheet says 16256 in one table and 16384 in another.
OSRS = {64: 0b1000, 128: 0, 256: 1, 512: 2, 1024: 3, 2048: 4, 4096: 5, 8192: 6}

#: Bits of a word on the SPI; commands, responses, registers and CRCs are its first 16.
_WORD_BITS = 24
#: Registers.
_ID, _MODE, _CLOCK, _GAIN1, _GAIN2 = 0, 2, 3, 4, 5
#: MODE: CRC of the registers watched, CRC of commands checked, reset flag cleared, 24 bits, SPI time-out.
_MODE_WORD = 1 << 13 | 1 << 12 | 0b01 << 8 | 1 << 4
#: CLOCK: high resolution.
_HIGH_RESOLUTION = 0b10
#: Range of CLKIN in high resolution, in Hz.
_CLKIN_HZ = (0.3e6, 8.4e6)
#: CLKIN periods of a reset pulse; modulator periods (two of CLKIN) from a reset to the first sample's start.
_RESET_CLKIN, _START_MODULATOR = 2048, 256 + 44
#: Samples after a reset for which the fast-settling filter stands in for the sinc3.
_UNSETTLED = 2


def crc16(words: Sequence[int]) -> int:
    """Return the CRC-16-CCITT of words of 24 bits: polynomial 1021h, seed FFFFh, most significant bit first."""
    crc = 0xFFFF
    for word in words:
        for place in range(_WORD_BITS - 1, -1, -1):
            crc = (crc << 1 ^ (0x1021 if crc >> 15 ^ word >> place & 1 else 0)) & 0xFFFF
    return crc


def clkin_hz(config: MeterConfig, osr: int) -> float:
    """Return the clock, in Hz, that the board has to give the converter: 2 × ``osr`` × ``sample_rate_hz``."""
    return 2 * osr * config.sample_rate_hz


def _registers(inputs: int, osr: int, gains: Sequence[int]) -> dict[int, int]:
    """Return what the initialization writes, by address."""
    registers = {_MODE: _MODE_WORD, _CLOCK: (1 << inputs) - 1 << 8 | OSRS[osr] << 2 | _HIGH_RESOLUTION}
    for first, register in ((0, _GAIN1), (4, _GAIN2)):
        if first < inputs:
            registers[register] = sum(g.bit_length() - 1 << 4 * n for n, g in enumerate(gains[first : first + 4]))
    return registers


def _bit(place: Value, *values: int, number: Value | None = None) -> Value:
    """Return a bit of a 16-bit value, or of that with the number: at place 0 the most significant one."""
    bits = "".join(f"{value:016b}" for value in values)
    return Const(int(bits[::-1], 2), len(bits)).bit_select(place if number is None else Cat(place, number), 1)


class Ads131m(wiring.Component):
    """Configure converters, read every conversion, and let nothing that is doubtful pass for a sample.

    All chips share SCLK, CS, DIN, CLKIN and SYNC/RESET, so that they convert at the same instants; each has
    its own DOUT, and the first one's DRDY is read. They get the same configuration.

    After a reset through the pin, the identity is read, MODE, CLOCK and GAIN are written and read back, and
    the first conversions are left out until the filter has settled. Every command carries its CRC. From
    then on each conversion is read when DRDY is low. It is good if, of every chip, the CRC of the whole
    frame is right and STATUS is exactly what it should be: each input has new data, and there was no reset,
    no resynchronization, no change of a register, no error in the command's CRC.

    Else its sampling instant becomes a bad sample marked ``last``, or ends with one, which the core counts as
    a lost frame, and the converters are initialized anew. So they are where DRDY stays away for one and a
    half sampling periods, or the initialization fails. Time goes on meanwhile: there is a bad sample for each
    period, to the nearest whole number of them.

    DRDY is not read for half a period after a conversion, so that an edge too many does nothing.

    Parameters
    ----------
    config : MeterConfig
        Uses ``sample_rate_hz``, ``sample_bits``, ``channels``.
    clock_hz : float
        Frequency of the domain ``sync``, up to 50 MHz.
    sclk, cs, din, reset : io port, output
        SPI clock, chip select, data to the converters, SYNC/RESET. 1 means asserted: the active-low pins CS and
        SYNC/RESET are inverted ports.
    dout : io port, input, one wire for each chip
        Data from the converters.
    drdy : io port, input
        Data ready of the first chip; an inverted port.
    part : str
        One of :data:`PARTS`. Default ADS131M02 where there are two channels, else ADS131M04.
    osr : int
        One of :data:`OSRS`. The board gives CLKIN :func:`clkin_hz`: 8.192 MHz for 8 kHz with the default 512.
    gains : sequence of int
        Gain of each input, 1 to 128 in powers of two; full scale is ±1.2 V / gain. Default 1 for voltages and 2
        for currents.
    channel_map : sequence of (int, int)
        Chip and input of each channel: voltage, then current, of element 0, 1, … Default: inputs in ascending
        order, those of the first chip first.
    sclk_hz : float
        Largest frequency of SCLK, in Hz; DOUT must arrive within half a period of it. Default 8 MHz, where a pair
        of isolators has its place.

    Members
    -------
    o : Out(stream of sample_item)
        Samples, LSB of the converter: the high ``sample_bits`` of its 24.
    running : Out(1)
        The converters are initialized and settled.

    Attributes
    ----------
    latency : int
        Clocks from DRDY's fall, once it is read, to the frame's last sample being valid.

    Raises
    ------
    ConfigError
        An argument is not allowed, CLKIN would be out of its range, or a frame does not fit between two
        conversions.
    """

    def __init__(
        self,
        config: MeterConfig,
        *,
        clock_hz: float,
        sclk: io.PortLike,
        cs: io.PortLike,
        din: io.PortLike,
        dout: io.PortLike,
        drdy: io.PortLike,
        reset: io.PortLike,
        part: str | None = None,
        osr: int = 512,
        gains: Sequence[int] | None = None,
        channel_map: Sequence[tuple[int, int]] | None = None,
        sclk_hz: float = 8e6,
    ):
        def require(name: str, value: object, holds: bool, allowed: str) -> None:
            if not holds:
                raise ConfigError(f"{name} is {value}; allowed: {allowed}")

        self._config = config
        self._pins = {"sclk": sclk, "cs": cs, "din": din, "reset": reset, "dout": dout, "drdy": drdy}
        part = part or ("ADS131M02" if config.channels == 2 else "ADS131M04")
        require("part", part, part in PARTS, ", ".join(PARTS))
        self._inputs = inputs = PARTS[part]
        self._chips = chips = len(dout)
        require("osr", osr, osr in OSRS and (osr != 64 or inputs != 8), "64 (not the ADS131M08), 128, 256, … 8192")
        low, high = _CLKIN_HZ
        clkin = clkin_hz(config, osr)
        require(
            "osr", osr, low <= clkin <= high,
            f"{low / 2 / config.sample_rate_hz:.0f} to {high / 2 / config.sample_rate_hz:.0f} at "
            f"{config.sample_rate_hz:g} Hz, so that CLKIN is {low / 1e6:g} to {high / 1e6:g} MHz",
        )  # fmt: skip
        natural = tuple(divmod(channel, inputs) for channel in range(config.channels))
        self._map = tuple(tuple(place) for place in channel_map) if channel_map is not None else natural
        require(
            "channel_map", list(self._map),
            len(set(self._map)) == len(self._map) == config.channels
            and all(chip in range(chips) and place in range(inputs) for chip, place in self._map),
            f"{config.channels} different (chip, input) of {chips} × {part}",
        )  # fmt: skip
        if gains is None:
            currents = {place for _, place in self._map[1::2]}
            gains = [2 if place in currents else 1 for place in range(inputs)]
            mixed = currents & {place for _, place in self._map[::2]}
            require("gains", None, not mixed, "a gain for each input, as some have a voltage here and a current there")
        require(
            "gains", list(gains), len(gains) == inputs and all(g in (1, 2, 4, 8, 16, 32, 64, 128) for g in gains),
            f"{inputs} powers of two, 1 to 128",
        )  # fmt: skip
        require("clock_hz", clock_hz, 0 < clock_hz <= 50e6, "up to 50 MHz")
        require("sclk_hz", sclk_hz, 0 < sclk_hz <= 25e6, "up to 25 MHz")
        self._half = math.ceil(clock_hz / 2 / sclk_hz)
        self._period = round(clock_hz / config.sample_rate_hz)
        self._registers = _registers(inputs, osr, gains)
        self._reset_ticks = 1 + math.ceil(1.02 * _RESET_CLKIN / 2 / osr)
        self._settle_ticks = _UNSETTLED + 2 + math.ceil(_START_MODULATOR / osr)
        # As they come they are in order: no buffer.
        self._direct = chips == 1 and list(self._map) == sorted(self._map)
        self._last_word = 1 + max(place for _, place in self._map)
        require(
            "clock_hz", clock_hz, self._busy < 0.9 * self._period,
            f"more than {self._busy / 0.9 * config.sample_rate_hz / 1e6:.3g} MHz at {config.sample_rate_hz:g} Hz "
            f"with SCLK of {clock_hz / 2 / self._half / 1e6:.3g} MHz",
        )  # fmt: skip
        super().__init__({"o": Out(stream.Signature(sample_item(config))), "running": Out(1)})

    @property
    def _words(self) -> int:
        """Words of a frame: response, data, CRC."""
        return self._inputs + 2

    @property
    def latency(self) -> int:
        # Synchronizer and start, bits of the words; then a clock for each word that leaves or is stored on the way, and
        # two for each channel of a buffer.
        channels = self._config.channels
        clocks = 3 + self._words * 2 * self._half * _WORD_BITS
        return clocks + (channels - 1 if self._direct else self._words * self._chips + 2 * channels - 1)

    @property
    def _busy(self) -> int:
        """Clocks of a frame, with a few to spare."""
        return self.latency + 8

    def elaborate(self, platform) -> Module:
        m = Module()
        config, chips, words = self._config, self._chips, self._words
        pins = {}
        for name, port in self._pins.items():
            m.submodules[name] = buffer = io.Buffer("i" if name in ("dout", "drdy") else "o", port)
            pins[name] = buffer.i if name in ("dout", "drdy") else buffer.o
        sclk, selected, din, resetting = Signal(), Signal(), Signal(), Signal(init=1)
        ready = Signal()
        m.submodules.synchronizer = FFSynchronizer(pins["drdy"], ready)
        m.d.comb += [
            pins["sclk"].eq(sclk), pins["cs"].eq(selected), pins["din"].eq(din), pins["reset"].eq(resetting),
        ]  # fmt: skip

        # The initialization: step 0 asks for the identity, then each register is written, then each one is read; a
        # response answers the frame before it. The last step is that of every sample. Registers are read in such an
        # order that the low bits of the step tell the value, be it to write or to compare with.
        registers = self._registers
        written = range(1, len(registers) + 1)
        compared = range(written.stop + 1, 2 * written.stop)
        step = Signal(range(compared.stop + 1))
        run = Signal()
        addresses = dict(zip((n % 4 for n in written), registers, strict=True))
        commands = [0b101 << 13 | _ID << 7] + [0b011 << 13 | address << 7 for address in registers]
        commands += [0b101 << 13 | addresses[n % 4] << 7 for n in compared] + [0, 0]
        m.d.comb += run.eq(step == compared.stop)

        # Time, in halves of a period: a deaf one after a conversion, then two to a tick, which is a lost instant. A
        # half is over when the timer has wrapped: no wide comparison. It is set alike for both but for two bits.
        first = self._period // 2 & ~1
        timer = Signal(range(-1, first + 2), reset_less=True)
        half = Signal(2)
        over, lost = timer[-1], Signal()
        begin, tick = Signal(), Signal()
        idle = ~selected & ~resetting
        m.d.comb += [
            begin.eq(idle & run & ready & (half != 0) & ~lost),
            tick.eq(over & half[1] & ~lost & ~(selected & run) & ~begin),
        ]
        with m.If(begin | (over & ~half[1]) | tick):
            m.d.sync += timer.eq(Mux(~begin & half[0], self._period - first, first) - 2)
        with m.Elif(~over):
            m.d.sync += timer.eq(timer - 1)
        with m.If(begin):
            m.d.sync += half.eq(0)
        with m.Elif(tick):
            m.d.sync += half.eq(1)
        with m.Elif(over & ~half[1]):
            m.d.sync += half.eq(half + 1)
        with m.If(tick):
            m.d.sync += lost.eq(1)
        with m.Elif(self.o.ready):
            m.d.sync += lost.eq(0)

        # Ticks of the reset, then instants since the initialization.
        count = Signal(range(max(self._reset_ticks, self._settle_ticks) + 1))
        settled, told, done, restarts = Signal(), Signal(), Signal(), Signal()
        good = Signal()
        m.d.comb += [
            settled.eq(count == self._settle_ticks),
            self.running.eq(run & settled),
            # The first STATUS still tells that the registers were written; every later one has to be good.
            restarts.eq((done & ~good & (~run | told)) | (run & settled & tick)),
        ]
        m.d.sync += told.eq(run & (told | done))
        with m.If(Mux(run, ~settled & (tick | done), tick)):
            m.d.sync += count.eq(count + 1)
        with m.If(restarts | (~resetting & ~run)):
            m.d.sync += count.eq(0)
        with m.If(restarts):
            m.d.sync += resetting.eq(1)
        with m.Elif(tick & (count == self._reset_ticks - 1)):
            m.d.sync += resetting.eq(0)
        with m.If(resetting):
            m.d.sync += step.eq(0)
        with m.Elif(done & ~run & good):
            m.d.sync += step.eq(step + 1)
        with m.If(begin | (idle & ~run & (step.any() | tick))):
            m.d.sync += selected.eq(1)
        with m.Elif(done):
            m.d.sync += selected.eq(0)

        # The frame: words from every chip, each with its CRC, and whether the response or the CRC was another.
        place, word = Signal(range(_WORD_BITS)), Signal(range(words + 1))
        shift = [Signal(_WORD_BITS, name=f"shift_{chip}", reset_less=True) for chip in range(chips)]
        crc = [Signal(16, name=f"crc_{chip}", reset_less=True) for chip in range(chips)]
        differs = Signal(chips, reset_less=True)
        finished = word == words
        # A word waits to leave; the last one of the channels waits in its place for the CRC.
        pending = Signal()
        # What is sent, and should come: words of 16 bits, padded. The CRC of what the initialization sends is made
        # where later the CRC of a sample's frame is checked; it leaves zeros behind itself.
        bit = place[:4]
        in_word, writes = ~place[4], Signal()
        value = _bit(bit, *(registers.get(addresses.get(n), 0) for n in range(4)), number=step[:2])
        next_bit, expected = Signal(), Signal()
        m.d.comb += writes.eq((step >= written.start) & (step < written.stop))
        with m.If(run):
            # STATUS: not locked, not resynchronized, registers and CRC as they should be, no reset, 24 bits, all ready.
            m.d.comb += [
                next_bit.eq(in_word & (word == 1) & _bit(bit, crc16([0]))),
                expected.eq(_bit(bit, 0b01 << 8 | (1 << self._inputs) - 1)),
            ]
        with m.Else():
            with m.If(word == 0):
                m.d.comb += next_bit.eq(in_word & _bit(bit, *commands, number=step))
            with m.Elif(writes & (word == 1)):
                m.d.comb += next_bit.eq(in_word & value)
            with m.Else():
                m.d.comb += next_bit.eq(crc[0][15])
            m.d.comb += expected.eq(Mux(step == 1, _bit(bit, 0x2000 | self._inputs << 8), value))
        compares = Signal()
        m.d.comb += compares.eq((word == 0) & in_word & ((step >= compared.start) | ((step == 1) & ~place[3])))
        m.d.comb += good.eq(~differs.any())

        hold = Signal(range(self._half), init=self._half - 1)
        moves = selected & ~pending & ~finished
        turns, falls, word_ends = Signal(), Signal(), Signal()
        m.d.comb += [
            turns.eq(moves & (hold == 0)),
            falls.eq(turns & sclk),
            word_ends.eq(falls & (place == _WORD_BITS - 1)),
        ]
        m.d.sync += hold.eq(Mux(turns | ~moves, self._half - 1, hold - 1))
        with m.If(turns):
            m.d.sync += sclk.eq(~sclk)
            with m.If(~sclk):
                m.d.sync += din.eq(next_bit)
        for chip in range(chips):
            came = pins["dout"][chip]
            back = crc[chip][15] ^ Mux(run, came, din)
            wrong = (compares & (came ^ expected)) | ((word == words - 1) & back)
            with m.If(falls):
                m.d.sync += [
                    crc[chip].eq((crc[chip] << 1) ^ (back.replicate(16) & 0x1021)),
                    differs[chip].eq(differs[chip] | wrong),
                ]
            with m.If(falls & (word <= self._last_word)):
                m.d.sync += shift[chip].eq(Cat(came, shift[chip]))
            with m.If(~selected):
                m.d.sync += [crc[chip].eq(0xFFFF), differs[chip].eq(0)]
        with m.If(falls):
            m.d.sync += place.eq(place + 1)
        with m.If(word_ends):
            m.d.sync += [place.eq(0), word.eq(word + 1)]
        with m.If(done):
            m.d.sync += word.eq(0)

        o = self.o.payload
        if self._direct:
            used = Cat(word == 1 + n for _, n in self._map[:-1]).any() | (word == words - 1)
            with m.If(word_ends):
                m.d.sync += pending.eq(run & used)
            with m.Elif(self.o.ready):
                m.d.sync += pending.eq(0)
            m.d.comb += [
                done.eq(finished & (~run | self.o.ready)),
                self.o.valid.eq(lost | pending),
                o.data.eq(shift[0][_WORD_BITS - config.sample_bits :]),
                o.ok.eq(~lost & (~finished | good & settled)),
                o.last.eq(lost | finished),
            ]
        else:
            self._buffer(m, lost, word, shift, word_ends, pending, finished & run, good & settled, emitted := Signal())
            m.d.comb += done.eq(finished & ~pending & (~run | emitted))
        return m

    def _buffer(self, m, lost, word, shift, word_ends, storing, finished, fine, emitted) -> None:
        """Collect a frame in a memory at its channels' places; let it go as a whole, or a bad sample for it."""
        config, chips = self._config, self._chips
        top = _WORD_BITS - config.sample_bits
        m.submodules.memory = memory = Memory(
            shape=config.sample_bits, depth=1 << config.channel_bits, init=[], attrs={"ram_style": "block"}
        )
        read, write = memory.read_port(), memory.write_port()
        chip = Signal(range(chips))
        place = Signal(config.channel_bits)
        shown = Signal()
        o = self.o.payload
        m.d.comb += read.addr.eq(place)
        stored = chip == chips - 1
        with m.If(word_ends):
            m.d.sync += storing.eq(1)
        with m.Elif(storing):
            m.d.sync += [storing.eq(~stored), chip.eq(Mux(stored, 0, chip + 1))]
        # The word that came is the one before that which comes.
        with m.Switch(Cat(word, chip)):
            for channel, (on, number) in enumerate(self._map):
                with m.Case(on << len(word) | number + 2):
                    m.d.comb += [write.addr.eq(channel), write.en.eq(storing)]
        with m.Switch(chip):
            for number in range(chips):
                with m.Case(number):
                    m.d.comb += write.data.eq(shift[number][top:])
        judging = finished & ~storing
        leaves = self.o.valid & self.o.ready & judging
        m.d.comb += [
            self.o.valid.eq(lost | judging & (shown | ~fine)),
            o.data.eq(read.data),
            o.ok.eq(~lost & fine),
            o.last.eq(lost | ~fine | (place == config.last_channel)),
            emitted.eq(leaves & o.last),
        ]
        # A clock to read, a clock to show.
        m.d.sync += shown.eq(judging & ~(shown & self.o.ready))
        with m.If(leaves):
            m.d.sync += place.eq(Mux(o.last, 0, place + 1))
