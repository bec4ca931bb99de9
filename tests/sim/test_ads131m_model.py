"""The ADS131M's model against what its data sheet says."""

from __future__ import annotations

import pytest

from blondel.sim.afe.ads131m import CHANNELS, CLOCK, GAIN1, ID, MODE, Ads131m, crc16

WORD = 24


def bits(words, width=WORD):
    return [value >> place & 1 for value in words for place in range(width - 1, -1, -1)]


def words(stream, width=WORD):
    return [int("".join(map(str, stream[n : n + width])), 2) for n in range(0, len(stream), width)]


def transfer(chip, *sent, length=None, crc=False):
    """Send 16-bit words over the pins, and return the words of the frame."""
    length = length or chip.channels + 2
    if crc:
        sent = (*sent, crc16(bits([word << 8 for word in sent])))
    stream = bits([word << 8 for word in sent] + [0] * (length - len(sent)))
    chip.step(cs_n=0)
    out = []
    for bit in stream:
        chip.step(cs_n=0, sclk=1, din=bit)
        out.append(chip.dout)
        chip.step(cs_n=0, sclk=0, din=bit)
    chip.step(cs_n=1)
    return words(out)


def ready(chip):
    """Go on until DRDY falls."""
    for _ in range(20000):
        if not chip.drdy_n:
            return
        chip.step(clkin=1)
    raise AssertionError("DRDY does not fall")


def test_crc_is_ccitt_with_seed_ffff():
    text = [byte for character in b"123456789" for byte in bits([character], 8)]
    assert crc16(text) == 0x29B1
    assert crc16([*text, *bits([0x29B1], 16)]) == 0


@pytest.mark.parametrize("part", CHANNELS)
def test_frame_after_a_reset(part):
    """Response FF24h, then STATUS 0500h with all channels ready; data; CRC."""
    chip = Ads131m(part, lambda number: [-1 - c for c in range(CHANNELS[part])])
    ready(chip)
    first = transfer(chip, 0)
    assert first[0] == 0xFF2400
    assert first[1:-1] == [(1 << WORD) - 1 - c for c in range(chip.channels)]
    assert first[-1] >> 8 == crc16(bits(first[:-1]))
    assert first[-1] & 0xFF == 0
    assert chip.drdy_n, "all data are read"
    ready(chip)
    assert transfer(chip, 0)[0] >> 8 == 0x0500 | (1 << chip.channels) - 1
    assert transfer(chip, 0)[0] >> 8 == 0x0500, "no new data"


@pytest.mark.parametrize("part", CHANNELS)
def test_registers(part):
    chip = Ads131m(part)
    every = (1 << chip.channels) - 1
    transfer(chip, 0xA000)
    assert transfer(chip, 0xA000 | MODE << 7)[0] >> 8 == 0x2000 | chip.channels << 8
    assert transfer(chip, 0xA000 | CLOCK << 7)[0] >> 8 == 0x0510
    assert transfer(chip, 0x6000 | GAIN1 << 7, 0x1212)[0] >> 8 == every << 8 | 0x0E
    assert transfer(chip, 0xA000 | GAIN1 << 7)[0] >> 8 == 0x4000 | GAIN1 << 7
    assert transfer(chip, 0)[0] >> 8 == (0x0012 if chip.channels == 2 else 0x1212)


def test_many_registers_at_once():
    chip = Ads131m("ADS131M04")
    # ID, STATUS cannot be written: three of five are.
    transfer(chip, 0x6000 | ID << 7 | 4, 0xFFFF, 0xFFFF, 0x0110, 0x030A, 0x0077, length=8)
    assert transfer(chip, 0xA000 | MODE << 7 | 2)[0] >> 8 == 0x4000 | 2
    answer = transfer(chip, 0)
    assert [word >> 8 for word in answer[:4]] == [0xE000 | MODE << 7 | 2, 0x0110, 0x030A, 0x0077]
    assert answer[4] >> 8 == crc16(bits(answer[:4]))


