// SPDX-License-Identifier: Apache-2.0
// The guest of bench/devices.py: drives a virtio disk or network as hard as it can, and says when.
//
// The command line says what: do=read|write|send|receive, and size=, depth=, count=, span= (blocks
// of `size` that reads and writes go to), random=1, bytes=1 (`count` is bytes). It says '[' when it
// is at full speed, ']' when `count` more are done, '!' with a reason when something was wrong.
#include "io_queue.hpp"

namespace guest {
namespace {

constexpr u32 kHeaderSize = 12;  // virtio_net_hdr
constexpr u32 kRoom = 64U << 20;
constexpr u16 kBlock = 2;
constexpr u16 kNet = 1;
constexpr unsigned kSector = 512;
constexpr u32 kPage = 4096;
constexpr u16 kVendor = 0x1af4;
constexpr u16 kFirstDevice = 0x1040;
constexpr u32 kBarWindow = 0xc800'0000;  // below ECAM, above RAM: in every machine compared here

alignas(2 << 20) volatile u8 room[kRoom];
volatile u8 headers[IoQueue::kMostSlots][16];
volatile u8 verdicts[IoQueue::kMostSlots];

struct Job {
    const char* what = "";
    u64 size = 4096;
    u64 depth = 1;
    u64 count = 1000;
    u64 span = 1;
    bool random = false;
    bool bytes = false;
};

[[noreturn]] void give_up(const char* why) {
    say('!');
    say(why);
    say('\n');
    for (;;)
        pause();
}

/// The value of `key`, which ends in '='; null: it is not there.
const char* option(const char* line, const char* key) {
    for (; *line != 0; ++line) {
        const char* a = line;
        const char* b = key;
        while (*b != 0 && *a == *b) {
            ++a;
            ++b;
        }
        if (*b == 0)
            return a;
    }
    return nullptr;
}

u64 number(const char* line, const char* key, u64 otherwise) {
    const char* at = option(line, key);
    if (at == nullptr)
        return otherwise;
    u64 value = 0;
    for (; *at >= '0' && *at <= '9'; ++at)
        value = value * 10 + static_cast<u64>(*at - '0');
    return value;
}

Job read_job(const char* line) {
    Job job;
    const char* what = option(line, "do=");
    job.what = what == nullptr ? "" : what;
    job.size = number(line, "size=", job.size);
    job.depth = number(line, "depth=", job.depth);
    job.count = number(line, "count=", job.count);
    job.span = number(line, "span=", job.span);
    job.random = number(line, "random=", 0) != 0;
    job.bytes = number(line, "bytes=", 0) != 0;
    return job;
}

bool starts(const char* text, const char* with) {
    for (; *with != 0; ++text, ++with)
        if (*text != *with)
            return false;
    return true;
}

// Where no firmware ran, BARs are where they were at power-on: nowhere.
void place_bars(Function function) {
    static u32 next = kBarWindow;
    if (!function)
        return;
    function.set16(kCommand, 0);
    for (unsigned i = 0; i < 6; ++i) {
        const u32 at = kBar0 + 4 * i;
        const u32 was = function.get32(at);
        function.set32(at, 0xffff'ffff);
        const u32 mask = function.get32(at);
        function.set32(at, was);
        if (mask == 0 || (mask & 1) != 0)
            continue;  // none, or ports
        const bool wide = (mask & 6) == 4;
        if ((was & ~0xfU) == 0 || (wide && function.get32(at + 4) != 0)) {
            const u32 size = ~(mask & ~0xfU) + 1;
            next = (next + size - 1) & ~(size - 1);
            function.set32(at, next);
            if (wide)
                function.set32(at + 4, 0);
            next += size;
        }
        i += wide ? 1 : 0;
    }
}

// Good enough to jump about with.
u64 next_random() {
    static u64 state = 0x9e37'79b9'7f4a'7c15;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

u64 open_device(Virtio& device, u16 type, u64 wanted) {
    place_bars(find_function(kVendor, static_cast<u16>(kFirstDevice + type)));
    if (!device.find(type, 0))
        give_up("no such device");
    const u64 features = device.offered() & (wanted | kIndirectFeature | kEventIndex | kVersion1);
    if (!device.begin(features))
        give_up("the device does not take these features");
    return features;
}

// Memory that was never written to is one page of zeroes to the host, always in its nearest cache.
void touch(u64 bytes) {
    for (u64 at = 0; at < bytes; at += kPage)
        room[at] = 1;
}

// ---- disk

class Disk {
public:
    explicit Disk(const Job& job) : job_{job} {
        // Without FLUSH each write would have to reach stable storage before it is done.
        const u64 features = open_device(device_, kBlock, feature(9));
        if (!queue_.set_up(device_, 0, static_cast<u16>(job.depth), 3, features))
            give_up("no queue");
        if (job.depth * job.size > kRoom)
            give_up("that takes too much memory");
        touch(job.depth * job.size);
        const bool write = starts(job.what, "write");
        for (u16 slot = 0; slot < queue_.slots(); ++slot) {
            write32(address_of(headers[slot]), write ? 1 : 0);
            const Descriptor request[] = {
                {.at = address_of(headers[slot]), .length = 16, .flags = 0, .next = 0},
                {.at = address_of(room) + slot * job.size,
                 .length = static_cast<u32>(job.size),
                 .flags = write ? u16{0} : kWrite,
                 .next = 0},
                {.at = address_of(&verdicts[slot]), .length = 1, .flags = kWrite, .next = 0},
            };
            queue_.describe(slot, request, 3);
        }
        device_.drive();
    }

    /// Does `count`, with as many as possible under way.
    void run(u64 count) {
        u64 started = 0;
        u64 done = 0;
        for (u16 slot = 0; slot < queue_.slots() && started < count; ++slot, ++started)
            ask(slot);
        queue_.flush();
        while (done < count) {
            u16 slot = 0;
            u32 length = 0;
            while (queue_.take(slot, length)) {
                if (verdicts[slot] != 0)
                    give_up("an error came back");
                ++done;
                if (started < count) {
                    ask(slot);
                    ++started;
                }
            }
            queue_.flush();
        }
    }
    u64 kicks() const { return queue_.kicks(); }

private:
    void ask(u16 slot) {
        const u64 block = (job_.random ? next_random() : at_++) % job_.span;
        verdicts[slot] = 0xff;
        write64(address_of(headers[slot]) + 8, block * (job_.size / kSector));
        queue_.offer(slot);
    }

    const Job& job_;
    Virtio device_;
    IoQueue queue_;
    u64 at_ = 0;
};

// ---- network

constexpr u64 kNetFeatures = feature(0) | feature(1) | feature(7) | feature(8) | feature(11) |
                             feature(12) | feature(15);  // checksums, TSO, MRG_RXBUF
constexpr u64 kMergeable = feature(15);
constexpr u32 kLargestPlain = 1514;

// Ethernet, IPv4 and TCP, to a station that nobody is: the host's stack drops it at once. A frame
// that is longer than the wire takes is one for the host to cut.
void write_frame(u64 where, u32 size) {
    auto* const at = reinterpret_cast<volatile u8*>(where);
    static constexpr u8 kEthernet[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    static constexpr u8 kIp[] = {0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 9, 9, 1, 10, 9, 9, 2};
    static constexpr u8 kTcp[] = {0x10, 0, 0x20, 0,    0,    0,    0, 0, 0, 0,
                                  0,    0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0};
    for (u32 i = 0; i < kHeaderSize; ++i)
        at[i] = 0;
    if (size > kLargestPlain) {
        at[0] = 1;  // NEEDS_CSUM
        at[1] = 1;  // GSO_TCPV4
        write16(where + 2, 54);
        write16(where + 4, 1448);
        write16(where + 6, 34);
        write16(where + 8, 16);
    }
    volatile u8* frame = at + kHeaderSize;
    for (u32 i = 0; i < sizeof(kEthernet); ++i)
        frame[i] = kEthernet[i];
    for (u32 i = 0; i < sizeof(kIp); ++i)
        frame[14 + i] = kIp[i];
    for (u32 i = 0; i < sizeof(kTcp); ++i)
        frame[34 + i] = kTcp[i];
    frame[16] = static_cast<u8>((size - 14) >> 8);
    frame[17] = static_cast<u8>(size - 14);
}

class Net {
public:
    explicit Net(const Job& job) : job_{job}, sends_{starts(job.what, "send")} {
        const u64 features = open_device(device_, kNet, kNetFeatures);
        // As Linux does: pages that may be merged, or a chain of them for the longest frame.
        const u16 pages = (features & kMergeable) != 0 ? u16{1} : IoQueue::kMostParts;
        if (!receive_.set_up(device_, 0, IoQueue::kMostSlots, pages, features) ||
            !send_.set_up(device_, 1, static_cast<u16>(job.depth), 1, features))
            give_up("no queue");
        IoQueue& queue = sends_ ? send_ : receive_;
        const u64 size = sends_ ? kHeaderSize + job.size : u64{pages} * kPage;
        if (queue.slots() * size > kRoom)
            give_up("that takes too much memory");
        touch(queue.slots() * size);
        for (u16 slot = 0; slot < queue.slots(); ++slot) {
            const u64 at = address_of(room) + slot * size;
            if (sends_)
                describe_frame(slot, at);
            else
                describe_pages(slot, at, pages);
        }
        device_.drive();
        for (u16 slot = 0; slot < queue.slots(); ++slot)
            queue.offer(slot);
        queue.flush();
    }

    /// Goes on until `count` more are done, and keeps the ring full.
    void run(u64 count) {
        IoQueue& queue = sends_ ? send_ : receive_;
        u64 done = 0;
        while (done < count) {
            u16 slot = 0;
            u32 length = 0;
            while (done < count && queue.take(slot, length)) {
                done += !job_.bytes ? 1 : sends_ ? job_.size : length;
                queue.offer(slot);
            }
            queue.flush();
        }
    }
    u64 kicks() const { return receive_.kicks() + send_.kicks(); }

private:
    void describe_frame(u16 slot, u64 at) {
        const auto size = static_cast<u32>(job_.size);
        write_frame(at, size);
        const Descriptor whole{.at = at, .length = kHeaderSize + size, .flags = 0, .next = 0};
        send_.describe(slot, &whole, 1);
    }
    void describe_pages(u16 slot, u64 at, u16 pages) {
        Descriptor parts[IoQueue::kMostParts] = {};
        for (u16 i = 0; i < pages; ++i)
            parts[i] = {.at = at + i * kPage, .length = kPage, .flags = kWrite, .next = 0};
        receive_.describe(slot, parts, pages);
    }

    const Job& job_;
    bool sends_;
    Virtio device_;
    IoQueue receive_;
    IoQueue send_;
};

template <class Bench>
void measure(const Job& job) {
    Bench bench{job};
    say('.');  // whoever sends to this guest can begin
    bench.run(job.count / 10 + 1);
    const u64 kicks = bench.kicks();
    say('[');
    bench.run(job.count);
    say(']');
    say_number(bench.kicks() - kicks);
    say('\n');
}

}  // namespace

extern "C" [[noreturn]] void guest_main(u64 start_info) {
    const Job job = read_job(command_line(start_info));
    if (starts(job.what, "read") || starts(job.what, "write"))
        measure<Disk>(job);
    else if (starts(job.what, "send") || starts(job.what, "receive"))
        measure<Net>(job);
    else
        give_up("do=read|write|send|receive");
    for (;;)
        pause();
}

}  // namespace guest
