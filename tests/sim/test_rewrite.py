"""The rewrites of the generated design: they merge what they may, leave the rest, and change no bit of its state."""

from __future__ import annotations

import pytest
from vectors import BUSY, busy_frames

from blondel.sim.rtl import rewrite
from blondel.sim.rtl.engine import RtlMeter

#: A stage with two flip-flops, a write enable, and an output that the next stage waits for.
STAGE = r"""module \stage
  wire width 1 input 0 \i
  wire width 1 output 1 \o
  wire width 1 \step
  wire width 4 \count
  wire width 1 \enable
  wire width 1 \word.enable
  wire width 1 $1
  wire width 4 $2

  process $3
    assign \o [0] 1'0
    switch \step [0]
      case 1'0
      case 1'1
        assign \o [0] 1'1
    end
  end

  process $4
    assign $1 [0] \step [0]
    switch \step [0]
      case 1'0
        switch \i [0]
          case 1'1
            assign $1 [0] 1'1
        end
      case 1'1
        assign $1 [0] 1'0
    end
    switch \rst [0]
      case 1'1
        assign $1 [0] 1'0
    end
  end

  cell $dff $5
    connect \D $1 [0]
    connect \Q \step
  end

  process $6
    assign $2 [3:0] \count [3:0]
    switch \i [0]
      case 1'1
        assign $2 [3:0] 4'0001
    end
    switch \step [0]
      case 1'0
        switch \i [0]
          case 1'1
            assign $2 [3:0] 4'0010
        end
      case 1'1
    end
  end

  cell $dff $7
    connect \D $2 [3:0]
    connect \Q \count
  end

  process $8
    assign \enable [0] 1'0
    switch \step [0]
      case 1'0
      case 1'1
        assign \enable [0] 1'1
    end
  end

  cell $memwr_v2 $9
    connect \EN \enable [0]
  end

connect \word.enable \enable [0]

end
"""
MERGED = r"""  process $merged
    assign $1 [0] \step [0]
    assign $2 [3:0] \count [3:0]
    assign \enable [0] 1'0
    switch \step [0]
      case 1'0
        switch \i [0]
          case 1'1
            assign $1 [0] 1'1
        end
      case 1'1
        assign $1 [0] 1'0
        assign \enable [0] 1'1
    end
    switch \rst [0]
      case 1'1
        assign $1 [0] 1'0
    end
    switch \i [0]
      case 1'1
        assign $2 [3:0] 4'0001
    end
    switch \step [0]
      case 1'0
        switch \i [0]
          case 1'1
            assign $2 [3:0] 4'0010
        end
      case 1'1
    end
  end
"""


def test_processes_are_merged_where_nothing_waits_for_them():
    merged = rewrite.merge_processes(STAGE)
    assert merged.count("  process ") == 2
    # The output may be waited for; the second flip-flop's decisions keep their order.
    assert STAGE[STAGE.index("  process $3") : STAGE.index("  process $4")] in merged
    assert MERGED in merged
    assert rewrite.merge_processes(merged).count("  process ") == 2


@pytest.mark.parametrize("reader", ["cell $not $10\n    connect \\A \\enable [0]\n  end", "wire output 2 \\enable"])
def test_a_signal_that_logic_or_the_outside_reads_keeps_its_process(reader):
    merged = rewrite.merge_processes(STAGE.replace("  wire width 4 $2\n", f"  wire width 4 $2\n  {reader}\n"))
    assert "  process $8" in merged


def test_a_process_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="unexpected line in a process: '    sync always'"):
        rewrite.merge_processes(STAGE.replace("  process $4\n", "  process $4\n    sync always\n"))


def test_flip_flops_are_written_where_they_change():
    design = """\
	value<2> i_5;
	value<2> i_6;
	value<1> i_7;
	i_5 = p_step.curr;
	if (p_i) {
		i_5 = value<2>{0x1u};
	} else {
		i_5 = p_step.curr;
	}
	i_6 = p_step.curr;
	i_7 = value<1>{0u};
	if (posedge_p_clk) {
		p_step.next = i_5;
	}
	if (posedge_p_clk) {
		p_copy.next = i_6;
	}
	if (posedge_p_clk) {
		p_valid.next = i_7;
	}
"""
    # What begins as something else than the flip-flop's value stays as it is.
    assert rewrite.write_changes_only(design) == """\
	value<2> i_6;
	value<1> i_7;
	if (p_i) {
		p_step.next = value<2>{0x1u};
	} else {
		p_step.next = p_step.curr;
	}
	i_6 = p_step.curr;
	i_7 = value<1>{0u};
	if (posedge_p_clk) {
		p_copy.next = i_6;
	}
	if (posedge_p_clk) {
		p_valid.next = i_7;
	}
"""


def test_the_design_as_it_comes_has_the_same_state(tmp_path, monkeypatch):
    frames, ok = busy_frames(BUSY, 600)
    states = []
    for unchanged in (False, True):
        if unchanged:
            monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
            for name in rewrite.__all__:
                monkeypatch.setattr(rewrite, name, lambda design: design)
        meter = RtlMeter(BUSY)
        meter.next(frames, ok)
        states.append(meter.save())
    assert states[0] == states[1]
