// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestGuests
import VmemmapPopulate

/// The kernel of a stand-in machine: hot-plug as pseries does it, with the memory map of each section populated and freed
/// by the emulator's own `vmemmap_populate` and `vmemmap_free`, in the machine's memory.
///
/// What the agent reads of it besides, files and the kernel's log, is a ``FakeGuest``.
final class StandInKernel {
    /// What it does wrong.
    enum Flaw: Sendable {
        /// Its agent is in the middle of a change of the region at the first so many pauses.
        case pausesInMidChange(count: Int)
        /// The block of the window that describes this memory is mapped and not linked.
        case leavesOut(describing: UInt64)
        /// A block of this memory comes off the list and stays mapped.
        case leavesMapped(describing: UInt64)
        /// A block of this memory stays on the list and comes off the MMU.
        case leavesListed(describing: UInt64)
        /// It never gets further in a plug than this section, counted from 0.
        case hangsInPlug(atSection: Int)
        /// It refuses to give memory up.
        case refusesToRemove
        /// The machine ends so when the first LMB is there.
        case endsInPlug(StandInMachine.Ending)
        /// The machine does not read memory through its MMU.
        case savesNoMemory
        /// QEMU's monitor never answers.
        case answersNothing
        /// Its agent does not start.
        case hasNoAgent
        /// Its header for a crash lacks the DIMMs, also when it is loaded again.
        case leavesDIMMsOutOfHeader
        /// The dump lacks the memory from an address on.
        case losesMemory(from: UInt64)
        /// Its dump has no note.
        case losesNote
        /// What writes dumps there does this.
        case dumps(FakeGuest.Program)
    }

    let guest: FakeGuest
    let memory: StandInMemory
    let flaw: Flaw?
    /// What its dump has, once a crash kernel is loaded.
    var loads: [Range<UInt64>] = []
    private var list: VmemmapList<StandInKernelServices>

    static let geometry = MemoryMapGeometry(
        vmemmapBase: FakeKernelMemory.vmemmapBase, vmemmapPageShift: 16, pageByteCount: 65536, structPageByteCount: 64)
    private static let sectionByteCount = EmulatedLayout.sectionByteCount

    /// Boots: all of the machine's memory is online, and its memory map populated.
    init(_ guest: FakeGuest, memory: StandInMemory, mmu: StandInMMU, flaw: Flaw?) {
        self.guest = guest
        self.memory = memory
        self.flaw = flaw
        list = VmemmapList(store: StandInKernelServices(memory: memory, mmu: mmu))
        for section in Self.sections(of: 0..<memory.bootByteCount) { populate(section, isEarly: true) }
        reserveCrashMemory()
    }

    // MARK: - Hot-plug

    /// Adds LMBs: `dlpar_memory_add_by_ic`. Returns how the machine ends over it; nil when it does not.
    func add(_ range: Range<UInt64>) -> StandInMachine.Ending? {
        guest.memory.byteCount = memory.endAddress
        for base in LMB.addresses(in: range) {
            for (index, section) in Self.sections(of: base..<base + LMB.byteCount).enumerated() {
                if case .hangsInPlug(index) = flaw { return nil }
                populate(section)
            }
            guest.setBlock(Int(base / LMB.byteCount), "online")
            let drcIndex = hexadecimal(LMB.drcIndex(of: base))
            guest.log("pseries-hotplug-mem: Memory at \(hexadecimal(base)) (drc index \(drcIndex)) was hot-added")
            if case .endsInPlug(let ending) = flaw { return ending }
        }
        return nil
    }

    /// Removes LMBs: `dlpar_memory_remove_by_ic`. Returns false when it gives none of them up.
    func remove(_ range: Range<UInt64>) -> Bool {
        if case .refusesToRemove = flaw {
            guest.log("pseries-hotplug-mem: Memory indexed-count-remove failed, adding any removed LMBs")
            return false
        }
        for base in LMB.addresses(in: range) {
            guest.removeBlock(Int(base / LMB.byteCount))
            for section in Self.sections(of: base..<base + LMB.byteCount) { depopulate(section) }
            let drcIndex = hexadecimal(LMB.drcIndex(of: base))
            guest.log("pseries-hotplug-mem: Memory at \(hexadecimal(base)) (drc index \(drcIndex)) was hot-removed")
        }
        return true
    }

