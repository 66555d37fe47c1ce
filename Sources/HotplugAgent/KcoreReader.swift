// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import VmemmapPopulate

/// Reads the kernel that the agent runs on, each time through a freshly opened /proc/kcore.
struct KcoreReader {
    /// From VMCOREINFO; from /proc/kallsyms what that lacks of symbols, from /proc/cpuinfo the MMU where it does not say it.
    let kernel: Kernel
    /// As it was when the agent began; only its present sections come and go.
    let memoryMap: MemoryMap
    /// Where VMCOREINFO's note stands (/sys/kernel/vmcoreinfo).
    let noteAddress: PhysicalAddress

    /// What of it is missing, by the name that the harness shows.
    struct Missing: Error {
        let what: StaticString
    }

    /// No guest of the harness has more than 16 TiB, nor a list of more than the densest one's of 1 TiB. The host bounds its
    /// own reading by the guest's real memory.
    private static var bounds: ReadingBounds {
        ReadingBounds(memoryEnd: PhysicalAddress(16 << 40), nodeLimit: 4096 * 1024)
    }

    /// Reads what does not change.
    init(system: some AgentSystem) throws(Missing) {
        guard let kcore = CoreFile(.running, system: system) else { throw Missing(what: "/proc/kcore") }
        guard var location = system.content("/sys/kernel/vmcoreinfo")?[...], location.skip("0x"),
            let address = location.takeNumber(radix: 16), location.skip(" "),
            let byteCount = location.takeNumber(radix: 16), byteCount <= UInt64(Vmcoreinfo.maximumNoteByteCount)
        else { throw Missing(what: "/sys/kernel/vmcoreinfo") }
        noteAddress = PhysicalAddress(address)
        guard let note = kcore.bytes(at: LinearMap.base &+ address, byteCount: Int(byteCount)),
            let info = Vmcoreinfo(note: note, order: .native)
        else { throw Missing(what: "vmcoreinfo-note") }
        var kernel: Kernel
        do throws(Kernel.Problem) {
            kernel = try Kernel(note: KernelNote(info: info, order: .native, addresses: [noteAddress])) {
                SymbolLookup(addresses: Kallsyms.addresses(of: $0, system: system), reason: bytes("/proc/kallsyms"))
            }
        } catch {
            throw Missing(what: error.key)
        }
        if kernel.mmu == .unknown { kernel.learn(mmu: Self.mmuInCpuinfo(system: system), from: .cpuinfo) }
        self.kernel = kernel
        do throws(KernelReadError) {
            memoryMap = try kernel.memoryMap(in: kcore)
        } catch {
            throw Missing(what: "kernel-memory")
        }
    }

    /// Whether the kernel's list has an entry: boot memory's are on it wherever a list is kept.
    func keepsList(system: some AgentSystem) -> Bool {
        guard let kcore = CoreFile(.running, system: system), let head = try? kernel.listHead(in: kcore) else {
            return false
        }
        return head != 0
    }

    /// How the kernel keeps account of what backs its memory map, from what it shows, and from whether its
    /// list was ever seen to have entries.
    func rules(hasHadEntries: Bool) -> PopulateRules {
        kernel.rules(of: memoryMap, hasHadEntries: hasHadEntries)
    }

    /// The memory map's arithmetic, nil when the kernel does not tell what it takes.
    var geometry: MemoryMapGeometry? { kernel.geometry(of: memoryMap) }

    /// The memory that is present now; nil when that cannot be read.
    func presentMemory(system: some AgentSystem) -> MemoryRanges? {
        guard let kcore = CoreFile(.running, system: system),
            let sections = try? kernel.presentSections(in: kcore, within: Self.bounds)
        else { return nil }
        return kernel.memory(in: sections)
    }

    /// The kernel's list as it is now, at rest or not; nil when it cannot be had.
    func list(system: some AgentSystem) -> ListWalk? {
        guard let kcore = CoreFile(.running, system: system) else { return nil }
        return try? kernel.list(in: kcore, within: Self.bounds)
    }

    /// The kernel's page tables over the memory map as they are now, at rest or not; nil when they cannot be had.
    func tables(system: some AgentSystem) -> RadixWalk? {
        guard let kcore = CoreFile(.running, system: system) else { return nil }
        return kernel.memoryMapTables(of: memoryMap, in: kcore, within: Self.bounds)
    }

    /// The kernel's list, walked until a walk finds what the one before has found: a walk may go astray into nodes that are
    /// freed meanwhile, also where the head stands still. Nil when it cannot be had, or never stands still.
    func steadyList(system: some AgentSystem) -> ListWalk? {
        Self.steady({ list(system: system) }, digest: { $0.digest })
    }

    /// The kernel's page tables, walked as ``steadyList(system:)`` walks the list.
    func steadyTables(system: some AgentSystem) -> RadixWalk? {
        Self.steady({ tables(system: system) }, digest: { $0.digest })
    }

    /// Repeats a walk until two in a row have the same digest. One of them is kept at a time.
    private static func steady<Walk>(_ walk: () -> Walk?, digest: (Walk) -> WalkDigest) -> Walk? {
        var last: WalkDigest?
        for _ in 0..<9 {
            guard let found = walk() else { return nil }
            let digest = digest(found)
            if digest == last { return found }
            last = digest
        }
        return nil
    }

    /// Finds the line `MMU : Hash` or `MMU : Radix` of pseries (`pSeries_show_cpuinfo`), which comes behind those of every
    /// processor.
    static func mmuInCpuinfo(system: some AgentSystem) -> MMU {
        var mmu = MMU.unknown
        _ = system.readLines(of: "/proc/cpuinfo") { line in
            var rest = line
            guard rest.skip("MMU") else { return true }
            _ = rest.takeField(until: 0x3a)
            if rest.starts(with: " Radix") { mmu = .radix }
            if rest.starts(with: " Hash") { mmu = .hash }
            return mmu == .unknown
        }
        return mmu
    }
}
