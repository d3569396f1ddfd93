// SPDX-License-Identifier: Apache-2.0
// A writer for AML, the byte code of ACPI's namespace: what a DSDT is made of.
//
// Spec: ACPI 6.5, 20.2 (AML grammar), 6.4 (resource data types).
// Terms are small values that know how to write themselves, so an expression nests the way ASL
// does and nothing is built twice: everything goes to the end of one buffer, and a block's length
// is put in front of it when the block ends. Names and ids are encoded by the compiler; a wrong one
// does not compile. Only the terms that our tables need are here.
// One thread; the buffer must outlive the writer. Trusts its caller: nothing here sees a guest.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "vmm/hv.hpp"

namespace vmm::aml {

using Bytes = std::vector<std::byte>;

// ---- names ------------------------------------------------------------------------------------

/// Up to four of A-Z, 0-9 and _, no digit first; the rest is filled with _ (20.2.2).
class NameSeg {
public:
    // NOLINTNEXTLINE(google-explicit-constructor): literals are names
    consteval NameSeg(const char* text) {
        std::size_t length = 0;
        for (; text[length] != '\0'; ++length) {
            if (length == chars_.size() || !is_allowed(text[length], length == 0))
                throw "not an ACPI name segment";
            chars_[length] = text[length];
        }
        if (length == 0)
            throw "an ACPI name segment has at least one character";
    }

    /// A letter and three hexadecimal digits; `number` is below 4096.
    static NameSeg numbered(char letter, unsigned number);

    constexpr const std::array<char, 4>& chars() const { return chars_; }
    static constexpr bool is_allowed(char c, bool first) {
        return (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
    }

private:
    constexpr NameSeg() = default;

    std::array<char, 4> chars_{'_', '_', '_', '_'};
};

/// A path as ASL writes it, "\\_SB.PCI0" or "^PWRB", already encoded. At most four segments.
class NamePath {
public:
    // NOLINTNEXTLINE(google-explicit-constructor): literals are names
    consteval NamePath(const char* text) {
        if (*text == '\\')
            add(*text++);
        while (*text == '^')
            add(*text++);
        unsigned segments = *text == '\0' ? 0 : 1;
        for (const char* at = text; *at != '\0'; ++at)
            segments += *at == '.' ? 1U : 0U;
        if (segments > 4)
            throw "too many segments";
        if (segments == 0)
            add('\0');  // NullName
        if (segments == 2)
            add('\x2e');  // DualNamePrefix
        if (segments > 2) {
            add('\x2f');  // MultiNamePrefix
            add(static_cast<char>(segments));
        }
        while (*text != '\0')
            text = add_segment(text);
    }
    // NOLINTNEXTLINE(google-explicit-constructor): a segment is the shortest path
    constexpr NamePath(NameSeg segment) {
        for (const char c : segment.chars())
            add(c);
    }

    constexpr std::string_view encoded() const { return {bytes_.data(), size_}; }

private:
    constexpr void add(char c) { bytes_[size_++] = c; }
    consteval const char* add_segment(const char* text) {
        unsigned length = 0;
        for (; *text != '\0' && *text != '.'; ++length, ++text) {
            if (length == 4 || !NameSeg::is_allowed(*text, length == 0))
                throw "not an ACPI name segment";
            add(*text);
        }
        if (length == 0)
            throw "empty ACPI name segment";
        for (; length < 4; ++length)
            add('_');
        return *text == '.' ? text + 1 : text;
    }

    std::array<char, 24> bytes_{};
    std::size_t size_ = 0;
};

// ---- the writer ---------------------------------------------------------------------------------

class Resources;
enum class SpaceId : std::uint8_t { SystemMemory = 0, SystemIo = 1 };
enum class Serialized : std::uint8_t { No = 0, Yes = 1 };

/// A bit field inside an operation region.
struct FieldUnit {
    NameSeg name;
    std::uint8_t bits;  ///< below 64
};

class Writer {
public:
    explicit Writer(Bytes& out) : out_{out} {}

    /// Terms one after the other: statements, or the one object that a body must consist of.
    template <class... Terms>
    void add(const Terms&... terms) {
        (write(terms), ...);
    }

    // Named objects.
    template <class Value>
    void name(NamePath path, const Value& value) {
        byte(0x08);  // NameOp
        add(path, value);
    }
    template <std::invocable Body>
    void name(NamePath path, Body&& body) {
        byte(0x08);
        write(path);
        body();
    }
    template <class Body>
    void scope(NamePath path, Body&& body) {
        block(0x10, [&] {  // ScopeOp
            write(path);
            body();
        });
    }
    template <class Body>
    void device(NamePath path, Body&& body) {
        byte(0x5b);        // ExtOpPrefix
        block(0x82, [&] {  // DeviceOp
            write(path);
            body();
        });
    }
    template <class Body>
    void method(NamePath path, std::uint8_t arguments, Serialized serialized, Body&& body) {
        block(0x14, [&] {  // MethodOp
            write(path);
            byte(static_cast<std::uint8_t>(arguments | static_cast<unsigned>(serialized) << 3));
            body();
        });
    }
    void operation_region(NamePath path, SpaceId space, std::uint64_t offset, std::uint64_t length);
    /// Byte accesses, no lock, bits that are not written become zeros.
    void byte_field(NamePath region, std::initializer_list<FieldUnit> units);
    /// The same with accesses of 32 bits.
    void dword_field(NamePath region, std::initializer_list<FieldUnit> units);

