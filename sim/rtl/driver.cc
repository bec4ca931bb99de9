// Runs the generated design: frames in, edges of the outputs out, nothing per clock outside of C++.
//
// Compiled with DESIGN (the file that write_cxxrtl wrote), ELEMENTS, METERS and SAMPLE_BITS defined.

#include <cxxrtl/cxxrtl.h>
#include <cxxrtl/cxxrtl_vcd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace cxxrtl_design {

// Sees every flip-flop and every memory of a design, in an order that is always the same: commit() takes it for an
// observer.
struct Visitor {
    virtual void flip_flop(cxxrtl::chunk_t *curr, cxxrtl::chunk_t *next, size_t chunks) = 0;
    virtual void memory(cxxrtl::chunk_t *words, size_t chunks, bool written) = 0;
};

// The generated code finds these two before CXXRTL's own, which they stand in for. They do not find out what a clock
// changes: the design has no feedback, and so each clock is evaluated once. It must not be evaluated twice: processes
// leave the next value of a flip-flop alone where it is the current one.
template <size_t Bits>
struct wire : cxxrtl::wire<Bits> {
    using cxxrtl::wire<Bits>::wire;

    template <typename Observer>
    CXXRTL_ALWAYS_INLINE bool commit(Observer &observer) {
        if constexpr (std::is_base_of_v<Visitor, Observer>)
            observer.flip_flop(this->curr.data, this->next.data, this->next.chunks);
        this->curr = this->next;
        return false;
    }
};

// Most clocks write to few memories, and to those once: by the port of the lowest priority.
template <size_t Width>
struct memory : cxxrtl::memory<Width> {
    using cxxrtl::memory<Width>::memory;
    using Word = cxxrtl::value<Width>;

    bool written = false;
    size_t written_index;
    Word written_word, written_mask;

    CXXRTL_ALWAYS_INLINE void update(size_t index, const Word &word, const Word &mask, int priority) {
        if (mask.is_zero())
            return;
        if (priority != 0)
            return cxxrtl::memory<Width>::update(index, word, mask, priority);
        written = true;
        written_index = index;
        written_word = word;
        written_mask = mask;
    }

    template <typename Observer>
    CXXRTL_ALWAYS_INLINE bool commit(Observer &observer) {
        if constexpr (std::is_base_of_v<Visitor, Observer>)
            observer.memory(this->data[0].data, this->depth * Word::chunks, written || !this->write_queue.empty());
        if (written)
            this->data[written_index] = this->data[written_index].update(written_word, written_mask);
        written = false;
        if (!this->write_queue.empty()) {
            cxxrtl::observer nobody;
            cxxrtl::memory<Width>::commit(nobody);
        }
        return false;
    }
};

}  // namespace cxxrtl_design

#include DESIGN

namespace {

using Design = cxxrtl_design::p_blondel__meter;

// A frame takes a few dozen clocks an element; a core that is silent for this long is stuck.
constexpr int64_t PATIENCE_CLOCKS = 100'000;
// After its last frame a core comes to rest within a few clocks.
constexpr int REST_CLOCKS = 1'000;
constexpr unsigned CHANNELS = 2 * ELEMENTS;

struct Change final : cxxrtl_design::Visitor {
    bool found = false;
    void flip_flop(cxxrtl::chunk_t *curr, cxxrtl::chunk_t *next, size_t chunks) override {
        found |= std::memcmp(curr, next, chunks * sizeof *curr) != 0;
    }
    void memory(cxxrtl::chunk_t *, size_t, bool written) override { found |= written; }
};

// Copies the state out, or in. `bytes` may be null, to find out how many there are.
struct Transfer final : cxxrtl_design::Visitor {
    uint8_t *bytes;
    bool in;
    size_t size = 0;

    Transfer(uint8_t *bytes, bool in) : bytes(bytes), in(in) {}
    void transfer(void *data, size_t length) {
        if (bytes && in)
            std::memcpy(data, bytes + size, length);
        else if (bytes)
            std::memcpy(bytes + size, data, length);
        size += length;
    }
    void flip_flop(cxxrtl::chunk_t *, cxxrtl::chunk_t *next, size_t chunks) override {
        transfer(next, chunks * sizeof *next);
    }
    void memory(cxxrtl::chunk_t *words, size_t chunks, bool) override { transfer(words, chunks * sizeof *words); }
};

// All signals that are flip-flops or ports and have names, as VCD, in ps since power-up.
struct Wave {
    cxxrtl::vcd_writer writer;
    double clock_ps;

