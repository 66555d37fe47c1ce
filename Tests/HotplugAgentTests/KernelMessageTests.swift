// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory
import KernelState
import TestGuests
import TestSupport
import Testing

@testable import HotplugAgent

struct KernelMessageTests {
    private func message(_ text: String) -> KernelMessage {
        KernelMessage(parsing: Array(text.utf8)[...])
    }

    @Test(
        arguments: [
            (
                "vmemmap_populate c00c000000100000..c00c000000104000, node 0",
                .populate(start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0010_4000, node: 0)
            ),
            (
                "vmemmap_populate c00c000000100000..c00c000000104000, node 12",
                .populate(start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0010_4000, node: 12)
            ),
            ("vmemmap_populate 0..40, node -1", .populate(start: 0, end: 0x40, node: .max)),
            (
                "      * c00c000000100000..c00c000000110000 allocated at c000000002480000",
                .block(
                    start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0011_0000, pointer: 0xc000_0000_0248_0000)
            ),
            (
                "      * c00c000000100000..c00c000000110000 allocated at 0xc000000002480000",
                .block(
                    start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0011_0000, pointer: 0xc000_0000_0248_0000)
            ),
            // Hashed, because `no_hash_pointers` is not set.
            (
                "      * c00c000000100000..c00c000000110000 allocated at 00000000d6bdde7a",
                .block(start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0011_0000, pointer: 0xd6bd_de7a)
            ),
            (
                "vmemmap_free c00c000000100000...c00c000000104000",
                .free(start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0010_4000)
            ),
            ("vmemmap_populate: Unable to create vmemmap mapping: -2", .mappingFailed(errno: 2)),
            ("__vmemmap_populate: Unable to create vmemmap mapping: -12", .mappingFailed(errno: 12)),
            (
                "pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added",
                .lmbAdded(base: 0x4000_0000, drcIndex: 0x8000_0004)
            ),
            ("pseries-hotplug-mem: Memory at 40000000 was hot-removed", .lmbRemoved(base: 0x4000_0000)),
            (
                "pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-removed",
                .lmbRemoved(base: 0x4000_0000)
            ),
            (
                "pseries-hotplug-mem: Memory indexed-count-add failed, removing any added LMBs", .hotplugFailed(.add)
            ),
            ("pseries-hotplug-mem: Memory hot-add failed, removing any added LMBs", .hotplugFailed(.add)),
            (
                "pseries-hotplug-mem: Memory indexed-count-remove failed, adding any removed LMBs",
                .hotplugFailed(.remove)
            ),
            ("pseries-hotplug-mem: Memory hot-remove failed, adding any removed LMBs", .hotplugFailed(.remove)),
            ("qemu-harness sync 17", .marker(17)),
        ] as [(String, KernelMessage)])
    func understood(text: String, expected: KernelMessage) {
        #expect(message(text) == expected)
    }

    /// A block whose pointer cannot be read was allocated all the same: an event without an address is a lost one.
    @Test(arguments: ["(____ptrval____)", "(ptrval)", "", "c000000002480000 and more", "10000000000000000"])
    func blockWithoutAPointer(pointer: String) {
        let text = "      * c00c000000100000..c00c000000110000 allocated at " + pointer
        guard case .block(let start, let end, let pointer) = message(text) else {
            Issue.record("\(message(text))")
            return
        }
        #expect(start == 0xc00c_0000_0010_0000)
        #expect(end == 0xc00c_0000_0011_0000)
        #expect(LinearMap.physical(pointer) == nil)
    }

    @Test(arguments: [
        "", " ", "x", "vmemmap_populate", "vmemmap_populate ", "vmemmap_populate c00c000000100000",
        "vmemmap_populate c00c000000100000..c00c000000104000", "vmemmap_populate 1..2, node ",
        "vmemmap_populate 1..2, node -2", "vmemmap_populate 1..2, node 0x", "vmemmap_populate 1...2, node 0",
        "vmemmap_populate 10000000000000000..2, node 0", " vmemmap_populate 1..2, node 0",
        "* 1..2 allocated at 3", "      * 1...2 allocated at 3", "      * 1..2 allocated", "      * 1..2 reused at 3",
        "vmemmap_free 1..2", "vmemmap_free 1...2 ", "vmemmap_free 1...", "vmemmap_free x...2",
        "vmemmap_populate: Unable to create vmemmap mapping: 2", "Unable to create vmemmap mapping: -2",
        "vmemmap_populate: Unable to create vmemmap mapping: -", "pseries-hotplug-mem: Memory",
        "pseries-hotplug-mem: Memory at 40000000", "pseries-hotplug-mem: Memory at x was hot-removed",
        "pseries-hotplug-mem: Memory at 40000000 was hot-removed twice",
        "pseries-hotplug-mem: Memory at 40000000 (drc index 80000004) was hot-added?",
        "pseries-hotplug-mem: Memory at 40000000 (drc index ) was hot-added",
        "pseries-hotplug-mem: Attempting to hot-add 4 LMB(s) at index 80000004",
        "Memory at 40000000 was hot-removed", "qemu-harness sync", "qemu-harness sync ", "qemu-harness sync x",
        "qemu-harness sync 1 2", "qemu-harness sync 18446744073709551616", "\u{fffd}\u{0}",
    ])
    func other(text: String) {
        #expect(message(text) == .other)
    }
}

