// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import VmemmapPopulate

/// What the kernel that the agent runs on says about its memory map.
struct GuestKernel {
    /// From VMCOREINFO, and from /proc/kallsyms what that lacks of symbols.
    let layout: KernelLayout
    /// `mmu_psize_defs[mmu_vmemmap_psize].shift`, 0 when the kernel's own value is none.
    let vmemmapPageShift: UInt64
    /// From the first present section, 0 when there is none.
    let vmemmapBase: UInt64
    /// From VMCOREINFO, or where that does not say it from /proc/cpuinfo.
    let mmu: MemoryManagementUnit
    /// From /proc/sys/kernel/osrelease.
    let release: [UInt8]
    /// Where VMCOREINFO's note stands (/sys/kernel/vmcoreinfo).
    let vmcoreinfoAddress: PhysicalAddress

    /// What of it is missing, by the name that the harness shows.
    struct Missing: Error {
        let what: StaticString
    }

    /// Reads it all.
    init(system: some AgentSystem) throws(Missing) {
        release = system.content("/proc/sys/kernel/osrelease") ?? []
        guard let kcore = Kcore(system: system) else { throw Missing(what: "/proc/kcore") }
        guard var location = system.content("/sys/kernel/vmcoreinfo")?[...], location.skip("0x"),
            let address = location.takeNumber(radix: 16), location.skip(" "),
            let byteCount = location.takeNumber(radix: 16), byteCount <= UInt64(Vmcoreinfo.maximumNoteByteCount)
        else { throw Missing(what: "/sys/kernel/vmcoreinfo") }
        vmcoreinfoAddress = PhysicalAddress(address)
        guard let note = kcore.bytes(at: LinearMap.base &+ address, byteCount: Int(byteCount)),
            let info = Vmcoreinfo(note: note, order: .native)
        else { throw Missing(what: "vmcoreinfo-note") }
        do throws(KernelLayout.Problem) {
            let missing = Vmcoreinfo.symbolNames.filter { info.symbol($0) == nil }
            layout = try KernelLayout(info.adding(Kallsyms.addresses(of: missing, system: system)))
        } catch {
            throw Missing(what: error.key)
        }
        mmu = layout.mmu == .unknown ? Self.mmuInCpuinfo(system: system) : layout.mmu
        do throws(MemoryAccessError) {
            vmemmapPageShift = try layout.vmemmapPageShift(in: kcore, order: .native) ?? 0
            vmemmapBase = try SectionTable.vmemmapBase(layout: layout, in: kcore) ?? 0
        } catch {
            throw Missing(what: "kernel-memory")
        }
    }

    /// Walks the kernel's list through a fresh /proc/kcore, until a walk finds what the one before has found: a walk may
    /// go astray into nodes that are freed meanwhile, also where the head stands still.
    ///
    /// Nil when the file cannot be had, or the list never stands still.
    func listSnapshot(system: some AgentSystem) -> ListWalk? {
        Self.steady({ walkOnce(system: system) }, digest: { $0.digest })
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

    private func headNow(system: some AgentSystem) -> UInt64? {
        guard let kcore = Kcore(system: system) else { return nil }
        do throws(MemoryAccessError) {
            return try kcore.word(at: layout.listHeadAddress)
        } catch {
            return nil
        }
    }

    /// Whether the kernel's list has an entry: boot memory's are on it wherever a list is kept.
    func keepsList(system: some AgentSystem) -> Bool {
        (headNow(system: system) ?? 0) != 0
    }

    /// Walks the kernel's list as it is now, at rest or not.
    func walkOnce(system: some AgentSystem) -> ListWalk? {
        guard let kcore = Kcore(system: system) else { return nil }
        do throws(MemoryAccessError) {
            let head = try kcore.word(at: layout.listHeadAddress)
            return ListWalk(
                head: head, in: kcore, pageByteCount: layout.pageByteCount, limit: Self.walkLimit)
        } catch {
            return nil
        }
    }

    /// 1 TiB of the densest list: 4096 nodes a GiB. The host bounds its own walk by the guest's real memory.
    private static var walkLimit: Int { 4096 * 1024 }

    /// The memory that is present now, through a fresh /proc/kcore; nil when that cannot be read.
    func presentMemory(system: some AgentSystem) -> MemoryRanges? {
        guard let kcore = Kcore(system: system) else { return nil }
        do throws(MemoryAccessError) {
            var memory = MemoryRanges()
            let sections = try SectionTable.presentSections(
                layout: layout, in: kcore, endAddress: PhysicalAddress(Self.memoryLimit))
            for section in sections {
                let start = section.number << layout.sectionSizeBits
                memory.insert(start..<(section.number + 1) << layout.sectionSizeBits)
            }
            return memory
        } catch {
            return nil
        }
    }

    /// Walks the kernel's page tables over the memory map as ``listSnapshot(system:)`` walks the list; nil when they cannot
    /// be had, or never stand still.
    func memoryMapTables(system: some AgentSystem) -> RadixWalk? {
        Self.steady({ walkTablesOnce(system: system) }, digest: { $0.digest })
    }

    /// Walks the kernel's page tables over the memory map through a fresh /proc/kcore, at rest or not.
    func walkTablesOnce(system: some AgentSystem) -> RadixWalk? {
        guard let kcore = Kcore(system: system) else { return nil }
        // Where no memory is nothing is mapped, and the walk passes over it by the GiB.
        return layout.memoryMapTables(
            vmemmapBase: vmemmapBase, endAddress: PhysicalAddress(Self.memoryLimit), in: kcore)
    }

    /// How the kernel keeps book, from what it shows, and from whether its list was ever seen to have entries.
    func rules(hasHadEntries: Bool) -> PopulateRules {
        PopulateRules(
            isRadix: mmu == .radix, vmemmapPageShift: vmemmapPageShift == 0 ? nil : vmemmapPageShift,
            hasHadEntries: hasHadEntries)
    }

    /// The memory map's arithmetic, nil when the kernel does not tell what it takes.
    var geometry: MemoryMapGeometry? {
        guard vmemmapBase != 0, vmemmapPageShift != 0 else { return nil }
        return MemoryMapGeometry(
            vmemmapBase: vmemmapBase, vmemmapPageShift: vmemmapPageShift, pageByteCount: layout.pageByteCount,
            structPageByteCount: layout.structPageByteCount)
    }

    /// No guest of the harness has more: it bounds the walk of the section table.
    private static var memoryLimit: UInt64 { 16 << 40 }

    /// Finds the line `MMU : Hash` or `MMU : Radix` of pseries (`pSeries_show_cpuinfo`), which comes behind those of every
    /// processor.
    static func mmuInCpuinfo(system: some AgentSystem) -> MemoryManagementUnit {
        var mmu = MemoryManagementUnit.unknown
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
