// SPDX-License-Identifier: Apache-2.0
// What a test asks to learn whether a sanitizer does more, or less, than it expects.
#pragma once

#include "vmm/sanitized.hpp"

namespace vmm::test {

using vmm::kSanitized;

}  // namespace vmm::test
