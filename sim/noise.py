"""Random numbers by index: the same numbers whatever the chunks, at any place of a run, at once.

The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014) read by its counter: number ``n`` of a stream is the finalizer of ``key + n × γ``.
"""

from __future__ import annotations

import math

import numpy as np
from numba import uint64
from numba.extending import register_jitable

__all__ = ["gaussian_pair", "stream_key", "uniform"]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


@register_jitable
def _finalize(z):
    z = uint64(z)
    z = (z ^ (z >> uint64(30))) * _FIRST
    z = (z ^ (z >> uint64(27))) * _SECOND
    return z ^ (z >> uint64(31))


def stream_key(seed: int, stream: int = 0) -> np.uint64:
    """Return the key of one of a seed's streams.

    Parameters
    ----------
    seed : int
        Any integer; its low 64 bits count.
    stream : int
        Number of the stream, so that one seed serves several uses.
    """
    key = 0
    for word in (seed, stream):
        z = (key ^ word) + int(_GAMMA) & 0xFFFF_FFFF_FFFF_FFFF
        z = (z ^ (z >> 30)) * int(_FIRST) & 0xFFFF_FFFF_FFFF_FFFF
        z = (z ^ (z >> 27)) * int(_SECOND) & 0xFFFF_FFFF_FFFF_FFFF
        key = z ^ (z >> 31)
    return np.uint64(key)


@register_jitable
def uniform(key, index):
    """Return number ``index`` of a stream: uniform from 0 to below 1, in steps of 2**-53."""
    return float(_finalize(uint64(key) + uint64(index) * _GAMMA) >> uint64(11)) * _UNIT


@register_jitable
def gaussian_pair(key, index):
    """Return pair ``index`` of a stream: two independent numbers, mean 0 and rms 1 (Box and Muller)."""
    # One less the number is never 0, whose logarithm would be infinite.
    radius = math.sqrt(-2.0 * math.log(1.0 - uniform(key, uint64(index) * uint64(2))))
    angle = 2.0 * math.pi * uniform(key, uint64(index) * uint64(2) + uint64(1))
    return radius * math.cos(angle), radius * math.sin(angle)
