// SPDX-License-Identifier: Apache-2.0
#include "config/foreign_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "config/config_test_support.hpp"
#include "config/json_read.hpp"
#include "config/key_values.hpp"
#include "config/schema.hpp"
#include "vmm/text.hpp"

namespace vmm::config {
namespace {

using test::json_error;
using testing::HasSubstr;

std::string read(std::string_view json, VmConfig& config) {
    const auto done = read_json(json, "vm.json", config);
    return done ? "no error" : done.error().report();
}

std::string flag_error(std::string_view list, std::string_view text) {
    VmConfig config;
    const Key& key = *find_key(vm_schema(), list);
    const auto done = set_from_text(*key.object, key.access.add(&config), text);
    return done ? "no error" : done.error().report();
}

// As Cloud Hypervisor v53 writes it in a snapshot, and as Kata's runtime-rs sends it.
constexpr std::string_view kWritten = R"({
  "cpus": {"boot_vcpus": 2, "max_vcpus": 2, "topology": null, "kvm_hyperv": false,
           "max_phys_bits": 46, "affinity": null, "features": {"amx": false}, "nested": true,
           "core_scheduling": "Vm"},
  "memory": {"size": 1073741824, "mergeable": false, "hotplug_method": "Acpi", "hotplug_size": null,
             "hotplugged_size": null, "shared": false, "hugepages": false, "hugepage_size": null,
             "prefault": false, "reserve": false, "zones": null, "thp": true},
  "payload": {"firmware": null, "kernel": "K", "cmdline": "quiet", "initramfs": null, "igvm": null},
  "rate_limit_groups": null,
  "disks": [{"id": "_disk0", "pci_segment": 0, "iommu": false, "path": "d.img", "readonly": false,
             "direct": false, "num_queues": 1, "queue_size": 128, "vhost_user": false,
             "vhost_socket": null, "rate_limit_group": null, "rate_limiter_config": null,
             "disable_io_uring": false, "disable_aio": false, "serial": null, "queue_affinity": null,
             "backing_files": false, "sparse": true, "image_type": "Unknown", "pci_device_id": null,
             "lock_granularity": "ByteRange"}],
  "net": [{"id": "_net1", "tap": "t0", "ip": null, "mask": null, "mac": "52:54:00:12:34:56",
           "host_mac": null, "mtu": null, "num_queues": 2, "queue_size": 256, "vhost_user": false,
           "vhost_socket": null, "vhost_mode": "Client", "fds": null, "rate_limiter_config": null,
           "offload_tso": true, "offload_ufo": true, "offload_csum": true, "pci_segment": 0}],
  "rng": {"src": "/dev/urandom", "iommu": false},
  "balloon": null, "fs": null, "pmem": null, "generic_vhost_user": null,
  "serial": {"mode": "Null", "file": null, "iommu": false, "socket": null},
  "console": {"mode": "Tty", "file": null, "iommu": false, "socket": null},
  "debug_console": {"mode": "Off", "file": null, "iobase": 233},
  "devices": [], "user_devices": null, "vdpa": null, "vsock": null, "pvpanic": false,
  "iommu": false, "numa": null, "watchdog": false, "gdb": false, "pci_segments": null,
  "platform": {"num_pci_segments": 1, "iommu_segments": null, "iommu_address_width_bits": 64,
               "serial_number": null, "uuid": null, "oem_strings": null, "tdx": false,
               "sev_snp": false, "iommufd": false, "vfio_p2p_dma": true},
  "tpm": null, "landlock_enable": false, "landlock_rules": null})";

TEST(ForeignKeysTest, DefaultsOfCloudHypervisorAreReadOver) {
    VmConfig config;
    ASSERT_EQ(read(kWritten, config), "no error");

    EXPECT_EQ(config.cpus.boot_vcpus, 2U);
    EXPECT_EQ(config.memory.size, 1ULL << 30);
    ASSERT_EQ(config.disks.size(), 1U);
    EXPECT_EQ(config.disks[0].path, "d.img");
    EXPECT_EQ(config.disks[0].image_type, ImageType::Raw);
    ASSERT_EQ(config.net.size(), 1U);
    EXPECT_EQ(config.net[0].tap, "t0");
    EXPECT_EQ(config.serial.mode, ConsoleMode::Null);
}

TEST(ForeignKeysTest, FlagsOfTheProcessAreRefusedInAFile) {
    EXPECT_EQ(json_error(R"({"sandbox": "off"})"),
              "error: vm.json:1:2: 'sandbox' belongs to the process and not to the machine\n"
              "  help: Remove it, and write the flag: vmm run --sandbox MODE.\n");
    EXPECT_EQ(json_error(R"({"name": "a", "seccomp": null})"),
              "error: vm.json:1:15: 'seccomp' belongs to the process and not to the machine\n"
              "  help: Remove it, and write the flag: vmm run --seccomp MODE.\n");
    EXPECT_THAT(json_error(R"({"sandbox_report": true})"), HasSubstr("vmm run --sandbox-report."));
    EXPECT_THAT(json_error(R"({"disks": [{"seccomp": true}]})"),
                HasSubstr("unknown key 'disks[0].seccomp'"));
}