def test_input_crc():
    chip = Ads131m("ADS131M04")
    transfer(chip, 0x6000 | MODE << 7, 0x1110, crc=True)
    transfer(chip, 0xA000 | MODE << 7, crc=True)
    assert transfer(chip, 0x0555, 0xBAD)[0] >> 8 == 0x1110
    status = transfer(chip, 0, crc=True)[0] >> 8
    assert status & 0x1000, "CRC_ERR"
    assert not status & 0x8000, "the command was not executed"
    assert not transfer(chip, 0, crc=True)[0] >> 8 & 0x1000, "cleared when it was output"
    # A register is written though its CRC is wrong.
    transfer(chip, 0x6000 | GAIN1 << 7, 0x0001, 0xBAD)
    assert chip.registers[GAIN1] == 1
    assert chip.crc_errors == 2


def test_reset_within_a_frame():
    """What follows in the frame is nothing; the next one tells of the reset."""
    chip = Ads131m("ADS131M02", lambda number: [-1, -1])
    ready(chip)
    chip.begin_frame()
    for _ in range(30):
        chip.step(cs_n=0, sclk=1)
        chip.step(cs_n=0, sclk=0)
    assert chip.dout == 1
    chip.reset()
    for _ in range(66):
        chip.step(cs_n=0, sclk=1)
        assert chip.dout == 0
        chip.step(cs_n=0, sclk=0)
    chip.step(cs_n=1)
    assert transfer(chip, 0)[0] >> 8 == 0x0500


def test_reset_command_needs_a_whole_frame():
    chip = Ads131m("ADS131M04")
    transfer(chip, 0x0011, length=3)
    assert transfer(chip, 0)[0] >> 8 == 0x0011
    chip.registers[GAIN1] = 1
    transfer(chip, 0x0011)
    assert transfer(chip, 0)[0] >> 8 == 0xFF24
    assert (chip.resets, chip.registers[GAIN1]) == (1, 0)


def test_reset_pin_needs_2048_periods():
    chip = Ads131m("ADS131M04")
    for periods, resets in ((2047, 0), (2048, 1)):
        chip.step(reset_n=0)
        for _ in range(periods):
            chip.step(reset_n=0, clkin=1)
        chip.step(reset_n=1, clkin=1)
        assert chip.resets == resets


def test_lock_and_standby():
    chip = Ads131m("ADS131M04")
    transfer(chip, 0x0555)
    assert transfer(chip, 0x6000 | GAIN1 << 7, 1)[0] >> 8 == 0x0555
    assert transfer(chip, 0x0655)[0] >> 8 & 0x8000
    assert transfer(chip, 0x0022)[0] >> 8 == 0x0655
    assert chip.registers[GAIN1] == 0
    before = chip.conversions
    chip.step(clkin=1e5)
    assert chip.conversions == before
    assert transfer(chip, 0x0033)[0] >> 8 == 0x0022
    chip.step(clkin=1e5)
    assert chip.conversions > before


def test_buffer_of_two_samples():
    """What is not read waits; of three the oldest is gone, and DRDY stays low until the last is read."""
    chip = Ads131m("ADS131M02", lambda number: [number, number])
    transfer(chip, 0)
    while chip.conversions < 3:
        chip.step(clkin=1)
    assert [transfer(chip, 0)[1] for _ in range(3)] == [1, 2, 2]
    assert chip.drdy_n


def test_first_two_samples_are_not_settled():
    chip = Ads131m("ADS131M02")
    chip.step(clkin=2 * (300 + 1024))
    assert chip.conversions == 1
    chip.step(clkin=2 * 1024 * 4)
    assert chip.unsettled == {0, 1}


def test_gain_and_clipping():
    chip = Ads131m("ADS131M02", lambda number: [3_000_000, -5_000_000])
    transfer(chip, 0x6000 | GAIN1 << 7, 0x0011)
    ready(chip)
    assert transfer(chip, 0)[1:3] == [6_000_000, 1 << 23]


def test_register_map_crc():
    chip = Ads131m("ADS131M02")
    transfer(chip, 0x6000 | MODE << 7, 0x2110)
    for _ in range(3):
        ready(chip)
        transfer(chip, 0)
    chip.registers[GAIN1] ^= 1
    ready(chip)
    assert transfer(chip, 0)[0] >> 8 & 0x2000
    ready(chip)
    assert not transfer(chip, 0)[0] >> 8 & 0x2000
