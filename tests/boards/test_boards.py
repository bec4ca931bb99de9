"""Boards: every terminal has a pin of its own, and the design that goes with it elaborates."""

from __future__ import annotations

import pytest
from amaranth.build import Pins, Subsignal
from amaranth.hdl import Fragment

from blondel.boards import BOARDS
from blondel.boards.board import TERMINALS
from blondel.boards.top import FRONT_ENDS, Device, options_for
from blondel.hdl.config import MeterConfig

CLOCKS_HZ = {"icebreaker": 12e6, "upduino-v3": 12e6, "hx8k-b-evn": 12e6, "tinyfpga-bx": 16e6, "icestick": 12e6}
FASTER_HZ = {"icebreaker": [24e6], "upduino-v3": [24e6], "hx8k-b-evn": [24e6, 48e6], "tinyfpga-bx": [], "icestick": []}
DEVICES = {
    "icebreaker": "iCE40UP5K", "upduino-v3": "iCE40UP5K", "hx8k-b-evn": "iCE40HX8K", "tinyfpga-bx": "iCE40LP8K",
    "icestick": "iCE40HX1K",
}  # fmt: skip


@pytest.fixture(params=BOARDS.values(), ids=BOARDS.keys())
def board(request):
    return request.param


def test_there_are_the_five():
    assert {name: board.device for name, board in BOARDS.items()} == DEVICES


def test_clock_is_the_board_s(board):
    assert board.clock_hz == CLOCKS_HZ[board.name]
    assert [platform().default_clk_frequency for platform in board.faster] == FASTER_HZ[board.name]


def test_every_terminal_has_a_pin_and_every_light_a_terminal(board):
    assert set(board.terminals) == set(TERMINALS)
    lamps = {**board.lamps, **board.rgb_lamps}
    assert set(lamps) <= set(TERMINALS)
    assert "test" in lamps
    assert set(board.light_names) == set(lamps)
    assert set(board.converters) <= {"ads131m", "sigma-delta"}


def pins_of(platform, resource: str, number: int) -> set[str]:
    """Return the FPGA's pins of a resource that the board has."""
    found, todo = set(), list(platform.lookup(resource, number).ios)
    while todo:
        each = todo.pop()
        if isinstance(each, Subsignal):
            todo.extend(each.ios)
        elif isinstance(each, Pins):
            found.update(each.map_names(platform._conn_pins, each))
    return found


def test_no_pin_is_used_twice(board):
    platform = board.platform()
    own = set()
    for resource, number in [*board.lamps.values(), *([("rgb_led", 0)] if board.rgb_lamps else [])]:
        own |= pins_of(platform, resource, number)
    # Those that the FPGA starts from, and its clock.
    for resource in ("spi_flash_1x", "clk12", "clk16"):
        # The UPduino has its clock within; clk12 is a pin of its header.
        if (resource, 0) in platform.resources and (board.name, resource) != ("upduino-v3", "clk12"):
            own |= pins_of(platform, resource, 0)
    assert len(own) > 4
    for converter in board.converters.values():
        pins = [*board.terminals.values(), *(pin for each in converter.values() for pin in each.split())]
        names = [platform._conn_pins[pin] for pin in pins]
        assert len(set(names)) == len(names)
        assert not own & set(names)


def test_every_connector_in_use_has_its_name(board):
    converters = [pin for converter in board.converters.values() for each in converter.values() for pin in each.split()]
    assert set(board.connectors) == {pin.split(":")[0] for pin in [*board.terminals.values(), *converters]}


@pytest.mark.parametrize("front_end", FRONT_ENDS)
@pytest.mark.parametrize("model", ["MSNCT-1SC", "MDNCT-2SC"])
@pytest.mark.parametrize("line", [60, 50])
def test_the_device_elaborates(board, front_end, model, line):
    config = FRONT_ENDS[front_end].configure(MeterConfig.for_model(model, line), board.clock_hz)
    assert abs(config.sample_rate_hz - 8000) < 250
    platform = board.make_platform(front_end, FRONT_ENDS[front_end].signals(config))
    fragment = Fragment.get(Device(board, config, front_end), platform)
    names = {name for _, name, _ in fragment.subfragments}
    assert {"front_end", "meter"} | {f"pin_{name}" for name in board.terminals} <= names
    assert {f"lamp_{name}" for name in board.lamps} <= names
    assert ("rgb_lamps" in names) == bool(board.rgb_lamps)


@pytest.mark.parametrize(("meters", "serial"), [((2,) * 10, False), ((2,) * 11, True), ((2,) * 32, True)])
def test_large_rams_have_what_block_ram_has_no_room_for(meters, serial):
    config = MeterConfig.for_model("MDNCT-2SC", meters=meters)
    assert options_for(BOARDS["icebreaker"], config).serial_energy is serial
    assert not options_for(BOARDS["hx8k-b-evn"], config).serial_energy