    // Values and statements that have a body.
    template <class Body>
    void package(std::uint8_t elements, Body&& body) {
        block(0x12, [&] {  // PackageOp
            byte(elements);
            body();
        });
    }
    /// A buffer of resource descriptors; `body` gets a Resources.
    template <class Body>
    void resource_template(Body&& body);
    template <class Condition, class Body>
    void if_(const Condition& condition, Body&& body) {
        block(0xa0, [&] {  // IfOp
            write(condition);
            body();
        });
    }
    template <class Body>
    void else_(Body&& body) {
        block(0xa1, body);  // ElseOp
    }

    template <class Condition, class Body>
    void while_(const Condition& condition, Body&& body) {
        block(0xa2, [&] {  // WhileOp
            write(condition);
            body();
        });
    }

    // For terms: what bytes there are.
    void byte(std::uint8_t value) { out_.push_back(std::byte{value}); }
    void raw(std::span<const std::byte> bytes);
    void raw(std::string_view bytes) { raw(std::as_bytes(std::span{bytes})); }
    /// Least significant byte first, as all of ACPI.
    template <std::unsigned_integral T>
    void little_endian(T value) {
        std::array<std::byte, sizeof(T)> bytes{};
        for (std::byte& to : bytes) {
            to = static_cast<std::byte>(value);
            value = static_cast<T>(std::uint64_t{value} >> 8);
        }
        raw(bytes);
    }
    /// The shortest encoding (20.2.3).
    void integer(std::uint64_t value);

private:
    void write(const NamePath& path) { raw(path.encoded()); }
    void write(const NameSeg& segment) {
        raw(std::string_view{segment.chars().data(), segment.chars().size()});
    }
    void write(std::unsigned_integral auto value) { integer(value); }
    template <class Term>
    requires requires(const Term& term, Writer& to) { term.write_to(to); }
    void write(const Term& term) { term.write_to(*this); }

    /// An opcode, the length of what `body` writes, and that.
    template <class Body>
    void block(std::uint8_t opcode, Body&& body) {
        byte(opcode);
        const std::size_t start = out_.size();
        body();
        put_length(start);
    }
    void field(const NamePath& region, std::uint8_t access, std::initializer_list<FieldUnit> units);
    void put_length(std::size_t start);
    void put_buffer_size(std::size_t start);

    Bytes& out_;
};

// ---- terms: values ------------------------------------------------------------------------------

/// Plain ASCII.
struct String {
    std::string_view text;
    void write_to(Writer& to) const {
        to.byte(0x0d);  // StringPrefix
        to.raw(text);
        to.byte(0);
    }
};

struct Local {
    std::uint8_t index;  ///< 0 to 7
    void write_to(Writer& to) const { to.byte(static_cast<std::uint8_t>(0x60 + index)); }
};

struct Arg {
    std::uint8_t index;  ///< 0 to 6
    void write_to(Writer& to) const { to.byte(static_cast<std::uint8_t>(0x68 + index)); }
};

/// Where a result goes that nobody wants: NullName.
struct Nowhere {
    void write_to(Writer& to) const { to.byte(0); }
};

/// A plug-and-play id, "PNP0501", packed into 32 bits (19.3.4).
class EisaId {
public:
    explicit consteval EisaId(std::string_view id) {
        if (id.size() != 7)
            throw "an EISA id is three letters and four hexadecimal digits";
        std::uint32_t packed = 0;
        for (std::size_t i = 0; i < 3; ++i)
            packed = packed << 5 | letter(id[i]);
        for (std::size_t i = 3; i < 7; ++i)
            packed = packed << 4 | digit(id[i]);
        value_ = packed >> 24 | (packed >> 8 & 0xff00) | (packed << 8 & 0xff'0000) | packed << 24;
    }
    void write_to(Writer& to) const {
        to.byte(0x0c);  // DWordPrefix
        to.little_endian(value_);
    }

private:
    static consteval std::uint32_t letter(char c) {
        if (c < 'A' || c > 'Z')
            throw "not a capital letter";
        return static_cast<std::uint32_t>(c - '@');
    }
    static consteval std::uint32_t digit(char c) {
        if (c >= '0' && c <= '9')
            return static_cast<std::uint32_t>(c - '0');
        if (c >= 'A' && c <= 'F')
            return static_cast<std::uint32_t>(c - 'A' + 10);
        throw "not a hexadecimal digit";
    }

    std::uint32_t value_ = 0;
};

/// A buffer with a UUID in it; the first three groups are little endian (19.6.142, ToUUID).
class Uuid {
public:
    explicit consteval Uuid(std::string_view text) {
        constexpr std::array<std::uint8_t, 16> kAt = {6,  4,  2,  0,  11, 9,  16, 14,
                                                      19, 21, 24, 26, 28, 30, 32, 34};
        if (text.size() != 36)
            throw "a UUID has 36 characters";
        for (std::size_t i = 0; i < kAt.size(); ++i)
            bytes_[i] = static_cast<std::byte>(digit(text[kAt[i]]) << 4 | digit(text[kAt[i] + 1U]));
    }
    void write_to(Writer& to) const {
        to.raw(std::string_view{"\x11\x13\x0a\x10"});  // BufferOp, 19 bytes in all, size 16
        to.raw(bytes_);
    }

private:
    static consteval unsigned digit(char c) {
        if (c >= '0' && c <= '9')
            return static_cast<unsigned>(c - '0');
        if (c >= 'a' && c <= 'f')
            return static_cast<unsigned>(c - 'a' + 10);
        throw "not a lower case hexadecimal digit";
    }

