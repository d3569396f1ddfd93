// SPDX-License-Identifier: Apache-2.0
#include "vmm/stateful.hpp"

#include <algorithm>

#include "vmm/assert.hpp"
#include "vmm/text.hpp"

namespace vmm {
namespace {

constexpr std::size_t kVersionSize = 2;
constexpr std::size_t kLengthSize = 4;
constexpr std::string_view kCutShort = "is cut short";

}  // namespace

StateWriter::Section::Section(StateWriter& to, std::uint16_t version) : to_{to} {
    to_.put(version);
    to_.put(std::uint32_t{0});
    start_ = to_.bytes_.size();
}

StateWriter::Section::~Section() {
    const std::size_t length = to_.bytes_.size() - start_;
    VMM_ASSERT(length <= std::numeric_limits<std::uint32_t>::max());
    for (std::size_t i = 0; i < kLengthSize; ++i)
        to_.bytes_[start_ - kLengthSize + i] =
            std::byte{static_cast<unsigned char>(length >> 8 * i)};
}

Result<StateReader> StateReader::section(std::string_view what, std::uint16_t newest) {
    if (failed())
        return std::unexpected(done().error());
    const auto version = static_cast<std::uint16_t>(take(kVersionSize));
    const auto length = static_cast<std::size_t>(take(kLengthSize));
    StateReader inside{take_span(length), what};
    if (failed())
        return std::unexpected(
            Error{ErrorKind::Config, cat("the state of the ", what, " ", kCutShort)});
    inside.version_ = version;
    if (version == 0 || version > newest)
        return std::unexpected(
            Error{ErrorKind::Config, cat("the state of the ", what, " has version ", version,
                                         "; this vmm reads versions 1 to ", newest)}
                .hint("Restore it with the vmm that saved it, or a newer one."));
    return inside;
}

void StateReader::get_bytes(std::span<std::byte> to) {
    const auto from = take_span(to.size());
    if (failed())
        std::ranges::fill(to, std::byte{0});
    else
        std::ranges::copy(from, to.begin());
}

void StateReader::require(bool holds, std::string_view field, std::string_view wrong) {
    if (!holds && !failed())
        wrong_ = cat("field '", field, "' ", wrong);
}

Result<> StateReader::done() const {
    if (failed())
        return std::unexpected(
            Error{ErrorKind::Config, cat("the state of the ", what_, " is wrong: ", wrong_)});
    if (!bytes_.empty())
        return std::unexpected(
            Error{ErrorKind::Config, cat("the state of the ", what_, " has ", bytes_.size(),
                                         " unexpected bytes at its end")});
    return {};
}

std::uint64_t StateReader::take(std::size_t bytes) noexcept {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const std::byte byte : take_span(bytes)) {
        value |= std::uint64_t{std::to_integer<std::uint8_t>(byte)} << shift;
        shift += 8;
    }
    return value;
}

std::span<const std::byte> StateReader::take_span(std::size_t bytes) noexcept {
    if (failed() || bytes > bytes_.size()) {
        if (!failed())
            wrong_ = "it is cut short";
        bytes_ = {};
        return {};
    }
    const auto taken = bytes_.first(bytes);
    bytes_ = bytes_.subspan(bytes);
    return taken;
}

}  // namespace vmm
