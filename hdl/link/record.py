"""Records: the state of a stage, as the outside reads and presets it.

A record is read and written whole, while its stage is between two items: no value is torn, and none is
lost.
"""

from __future__ import annotations

from amaranth.hdl import signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RECORD", "RecordSignature"]

#: Every record: a signed accumulator (or calibration word) and an unsigned count; unused bits read as
#: copies of the sign, and as zero.
RECORD = wiring.Signature({"accumulator": Out(signed(64)), "count": Out(64)})


class RecordSignature(wiring.Signature):
    """Access to a stage's records, from the side that asks.

    Parameters
    ----------
    index_bits : int
        Bits of a record's index within the stage.

    Members
    -------
    valid : Out(1)
        Asks; stays, with ``index``, ``write`` and ``wdata``, until ``ready``, and for all the words that are
        read. The stage waits until it falls, which it does for a clock at least before the next access.
    index : Out(index_bits)
        Which record.
    word : Out(3)
        Which 16 bits are read: 0 to 3 of the accumulator, 4 to 7 of the count. Changes in the clock
        after ``ready`` only; all words of an access are of one moment.
    write : Out(1)
        1 to write ``wdata``, 0 to read.
    wdata : Out(RECORD)
        What to write: ``accumulator`` signed(64), ``count`` unsigned(64).
    ready : In(1)
        The word is there, or the record is written, in this clock.
    rdata : In(RECORD)
        What was read, while ``ready``: the bits of the word that is asked for, and often all others.
    """

    def __init__(self, index_bits: int):
        super().__init__(
            {
                "valid": Out(1),
                "index": Out(index_bits),
                "word": Out(3),
                "write": Out(1),
                "wdata": Out(RECORD),
                "ready": In(1),
                "rdata": In(RECORD),
            }
        )
