"""The pipeline: the blocks' compiled functions, one after another on what fits in a core's cache."""

from __future__ import annotations

import numpy as np
from numba import njit

from blondel.sim.golden.energy import NO_LOAD, REVERSED, flow_status, meter, tick
from blondel.sim.golden.frame import next_run, take_channel
from blondel.sim.golden.gain import calibrate
from blondel.sim.golden.indicators import (
    OVERRANGE,
    VOLTAGE,
    watch_clip,
    watch_squares,
    watch_window,
)  # fmt: skip
from blondel.sim.golden.offset import remove_offset, track
from blondel.sim.golden.phase import delay
from blondel.sim.golden.power import multiply

__all__ = ["STATUS", "run"]

#: Frames that the blocks pass on at a time, two elements' after the others': at most ``gain.FRAMES_MOST``.
CHUNK_FRAMES = 2048
#: An element's outputs, in the order of their numbers.
STATUS = ("voltage", "reversed", "overrange", "no_load")


# Without Python's lock: a thread can make the next frames meanwhile.
@njit(cache=True, nogil=True)
def run(
    frames, ok, place, voltage, sample_bits, window_frames, window_frames_most, offset, phase, gain, indicators, energy,
    shown,
):  # fmt: skip
    """Meter frames: chunk by chunk, in it window by window, in it two elements by two.

    Parameters
    ----------
    frames : ndarray of int32, (frames, channels)
        LSB of the converter.
    ok : ndarray of bool, (frames,) or (0,)
        False where a frame is invalid; empty: all are valid.
    place, voltage, sample_bits, window_frames, window_frames_most : int
        As in :func:`blondel.sim.golden.frame.next_run`.
    offset, phase, gain, indicators, energy : OffsetState, PhaseState, GainState, IndicatorState, EnergyState
        Move on.
    shown : ndarray of int64, (elements,)
        The energy's status that the outputs show; moves on.

    Returns
    -------
    ticks : list of (int, int)
        Frame and meter of each tick; a meter's in the order of their frames.
    edges : list of (int, int, int)
        Frame, output (its place in :data:`STATUS` × elements, plus the element) and new level.
    place, voltage : int
        After the last frame.
    """
    elements, history = frames.shape[1] // 2, phase.history.shape[1]
    # What two elements have of a chunk, their voltages and currents.
    lines, paths = np.empty((4, history + CHUNK_FRAMES), np.int32), np.empty((4, CHUNK_FRAMES), np.int32)
    clips, entering = np.empty((4, CHUNK_FRAMES), np.bool_), np.empty((4, CHUNK_FRAMES), np.int64)
    sums, products = np.empty(CHUNK_FRAMES + 1, np.int64), np.empty(CHUNK_FRAMES, np.int64)
    committed = np.empty(CHUNK_FRAMES, np.int64)
    valid = np.empty((CHUNK_FRAMES, frames.shape[1]), np.int32)
    index = np.arange(CHUNK_FRAMES)
    ticks = [(0, 0) for _ in range(0)]
    edges = [(0, 0, 0) for _ in range(0)]
    for first in range(0, len(frames), CHUNK_FRAMES):
        samples = frames[first : first + CHUNK_FRAMES]
        if len(ok):
            count = 0
            for n in range(len(samples)):
                if ok[first + n]:
                    valid[count], index[count] = samples[n], n
                    count += 1
            samples = valid[:count]
        start = 0
        while start < len(samples):
            stop, late, ends, place, voltage = next_run(
                samples[:, 0], start, place, voltage, window_frames, window_frames_most
            )
            length = stop - start
            moments = index[start:stop]
            product, commits = products[:length], committed[:length]
            for pair in range(0, elements, 2):
                last = min(pair + 1, elements - 1)
                for row in range(2 * (last - pair + 1)):
                    channel, line = 2 * pair + row, lines[row, history : history + length]
                    take_channel(samples[start:stop, channel], sample_bits, line, clips[row, :length])
                    remove_offset(line, channel, offset)
                delay(lines, pair, last, length, phase, entering, paths, clips)
                for element in range(pair, last + 1):
                    total = energy.total_of[element]
                    if element == 0 or energy.total_of[element - 1] != total:
                        commits[:] = 0
                    v, i = 2 * (element - pair), 2 * (element - pair) + 1
                    yv, yi, cv, ci = paths[v, :length], paths[i, :length], clips[v, :length], clips[i, :length]
                    calibrate(yv, 2 * element, gain, sums, cv)
                    calibrate(yi, 2 * element + 1, gain, sums, ci)
                    if not late:
                        watch_squares(yv, element, 0, indicators)
                        watch_squares(yi, element, 1, indicators)
                    over = watch_clip(cv, ci, element, indicators)
                    if over < length:
                        edges.append((first + moments[over], 2 * elements + element, 1))
                    if ends:
                        before = indicators.status[element]
                        watch_window(element, indicators)
                        after = indicators.status[element]
                        if (before ^ after) & VOLTAGE:
                            edges.append((first + moments[-1], element, after & VOLTAGE))
                        if (before ^ after) & OVERRANGE:
                            edges.append((first + moments[-1], 2 * elements + element, 1))
                    multiply(yv, yi, product)
                    done = 0
                    while done < length:
                        before = shown[element]
                        done = meter(product, done, ends, element, before, energy, commits)
                        after = flow_status(element, energy)
                        shown[element] = after
                        if (before ^ after) & REVERSED:
                            edges.append((first + moments[done - 1], elements + element, after & REVERSED))
                        if (before ^ after) & NO_LOAD:
                            edges.append((first + moments[done - 1], 3 * elements + element, after >> 1))
                    if element == elements - 1 or energy.total_of[element + 1] != total:
                        frame = tick(commits, 0, total, energy)
                        while frame < length:
                            ticks.append((first + moments[frame], total - elements))
                            frame = tick(commits, frame + 1, total, energy)
            if ends:
                track(offset)
            start = stop
    return ticks, edges, place, voltage