    std::array<std::byte, 16> bytes_{};
};

// ---- terms: operators and statements ----------------------------------------------------------

/// An opcode (one or two bytes, the first one in the high half) and its operands.
template <class... Operands>
struct Operation {
    std::uint16_t opcode;
    std::tuple<Operands...> operands;

    void write_to(Writer& to) const {
        if (opcode > 0xff)
            to.byte(static_cast<std::uint8_t>(opcode >> 8));
        to.byte(static_cast<std::uint8_t>(opcode));
        std::apply([&](const Operands&... each) { to.add(each...); }, operands);
    }
};

template <class... Operands>
Operation<Operands...> operation(std::uint16_t opcode, const Operands&... operands) {
    return {opcode, {operands...}};
}

template <class From, class To>
auto store(const From& from, const To& to) {
    return operation(0x70, from, to);
}
template <class A, class B, class To>
auto bit_and(const A& a, const B& b, const To& to) {
    return operation(0x7b, a, b, to);
}
template <class A, class B, class To>
auto bit_or(const A& a, const B& b, const To& to) {
    return operation(0x7d, a, b, to);
}
template <class A, class B>
auto equal(const A& a, const B& b) {
    return operation(0x93, a, b);
}
template <class A, class B>
auto not_equal(const A& a, const B& b) {
    return operation(0x9293, a, b);  // LNotOp LEqualOp
}
template <class Value>
auto notify(const NamePath& object, const Value& value) {
    return operation(0x86, object, value);
}
template <class Value>
auto give_back(const Value& value) {  // `Return`
    return operation(0xa4, value);
}
template <class Time>
auto sleep_milliseconds(const Time& time) {
    return operation(0x5b22, time);
}
template <class Buffer, class Index>
auto create_dword_field(const Buffer& buffer, const Index& index, const NamePath& name) {
    return operation(0x8a, buffer, index, name);
}

/// The method has as many arguments.
template <class... Arguments>
struct Call {
    NamePath method;
    std::tuple<Arguments...> arguments;

    void write_to(Writer& to) const {
        to.add(method);
        std::apply([&](const Arguments&... each) { to.add(each...); }, arguments);
    }
};

template <class... Arguments>
Call<Arguments...> call(const NamePath& method, const Arguments&... arguments) {
    return {method, {arguments...}};
}

// ---- resource descriptors -----------------------------------------------------------------------

enum class Trigger : std::uint8_t { Level = 0, Edge = 1 };
enum class Caching : std::uint8_t { None = 0, Prefetchable = 3 };

/// What a device uses (6.4.2, 6.4.3). Ranges never move and are decoded in full.
class Resources {
public:
    explicit Resources(Writer& to) : to_{to} {}

    void io(std::uint16_t first, std::uint8_t count);                      // IO, 6.4.2.5
    void interrupt(hv::Gsi gsi, Trigger trigger);                          // active high, 6.4.3.6
    void memory32_fixed(std::uint32_t first, std::uint32_t size);          // 6.4.3.4
    void bus_numbers(std::uint8_t first, std::uint8_t last);               // WordBusNumber
    void word_io_window(std::uint16_t first, std::uint16_t last);          // WordIO
    void memory_window(std::uint64_t first, std::uint64_t last, Caching);  // DWord- or QWordMemory

private:
    enum class Kind : std::uint8_t { Memory = 0, Io = 1, Bus = 2 };

    /// Word, DWord and QWord address space descriptors (6.4.3.5): what a bridge hands down.
    template <std::unsigned_integral T>
    void address_space(Kind kind, std::uint8_t type_flags, T first, T last);

    Writer& to_;
};

template <class Body>
void Writer::resource_template(Body&& body) {
    block(0x11, [&] {  // BufferOp
        const std::size_t start = out_.size();
        Resources resources{*this};
        body(resources);
        byte(0x79);  // end tag, 6.4.2.9
        byte(0);     // no checksum
        put_buffer_size(start);
    });
}

}  // namespace vmm::aml
