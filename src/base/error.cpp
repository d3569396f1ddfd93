// SPDX-License-Identifier: Apache-2.0
#include "vmm/error.hpp"

#include <string_view>
#include <system_error>
#include <vector>

#include "vmm/text.hpp"

namespace vmm {

struct Error::Story {
    struct Frame {
        std::string what;
        Where where;
    };

    ErrorKind kind;
    int os_error;
    std::vector<Frame> frames;  // innermost first
    std::string advice;
};

void Error::Delete::operator()(Story* story) const noexcept {
    delete story;
}

Error::Error(ErrorKind kind, std::string what, Where where)
    : story_{new Story{kind, 0, {{std::move(what), where}}, {}}} {}

Error Error::os(const char* call, int errno_value, Where where) {
    const auto reason = std::system_category().message(errno_value);
    Error error{ErrorKind::Os, cat(call, ": ", reason, " (errno ", errno_value, ")"), where};
    error.story_->os_error = errno_value;
    return error;
}

Error Error::context(std::string doing, Where where) && {
    story_->frames.push_back({std::move(doing), where});
    return std::move(*this);
}

Error Error::hint(std::string advice) && {
    story_->advice = std::move(advice);
    return std::move(*this);
}

Error Error::as(ErrorKind kind) && {
    story_->kind = kind;
    return std::move(*this);
}

ErrorKind Error::kind() const noexcept {
    return story_->kind;
}
int Error::os_error() const noexcept {
    return story_->os_error;
}
const std::string& Error::advice() const noexcept {
    return story_->advice;
}

std::string Error::one_line() const {
    std::string text;
    for (auto frame = story_->frames.rbegin(); frame != story_->frames.rend(); ++frame)
        text += (text.empty() ? "" : ": ") + frame->what;
    return text;
}

std::string Error::report() const {
    auto text = cat("error: ", one_line(), "\n");
    if (!story_->advice.empty())
        text += cat("  help: ", story_->advice, "\n");
    return text;
}

std::string Error::report_with_places() const {
    std::string text;
    std::string_view lead = "error: ";
    for (auto frame = story_->frames.rbegin(); frame != story_->frames.rend(); ++frame) {
        text += cat(lead, frame->what, "\n    at ", frame->where.file_name(), ":",
                    frame->where.line(), "\n");
        lead = "  because: ";
    }
    if (!story_->advice.empty())
        text += cat("  help: ", story_->advice, "\n");
    return text;
}

}  // namespace vmm
