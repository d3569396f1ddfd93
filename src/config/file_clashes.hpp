// SPDX-License-Identifier: Apache-2.0
// Whether two parts of a configuration would be in each other's way in one file: an output that
// would go over a disk, RAM that is a disk, a disk that is there twice.
//
// Files are the same by device and inode, whatever they are called; those that do not exist yet, by
// their path; a link that is to be made, by its name. Outputs may share a descriptor that is open
// already (/dev/stdout). Not here: who else uses a file (a disk's lock says that).
#pragma once

#include <string>

#include "config/vm_config.hpp"
#include "vmm/error.hpp"

namespace vmm::config {

/// Files of the program that the machine's configuration does not name. Empty: there is none.
struct OtherFiles {
    std::string config;  ///< which the configuration was read from; "-" is none
    std::string log;
    std::string pid;
};

/// The first clash, as an Error of kind Config. To be asked before any of the files is opened for
/// writing. Looks at files only if there is one that could clash.
Result<> check_files(const VmConfig& config, const OtherFiles& others);

}  // namespace vmm::config
