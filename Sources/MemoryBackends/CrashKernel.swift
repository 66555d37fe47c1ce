// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics

/// A crash kernel that was loaded into a guest's reservation, as far as the dump of a crash rests on it: its device tree,
/// and the ELF core header that its command line leads to. It is found with no help from the guest.
///
/// The tree is a segment of its own (kexec-tools, kexec/fs2dt.c), and the kernel takes segments at the start of pages only
/// (`sanity_check_segment_list`, kernel/kexec_core.c).
public struct CrashKernel: Sendable {
    /// Where its device tree is.
    public let treeAddress: PhysicalAddress
    /// log2 of the hashed page table in bytes, as the tree says it, each number once, ascending: with another number than the one of the
    /// guest's real table no capture kernel starts.
    public let hashTableOrders: [UInt64]
    /// Where the ELF core header is: `elfcorehdr=` of its command line.
    public let headerAddress: PhysicalAddress
    /// The core header's byte order, which is the guest's.
    public let order: ByteOrder
    /// The core header's program headers: what will be in /proc/vmcore.
    public let programHeaders: [ELFProgramHeader]
    /// The first VMCOREINFO note that the core header leads to and that is whole; nil where there is none.
    public let vmcoreinfo: Vmcoreinfo?

    /// `PT_NOTE`.
    private static let noteType: UInt64 = 4
    /// `ET_CORE`.
    private static let coreType: UInt64 = 4
    private static let smallestPageByteCount: UInt64 = 4096
    /// The most trees that are looked at.
    static let treeLimit = 64
    /// The most notes that are looked at: one for each CPU and VMCOREINFO.
    static let noteLimit = 4096

    /// The memory that the dump will have.
    public var loads: [ELFProgramHeader] { programHeaders.filter { $0.type == ELFProgramHeader.loadType } }
    /// Where the dump's notes are: `p_offset` is their physical address, since the capture kernel reads old memory there.
    public var notes: [ELFProgramHeader] { programHeaders.filter { $0.type == Self.noteType } }

    /// Finds the crash kernel in a guest's reservation, physical addresses. Throws ``CrashKernelProblem`` when there is
    /// none, when it is damaged, and when there are several that differ.
    public init(foundIn memory: GuestRAM, reservation: Range<UInt64>) throws {
        guard !reservation.isEmpty,
            memory.regions.contains(where: {
                $0.range.lowerBound <= reservation.lowerBound && reservation.upperBound <= $0.range.upperBound
            })
        else { throw CrashKernelProblem.reservationOutsideMemory(reservation) }
        let trees = try Self.trees(in: memory, reservation)
        var found: CrashKernel?
        var problem: CrashKernelProblem?
        for tree in trees {
            do throws(CrashKernelProblem) {
                let kernel = try CrashKernel(treeAt: tree, in: memory, reservation)
                guard let first = found else {
                    found = kernel
                    continue
                }
                guard first.headerAddress == kernel.headerAddress, first.hashTableOrders == kernel.hashTableOrders
                else {
                    throw .kernelsDiffer(first.treeAddress, kernel.treeAddress)
                }
            } catch .kernelsDiffer(let first, let second) {
                throw CrashKernelProblem.kernelsDiffer(first, second)
            } catch {
                problem = problem ?? error
            }
        }
        guard let found else {
            throw problem ?? .noTree(searchedByteCount: reservation.upperBound - reservation.lowerBound)
        }
        self = found
    }

    /// Where trees seem to begin. One that another begins in was overwritten by it: an older load's.
    private static func trees(in memory: GuestRAM, _ reservation: Range<UInt64>) throws -> [Range<UInt64>] {
        var trees: [Range<UInt64>] = []
        for region in memory.regions where region.range.overlaps(reservation) {
            for extent in try region.file.dataExtents() {
                let piece = (region.base.rawValue + extent.lowerBound)..<(region.base.rawValue + extent.upperBound)
                let range = piece.clamped(to: reservation)
                var address = range.lowerBound.alignedDown(to: smallestPageByteCount)
                if address < reservation.lowerBound { address += smallestPageByteCount }
                while address + smallestPageByteCount <= reservation.upperBound, address < range.upperBound {
                    let word = ByteOrder.big.value(ofStored: try memory.storedWord(at: PhysicalAddress(address)))
                    let byteCount = word & 0xffff_ffff
                    if word >> 32 == FlattenedTree.magic, byteCount <= reservation.upperBound - address {
                        guard trees.count < treeLimit else { throw CrashKernelProblem.tooManyTrees(limit: treeLimit) }
                        if let last = trees.last, last.contains(address) { trees.removeLast() }
                        trees.append(address..<address + max(byteCount, 8))
                    }
                    address += smallestPageByteCount
                }
            }
        }
        return trees
    }

