"""The golden model: the blocks of :mod:`blondel.hdl`, as integers."""
