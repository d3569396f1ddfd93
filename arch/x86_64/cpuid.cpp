// SPDX-License-Identifier: Apache-2.0
#include "x86_64/cpuid.hpp"

#include <algorithm>
#include <string>

#include "vmm/assert.hpp"
#include "vmm/register.hpp"
#include "vmm/text.hpp"

namespace vmm::x86_64 {
namespace {

using hv::x86::CpuidEntry;

// A leaf's registers, as far as we touch them. Names are the manuals'.

struct Leaf1Ebx : Register<Leaf1Ebx, std::uint32_t> {
    using Register::Register;
    static constexpr Field<Leaf1Ebx, 31, 24> initial_apic_id{};
    static constexpr Field<Leaf1Ebx, 23, 16> logical_processors{};  // ids in a package
};
struct Leaf1Ecx : Register<Leaf1Ecx, std::uint32_t> {
    using Register::Register;
    static constexpr Bit<Leaf1Ecx, 2> dtes64{};  // 64-bit debug store
    static constexpr Bit<Leaf1Ecx, 15> pdcm{};   // performance capabilities MSR
    static constexpr Bit<Leaf1Ecx, 24> tsc_deadline{};
    static constexpr Bit<Leaf1Ecx, 31> hypervisor{};
};
struct Leaf1Edx : Register<Leaf1Edx, std::uint32_t> {
    using Register::Register;
    static constexpr Bit<Leaf1Edx, 21> ds{};  // debug store
    static constexpr Bit<Leaf1Edx, 28> htt{};
};
/// Leaf 4 and AMD's copy of it, 0x8000'001d.
struct CacheEax : Register<CacheEax, std::uint32_t> {
    using Register::Register;
    static constexpr Field<CacheEax, 31, 26> core_ids{};  // minus one; leaf 4 only
    static constexpr Field<CacheEax, 25, 14> sharing{};   // minus one
    static constexpr Field<CacheEax, 7, 5> level{};
    static constexpr Field<CacheEax, 4, 0> type{};  // 0: no more caches
};
struct Leaf7Edx : Register<Leaf7Edx, std::uint32_t> {
    using Register::Register;
    static constexpr Bit<Leaf7Edx, 19> arch_lbr{};
};
struct Leaf7Sub1Eax : Register<Leaf7Sub1Eax, std::uint32_t> {
    using Register::Register;
    static constexpr Bit<Leaf7Sub1Eax, 8> arch_perfmon_ext{};
};
struct KvmFeatures : Register<KvmFeatures, std::uint32_t> {
    using Register::Register;
    static constexpr Bit<KvmFeatures, 15> msi_ext_dest_id{};
};
struct ExtendedEcx : Register<ExtendedEcx, std::uint32_t> {  // 0x8000'0001
    using Register::Register;
    static constexpr Bit<ExtendedEcx, 1> cmp_legacy{};
    static constexpr Bit<ExtendedEcx, 22> topology_extensions{};
    static constexpr Bit<ExtendedEcx, 23> perf_ctr_ext_core{};
    static constexpr Bit<ExtendedEcx, 24> perf_ctr_ext_nb{};
    static constexpr Bit<ExtendedEcx, 28> perf_ctr_ext_llc{};
};
struct SizeEax : Register<SizeEax, std::uint32_t> {  // 0x8000'0008
    using Register::Register;
    static constexpr Field<SizeEax, 23, 16> guest_physical_bits{};
    static constexpr Field<SizeEax, 7, 0> physical_bits{};
};
struct SizeEcx : Register<SizeEcx, std::uint32_t> {  // 0x8000'0008, AMD
    using Register::Register;
    static constexpr Field<SizeEcx, 15, 12> apic_id_size{};
    static constexpr Field<SizeEcx, 7, 0> threads{};  // NC: per package, minus one
};
struct CoreEbx : Register<CoreEbx, std::uint32_t> {  // 0x8000'001e
    using Register::Register;
    static constexpr Field<CoreEbx, 15, 8> threads_per_core{};  // minus one
    static constexpr Field<CoreEbx, 7, 0> core_id{};            // within the package
};
struct NodeEcx : Register<NodeEcx, std::uint32_t> {  // 0x8000'001e
    using Register::Register;
    static constexpr Field<NodeEcx, 10, 8> nodes_per_processor{};  // minus one
    static constexpr Field<NodeEcx, 7, 0> node_id{};
};
/// One level of leaves 0xb, 0x1f and 0x8000'0026.
struct LevelEcx : Register<LevelEcx, std::uint32_t> {
    using Register::Register;
    static constexpr Field<LevelEcx, 15, 8> type{};
    static constexpr Field<LevelEcx, 7, 0> number{};  // the subleaf again
};

constexpr std::uint32_t kThread = 1;  // in all three leaves
constexpr std::uint32_t kCore = 2;    // in 0xb and 0x1f
constexpr std::uint32_t kDie = 5;     // in 0x1f
constexpr std::uint32_t kAmdComplex = 2;
constexpr std::uint32_t kAmdDie = 3;
constexpr std::uint32_t kAmdSocket = 4;

constexpr std::uint32_t kCacheParameters = 4;
constexpr std::uint32_t kPerformance = 0xa;
constexpr std::uint32_t kTopology = 0xb;
constexpr std::uint32_t kLastBranch = 0x1c;
constexpr std::uint32_t kTopologyV2 = 0x1f;
constexpr std::uint32_t kPerformanceExtended = 0x23;
constexpr std::uint32_t kKvmFeatures = 0x4000'0001;
constexpr std::uint32_t kExtended = 0x8000'0000;
constexpr std::uint32_t kExtendedFeatures = 0x8000'0001;
constexpr std::uint32_t kSizes = 0x8000'0008;
constexpr std::uint32_t kAmdCaches = 0x8000'001d;
constexpr std::uint32_t kAmdTopology = 0x8000'001e;
constexpr std::uint32_t kAmdPerformance = 0x8000'0022;
constexpr std::uint32_t kAmdExtendedTopology = 0x8000'0026;

/// Fields hold what fits; a count that does not is shown as large as can be.
constexpr unsigned at_most(unsigned limit, unsigned value) {
    return std::min(limit, value);
}

template <class Self, unsigned Msb, unsigned Lsb, class Value>
void set(std::uint32_t& raw, Field<Self, Msb, Lsb, Value> field, Value value) {
    raw = Self{raw}.with(field, value).raw();
}

bool is_topology_level(std::uint32_t leaf) {
    return leaf == kTopology || leaf == kTopologyV2 || leaf == kAmdExtendedTopology;
}

}  // namespace

Result<> check(const Topology& topology, unsigned vcpus) {
    // 4 bits for the width of a package's ids, 3 bits for the dies of a package (0x8000'0008,
    // 0x8000'001e); threads and packages are bounded by what is left of an APIC id.
    constexpr unsigned kMostDies = 8;
    constexpr unsigned kMostThreads = 256;
    constexpr unsigned kWidestPackage = 15;

    const Topology& t = topology;
    const auto refuse = [&](const std::string& why) {
        return std::unexpected(
            Error{ErrorKind::Config,
                  cat("topology ", t.threads, ':', t.cores, ':', t.dies, ':', t.packages,
                      " (threads per core : cores per die : dies per package : packages) ", why)}
                .hint("Leave the topology out for one package of single-threaded cores."));
    };
    if (t.vcpus() == 0)
        return refuse("has a zero in it");
    if (t.vcpus() != vcpus)
        return refuse(cat("makes ", t.vcpus(), " CPUs, but the machine has ", vcpus));
    if (t.dies > kMostDies)
        return refuse(cat("has more than ", kMostDies, " dies in a package"));
    if (t.threads > kMostThreads)
        return refuse(cat("has more than ", kMostThreads, " threads in a core"));
    if (t.package_shift() > kWidestPackage)
        return refuse("needs more than 15 bits of APIC id for a package");
    return {};
}

CpuidTemplate::CpuidTemplate(std::span<const CpuidEntry> supported, const Topology& topology,
                             const CpuidOptions& options)
    : topology_{topology} {
    constexpr std::size_t kAdded = 16;
    entries_.reserve(supported.size() + kAdded);
    // The host's topology, or what KVM makes of it, is of no use.
    std::ranges::copy_if(supported, std::back_inserter(entries_),
                         [](const CpuidEntry& e) { return !is_topology_level(e.leaf); });
    vendor_ = vendor();

    set_features(options);
    hide_pmu();
    set_extended_topology();
    if (vendor_ == Vendor::Amd)
        set_amd_topology();
    else
        set_intel_caches();
}

CpuidTemplate::Entry* CpuidTemplate::find(std::uint32_t leaf, std::uint32_t subleaf) {
    const auto found = std::ranges::find_if(entries_, [=](const Entry& e) {
        return e.leaf == leaf && (!e.has_subleaf || e.subleaf == subleaf);
    });
    return found == entries_.end() ? nullptr : &*found;
}

void CpuidTemplate::drop(std::uint32_t leaf) {
    std::erase_if(entries_, [=](const Entry& e) { return e.leaf == leaf; });
}

CpuidTemplate::Vendor CpuidTemplate::vendor() const {
    constexpr std::uint32_t kAuth = 0x6874'7541;  // EBX of "AuthenticAMD"
    constexpr std::uint32_t kHygo = 0x6f67'7948;  // EBX of "HygonGenuine"
    const bool amd = std::ranges::any_of(
        entries_, [](const Entry& e) { return e.leaf == 0 && (e.ebx == kAuth || e.ebx == kHygo); });
    return amd ? Vendor::Amd : Vendor::Intel;
}

void CpuidTemplate::set_features(const CpuidOptions& options) {
    if (Entry* leaf = find(1)) {
        // Intel counts the ids that a package could have, AMD its threads.
        const unsigned threads = vendor_ == Vendor::Amd ? topology_.threads_per_package()
                                                        : 1U << topology_.package_shift();
        set(leaf->ebx, Leaf1Ebx::logical_processors, at_most(255, threads));
        set(leaf->edx, Leaf1Edx::htt, topology_.threads_per_package() > 1);
        set(leaf->ecx, Leaf1Ecx::hypervisor, true);
        set(leaf->ecx, Leaf1Ecx::tsc_deadline, options.tsc_deadline);
    }
    if (Entry* kvm = find(kKvmFeatures))
        set(kvm->eax, KvmFeatures::msi_ext_dest_id, options.extended_msi_destination);
}

// Performance counters cost exits at boot and at every tick of the NMI watchdog, and show the guest
// something of its neighbours.
// AMD's four oldest counters have no feature bit: to hide those too, the hypervisor must be told to
// run without a PMU.
void CpuidTemplate::hide_pmu() {
    drop(kLastBranch);
    drop(kPerformanceExtended);
    drop(kAmdPerformance);
    if (Entry* counters = find(kPerformance))
        counters->eax = counters->ebx = counters->ecx = counters->edx = 0;
    if (Entry* leaf = find(1)) {
        set(leaf->ecx, Leaf1Ecx::dtes64, false);
        set(leaf->ecx, Leaf1Ecx::pdcm, false);
        set(leaf->edx, Leaf1Edx::ds, false);
    }
    if (Entry* features = find(7, 0))
        set(features->edx, Leaf7Edx::arch_lbr, false);
    if (Entry* features = find(7, 1))
        set(features->eax, Leaf7Sub1Eax::arch_perfmon_ext, false);
    if (Entry* features = find(kExtendedFeatures); features && vendor_ == Vendor::Amd) {
        set(features->ecx, ExtendedEcx::perf_ctr_ext_core, false);
        set(features->ecx, ExtendedEcx::perf_ctr_ext_nb, false);
        set(features->ecx, ExtendedEcx::perf_ctr_ext_llc, false);
    }
}

// ---- topology -----------------------------------------------------------------------------------

/// `shift`: how many bits of the APIC id lie below the id of the next level; `vcpus`: how many
/// share that id.
void CpuidTemplate::add_level(std::uint32_t leaf, std::uint32_t type, unsigned shift,
                              unsigned vcpus) {
    const auto subleaf = static_cast<std::uint32_t>(
        std::ranges::count_if(entries_, [=](const Entry& e) { return e.leaf == leaf; }));
    entries_.push_back(
        {.leaf = leaf,
         .subleaf = subleaf,
         .has_subleaf = true,
         .eax = shift,
         .ebx = at_most(0xffff, vcpus),
         .ecx = LevelEcx{}.with(LevelEcx::type, type).with(LevelEcx::number, subleaf).raw()});
}

void CpuidTemplate::end_levels(std::uint32_t leaf) {
    add_level(leaf, 0, 0, 0);
}

void CpuidTemplate::set_extended_topology() {
    Entry* const first = find(0);
    if (!first || first->eax < kTopology)
        return;
    const bool dies = topology_.dies > 1;
    if (vendor_ == Vendor::Intel && dies)  // 0xb cannot tell of dies
        first->eax = std::max(first->eax, kTopologyV2);
    const bool v2 = vendor_ == Vendor::Intel && first->eax >= kTopologyV2;

    add_level(kTopology, kThread, topology_.core_shift(), topology_.threads);
    add_level(kTopology, kCore, topology_.package_shift(), topology_.threads_per_package());
    end_levels(kTopology);
    if (!v2)
        return;
    add_level(kTopologyV2, kThread, topology_.core_shift(), topology_.threads);
    add_level(kTopologyV2, kCore, topology_.die_shift(), topology_.threads_per_die());
    if (dies)
        add_level(kTopologyV2, kDie, topology_.package_shift(), topology_.threads_per_package());
    end_levels(kTopologyV2);
}

// The first two levels belong to a core, the third to a die.
void CpuidTemplate::set_intel_caches() {
    const unsigned cores = 1U << (topology_.package_shift() - topology_.core_shift());
    for (Entry& cache : entries_) {
        const CacheEax eax{cache.eax};
        if (cache.leaf != kCacheParameters || eax[CacheEax::type] == 0)
            continue;
        const unsigned ids =
            eax[CacheEax::level] < 3 ? 1U << topology_.core_shift() : 1U << topology_.die_shift();
        set(cache.eax, CacheEax::sharing, at_most(0xfff, ids - 1));
        set(cache.eax, CacheEax::core_ids, at_most(0x3f, cores - 1));
    }
}

void CpuidTemplate::set_amd_topology() {
    const unsigned threads = topology_.threads_per_package();
    if (Entry* sizes = find(kSizes)) {
        set(sizes->ecx, SizeEcx::threads, at_most(0xff, threads - 1));
        set(sizes->ecx, SizeEcx::apic_id_size, topology_.package_shift());
    }
    Entry* const features = find(kExtendedFeatures);
    if (features)
        set(features->ecx, ExtendedEcx::cmp_legacy, threads > 1);
    // Without TopologyExtensions a guest takes every thread for a core: it has no other leaf.
    drop(kAmdTopology);
    if (!features || !ExtendedEcx{features->ecx}[ExtendedEcx::topology_extensions]) {
        drop(kAmdCaches);
        return;
    }
    set_amd_caches();
    set_amd_levels();
}

void CpuidTemplate::set_amd_caches() {
    for (Entry& cache : entries_) {
        const CacheEax eax{cache.eax};
        if (cache.leaf != kAmdCaches || eax[CacheEax::type] == 0)
            continue;
        const unsigned sharing =
            eax[CacheEax::level] < 3 ? topology_.threads : topology_.threads_per_die();
        set(cache.eax, CacheEax::sharing, at_most(0xfff, sharing - 1));
    }
}

// A die of ours has one complex, which is where its third level cache is.
void CpuidTemplate::set_amd_levels() {
    constexpr std::uint32_t kLeaf = kAmdExtendedTopology;
    entries_.push_back({.leaf = kAmdTopology});
    Entry* const last = find(kExtended);
    if (!last)
        return;
    if (topology_.dies > 1)
        last->eax = std::max(last->eax, kLeaf);
    if (last->eax < kLeaf)
        return;
    add_level(kLeaf, kThread, topology_.core_shift(), topology_.threads);
    add_level(kLeaf, kAmdComplex, topology_.die_shift(), topology_.threads_per_die());
    add_level(kLeaf, kAmdDie, topology_.die_shift(), topology_.threads_per_die());
    add_level(kLeaf, kAmdSocket, topology_.package_shift(), topology_.threads_per_package());
    end_levels(kLeaf);
}

// ---- one vCPU
// -------------------------------------------------------------------------------------

std::vector<CpuidEntry> CpuidTemplate::for_vcpu(std::uint32_t index) const {
    VMM_ASSERT(index < topology_.vcpus());
    const Topology& t = topology_;
    const std::uint32_t id = t.apic_id(index);
    const std::uint32_t core_in_package = index / t.threads % (unsigned{t.cores} * t.dies);
    const std::uint32_t node = index / t.threads_per_die();

    std::vector<Entry> entries = entries_;
    for (Entry& entry : entries) {
        if (entry.leaf == 1) {
            set(entry.ebx, Leaf1Ebx::initial_apic_id, id & 0xff);
        } else if (is_topology_level(entry.leaf)) {
            entry.edx = id;  // also where the levels end
        } else if (entry.leaf == kAmdTopology) {
            entry.eax = id;
            set(entry.ebx, CoreEbx::threads_per_core, t.threads - 1U);
            set(entry.ebx, CoreEbx::core_id, core_in_package);
            set(entry.ecx, NodeEcx::nodes_per_processor, t.dies - 1U);
            set(entry.ecx, NodeEcx::node_id, node);
        }
    }
    return entries;
}

unsigned CpuidTemplate::address_bits() const {
    constexpr unsigned kBeforeTheLeaf = 36;
    for (const Entry& entry : entries_) {
        if (entry.leaf != kSizes)
            continue;
        const SizeEax eax{entry.eax};
        const unsigned guest = eax[SizeEax::guest_physical_bits];
        return guest != 0 ? guest : eax[SizeEax::physical_bits];
    }
    return kBeforeTheLeaf;
}

}  // namespace vmm::x86_64