    private init(
        treeAt range: Range<UInt64>, in memory: GuestRAM, _ reservation: Range<UInt64>
    ) throws(CrashKernelProblem) {
        treeAddress = PhysicalAddress(range.lowerBound)
        let tree: FlattenedTree
        do throws(FlattenedTreeProblem) {
            // The header first: it bounds what is copied.
            let header = try FlattenedTree.Header(
                memory.copy(range.lowerBound, min(UInt64(FlattenedTree.headerByteCount), UInt64(range.count))))
            tree = try FlattenedTree(memory.copy(range.lowerBound, header.byteCount))
        } catch {
            throw .tree(treeAddress, error)
        }
        guard let arguments = tree.bootArguments, let address = Self.headerAddress(in: arguments) else {
            throw .noHeaderArgument(treeAddress)
        }
        guard address % 8 == 0, reservation.contains(address),
            reservation.upperBound - address >= UInt64(ELFHeader.byteCount)
        else { throw .headerOutsideReservation(address) }
        headerAddress = PhysicalAddress(address)
        let header: ELFHeader
        do {
            header = try ELFHeader(memory.copy(address, UInt64(ELFHeader.byteCount)))
        } catch {
            throw .header(headerAddress, error)
        }
        guard header.identity.type == Self.coreType, header.identity.isPPC64 else {
            throw .notACore(headerAddress, type: header.identity.type, machine: header.identity.machine)
        }
        let table = header.programHeaders
        let room = reservation.upperBound - address
        guard table.offset <= room, UInt64(table.byteCount) <= room - table.offset else {
            throw .tableOutsideReservation(headerAddress, offset: table.offset, count: table.count)
        }
        let programHeaders = header.programHeaders(in: memory.copy(address + table.offset, UInt64(table.byteCount)))
        let notes = programHeaders.filter { $0.type == Self.noteType }
        guard notes.count <= Self.noteLimit else { throw .tooManyNotes(notes.count) }
        order = header.order
        self.programHeaders = programHeaders
        hashTableOrders = tree.hashTableOrders
        vmcoreinfo = notes.lazy.compactMap { Self.vmcoreinfo(in: memory, $0, header.order) }.first
    }

    /// The value of `elfcorehdr=[size@]offset` on a command line, the last one as the kernel takes it.
    static func headerAddress(in arguments: [UInt8]) -> UInt64? {
        var rest = arguments[...]
        var address: UInt64?
        while !rest.isEmpty {
            var word = rest.takeField(until: 0x20)
            guard word.skip("elfcorehdr=") else { continue }
            let value = word.takeField(until: 0x40)
            address = byteCount(word.isEmpty ? value : word)
        }
        return address
    }

    /// A number as `memparse` reads it (lib/cmdline.c): decimal or `0x…`, in units of a letter behind it.
    private static func byteCount(_ text: ArraySlice<UInt8>) -> UInt64? {
        var rest = text
        let radix: UInt64 = rest.skip("0x") ? 16 : 10
        guard let number = rest.takeNumber(radix: radix), rest.count <= 1 else { return nil }
        var shift: UInt64 = 0
        if let letter = rest.first {
            guard let unit = Array("kmgtpe".utf8).firstIndex(of: letter | 0x20) else { return nil }
            shift = UInt64(unit + 1) * 10
        }
        guard number <= .max >> shift else { return nil }
        return number << shift
    }

    /// The text of a VMCOREINFO note that is whole within a `PT_NOTE`.
    private static func vmcoreinfo(in memory: GuestRAM, _ piece: ELFProgramHeader, _ order: ByteOrder) -> Vmcoreinfo? {
        let beginning = memory.copy(piece.fileOffset, UInt64(Vmcoreinfo.noteBeginningByteCount))
        guard beginning.count == Vmcoreinfo.noteBeginningByteCount,
            let byteCount = Vmcoreinfo.noteByteCount(beginning: beginning, order: order),
            UInt64(byteCount) <= piece.fileByteCount
        else { return nil }
        return Vmcoreinfo(note: memory.copy(piece.fileOffset, UInt64(byteCount)), order: order)
    }
}

extension GuestRAM {
    /// Copies bytes out, from any address on: as many as there are in one piece, and none where there is no memory.
    fileprivate func copy(_ address: UInt64, _ byteCount: UInt64) -> [UInt8] {
        let start = address.alignedDown(to: 8)
        guard let region = regions.first(where: { $0.range.contains(start) }),
            address < region.range.upperBound, byteCount <= region.range.upperBound - address
        else { return [] }
        let ahead = Int(address - start)
        let bytes = try? self.bytes(at: PhysicalAddress(start), byteCount: ahead + Int(byteCount))
        return Array((bytes ?? []).dropFirst(ahead))
    }
}
