"""The scales of the energy stage at any size: small ones reach every corner soon, and are proven fast."""

from __future__ import annotations

from dataclasses import dataclass

from blondel.hdl.fixed import clog2, signed_width


@dataclass(frozen=True, kw_only=True)
class EnergyScales:
    """What the energy stage uses of a ``MeterConfig``; the derived widths follow the same formulas."""

    elements: int
    product_bits: int
    register_bits: int
    quantum: int
    hysteresis: int
    start_energy: int
    tick: int

    meters: tuple[int, ...] = ()

    @property
    def meter_elements(self) -> tuple[int, ...]:
        return self.meters or (self.elements,)

    def __post_init__(self):
        assert self.quantum > self.product_max, "a quantum is more than one sample can carry"
        assert self.hysteresis >= self.quantum
        assert self.tick > max(self.meter_elements) * self.product_max, "a tick is more than one frame can carry"

    @property
    def product_max(self) -> int:
        return 1 << (self.product_bits - 2)

    @property
    def element_bits(self) -> int:
        return clog2(self.elements + len(self.meter_elements))

    @property
    def accumulator_bits(self) -> int:
        pending = self.hysteresis + self.quantum + 4 * self.product_max
        return signed_width(self.tick + 2 * max(self.meter_elements) * pending)