struct KernelRecordTests {
    private func parse(_ text: String) -> KernelRecord? {
        KernelRecord(parsing: Array(text.utf8))
    }

    @Test(arguments: [
        "7,345,1636289,-;vmemmap_populate c00c000000100000..c00c000000104000, node 0\n",
        "7,345,1636289,-;vmemmap_populate c00c000000100000..c00c000000104000, node 0",
        "4,345,1636289,c,caller=T27;vmemmap_populate c00c000000100000..c00c000000104000, node 0\n",
        "7,345,1636289,-;vmemmap_populate c00c000000100000..c00c000000104000, node 0\n SUBSYSTEM=x\n DEVICE=+y\n",
    ])
    func readable(text: String) throws {
        let record = try #require(parse(text))
        #expect(record.sequence == 345)
        #expect(record.microseconds == 1_636_289)
        #expect(
            record.message == .populate(start: 0xc00c_0000_0010_0000, end: 0xc00c_0000_0010_4000, node: 0))
    }

    @Test(arguments: [
        "", "\n", ";", "7;x", ",345,1,-;x", "-1,345,1,-;x", "x,345,1,-;x", "7,;x", "7,345;x", "7,345,;x", "7,345,-;x",
        "7,x,1;x", "7,,1;x", "7,-1,1;x",
        "7,18446744073709551616,1,-;x", "vmemmap_populate 1..2, node 0", "7,345,1x,-;x",
    ])
    func unreadable(text: String) {
        #expect(parse(text) == nil)
    }

    /// A program that writes into the log cannot say what only the kernel says, nor the kernel what only the agent does.
    @Test(
        arguments: [
            (0, true), (7, true), (8, false), (15, false), (24, false), (UInt64.max, false),
        ] as [(UInt64, Bool)])
    func facilities(priority: UInt64, isKernels: Bool) throws {
        let added = try #require(parse("\(priority),1,2,-;pseries-hotplug-mem: Memory at 40000000 was hot-removed"))
        #expect(added.isKernels == isKernels)
        #expect(added.message == (isKernels ? .lmbRemoved(base: 0x4000_0000) : .other))
        let marker = try #require(parse("\(priority),1,2,-;qemu-harness sync 17"))
        #expect(marker.message == (isKernels ? .other : .marker(17)))
    }

    @Test func noText() throws {
        #expect(try #require(parse("6,1,2,-;")).message == .other)
    }
}

struct MMUTests {
    /// More processors than 64 KiB of text tell of.
    private static let processors = (0..<2000).map {
        "processor\t: \($0)\ncpu\t\t: POWER10 (architected), altivec supported\n\n"
    }.joined()

    @Test(
        arguments: [
            ("processor\t: 0\ncpu\t\t: POWER8\n\nplatform\t: pSeries\nMMU\t\t: Hash\n", .hash),
            ("processor\t: 0\ncpu\t\t: POWER9\n\nplatform\t: pSeries\nMMU\t\t: Radix\n", .radix),
            (processors + "MMU\t\t: Radix\n", .radix),
            ("MMU\t\t: Hashed\nMMU : Radix\n", .hash),
            ("", .unknown),
            ("processor\t: 0\n", .unknown),
            ("MMU\n", .unknown),
            ("MMU\t\t:\n", .unknown),
            ("MMU\t\t: Segmented\n", .unknown),
            ("cpu MMU : Radix\n", .unknown),
        ] as [(String, MMU)])
    func fromCpuinfo(text: String, expected: MMU) {
        let guest = FakeGuest()
        guest.files["/proc/cpuinfo"] = Array(text.utf8)
        #expect(KcoreReader.mmuInCpuinfo(system: guest) == expected)
        #expect(guest.openCount == 0)
    }

    /// What VMCOREINFO says comes first.
    @Test(arguments: [("0", .hash), ("1", .radix)] as [(String, MMU)])
    func fromVmcoreinfo(value: String, expected: MMU) throws {
        let guest = FakeGuest(vmcoreinfo: SampleVmcoreinfo().adding("NUMBER(RADIX_MMU)", value))
        guest.files["/proc/cpuinfo"] = Array((expected == .radix ? "MMU\t\t: Hash\n" : "MMU\t\t: Radix\n").utf8)
        #expect(try KcoreReader(system: guest).kernel.mmu == expected)
    }
}
