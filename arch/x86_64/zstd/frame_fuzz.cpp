// Any bytes as a zstd frame: whatever our decoder makes of them, it is what libzstd makes of them,
// or nothing. The first two bytes are the size of the output.
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "x86_64/zstd/frame.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {  // NOLINT
    if (size < 2)
        return 0;
    const std::size_t room = (std::size_t{data[0]} << 12) + data[1];
    // Copies of exact size, so that AddressSanitizer sees every byte too many.
    const auto* const bytes = reinterpret_cast<const std::byte*>(data);
    const std::vector<std::byte> from(bytes + 2, bytes + size);
    std::vector<std::byte> ours(room);
    const auto decoded = vmm::x86_64::zstd::decode_frame(from, ours);
    if (!decoded || !decoded->finished)
        return 0;
    std::vector<std::byte> theirs(room);
    ZSTD_DCtx* const context = ZSTD_createDCtx();
    const std::size_t frame = ZSTD_findFrameCompressedSize(from.data(), from.size());
    const std::size_t got =
        ZSTD_isError(frame) != 0
            ? frame
            : ZSTD_decompressDCtx(context, theirs.data(), room, from.data(), frame);
    ZSTD_freeDCtx(context);
    if (ZSTD_isError(got) != 0)
        return 0;  // a checksum, or a window that is too small for an offset
    if (got != decoded->size ||
        !std::equal(ours.begin(), ours.begin() + static_cast<std::ptrdiff_t>(got), theirs.begin()))
        __builtin_trap();
    return 0;
}