    Wave(Design &core, double clock_hz) : clock_ps(1e12 / clock_hz) {
        cxxrtl::debug_items items;
        core.debug_info(&items, nullptr, "blondel_meter ");
        writer.timescale(1, "ps");
        writer.add(items, [](const std::string &name, const cxxrtl::debug_item &item) {
            return item.type != cxxrtl::debug_item::MEMORY && name.find('$') == std::string::npos;
        });
    }
    // Inputs change with the rising edge, and so do the signals that follow from them and from the flip-flops.
    void sample(Design &core, uint64_t clock) {
        writer.sample(std::llround(clock * clock_ps));
        core.p_clk.set(false);
        writer.sample(std::llround((clock + 0.5) * clock_ps));
    }
};

// A frame follows as soon as the core takes it.
struct WithoutPause {
    bool due(int64_t) { return true; }
    bool over(int64_t) { return true; }
    void clock(Design &) {}
};

// A frame begins where its time has come, and has its time to the end.
struct AtClock {
    double clocks_per_frame;
    int64_t first;
    Wave *wave;
    uint64_t &now;

    AtClock(double clocks_per_frame, int64_t first, Wave *wave, uint64_t &now)
        : clocks_per_frame(clocks_per_frame), first(first), wave(wave), now(now) {
        // Where the frames before took longer than their time, these are late.
        now = std::max(now, begin(0));
    }
    uint64_t begin(int64_t frame) const { return uint64_t(std::floor((first + frame) * clocks_per_frame)); }
    bool due(int64_t frame) { return now >= begin(frame); }
    bool over(int64_t frames) { return now >= begin(frames); }
    void clock(Design &core) {
        if (wave)
            wave->sample(core, now);
        now++;
    }
};

struct Meter {
    Design top;
    std::vector<int64_t> frame;
    std::vector<uint16_t> output;
    std::vector<uint8_t> level;
    std::vector<uint8_t> levels;
    int64_t frames_done = 0;
    uint64_t clocks = 0;
    // Clocks since power-up if all had been run.
    uint64_t now = 0;
    std::unique_ptr<Wave> wave;

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
            top.p_output__10.get<uint64_t>(), top.p_output__100.get<uint64_t>(),
            top.p_output__1000.get<uint64_t>(), top.p_counter.get<uint64_t>(),
            top.p_test.get<uint64_t>(), top.p_queued.get<uint64_t>()};
        for (unsigned meter = 0; meter < METERS; meter++)
            for (uint64_t output : outputs)
                visit(number++, output >> meter & 1);
        for (uint64_t indicators : {top.p_voltage.get<uint64_t>(), top.p_reversed.get<uint64_t>(),
                                    top.p_overrange.get<uint64_t>(), top.p_no__load.get<uint64_t>()})
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

    template <typename Pace>
    bool run(const int32_t *samples, const uint8_t *ok, int64_t frames, Pace pace) {
        const int64_t last = frames_done + frames;
        int64_t fed = 0;
        unsigned channel = 0;
        int64_t silent = 0;
        while (frames_done < last || !pace.over(frames)) {
            const bool valid = fed < frames && (channel != 0 || pace.due(fed));
            top.p_sample__valid.set(valid);
            // With what the compiler knows here it leaves out a part of the design.
            top.p_rst.set(false);
            top.p_register__valid.set(false);
            if (valid) {
                top.p_sample__data.set(uint32_t(samples[fed * CHANNELS + channel]) & ((1u << SAMPLE_BITS) - 1));
                top.p_sample__ok.set(bool(ok[fed]));
                top.p_sample__last.set(channel == CHANNELS - 1);
            }
            settle();
            if (top.p_frame.get<bool>()) {
                end_of_frame();
                silent = 0;
            } else if (++silent > PATIENCE_CLOCKS) {
                return false;
            }
            if (valid && top.p_sample__ready.get<bool>() && ++channel == CHANNELS) {
                channel = 0;
                fed++;
            }
            pace.clock(top);
            edge();
        }
        top.p_sample__valid.set(false);
        return true;
    }

    // With all calls inlined: the compiler knows here what is not used, and leaves it out.
    __attribute__((flatten)) bool run_without_pause(const int32_t *samples, const uint8_t *ok, int64_t frames) {
        return run(samples, ok, frames, WithoutPause());
    }

    bool run_at_clock(const int32_t *samples, const uint8_t *ok, int64_t frames, double clocks_per_frame) {
        return run(samples, ok, frames, AtClock(clocks_per_frame, frames_done, wave.get(), now));
    }

    // Runs until a clock changes nothing: with the same inputs none after it would. Tells whether there was one.
    bool rest() {
        for (int waited = 0; waited < REST_CLOCKS; waited++) {
            Change change;
            settle();
            top.commit(change);
            clocks++;
            if (!change.found)
                return true;
        }
        return false;
    }

    size_t transfer_state(uint8_t *bytes, bool in) {
        Transfer state(bytes, in);
        state.transfer(&frames_done, sizeof frames_done);
        state.transfer(&clocks, sizeof clocks);
        state.transfer(&now, sizeof now);
        state.transfer(levels.data(), levels.size());
        top.commit(state);
        return state.size;
    }

