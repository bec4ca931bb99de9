"""What travels on the streams between the stages.

Before the product is formed an item is one channel of a frame; after it, one element of a frame. The
items of a frame come in ascending order, voltage before current, and the last one ends the frame.
"""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import data

from blondel.hdl.config import MeterConfig

__all__ = ["channel_item", "energy_item", "frame_item", "sample_item", "watched_item"]


def sample_item(config: MeterConfig) -> data.StructLayout:
    """Return the layout of a converter's sample, as it enters the core.

    ``data`` : signed(sample_bits), LSB of the converter. ``ok`` : 1 where it may be metered; one bad
    sample makes its frame invalid. ``last`` : 1 on the last channel of a frame.
    """
    return data.StructLayout({"data": signed(config.sample_bits), "ok": 1, "last": 1})


def channel_item(config: MeterConfig, data_bits: int) -> data.StructLayout:
    """Return the layout of one channel of a frame.

    ``channel`` : index, 2 × element for its voltage and 2 × element + 1 for its current. ``ok`` : the
    frame is valid; where it is 0 an item passes through, ``data`` means nothing and no state changes.
    ``window`` : the frame is the last of a window. ``late`` : it comes after the first 2**window_log2 of a
    window. ``clip`` : the channel is at an end of its range,
    or saturated on the way. ``data`` : signed(data_bits).
    """
    return data.StructLayout(
        {"channel": config.channel_bits, "ok": 1, "window": 1, "late": 1, "clip": 1, "data": signed(data_bits)}
    )


def watched_item(config: MeterConfig) -> data.StructLayout:
    """Return the layout of one channel of a frame, with its element's indicators.

    ``channel``, ``ok``, ``window``, ``data`` : as in :func:`channel_item`, signed(path_bits). ``voltage``,
    ``overrange`` : the element's indicators; with its current they are those after this frame.
    """
    return data.StructLayout(
        {
            "channel": config.channel_bits,
            "ok": 1,
            "window": 1,
            "voltage": 1,
            "overrange": 1,
            "data": signed(config.path_bits),
        }
    )


def energy_item(config: MeterConfig) -> data.StructLayout:
    """Return the layout of one element's product on its way to the registers.

    ``element`` : index. ``ok``, ``window`` : as in :func:`channel_item`. ``voltage``, ``overrange`` : the
    element's indicators after this frame, which become visible together with its energy. ``product`` :
    signed(product_bits), LSB of energy.
    """
    return data.StructLayout(
        {
            "element": config.element_bits,
            "ok": 1,
            "window": 1,
            "voltage": 1,
            "overrange": 1,
            "product": signed(config.product_bits),
        }
    )


def frame_item() -> data.StructLayout:
    """Return the layout of a frame's end, for each meter: every frame has it, valid or not, so that time goes on.

    ``tick`` : 1 where the meter's total of delivered energy passed a multiple of ``tick_wh``. ``last`` : it is
    the last meter's.
    """
    return data.StructLayout({"tick": 1, "last": 1})
