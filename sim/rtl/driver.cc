// Runs the generated design: frames in, edges of the outputs out, nothing per clock outside of C++.
//
// Compiled with DESIGN (the file that write_cxxrtl wrote), ELEMENTS, METERS and SAMPLE_BITS defined.

#include DESIGN

#include <cstdint>
#include <memory>
#include <vector>

namespace {

// A frame takes a few dozen clocks an element; a core that is silent for this long is stuck.
constexpr int64_t PATIENCE_CLOCKS = 100'000;

struct Meter {
    cxxrtl_design::p_blondel__meter top;
    std::vector<int64_t> frame;
    std::vector<uint16_t> output;
    std::vector<uint8_t> level;
    std::vector<uint8_t> levels;
    int64_t frames_done = 0;
    uint64_t clocks = 0;

    Meter() : levels(6 * METERS + 4 * ELEMENTS) {
        top.p_rst.set(true);
        clock();
        top.p_rst.set(false);
        take_levels();
    }

    // What the outputs show without a frame's being metered is where their edges start from.
    void take_levels() {
        clock();
        each_output([this](unsigned number, bool now) { levels[number] = now; });
    }

    // Evaluates all that depends on the registers and the inputs, as it is just before the rising edge.
    // The falling edge is skipped: nothing happens at it, and it would cost as much again.
    void settle() {
        top.prev_p_clk.set(false);
        top.p_clk.set(true);
        top.eval();
    }

    // The rising edge itself: the registers take their new values.
    void edge() {
        top.commit();
        clocks++;
    }

    void clock() {
        settle();
        edge();
    }

    template <typename F>
    void each_output(F visit) const {
        unsigned number = 0;
        const uint64_t outputs[] = {
            top.p_output__10.template get<uint64_t>(), top.p_output__100.template get<uint64_t>(),
            top.p_output__1000.template get<uint64_t>(), top.p_counter.template get<uint64_t>(),
            top.p_test.template get<uint64_t>(), top.p_queued.template get<uint64_t>()};
        for (unsigned meter = 0; meter < METERS; meter++)
            for (uint64_t output : outputs)
                visit(number++, output >> meter & 1);
        for (uint64_t indicators : {top.p_voltage.template get<uint64_t>(), top.p_reversed.template get<uint64_t>(),
                                    top.p_overrange.template get<uint64_t>(), top.p_no__load.template get<uint64_t>()})
            for (unsigned element = 0; element < ELEMENTS; element++)
                visit(number++, indicators >> element & 1);
    }

    void end_of_frame() {
        each_output([this](unsigned number, bool now) {
            if (levels[number] == now)
                return;
            levels[number] = now;
            frame.push_back(frames_done);
            output.push_back(number);
            level.push_back(now);
        });
        frames_done++;
    }

    bool next(const int32_t *samples, const uint8_t *ok, int64_t frames) {
        const unsigned channels = 2 * ELEMENTS;
        const int64_t last = frames_done + frames;
        int64_t fed = 0;
        unsigned channel = 0;
        int64_t silent = 0;
        while (frames_done < last) {
            const bool valid = fed < frames;
            top.p_sample__valid.set(valid);
            if (valid) {
                top.p_sample__data.set(uint32_t(samples[fed * channels + channel]) & ((1u << SAMPLE_BITS) - 1));
                top.p_sample__ok.set(bool(ok[fed]));
                top.p_sample__last.set(channel == channels - 1);
            }
            settle();
            if (top.p_frame.template get<bool>()) {
                end_of_frame();
                silent = 0;
            } else if (++silent > PATIENCE_CLOCKS) {
                return false;
            }
            if (valid && top.p_sample__ready.template get<bool>() && ++channel == channels) {
                channel = 0;
                fed++;
            }
            edge();
        }
        top.p_sample__valid.set(false);
        return true;
    }

    bool access(uint32_t address, bool write, uint32_t wdata, uint32_t *rdata) {
        top.p_register__valid.set(true);
        top.p_register__address.set(address);
        top.p_register__write.set(write);
        top.p_register__wdata.set(wdata);
        for (int64_t waited = 0; waited < PATIENCE_CLOCKS; waited++) {
            settle();
            const bool ready = top.p_register__ready.template get<bool>();
            *rdata = top.p_register__rdata.template get<uint32_t>();
            edge();
            if (ready) {
                top.p_register__valid.set(false);
                take_levels();
                return true;
            }
        }
        return false;
    }
};

}  // namespace

// All else is hidden, so that the compiler may inline it.
#pragma GCC visibility push(default)
extern "C" {

void *meter_new() { return new Meter; }

void meter_delete(void *meter) { delete static_cast<Meter *>(meter); }

// Returns the number of edges, or -1 where the core is stuck.
int64_t meter_next(void *meter, const int32_t *samples, const uint8_t *ok, int64_t frames) {
    auto &self = *static_cast<Meter *>(meter);
    self.frame.clear();
    self.output.clear();
    self.level.clear();
    return self.next(samples, ok, frames) ? int64_t(self.frame.size()) : -1;
}

// Copies the edges of the last meter_next().
void meter_edges(void *meter, int64_t *frame, uint16_t *output, uint8_t *level) {
    const auto &self = *static_cast<Meter *>(meter);
    std::copy(self.frame.begin(), self.frame.end(), frame);
    std::copy(self.output.begin(), self.output.end(), output);
    std::copy(self.level.begin(), self.level.end(), level);
}

int meter_access(void *meter, uint32_t address, int write, uint32_t wdata, uint32_t *rdata) {
    return static_cast<Meter *>(meter)->access(address, write, wdata, rdata);
}

uint64_t meter_clocks(void *meter) { return static_cast<Meter *>(meter)->clocks; }
}
#pragma GCC visibility pop
