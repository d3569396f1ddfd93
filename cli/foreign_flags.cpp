// SPDX-License-Identifier: Apache-2.0
#include "cli/foreign_flags.hpp"

#include <array>

#include "vmm/text.hpp"

namespace vmm::cli {
namespace {

struct Habit {
    std::string_view names;  ///< with a space before and after each
    std::string_view advice;
};

constexpr auto kHabits = std::array{
    Habit{" hda hdb hdc hdd sda drive blk block blockdev rwdisk root rwroot pmem pflash ",
          "A disk is --disk FILE, or --disk FILE,readonly=on."},
    Habit{" cdrom ", "A CD image is a disk that cannot be written to: --disk FILE,readonly=on."},
    Habit{" smp vcpus num-cpus cpu-count ", "The number of vCPUs is --num-cpu N."},
    Habit{" cpu ",
          "The guest always gets the host's CPU model, so leave it out; the number of vCPUs is "
          "--num-cpu N, their topology --cpus N,topology=T:C:D:P."},
    Habit{" mem mem-size memory-size ram ", "RAM is --memory SIZE, such as --memory 1G."},
    Habit{" mem-path mem-prealloc memory-zone ",
          "Where RAM comes from is said in --memory: SIZE,file=FILE, SIZE,hugepages=on or "
          "SIZE,prefault=on."},
    Habit{" append params param boot-args kernel-args ",
          "The kernel's command line is --cmd-line TEXT."},
    Habit{" initrd ", "The initial file system is --initramfs FILE."},
    Habit{" kernel-path pvh ", "The kernel, also a PVH ELF file, is --kernel FILE."},
    Habit{" bios fw ",
          "A firmware will be --firmware FILE, which is not supported yet; start a "
          "kernel with --kernel FILE."},
    Habit{" nographic curses ",
          "Leave it out: there is no display, and the first serial port is on the terminal "
          "already (--serial tty)."},
    Habit{" display vga vnc spice sdl gtk ",
          "Leave it out: there is no display. Use a console (--serial tty, --console tty)."},
    Habit{" machine M accel enable-kvm hypervisor no-acpi nodefaults no-user-config no-hpet "
          "enable-pci ",
          "Leave it out: there is one kind of machine, it always runs on KVM, and it has only "
          "the devices that are asked for."},
    Habit{" netdev nic tap tap-name ",
          "A network is --net tap=NAME, or --net user, which needs no privileges; host port 8080 "
          "to guest port 80 is --net user,publish=8080:80."},
    Habit{" device virtio ",
          "Each kind of device has a flag of its own: --disk, --net, --rng, --console, "
          "--console-port, --pvpanic."},
    Habit{" chardev com1 ",
          "Say where a console leads in the console's own flag: --serial file=FILE, --serial "
          "socket=PATH, --console pty."},
    Habit{" entropy object ", "A random number generator is --rng, or --rng src=FILE."},
    Habit{" no-reboot ", "To end when the guest reboots, write --on-reset exit."},
    Habit{" action ", "What happens then is said by --on-reset, --on-crash and --on-panic."},
    Habit{" isa-debug-exit ", "A port by which a test can end the process is --debug-exit PORT."},
    Habit{" config-file ",
          "The machine's description is --config FILE; `vmm config schema` says "
          "what the file may hold."},
    Habit{" pidfile pid ", "The file that takes the process id is --pid-file PATH."},
    Habit{" id ", "The machine's name is --name NAME."},
    Habit{" uuid smbios ",
          "The machine's identity cannot be set yet, except for its name: --name NAME."},
    Habit{" platform acpi ",
          "Of the machine's identity only its name can be set: --name NAME. ACPI is always there "
          "on x86-64; on aarch64 guests get a device tree, since Linux takes ACPI tables from "
          "firmware alone, which is not supported yet."},
    Habit{" log-path log-dir D ",
          "The log's file is --log-file FILE, its level --log-level LEVEL."},
    Habit{" level log-spec d ", "The log's level is --log-level LEVEL."},
    Habit{" daemonize ",
          "The process stays in the foreground; start it with systemd-run, or with `&` and "
          "--pid-file PATH."},
    Habit{" rtc clock ", "Leave it out: the guest's clock is the host's, in UTC."},
    Habit{" no-shutdown snapshot loadvm incoming restore ",
          "Keeping, restoring and moving machines is not supported yet."},
    Habit{" api-socket api-sock no-api event-monitor monitor mon qmp socket metrics-path ",
          "There is no control socket yet; docs/running.md has the signals and keys that a running "
          "machine takes."},
    Habit{" fs virtfs fsdev shared-dir 9p ", "Shared directories are not supported yet."},
    Habit{" vsock ",
          "A vsock is not supported yet; a port between host and guest is "
          "--console-port name=NAME,socket=PATH."},
    Habit{" balloon ", "A balloon is not supported yet."},
    Habit{
        " watchdog tpm tpmdev vdpa user-device generic-vhost-user vfio vfio-pci vfio-cdev "
        "vfio-group usb usbdevice soundhw audiodev numa fw-cfg coco gdb s S iommu rate-limit-group "
        "pci-segment debug-console ",
        "Such a device or feature is not supported yet."},
    Habit{" landlock enable-landlock ", "Leave it out: --sandbox on, the default, uses Landlock."},
    Habit{" no-sandbox disable-sandbox ", "A machine without a sandbox is --sandbox off."},
    Habit{" no-seccomp seccomp-level seccomp-log-failures seccomp-filter seccomp-policy-dir ",
          "Filters of system calls are told by --seccomp MODE: on, log or off."},
};

}  // namespace

std::string_view advice_about_foreign(std::string_view name) {
    const auto word = cat(" ", name, " ");
    for (const Habit& habit : kHabits)
        if (!name.empty() && habit.names.contains(word))
            return habit.advice;
    return {};
}

}  // namespace vmm::cli
