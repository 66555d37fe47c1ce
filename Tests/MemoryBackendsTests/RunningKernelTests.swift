// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import MemoryBackends
import SystemPackage
import TestSupport
import Testing

@Suite struct RunningKernelTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Where a complete note is, nobody asks for the kernel's file.
    private let noImage = FilePath("/nonexistent/vmlinux")

    private static let sample = SampleVmcoreinfo()
    private static let byteCount = 1 << 20

    /// Guest RAM of 1 MiB at 0 and a DIMM of 1 MiB at 256 MiB, with pieces of bytes in it.
    private func memory(_ pieces: [(offset: Int, bytes: [UInt8])], dimm: [(offset: Int, bytes: [UInt8])] = [])
        throws -> GuestRAM
    {
        func region(_ name: String, _ base: UInt64, _ pieces: [(offset: Int, bytes: [UInt8])]) throws -> GuestRAM.Region
        {
            var content = [UInt8](repeating: 0, count: Self.byteCount)
            for (offset, bytes) in pieces { content.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
            let file = try MappedFile(
                FilePath(try folder.write(content, to: name)), byteCount: UInt64(Self.byteCount))
            return GuestRAM.Region(name: name, base: PhysicalAddress(base), file: file)
        }
        return GuestRAM([try region("boot", 0, pieces), try region("ua-dimm1", 256 << 20, dimm)])
    }

    @Test(arguments: [ByteOrder.little, .big]) func isFoundInEitherByteOrder(order: ByteOrder) throws {
        let kernel = try RunningKernel(in: memory([(0x3000, Self.sample.note(order: order))]), image: noImage)
        #expect(kernel.order == order)
        #expect(kernel.noteAddresses == [PhysicalAddress(0x3000)])
        #expect(kernel.release == "6.1.0-37-powerpc64le")
        #expect(kernel.info.text == Self.sample.text)
        #expect(kernel.layout.pageByteCount == 65536)
        #expect(kernel.layout.listHeadAddress == 0xc000_0000_0020_0000)
    }

    @Test(arguments: [0, 0x1000, 0xff000]) func isFoundOnAnyPage(offset: Int) throws {
        let kernel = try RunningKernel(in: memory([(offset, Self.sample.note(order: .little))]), image: noImage)
        #expect(kernel.noteAddresses == [PhysicalAddress(UInt64(offset))])
    }

    @Test func isFoundInAPluggedDimm() throws {
        let kernel = try RunningKernel(
            in: memory([], dimm: [(0x2000, Self.sample.note(order: .little))]), image: noImage)
        #expect(kernel.noteAddresses == [PhysicalAddress(256 << 20 + 0x2000)])
    }

    @Test func copiesOfTheNoteAreTheSameKernel() throws {
        let note = Self.sample.note(order: .little)
        let kernel = try RunningKernel(in: memory([(0x5000, note), (0x3000, note)], dimm: [(0, note)]), image: noImage)
        #expect(kernel.noteAddresses.map(\.rawValue) == [0x3000, 0x5000, 256 << 20])
    }

    @Test func copiesHaveALimit() throws {
        let note = Self.sample.note(order: .little)
        let memory = try memory((0..<65).map { ($0 * 0x1000, note) })
        #expect(throws: RunningKernelError.tooManyNotes(limit: 64)) { try RunningKernel(in: memory, image: noImage) }
        #expect("\(RunningKernelError.tooManyNotes(limit: 64))" == "more than 64 VMCOREINFO notes in guest memory")
    }

    @Test func twoKernelsAreAnError() throws {
        let other = Self.sample.replacing("OSRELEASE", with: "6.6.1")
        let memory = try memory(
            [(0x3000, Self.sample.note(order: .little))], dimm: [(0x1000, other.note(order: .little))])
        let error = RunningKernelError.notesDiffer(PhysicalAddress(0x3000), PhysicalAddress(256 << 20 + 0x1000))
        #expect(throws: error) { try RunningKernel(in: memory, image: noImage) }
        #expect("\(error)" == "two VMCOREINFO notes differ: at 0x3000 and 0x10001000")
    }

    /// What a program in the guest may hold: none of it is the kernel's note.
    static let decoys: [(String, offset: Int, bytes: [UInt8])] = {
        let note = sample.note(order: .little)
        func changed(_ index: Int, _ bytes: [UInt8]) -> [UInt8] {
            var copy = note
            copy.replaceSubrange(index..<index + bytes.count, with: bytes)
            return copy
        }
        return [
            ("at no page's start", 0x3010, note),
            ("the name alone", 0x3000, Array("VMCOREINFO\0\0".utf8)),
            ("the name's end alone", 0x3010, Array("REINFO\0\0".utf8)),
            ("the text alone", 0x3000, sample.text),
            ("a name size of 12", 0x3000, changed(0, [12, 0, 0, 0])),
            ("a name that begins otherwise", 0x3000, changed(12, Array("XMCO".utf8))),
            ("another type", 0x3000, changed(8, [1, 0, 0, 0])),
            ("a size of nothing", 0x3000, changed(4, [0, 0, 0, 0])),
            ("a size beyond the largest", 0x3000, changed(4, [1, 0, 1, 0])),
            ("the largest size there is", 0x3000, changed(4, [255, 255, 255, 255])),
            ("a size beyond memory's end", 0xff000, changed(4, [0, 0x20, 0, 0])),
            ("another first key", 0x3000, changed(24, Array("PAGE".utf8))),
        ]
    }()

    @Test(arguments: decoys) func isNotTakenInByDecoys(title: String, offset: Int, bytes: [UInt8]) throws {
        let decoyOnly = try memory([(offset, bytes)])
        #expect(throws: RunningKernelError.noNote(searchedByteCount: 2 << 20)) {
            try RunningKernel(in: decoyOnly, image: noImage)
        }
        let kernel = try RunningKernel(
            in: memory([(offset, bytes)], dimm: [(0, Self.sample.note(order: .little))]), image: noImage)
        #expect(kernel.noteAddresses == [PhysicalAddress(256 << 20)])
    }

    @Test func emptyMemoryHasNoKernel() throws {
        #expect(throws: RunningKernelError.noNote(searchedByteCount: 0)) {
            try RunningKernel(in: GuestRAM([]), image: noImage)
        }
        #expect(
            "\(RunningKernelError.noNote(searchedByteCount: 2 << 20))" == "no VMCOREINFO note in 2 MiB of guest memory")
    }

    @Test func aMissingKeyIsNamed() throws {
        let memory = try memory([(0, Self.sample.removing("SIZE(page)").note(order: .little))])
        #expect(throws: RunningKernelError.badKey("SIZE(page)", nil)) { try RunningKernel(in: memory, image: noImage) }
        #expect("\(RunningKernelError.badKey("SIZE(page)", nil))" == "VMCOREINFO has no usable SIZE(page)")
    }

    @Test func anImpossibleValueIsNamed() throws {
        let memory = try memory([(0, Self.sample.replacing("PAGESIZE", with: "8192").note(order: .little))])
        let error = RunningKernelError.badKey("PAGESIZE", 8192)
        #expect(throws: error) { try RunningKernel(in: memory, image: noImage) }
        #expect("\(error)" == "VMCOREINFO has PAGESIZE=8192, which no ppc64 kernel has")
    }

    /// The release goes to people's terminals, where a guest must write no escapes.
    @Test(arguments: ["", "6.1\u{1b}[2J", "6.1\u{7f}", "6.1é"])
    func aReleaseThatIsNoneIsRefused(release: String) throws {
        let memory = try memory([(0, Self.sample.replacing("OSRELEASE", with: release).note(order: .little))])
        #expect(throws: RunningKernelError.badKey("OSRELEASE", nil)) { try RunningKernel(in: memory, image: noImage) }
    }

    // MARK: Symbols that the note lacks

    private func kernel(without symbols: [String], image: [UInt8]) throws -> RunningKernel {
        var sample = Self.sample
        for symbol in symbols { sample = sample.removing("SYMBOL(\(symbol))") }
        return try RunningKernel(
            in: memory([(0x3000, sample.note(order: .little))]), image: FilePath(folder.write(image, to: "vmlinux")))
    }

    @Test func theNoteIsAskedFirst() throws {
        var image = SampleImage()
        image.symbols = image.symbols.map { .init(name: $0.name, address: $0.address + 64) }
        let kernel = try kernel(without: [], image: image.bytes)
        #expect(kernel.layout.listHeadAddress == 0xc000_0000_0020_0000)
        #expect(Set(kernel.symbolSources.keys) == Set(Vmcoreinfo.symbolNames.map { "\($0)" }))
        #expect(kernel.symbolSources.values.allSatisfy { $0 == .vmcoreinfo })
    }

    @Test func whatTheNoteLacksComesFromTheImage() throws {
        var image = SampleImage()
        image.symbols[2] = .init(name: "vmemmap_list", address: 0xc000_0000_0020_0040)
        let kernel = try kernel(without: ["vmemmap_list"], image: image.bytes)
        #expect(kernel.layout.listHeadAddress == 0xc000_0000_0020_0040)
        #expect(kernel.symbolSources["vmemmap_list"] == .image)
        #expect(kernel.symbolSources["mmu_psize_defs"] == .vmcoreinfo)
        // The note itself is shown as it is.
        #expect(kernel.info.symbol("vmemmap_list") == nil)
    }

    @Test func aSymbolThatNobodyHasIsNamedWithTheReason() throws {
        func failure(_ symbol: String, _ image: SampleImage) -> String {
            do {
                _ = try kernel(without: [symbol], image: image.bytes)
                return "none"
            } catch {
                return "\(error)".replacing(folder.path("vmlinux"), with: "FILE")
            }
        }
        #expect(
            failure("vmemmap_list", SampleImage(tableType: 3))
                == "no address of vmemmap_list: VMCOREINFO lacks it, and the kernel's file FILE has no symbol table")
        #expect(
            failure("mmu_psize_defs", SampleImage())
                == "no address of mmu_psize_defs: neither VMCOREINFO nor the kernel's file has it")
        var other = SampleImage()
        other.symbols[0] = .init(name: "init_uts_ns", address: 0xc000_0000_02a1_f5b0)
        #expect(
            failure("vmemmap_list", other)
                == "no address of vmemmap_list: VMCOREINFO lacks it, and the kernel's file FILE has init_uts_ns at another place"
        )
        other.symbols[0] = .init(name: "no_uts_ns", address: 0xc000_0000_02a1_f5a8)
        #expect(failure("vmemmap_list", other).hasSuffix("has init_uts_ns at another place"))
    }

    /// What only some guests need is no error, but it is said.
    @Test func aRootPageTableThatNobodyHasIsSaid() throws {
        let kernel = try kernel(without: ["swapper_pg_dir"], image: SampleImage().bytes)
        #expect(kernel.layout.pageTableRootAddress == nil)
        #expect(
            kernel.symbolSources["swapper_pg_dir"]
                == SymbolSource.none("neither VMCOREINFO nor the kernel's file has it"))
    }

    @Test func aSymbolAtAnImpossiblePlaceIsRefused() throws {
        var image = SampleImage()
        image.symbols[2] = .init(name: "vmemmap_list", address: 0x20_0000)
        #expect(throws: RunningKernelError.badKey("SYMBOL(vmemmap_list)", 0x20_0000)) {
            try kernel(without: ["vmemmap_list"], image: image.bytes)
        }
    }
}
