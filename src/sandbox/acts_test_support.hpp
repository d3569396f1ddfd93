// SPDX-License-Identifier: Apache-2.0
// What somebody who has taken over a thread would like to do.
#pragma once

#include <fcntl.h>
#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <cstdint>
#include <ostream>

#include "vmm/thread.hpp"

namespace vmm::sandbox {

/// A system call that no kind of thread may make.
struct Act {
    const char* name;
    long call;
    std::array<std::uint64_t, 6> arguments{};

    friend void PrintTo(const Act& act, std::ostream* out) { *out << act.name; }
};

inline constexpr std::uint64_t kTiocsti = 0x5412;

inline constexpr auto kForbiddenActs = std::to_array<Act>({
    {"open", SYS_open},
    {"openat", SYS_openat},
    {"openat2", SYS_openat2},
    {"open_by_handle_at", SYS_open_by_handle_at},
    {"creat", SYS_creat},
    {"rename", SYS_rename},
    {"link", SYS_link},
    {"symlink", SYS_symlink},
    {"mkdir", SYS_mkdir},
    {"chmod", SYS_chmod},
    {"chown", SYS_chown},
    {"truncate", SYS_truncate},
    {"ftruncate", SYS_ftruncate},
    {"socket", SYS_socket, {AF_INET, SOCK_STREAM}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM}},
    {"connect", SYS_connect},
    {"bind", SYS_bind},
    {"listen", SYS_listen},
    {"execve", SYS_execve},
    {"execveat", SYS_execveat},
    {"fork", SYS_fork},
    {"vfork", SYS_vfork},
    {"clone_process", SYS_clone, {SIGCHLD}},
    {"clone_namespace", SYS_clone, {CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWNET}},
    {"ptrace", SYS_ptrace},
    {"process_vm_readv", SYS_process_vm_readv},
    {"process_vm_writev", SYS_process_vm_writev},
    {"kill", SYS_kill, {1, 0}},
    {"tkill", SYS_tkill, {1, 0}},
    {"tgkill_other", SYS_tgkill, {1, 1, 0}},
    {"pidfd_open", SYS_pidfd_open, {1}},
    {"pidfd_getfd", SYS_pidfd_getfd},
    {"mmap_executable",
     SYS_mmap,
     {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX}},
    {"mprotect_executable", SYS_mprotect, {0, 4096, PROT_READ | PROT_EXEC}},
    {"pkey_mprotect", SYS_pkey_mprotect, {0, 4096, PROT_READ | PROT_EXEC}},
    {"memfd_create", SYS_memfd_create},
    {"shmget", SYS_shmget},
    {"bpf", SYS_bpf},
    {"perf_event_open", SYS_perf_event_open},
    {"userfaultfd", SYS_userfaultfd},
    {"io_uring_register_files", SYS_io_uring_register, {UINT32_MAX, 2}},
    {"keyctl", SYS_keyctl},
    {"add_key", SYS_add_key},
    {"mount", SYS_mount},
    {"umount2", SYS_umount2},
    {"move_mount", SYS_move_mount},
    {"fsopen", SYS_fsopen},
    {"pivot_root", SYS_pivot_root},
    {"chroot", SYS_chroot},
    {"chdir", SYS_chdir},
    {"unshare", SYS_unshare, {CLONE_NEWUSER}},
    {"setns", SYS_setns},
    {"setuid", SYS_setuid},
    {"setresuid", SYS_setresuid},
    {"capset", SYS_capset},
    {"personality", SYS_personality},
    {"prctl_dumpable", SYS_prctl, {PR_SET_DUMPABLE, 1}},
    {"prctl_mm", SYS_prctl, {PR_SET_MM}},
    {"tiocsti", SYS_ioctl, {0, kTiocsti}},
    {"kexec_load", SYS_kexec_load},
    {"init_module", SYS_init_module},
    {"finit_module", SYS_finit_module},
    {"reboot", SYS_reboot},
    {"swapon", SYS_swapon},
    {"quotactl", SYS_quotactl},
    {"name_to_handle_at", SYS_name_to_handle_at},
    {"fanotify_init", SYS_fanotify_init},
    {"inotify_init1", SYS_inotify_init1},
    {"acct", SYS_acct},
    {"iopl", SYS_iopl, {3}},
    {"ioperm", SYS_ioperm},
    {"modify_ldt", SYS_modify_ldt},
    {"kcmp", SYS_kcmp},
    {"vmsplice", SYS_vmsplice},
    {"splice", SYS_splice},
    {"sendfile", SYS_sendfile},
    {"dup", SYS_dup},
    {"seccomp_listener", SYS_seccomp, {1, 1 << 3}},
});

}  // namespace vmm::sandbox