TEST(ForeignKeysTest, OtherValuesAreRefusedByName) {
    EXPECT_EQ(json_error(R"({"disks": [{"path": "d", "iommu": true}]})"),
              "error: vm.json:1:26: 'disks[0].iommu' of Cloud Hypervisor's configuration is not "
              "supported, except with its default, false\n"
              "  help: A virtual IOMMU is not supported yet: leave it out.\n");
    EXPECT_EQ(json_error(R"({"net": [{"ip": "192.168.249.1"}]})"),
              "error: vm.json:1:11: 'net[0].ip' of Cloud Hypervisor's configuration is not "
              "supported\n"
              "  help: The host's side has its address from the host: ip addr add ADDRESS/BITS dev "
              "TAP.\n");
    EXPECT_EQ(json_error(R"({"platform": {"tdx": false, "sev_snp": true}})"),
              "error: vm.json:1:29: 'platform.sev_snp' of Cloud Hypervisor's configuration is not "
              "supported, except with its default, false\n"
              "  help: Confidential guests are not supported yet.\n");
    EXPECT_THAT(json_error(R"({"platform": {"uuid": "x"}})"),
                HasSubstr("'platform.uuid' of Cloud"));
    EXPECT_THAT(json_error(R"({"platform": {"uiid": "x"}})"),
                HasSubstr("unknown key 'platform.uiid'"));
    EXPECT_THAT(json_error(R"({"platform": 1})"), HasSubstr("'platform' of Cloud"));
    EXPECT_THAT(json_error(R"({"vsock": {"cid": 3, "socket": "s"}})"), HasSubstr("console_ports"));
    EXPECT_THAT(json_error(R"({"disks": [{"rate_limiter_config": {}}]})"),
                HasSubstr("Rate limits"));
    EXPECT_THAT(json_error(R"({"disks": [{"pci_segment": 1}]})"), HasSubstr("one PCI segment"));
}

TEST(ForeignKeysTest, WrongTypesAreNoDefaults) {
    for (const auto* const json :
         {R"({"iommu": 0})", R"({"iommu": "false"})", R"({"iommu": []})", R"({"fs": {}})",
          R"({"disks": [{"pci_segment": false}]})", R"({"disks": [{"pci_segment": 0.5}]})",
          R"({"cpus": {"core_scheduling": "Core"}})", R"({"cpus": {"max_phys_bits": 39}})"})
        EXPECT_THAT(json_error(json), HasSubstr("of Cloud Hypervisor's configuration")) << json;
}

TEST(ForeignKeysTest, FlagsTakeTheSameKeys) {
    EXPECT_EQ(flag_error("disks", "path=d,iommu=off,vhost_user=off,pci_segment=0,sparse=on"),
              "no error");
    EXPECT_EQ(flag_error("disks", "d,image_type=unknown,queue_affinity=[]"), "no error");
    EXPECT_EQ(flag_error("memory", "1G,mergeable=off,hotplug_method=acpi,hotplug_size=0"),
              "no error");
    EXPECT_EQ(flag_error("net", "tap=t,ip=10.0.0.1"),
              "error: 'ip' of Cloud Hypervisor's configuration is not supported\n"
              "  help: The host's side has its address from the host: ip addr add ADDRESS/BITS dev "
              "TAP.\n");
    EXPECT_THAT(flag_error("disks", "d,bw_size=1000"), HasSubstr("Rate limits are not supported"));
    EXPECT_THAT(flag_error("disks", "d,image_type=qcow2"), HasSubstr("qemu-img convert"));
    EXPECT_THAT(flag_error("cpus", "2,max_phys_bits=39"), HasSubstr("as many physical address"));
}

// A key that the tables have learned to do must not be read over any more.
TEST(ForeignKeysTest, NoKeyOfOursIsForeign) {
    const auto check = [](const Object& object) {
        for (const ForeignKey& key : object.foreign)
            if (key.key != "image_type") {
                EXPECT_EQ(find_key(object, key.key), nullptr) << object.name << key.key;
            }
    };
    check(vm_schema());
    for (const Key& member : vm_schema().keys)
        if (member.object != nullptr)
            check(*member.object);
}

TEST(ForeignKeysTest, NestedKeysHaveTheirObject) {
    for (const ForeignObject& object : foreign_objects())
        for (const ForeignKey& key : object.keys)
            if (key.normal == ForeignKey::Normal::Nested) {
                EXPECT_FALSE(nested_foreign_keys(key).empty()) << key.key;
            }
}

}  // namespace
}  // namespace vmm::config
