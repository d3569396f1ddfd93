// SPDX-License-Identifier: Apache-2.0
// Runs the cases that the kernel command line asks for, and judges each.
//
//   device=NAME   the cases of one kind of device, or of `pc`
//   only=TEXT     of these, those whose name contains TEXT
//   rounds=N      all of it N times; the host looks at the VMM after each
//   device=reset  resets of the machine, each a round of its own
//   device=NAME stop=1   all the work that there is for it, until the host ends the process
//   device=largest  the disk's largest requests of the kind `only`; largest.py drives it
//   device=undecodable  one access, `only`, that ends the machine
//   device=chaos  no cases: chaos.hpp
//
// What it says, a line each: "case NAME ok", "case NAME FAIL reason", "round N cases C failed F";
// after that it waits for a byte from the host. In the last round it also says "rest NAME" and
// waits when a case has done its worst, before the device is reset: does a thread spin now?
// In the end the exit code is kAllGood or kSomeBad.
#include "chaos.hpp"
#include "lab.hpp"
#include "platform.hpp"
#include "work.hpp"

namespace guest {
namespace {

constexpr u8 kAllGood = 40;
constexpr u8 kSomeBad = 41;
constexpr u8 kNoDevice = 42;

struct Options {
    char device[32] = {};
    char only[96] = {};
    unsigned rounds = 1;
    bool last_round = false;
    bool stop = false;
};

struct Score {
    unsigned cases = 0;
    unsigned failed = 0;
};

// Text after `key` in a command line, up to the next space.
bool option(const char* line, const char* key, char* to, unsigned room) {
    for (; *line != 0; ++line) {
        unsigned i = 0;
        while (key[i] != 0 && line[i] == key[i])
            ++i;
        if (key[i] != 0)
            continue;
        unsigned length = 0;
        for (line += i; *line != 0 && *line != ' ' && length + 1 < room; ++line)
            to[length++] = *line;
        to[length] = 0;
        return true;
    }
    return false;
}

unsigned number_of(const char* digits) {
    unsigned number = 0;
    for (; *digits >= '0' && *digits <= '9'; ++digits)
        number = 10 * number + static_cast<unsigned>(*digits - '0');
    return number;
}

Options read_options(const char* line) {
    Options options;
    option(line, "device=", options.device, sizeof options.device);
    option(line, "only=", options.only, sizeof options.only);
    char rounds[4] = {};
    if (option(line, "rounds=", rounds, sizeof rounds))
        options.rounds = number_of(rounds);
    char stop[2] = {};
    options.stop = option(line, "stop=", stop, sizeof stop);
    return options;
}

/// A name that is put together; long enough for all there are.
class Name {
public:
    Name& add(const char* text) {
        for (; *text != 0 && length_ + 1 < sizeof text_; ++text)
            text_[length_++] = *text;
        return *this;
    }
    Name& row(unsigned number) {
        const char digits[] = {static_cast<char>('0' + number / 10),
                               static_cast<char>('0' + number % 10), 0};
        return add("row").add(digits).add(".");
    }
    const char* text() const { return text_; }

private:
    char text_[128] = {};
    unsigned length_ = 0;
};

void report(const Name& name, const char* why, const u64* number, Score& score) {
    ++score.cases;
    say("case ");
    say(name.text());
    if (why == nullptr) {
        say(" ok\n");
        return;
    }
    ++score.failed;
    say(" FAIL ");
    say(why);
    if (number != nullptr) {
        say(" 0x");
        say_hex(*number);
    }
    say("\n");
}

void rest(const Name& name) {
    say("rest ");
    say(name.text());
    say("\n");
    hear();
}

void judge(const Case& of, Lab& lab, const char* ring, const Options& options, Score& score) {
    Name name;
    name.row(of.row).add(lab.kind->name).add(".").add(ring).add(of.name);
    if (!contains(name.text(), options.only))
        return;
    lab.why = nullptr;
    lab.has_number = false;
    lab.busy = false;
    of.run(lab);
    const bool alive = lab.alive();
    if (options.last_round && !lab.busy)
        rest(name);
    lab.tidy();
    // Alive it is, or as good as new after a reset.
    if (lab.why == nullptr && !alive && lab.up())
        lab.works();
    report(name, lab.why, lab.has_number ? &lab.number : nullptr, score);
}

void run_kind(Lab& lab, const Options& options, Score& score) {
    const Cases all[] = {chain_cases(),    indirect_cases(), ring_cases(),       place_cases(),
                         queue_cases(),    status_cases(),   register_cases(),   message_cases(),
                         function_cases(), block_cases(),    net_cases(),        stream_cases(),
                         control_cases(),  race_cases(),     race_queue_cases(), work_cases(),
                         largest_cases(),  format_cases(),   board_cases()};
    for (const auto& [first, count] : all) {
        for (unsigned i = 0; i < count; ++i) {
            const Case& of = first[i];
            const bool own = of.only != nullptr && same(of.only, lab.kind->name);
            if (!own && (of.only != nullptr || lab.kind->own_only))
                continue;
            lab.ring_kind = RingKind::Split;
            if (of.rings == kNoRing)
                judge(of, lab, "", options, score);
            if ((of.rings & kSplit) != 0)
                judge(of, lab, "split.", options, score);
            lab.ring_kind = RingKind::Packed;
            if ((of.rings & kPacked) != 0)
                judge(of, lab, "packed.", options, score);
        }
    }
    lab.device.reset();
}

void run_platform(const PlatformCases& all, const Ram& ram, const Options& options, Score& score) {
    for (unsigned i = 0; i < all.count; ++i) {
        Name name;
        name.row(all.first[i].row).add("pc.").add(all.first[i].name);
        if (!contains(name.text(), options.only))
            continue;
        const char* why = all.first[i].run();
        if (why == nullptr)
            why = all_work(ram);
        report(name, why, nullptr, score);
    }
}

void run_platform(const Ram& ram, const Options& options, Score& score) {
    run_platform(pci_cases(), ram, options, score);
    run_platform(platform_cases(), ram, options, score);
    run_platform(platform_race_cases(), ram, options, score);
}

// The host ends the process while all of it is outstanding.
[[noreturn]] void work_for_ever(Lab& lab) {
    lab.ring_kind = RingKind::Packed;
    say(give_all_there_is(lab) ? "busy\n" : "the device does not come up\n");
    for (;;)
        give_again(lab);
}

bool open(Lab& lab, const Options& options, const Ram& ram) {
    const Kinds kinds = all_kinds();
    for (unsigned i = 0; i < kinds.count; ++i)
        if (same(kinds.first[i].name, options.device))
            return lab.open(kinds.first[i], ram);
    return false;
}

void end_round(unsigned round, const Score& score) {
    say("round ");
    say_number(round);
    say(" cases ");
    say_number(score.cases);
    say(" failed ");
    say_number(score.failed);
    say("\n");
    hear();
}

// One boot: what became of the reset before it, then the next. The last boot ends it all.
[[noreturn]] void run_resets(const Ram& ram) {
    const ResetVerdict verdict = after_reset(ram);
    Score score;
    Name name;
    name.row(verdict.row).add("reset.").add(verdict.ring).add(verdict.name);
    report(name, verdict.why, nullptr, score);
    end_round(verdict.number + 1, score);
    if (score.failed != 0)
        finish(kSomeBad);
    if (verdict.number >= reset_count())
        finish(kAllGood);
    reset_machine(ram, verdict.number + 1);
}

}  // namespace

// Each is reset when it is done: one that still ran would serve the rings of the next.
const char* all_work(const Ram& ram) {
    static Lab lab;
    const Kinds kinds = all_kinds();
    for (unsigned i = 0; i < kinds.count; ++i) {
        if (!lab.open(kinds.first[i], ram))
            continue;
        lab.why = nullptr;
        lab.ring_kind = RingKind::Split;
        const bool good = lab.up() && lab.works();
        if (!lab.device.reset())
            lab.fail("the reset does not end");
        if (!good || lab.why != nullptr)
            return lab.why;
    }
    return nullptr;
}

extern "C" [[noreturn]] void guest_main(u64 told) {
    static Lab lab;
    Options options = read_options(command_line(told));
    const Ram ram = find_ram(told);
    if (same(options.device, "reset"))
        run_resets(ram);
    if (same(options.device, "largest")) {
        run_largest(ram, options.only);
        finish(kNoDevice);
    }
    if (same(options.device, "undecodable")) {
        run_undecodable(options.only);
        finish(kNoDevice);
    }
    if (same(options.device, "chaos"))
        chaos::run(ram);
    const bool platform = same(options.device, "pc");
    if (!platform && !open(lab, options, ram)) {
        say("there is no device ");
        say(options.device);
        say("\n");
        finish(kNoDevice);
    }
    if (options.stop)
        work_for_ever(lab);
    unsigned failed = 0;
    for (unsigned round = 1; round <= options.rounds; ++round) {
        Score score;
        options.last_round = round == options.rounds;
        if (platform)
            run_platform(ram, options, score);
        else
            run_kind(lab, options, score);
        Name neighbours;
        report(neighbours.row(0).add(options.device).add(".the_other_devices_work"), all_work(ram),
               nullptr, score);
        failed += score.failed;
        end_round(round, score);
    }
    finish(failed == 0 ? kAllGood : kSomeBad);
}

}  // namespace guest
