// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "kvm_payload/payload.hpp"

namespace vmm::payload {
namespace {

// The order of the interpreter's table in payload.S.
enum class Code : std::uint32_t {
    Write,
    Read,
    Out,
    In,
    OutString,
    InString,
    Wait,
    Repeat,
    Undefined,
    Call,
};

Program::Operation operation(Code code, AccessSize size, std::uint64_t address,
                             std::uint64_t value = 0, std::uint64_t count = 0) {
    return {.code = std::to_underlying(code),
            .size = std::to_underlying(size),
            .address = address,
            .value = value,
            .count = count};
}

}  // namespace

Program& Program::add(Operation operation) {
    operations_.push_back(operation);
    return *this;
}

Program& Program::write(Gpa at, std::uint64_t value, AccessSize size) {
    return add(operation(Code::Write, size, at.value(), value));
}

Program& Program::read(Gpa at, AccessSize size) {
    return add(operation(Code::Read, size, at.value()));
}

Program& Program::out(std::uint16_t port, std::uint64_t value, AccessSize size) {
    return add(operation(Code::Out, size, port, value));
}

Program& Program::in(std::uint16_t port, AccessSize size) {
    return add(operation(Code::In, size, port));
}

Program& Program::out_string(std::uint16_t port, Gpa from, std::uint64_t count, AccessSize size) {
    return add(operation(Code::OutString, size, port, from.value(), count));
}

Program& Program::in_string(std::uint16_t port, Gpa to, std::uint64_t count, AccessSize size) {
    return add(operation(Code::InString, size, port, to.value(), count));
}

Program& Program::wait(Gpa at, std::uint64_t value) {
    return add(operation(Code::Wait, AccessSize::Qword, at.value(), value));
}

Program& Program::repeat(std::size_t from, std::uint64_t times) {
    return add(operation(Code::Repeat, AccessSize::Qword, from, 0, times));
}

Program& Program::undefined_instruction() {
    return add(operation(Code::Undefined, AccessSize::Byte, 0));
}

Program& Program::call(Gpa function, std::uint64_t argument) {
    return add(operation(Code::Call, AccessSize::Qword, function.value(), argument));
}

Program& Program::end() {
    const auto here = next();
    return out(kEndPort, 0).repeat(here, 0);
}

Program& Program::enable_local_apic() {
    constexpr std::uint64_t kSpuriousVector = 0xf0;
    constexpr std::uint64_t kEnabledVectorFf = 0x1ff;
    return write(Gpa{kLocalApic.value() + kSpuriousVector}, kEnabledVectorFf);
}

Program& Program::route_pin(unsigned pin, std::uint8_t vector, bool level_triggered) {
    const Gpa data{kIoApic.value() + 0x10};
    const auto low = vector | (level_triggered ? 1U << 15 : 0U);
    write(kIoApic, 0x11 + pin * 2ULL).write(data, 0);  // destination: APIC id 0
    return write(kIoApic, 0x10 + pin * 2ULL).write(data, low);
}

}  // namespace vmm::payload
