// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import SystemPackage
import TestSupport
import Testing

@testable import MemoryBackends

/// Crash kernels in 4 MiB of made-up RAM, of which the second and the third are reserved.
@Suite struct CrashKernelTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let byteCount = 4 << 20
    private static let reservation: Range<UInt64> = 1 << 20..<3 << 20
    /// Where the tree is, and the core header that its command line says.
    private static let treeOffset = 0x1f_0000
    private static let headerOffset = 0x20_0000

    private func memory(_ pieces: [(offset: Int, bytes: [UInt8])]) throws -> GuestRAM {
        var content = [UInt8](repeating: 0, count: Self.byteCount)
        for (offset, bytes) in pieces { content.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
        let file = try MappedFile(FilePath(try folder.write(content, to: "boot")), byteCount: UInt64(Self.byteCount))
        return GuestRAM([GuestRAM.Region(name: "boot", base: PhysicalAddress(0), file: file)])
    }

    private func kernel(
        tree: SampleTree = SampleTree(), core: SampleCoreHeader = SampleCoreHeader(), note: [UInt8]? = nil,
        and pieces: [(offset: Int, bytes: [UInt8])] = [], in reservation: Range<UInt64> = reservation
    ) throws -> CrashKernel {
        let memory = try memory(
            [
                (Self.treeOffset, tree.bytes), (Self.headerOffset, core.bytes),
                (0x3000, note ?? SampleVmcoreinfo().note(order: core.order)),
            ] + pieces)
        return try CrashKernel(foundIn: memory, reservation: reservation)
    }

    @Test(arguments: [ByteOrder.little, .big]) func isFoundInEitherByteOrder(order: ByteOrder) throws {
        let kernel = try kernel(core: SampleCoreHeader(order: order))
        #expect(kernel.treeAddress == PhysicalAddress(0x1f_0000))
        #expect(kernel.headerAddress == PhysicalAddress(0x20_0000))
        #expect(kernel.order == order)
        #expect(kernel.hashTableOrders == [24])
        #expect(kernel.loads.map(\.physAddr) == [0, 0x1_0000, 0x30_0000])
        #expect(kernel.loads.map(\.memoryByteCount) == [0x1_0000, 0xf_0000, 0x10_0000])
        #expect(kernel.loads.map(\.fileOffset) == [0x21_0000, 0x1_0000, 0x30_0000])
        #expect(kernel.notes.map(\.physAddr) == [0x8000, 0x3000])
        #expect(kernel.vmcoreinfo?.text == SampleVmcoreinfo().text)
    }

    static let arguments: [(String, UInt64?)] = [
        ("elfcorehdr=2048K", 2 << 20), ("a elfcorehdr=2M b", 2 << 20), ("elfcorehdr=0x200000", 2 << 20),
        ("elfcorehdr=2097152 ", 2 << 20), ("elfcorehdr=0x1000@2m", 2 << 20), ("elfcorehdr=1M elfcorehdr=2M", 2 << 20),
        ("elfcorehdr=1G", 1 << 30), ("elfcorehdr=15E", 15 << 60), ("", nil), ("elfcorehdr", nil), ("elfcorehdr=", nil),
        ("elfcorehdr=K", nil), ("elfcorehdr=2Kx", nil), ("elfcorehdr=2X", nil), ("elfcorehdr=16E", nil),
        ("elfcorehdr=0x", nil), ("elfcorehdr=99999999999999999999", nil), ("noelfcorehdr=2M", nil),
        ("elfcorehdr=-1", nil),
    ]

    @Test(arguments: arguments) func readsTheCommandLine(text: String, address: UInt64?) {
        #expect(CrashKernel.headerAddress(in: Array(text.utf8)) == address)
    }

    @Test func aTreeThatAnotherBeginsInIsAnOlderLoads() throws {
        var old = SampleTree(orders: [20])
        old.header[1] = 0x2000
        let kernel = try kernel(and: [(Self.treeOffset - 0x1000, old.bytes)])
        #expect(kernel.treeAddress == PhysicalAddress(0x1f_0000))
        #expect(kernel.hashTableOrders == [24])
    }

    @Test func othersThatLeadNowhereAreNone() throws {
        let decoys = [
            (0x11_0000, SampleTree(bootArguments: "quiet").bytes), (0x12_0000, SampleTree(header: [5: 16]).bytes),
            (0x13_0010, SampleTree(orders: [9]).bytes), (0x32_0000, SampleTree(orders: [9]).bytes),
        ]
        #expect(try kernel(and: decoys).treeAddress == PhysicalAddress(0x1f_0000))
    }

    @Test func twoThatSayTheSameAreOne() throws {
        let same = [(0x11_0000, SampleTree().bytes)]
        #expect(try kernel(and: same).treeAddress == PhysicalAddress(0x11_0000))
        #expect(throws: CrashKernelProblem.kernelsDiffer(PhysicalAddress(0x11_0000), PhysicalAddress(0x1f_0000))) {
            try kernel(and: [(0x11_0000, SampleTree(orders: [25]).bytes)])
        }
    }

    @Test func tooManyTreesAreRefused() throws {
        let many = (0..<64).map { (0x10_0000 + $0 * 0x1000, SampleTree().bytes) }
        #expect(throws: CrashKernelProblem.tooManyTrees(limit: 64)) { try kernel(and: many) }
    }

    @Test(arguments: [0..<0, 1 << 20..<5 << 20, 4 << 20..<5 << 20] as [Range<UInt64>])
    func theReservationIsInMemory(reservation: Range<UInt64>) throws {
        #expect(throws: CrashKernelProblem.reservationOutsideMemory(reservation)) { try kernel(in: reservation) }
    }

    @Test func anEmptyReservationHasNone() throws {
        let memory = try memory([])
        #expect(throws: CrashKernelProblem.noTree(searchedByteCount: 2 << 20)) {
            try CrashKernel(foundIn: memory, reservation: Self.reservation)
        }
    }

    private static let treeAddress = PhysicalAddress(0x1f_0000)
    private static let headerAddress = PhysicalAddress(0x20_0000)

    static let damages: [(String, SampleTree, SampleCoreHeader, CrashKernelProblem)] = {
        let core = SampleCoreHeader()
        var cases: [(String, SampleTree, SampleCoreHeader, CrashKernelProblem)] = [
            ("no argument", SampleTree(bootArguments: "quiet"), core, .noHeaderArgument(treeAddress)),
            (
                "below the reservation", SampleTree(bootArguments: "elfcorehdr=64K"), core,
                .headerOutsideReservation(65536)
            ),
            ("behind it", SampleTree(bootArguments: "elfcorehdr=3M"), core, .headerOutsideReservation(3 << 20)),
            (
                "at its end", SampleTree(bootArguments: "elfcorehdr=0x2fffd0"), core,
                .headerOutsideReservation(0x2f_ffd0)
            ),
            (
                "misaligned", SampleTree(bootArguments: "elfcorehdr=0x200004"), core,
                .headerOutsideReservation(0x20_0004)
            ),
            ("no ELF", SampleTree(bootArguments: "elfcorehdr=2M"), core, .header(headerAddress, .notELF)),
            (
                "an executable", SampleTree(), SampleCoreHeader(type: 2),
                .notACore(headerAddress, type: 2, machine: 21)
            ),
            (
                "another machine", SampleTree(), SampleCoreHeader(machine: 62),
                .notACore(headerAddress, type: 4, machine: 62)
            ),
            (
                "another entry size", SampleTree(), SampleCoreHeader(entryByteCount: 32),
                .header(headerAddress, .programHeaderSize(32))
            ),
            (
                "table behind it", SampleTree(), SampleCoreHeader(tableOffset: 0x10_0000),
                .tableOutsideReservation(headerAddress, offset: 0x10_0000, count: 5)
            ),
            (
                "table at the end of everything", SampleTree(), SampleCoreHeader(tableOffset: .max - 300),
                .tableOutsideReservation(headerAddress, offset: .max - 300, count: 5)
            ),
        ]
        cases[5].1.bootArguments = "elfcorehdr=0x200008"
        cases[5].3 = .header(PhysicalAddress(0x20_0008), .notELF)
        return cases
    }()

    @Test(arguments: damages)
    func saysWhatIsDamaged(title: String, tree: SampleTree, core: SampleCoreHeader, problem: CrashKernelProblem) throws
    {
        #expect(throws: problem) { try kernel(tree: tree, core: core) }
        #expect(!"\(problem)".isEmpty)
    }

    @Test func aDamagedTreeSaysWhere() throws {
        let problem = CrashKernelProblem.tree(Self.treeAddress, .version(16, compatibleTo: 17))
        #expect(throws: problem) { try kernel(tree: SampleTree(header: [5: 16])) }
        #expect(
            "\(problem)"
                == "the device tree at 0x1f0000 cannot be read: version 16, compatible to 17; version 17 can be read")
    }

    @Test func aNoteThatIsNotWholeIsNone() throws {
        let note = SampleVmcoreinfo().note(order: .little)
        var core = SampleCoreHeader()
        for damage in [[UInt8](repeating: 0, count: 64), Array(note[0..<4]) + [0, 0, 2, 0] + Array(note[8...])] {
            #expect(try kernel(note: damage).vmcoreinfo == nil)
        }
        core.pieces[1].byteCount = UInt64(note.count) - 1
        #expect(try kernel(core: core).vmcoreinfo == nil)
        for address in [0, 3 << 40, .max - 8, .max, 0x3f_fff0] as [UInt64] {
            core = SampleCoreHeader()
            core.pieces[1].offset = address
            let kernel = try kernel(core: core)
            #expect(kernel.vmcoreinfo == nil)
            #expect(kernel.notes.count == 2)
        }
    }

    @Test func manyNotesAreRefused() throws {
        var core = SampleCoreHeader()
        core.pieces = Array(repeating: core.pieces[1], count: 4097)
        #expect(throws: CrashKernelProblem.tooManyNotes(4097)) { try kernel(core: core) }
    }
}
