"""Runs of months and years: the golden model on seconds that come again, and the RTL on some of them."""

from __future__ import annotations

import hashlib
import io
import itertools
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from blondel.hdl.config import MeterConfig
from blondel.sim.engine import State
from blondel.sim.measure import Bench, EnginesDiffer, Figures, Tally, energy_wh, make_engines, metered
from blondel.sim.rtl.state import differences, take_over
from blondel.sim.source.seconds import Seconds
from blondel.sim.version import version

__all__ = ["DAY_S", "ForeignRun", "LongRun"]

#: Seconds of a day.
DAY_S = 86_400
#: Seconds that are made while those before are metered.
BATCH_S = 32
#: Seconds of a window in which the RTL is compared.
CHECK_S = 10


class ForeignRun(ValueError):
    """What was saved is not of this run; the message is one line."""


class LongRun:
    """Meter for months: memory stays flat, and what is saved can be continued.

    The golden model meters every frame. At random times a second one and the RTL take over its whole state, meter the
    :data:`CHECK_S` seconds that come, and must agree bit for bit, in every edge and in the whole state at the end.

    Parameters
    ----------
    config : MeterConfig
        The meter's.
    source : Seconds
        What is metered.
    settle_s, seconds : int
        Seconds metered before the figures, and for them.
    checks : int
        Windows in which the RTL is compared; no two begin at the same second, so that a short run has fewer. Default 0.
    seed : int
        Of the windows. Default 0.

    Attributes
    ----------
    done_s : int
        Seconds metered, settling included.
    checked : list of int
        First seconds of the windows that were compared.
    daily_wh : ndarray of float64, (days, elements, 2)
        Delivered and received energy of each day of the figures; the last one may be short.
    """

    def __init__(
        self, config: MeterConfig, source: Seconds, *, settle_s: int, seconds: int, checks: int = 0, seed: int = 0
    ):
        self._config = config
        self._source = source
        self._settle_s = settle_s
        self._end_s = settle_s + seconds
        self._golden = make_engines(config, "golden")["golden"]
        self._bench = Bench({"golden": self._golden}, config)
        self._tally = Tally(config)
        self._base = self._day = self._bench.state
        self._true_wh, self._through_wh = np.zeros((2, config.elements))
        self._days: list[np.ndarray] = []
        self._engines = make_engines(config, "both") if checks else {}
        places = max(self._end_s - CHECK_S, 1)
        starts = np.random.default_rng(seed).choice(places, size=min(checks, places), replace=False)
        self._windows = sorted(starts.tolist())
        # Where something has to be looked at.
        self._stops = sorted({*range(settle_s, self._end_s, DAY_S), *self._windows, self._end_s})
        self.done_s = 0
        self.checked: list[int] = []
        # At once: the code may be edited while this runs.
        run = (version(), config, source, settle_s, self._end_s, self._windows)
        self._identity = hashlib.sha256(repr(run).encode()).hexdigest()

    @property
    def daily_wh(self) -> np.ndarray:
        days = list(self._days)
        if self.done_s > self._settle_s and (self.done_s - self._settle_s) % DAY_S:
            days.append(self._since(self._day))
        return np.array(days).reshape(-1, self._config.elements, 2)

    def _since(self, base: State) -> np.ndarray:
        return np.stack(energy_wh(self._config, self._bench.state, base)[1:], axis=1)

    def run(
        self,
        *,
        progress: Callable[[int], object] | None = None,
        pause: Callable[[], bool] | None = None,
    ) -> bool:
        """Go on to the end.

        Parameters
        ----------
        progress : callable(int) or None
            Called with the number of seconds metered since it was called last.
        pause : callable() -> bool or None
            Called between batches; when it returns true, the run stops there, and can be saved or go on.

        Returns
        -------
        bool
            Whether the end was reached.

        Raises
        ------
        EnginesDiffer
            The RTL gave other integers in a window.
        """
        # One is metered while the other is filled.
        buffers = itertools.cycle(
            [np.empty((BATCH_S * self._source.rate, self._config.channels), np.int32) for _ in range(2)]
        )

        def make(start: int) -> tuple[np.ndarray, np.ndarray]:
            count = min(BATCH_S, next(stop for stop in self._stops if stop > start) - start)
            return self._source.codes(start, count, next(buffers)[: count * self._source.rate])

        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(make, self.done_s) if self.done_s < self._end_s else None
            while coming is not None and not (pause and pause()):
                codes, true_wh = coming.result()
                if self.done_s in self._windows and self.done_s not in self.checked:
                    self._check()
                following = self.done_s + len(true_wh)
                coming = ahead.submit(make, following) if following < self._end_s else None
                self._meter(codes, true_wh)
                if progress is not None:
                    progress(len(true_wh))
        return self.done_s == self._end_s

    def _meter(self, codes: np.ndarray, true_wh: np.ndarray) -> None:
        self._tally.add(self._bench.next(codes))
        if self.done_s >= self._settle_s:
            self._true_wh += true_wh.sum(axis=0)
            self._through_wh += np.abs(true_wh).sum(axis=0)
        self.done_s += len(true_wh)
        since = self.done_s - self._settle_s
        if since == 0:
            self._base = self._day = self._bench.state
            self._tally.start()
        elif since > 0 and since % DAY_S == 0:
            self._days.append(self._since(self._day))
            self._day = self._bench.state

    def _check(self) -> None:
        """Compare the engines in a window: both go on where the long run stands."""
        golden, rtl = self._engines["golden"], self._engines["rtl"]
        golden.restore(self._golden.save())
        take_over(rtl, golden)
        try:
            Bench(self._engines, self._config).next(self._source.codes(self.done_s, CHECK_S)[0])
        except EnginesDiffer as error:
            raise EnginesDiffer(f"from second {self.done_s} on, {error}") from None
        if found := differences(rtl, golden):
            raise EnginesDiffer(f"after the {CHECK_S} s from second {self.done_s} on, the RTL has {found[0]}")
        self.checked.append(self.done_s)

    def figures(self) -> Figures:
        """Return what was metered since the settling."""
        config = self._config
        _, delivered, received = energy_wh(config, self._bench.state, self._base)
        # What goes to and fro stands for apparent energy: with the sun on the roof a year's net can be next to none.
        energies = np.stack([delivered, received, self._true_wh, self._through_wh])
        return Figures(
            config=config,
            settle_frames=self._settle_s * self._source.rate,
            frames=(self.done_s - self._settle_s) * self._source.rate,
            **metered(config, self._tally, energies, self._bench.state.lost - self._base.lost),
            engine="golden",
            bit_exact=False,
            real_time_factor=self.done_s / self._bench.seconds,
            checked_frames=len(self.checked) * CHECK_S * self._source.rate,
        )

    # ---- saving ----------------------------------------------------------------------------------

    def save(self) -> bytes:
        """Return all that it takes to go on from here, in another process."""
        content = {
            "identity": self._identity,
            "golden": np.frombuffer(self._golden.save(), np.uint8),
            "done_s": self.done_s,
            "metering_s": self._bench.seconds,
            "true_wh": self._true_wh,
            "through_wh": self._through_wh,
            "days": np.array(self._days),
            "checked": np.array(self.checked, np.int64),
            "levels": self._tally.levels,
            "before": self._tally.before,
            "rises": self._tally.rises,
            "falls": self._tally.falls,
        }
        for name, state in (("base", self._base), ("day", self._day)):
            content |= {
                f"{name}_energy": state.energy, f"{name}_outputs": state.outputs,
                f"{name}_frames": np.array([state.frames, state.lost]),
            }  # fmt: skip
        file = io.BytesIO()
        np.savez(file, **content)
        return file.getvalue()

    def restore(self, saved: bytes) -> None:
        """Go on from what was saved.

        Raises
        ------
        ForeignRun
            It is not of this run: another model, source, length, seed or version; or it is damaged.
        """
        try:
            with np.load(io.BytesIO(saved)) as file:
                content = dict(file)
            identity = str(content["identity"])
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile):
            raise ForeignRun("it is not the state of a run, or damaged") from None
        if identity != self._identity:
            raise ForeignRun("it is the state of a run with other options, or of another version of Blondel")
        self._golden.restore(content["golden"].tobytes())
        self._bench.state = self._golden.state()
        self._bench.seconds = float(content["metering_s"])
        self.done_s = int(content["done_s"])
        self._true_wh, self._through_wh = content["true_wh"], content["through_wh"]
        self._days, self.checked = list(content["days"]), content["checked"].tolist()
        for name in ("levels", "before", "rises", "falls"):
            setattr(self._tally, name, content[name])
        self._base, self._day = (
            State(
                self._config, content[f"{name}_energy"], content[f"{name}_outputs"], *content[f"{name}_frames"].tolist()
            )
            for name in ("base", "day")
        )
