// SPDX-License-Identifier: Apache-2.0
// As much work as a device can be given at once: every place of every ring, each with the longest
// chain that there is, of memory that exists.
#pragma once

#include "lab.hpp"

namespace guest {

/// Up, with rings as large as the device has them, and all of them full of the largest requests.
bool give_all_there_is(Lab& lab);
/// The same again in the place of what came back.
void give_again(Lab& lab);

}  // namespace guest