    // MARK: - The memory map

    /// `section_activate`: populates a section's memory map, tells of it, and makes the section valid.
    private func populate(_ section: Range<UInt64>, isEarly: Bool = false) {
        let (start, end) = Self.memoryMap(of: section)
        perform { try list.vmemmapPopulate(start: start, end: end, node: 0, geometry: Self.geometry) }
        tellPopulate(start, end, list.store.takeMapped())
        if case .leavesOut(let address) = flaw, section.contains(address) {
            perform { try list.free(virtAddr: Self.window(describing: address)) }
        }
        var flags: SectionFlags = [.present, .hasMemoryMap, .online]
        if isEarly { flags.insert(.early) }
        list.store.setValid(section, flags)
    }

    /// `section_deactivate`: the section is invalid before its memory map goes.
    private func depopulate(_ section: Range<UInt64>) {
        let (start, end) = Self.memoryMap(of: section)
        list.store.setValid(section, [])
        perform { try list.vmemmapFree(start: start, end: end, geometry: Self.geometry) }
        let unmapped = list.store.takeUnmapped()
        tellFree(start, end, unmapped.first?.virtAddr)
        guard let (window, phys) = unmapped.first else { return }
        switch flaw {
        case .leavesMapped(let address) where Self.window(describing: address) == window:
            _ = list.store.createMapping(virtAddr: window, byteCount: StandInMMU.pageByteCount, phys: phys)
            _ = list.store.takeMapped()
        case .leavesListed(let address) where Self.window(describing: address) == window:
            perform { try list.populate(phys: phys.rawValue, virtAddr: window) }
        default: break
        }
    }

    /// What the kernel has memory for cannot fail here: a test that sees it has made a machine that is too small.
    private func perform<Value>(_ body: () throws -> Value) {
        do {
            _ = try body()
        } catch {
            preconditionFailure("the stand-in kernel's memory: \(error)")
        }
    }

    // MARK: - What it tells

    private func tellPopulate(_ start: UInt64, _ end: UInt64, _ blocks: [StandInKernelServices.Mapping]) {
        if guest.trace.isEnabled {
            guest.trace.populate(
                start: start, end: end,
                blocks: blocks.map { ($0.virtAddr, StandInMMU.pageByteCount, LinearMap.base + $0.phys.rawValue) },
                at: guest.clock)
        }
        guard guest.isDebugging else { return }
        // The kernel aligns the start down before it prints it.
        let window = start.alignedDown(to: StandInMMU.pageByteCount)
        guest.log("vmemmap_populate \(hexadecimal(window))..\(hexadecimal(end)), node 0")
        for block in blocks {
            let range = "\(hexadecimal(block.virtAddr))..\(hexadecimal(block.virtAddr + StandInMMU.pageByteCount))"
            guest.log("      * \(range) allocated at \(hexadecimal(LinearMap.base + block.phys.rawValue))")
        }
    }

    private func tellFree(_ start: UInt64, _ end: UInt64, _ window: UInt64?) {
        if guest.trace.isEnabled { guest.trace.free(start: start, end: end, virtAddr: window, at: guest.clock) }
        guard guest.isDebugging else { return }
        guest.log("vmemmap_free \(hexadecimal(start.alignedDown(to: StandInMMU.pageByteCount)))...\(hexadecimal(end))")
    }

    private func hexadecimal(_ number: UInt64) -> String { String(number, radix: 16) }

    /// The page of the memory map that describes an address.
    private static func window(describing address: UInt64) -> UInt64 {
        geometry.virtAddr(describing: PhysicalAddress(address)).alignedDown(to: StandInMMU.pageByteCount)
    }

    private static func memoryMap(of section: Range<UInt64>) -> (start: UInt64, end: UInt64) {
        (
            geometry.virtAddr(describing: PhysicalAddress(section.lowerBound)),
            geometry.virtAddr(describing: PhysicalAddress(section.upperBound))
        )
    }

    private static func sections(of range: Range<UInt64>) -> [Range<UInt64>] {
        stride(from: range.lowerBound, to: range.upperBound, by: Int(sectionByteCount)).map {
            $0..<$0 + sectionByteCount
        }
    }
}