    // Copies the words of a flip-flop or of a memory out, or in; each takes 64 bits. `words` may be null, to find out how
    // many there are, and how wide: none where nothing that is a state, and no wider, has that name.
    size_t transfer_words(const std::string &name, uint64_t *words, size_t *width, bool in) {
        cxxrtl::debug_items items;
        top.debug_info(&items, nullptr, "");
        if (items.count(name) != 1)
            return 0;
        const cxxrtl::debug_item *item = &items[name];
        // Where a port shows a flip-flop, that is meant.
        for (const auto &other : items.table)
            if (item->type == cxxrtl::debug_item::ALIAS && other.second.size() == 1 &&
                other.second[0].type == cxxrtl::debug_item::WIRE && other.second[0].curr == item->curr)
                item = &other.second[0];
        const bool memory = item->type == cxxrtl::debug_item::MEMORY;
        const size_t chunks = (item->width + 31) / 32;
        if ((!memory && item->type != cxxrtl::debug_item::WIRE) || chunks > 2)
            return 0;
        *width = item->width;
        for (size_t n = 0; words && n < item->depth; n++) {
            uint32_t *word = item->curr + n * chunks;
            if (in)
                std::memcpy(word, &words[n], chunks * sizeof *word);
            else
                words[n] = word[0] | (chunks > 1 ? uint64_t(word[1]) << 32 : 0);
            if (in && !memory)
                std::memcpy(item->next, word, chunks * sizeof *word);
        }
        return item->depth;
    }

    // A state was put in, word by word: that after so many frames.
    void begin_after(int64_t frames) {
        frames_done = frames;
        take_levels();
    }

    bool access(uint32_t address, bool write, uint32_t wdata, uint32_t *rdata) {
        top.p_register__valid.set(true);
        top.p_register__address.set(address);
        top.p_register__write.set(write);
        top.p_register__wdata.set(wdata);
        for (int64_t waited = 0; waited < PATIENCE_CLOCKS; waited++) {
            settle();
            const bool ready = top.p_register__ready.get<bool>();
            *rdata = top.p_register__rdata.get<uint32_t>();
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

Meter &of(void *meter) { return *static_cast<Meter *>(meter); }

}  // namespace

// All else is hidden, so that the compiler may inline it.
#pragma GCC visibility push(default)
extern "C" {

void *meter_new() { return new Meter; }

void meter_delete(void *meter) { delete static_cast<Meter *>(meter); }

// Returns the number of edges, or -1 where the core is stuck. A frame has `clocks_per_frame`, or, where that is 0, follows
// without a pause.
int64_t meter_next(void *meter, const int32_t *samples, const uint8_t *ok, int64_t frames, double clocks_per_frame) {
    auto &self = of(meter);
    self.frame.clear();
    self.output.clear();
    self.level.clear();
    const bool done = clocks_per_frame > 0 ? self.run_at_clock(samples, ok, frames, clocks_per_frame)
                                           : self.run_without_pause(samples, ok, frames);
    return done ? int64_t(self.frame.size()) : -1;
}

// Copies the edges of the last meter_next().
void meter_edges(void *meter, int64_t *frame, uint16_t *output, uint8_t *level) {
    const auto &self = of(meter);
    std::copy(self.frame.begin(), self.frame.end(), frame);
    std::copy(self.output.begin(), self.output.end(), output);
    std::copy(self.level.begin(), self.level.end(), level);
}

int meter_rest(void *meter) { return of(meter).rest(); }

int meter_access(void *meter, uint32_t address, int write, uint32_t wdata, uint32_t *rdata) {
    return of(meter).access(address, write, wdata, rdata);
}

uint64_t meter_clocks(void *meter) { return of(meter).clocks; }

int64_t meter_frames(void *meter) { return of(meter).frames_done; }

// Return the number of bytes; `state` may be null where they are only counted.
size_t meter_save(void *meter, uint8_t *state) { return of(meter).transfer_state(state, false); }

// Takes what meter_save() gave for the same design.
void meter_restore(void *meter, uint8_t *state) { of(meter).transfer_state(state, true); }

// Returns how many words there are; see Meter::transfer_words().
size_t meter_words(void *meter, const char *name, uint64_t *words, size_t *width, int in) {
    return of(meter).transfer_words(name, words, width, in);
}

void meter_begin_after(void *meter, int64_t frames) { of(meter).begin_after(frames); }

// From here on each clock that is run at its time is recorded.
void meter_record(void *meter, double clock_hz) { of(meter).wave = std::make_unique<Wave>(of(meter).top, clock_hz); }

// Gives what was recorded since the last call; the pointer is good until the meter is used again.
size_t meter_recorded(void *meter, const char **text) {
    static thread_local std::string taken;
    taken.clear();
    taken.swap(of(meter).wave->writer.buffer);
    *text = taken.data();
    return taken.size();
}

void meter_stop_recording(void *meter) { of(meter).wave.reset(); }
}
#pragma GCC visibility pop
