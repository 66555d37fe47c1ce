// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import TestSupport
import Testing
import VmemmapPopulate

struct KernelTests {
    private static let sample = SampleVmcoreinfo()

    /// Text without the lines of these symbols.
    private func note(lacking symbols: [String]) -> KernelNote {
        KernelNote(symbols.reduce(Self.sample) { $0.removing("SYMBOL(\($1))") })
    }

    private func text(_ name: StaticString) -> String { "\(name)" }

    @Test(arguments: [ByteOrder.little, .big]) func constantsComeFromTheNote(order: ByteOrder) throws {
        var isAsked = false
        let kernel = try Kernel(note: KernelNote(Self.sample, order: order)) { _ in
            isAsked = true
            return SymbolLookup(addresses: [], reason: [])
        }
        #expect(!isAsked)
        #expect(kernel.order == order)
        #expect(kernel.note.addresses == [PhysicalAddress(0x10_0000)])
        #expect(kernel.release == Array("6.1.0-37-powerpc64le".utf8))
        #expect(kernel.layout == (try KernelLayout(Self.sample.parsed)))
        #expect(kernel.symbols.map { text($0.name) } == Vmcoreinfo.symbolNames.map(text))
        #expect(kernel.symbols.allSatisfy { $0.source == .vmcoreinfo })
    }

    @Test func onlyWhatTheNoteLacksIsLookedUp() throws {
        var asked: [String] = []
        let kernel = try Kernel(note: note(lacking: ["vmemmap_list", "swapper_pg_dir"])) { missing in
            asked = missing.map(text)
            // What nobody asked for counts for nothing.
            return SymbolLookup(
                addresses: [("vmemmap_list", 0xc000_0000_0020_0040), ("mmu_psize_defs", 0xc000_0000_0000_0000)],
                reason: Array("not in the table".utf8))
        }
        #expect(asked == ["vmemmap_list", "swapper_pg_dir"])
        #expect(kernel.layout.listHeadAddress == 0xc000_0000_0020_0040)
        #expect(kernel.layout.pageSizeDefinitionsAddress == 0xc000_0000_0020_1000)
        #expect(kernel.layout.pageTableRootAddress == nil)
        #expect(
            kernel.symbols.map(\.source) == [
                .symbolTable, .vmcoreinfo, .vmcoreinfo, .nowhere(reason: Array("not in the table".utf8)),
            ])
        // The note stays what the kernel wrote.
        #expect(kernel.note.info.symbol("vmemmap_list") == nil)
    }

    /// What the error names for each way in which a kernel cannot be read.
    private func problem(_ note: KernelNote, _ addresses: [(name: StaticString, address: UInt64)] = []) throws
        -> (key: String, value: UInt64?, symbol: String?, reason: String?)
    {
        let problem = try #require(throws: Kernel.Problem.self) {
            try Kernel(note: note) { _ in SymbolLookup(addresses: addresses, reason: Array("why not".utf8)) }
        }
        return (
            text(problem.key), problem.value, problem.symbol.map { text($0.name) },
            problem.symbol.map { String(decoding: $0.reason, as: UTF8.self) }
        )
    }

    @Test(arguments: ["vmemmap_list", "mmu_vmemmap_psize", "mmu_psize_defs"])
    func aSymbolThatNobodyHasIsNamedWithTheReason(symbol: String) throws {
        #expect(try problem(note(lacking: [symbol])) == ("SYMBOL(\(symbol))", nil, symbol, "why not"))
    }

    @Test(arguments: [0, 0x20_0000, 0xc000_0000_0020_0001, 0xc008_0000_0000_0000, .max] as [UInt64])
    func aSymbolAtAnImpossiblePlaceIsRefused(address: UInt64) throws {
        let found = try problem(note(lacking: ["vmemmap_list"]), [("vmemmap_list", address)])
        #expect(found == ("SYMBOL(vmemmap_list)", address, nil, nil))
        let said = Self.sample.replacing("SYMBOL(vmemmap_list)", with: String(address, radix: 16))
        #expect(try problem(KernelNote(said)) == ("SYMBOL(vmemmap_list)", address, nil, nil))
    }

    @Test(arguments: ["", "6.1\u{1b}[2J", "6.1\u{7f}", "6.1é", "6.1\t"])
    func aReleaseThatATerminalWouldObeyIsRefused(release: String) throws {
        #expect(
            try problem(KernelNote(Self.sample.replacing("OSRELEASE", with: release))) == ("OSRELEASE", nil, nil, nil))
        #expect(try problem(KernelNote(Self.sample.removing("OSRELEASE"))) == ("OSRELEASE", nil, nil, nil))
    }

    @Test func anImpossibleValueIsNamed() throws {
        #expect(
            try problem(KernelNote(Self.sample.replacing("PAGESIZE", with: "8192"))) == ("PAGESIZE", 8192, nil, nil))
        #expect(try problem(KernelNote(Self.sample.removing("SIZE(page)"))) == ("SIZE(page)", nil, nil, nil))
    }

    /// What the kernel says of its MMU counts, and else what is learnt first.
    @Test(
        arguments: [("0", .hash, .vmcoreinfo), ("1", .radix, .vmcoreinfo), (nil, .radix, .cpuinfo)]
            as [(String?, MMU, MMUSource)])
    func theMMUHasASource(radix: String?, mmu: MMU, source: MMUSource) throws {
        var kernel = try Kernel(radix: radix)
        #expect((kernel.mmu == .unknown) == (radix == nil))
        #expect((kernel.mmuSource == .nowhere) == (radix == nil))
        kernel.learn(mmu: .radix, from: .cpuinfo)
        kernel.learn(mmu: .hash, from: .cpuinfo)
        #expect(kernel.mmu == mmu)
        #expect(kernel.mmuSource == source)
    }

    /// A region of the memory map's own is a hash kernel's; any other place says nothing.
    @Test(
        arguments: [
            (nil, 0xf000_0000_0000_0000, .hash, .memoryMap), (nil, 0xc00c_0000_0000_0000, .unknown, .nowhere),
            (nil, 0xc00a_0000_0000_0000, .unknown, .nowhere), (nil, 0xf000_0000_0000_1000, .unknown, .nowhere),
            (nil, 0, .unknown, .nowhere), (nil, nil, .unknown, .nowhere), (nil, .max, .unknown, .nowhere),
            ("1", 0xf000_0000_0000_0000, .radix, .vmcoreinfo),
        ] as [(String?, UInt64?, MMU, MMUSource)])
    func theMemoryMapsPlaceMayTellTheMMU(radix: String?, base: UInt64?, mmu: MMU, source: MMUSource) throws {
        var kernel = try Kernel(radix: radix)
        kernel.learnMMU(fromMemoryMapAt: base)
        #expect(kernel.mmu == mmu && kernel.mmuSource == source)
    }

    @Test(
        arguments: [
            ("0", 16, false, .hash), ("0", nil, true, .hash), ("1", 16, false, .radixList), ("1", 12, true, .radixList),
            ("1", 12, false, .radixTables), ("1", nil, false, .radixTables),
        ] as [(String, UInt64?, Bool, PopulateRules)])
    func rulesFollowFromWhatItShows(radix: String, pageShift: UInt64?, hasHadEntries: Bool, rules: PopulateRules) throws
    {
        let memoryMap = MemoryMap(base: SampleMemory.vmemmapBase, pageShift: pageShift)
        #expect(try Kernel(radix: radix).rules(of: memoryMap, hasHadEntries: hasHadEntries) == rules)
    }

    @Test func geometryTakesBaseAndPageSize() throws {
        let kernel = try Kernel(radix: nil)
        let base = SampleMemory.vmemmapBase
        #expect(kernel.geometry(of: MemoryMap(base: nil, pageShift: 16)) == nil)
        #expect(kernel.geometry(of: MemoryMap(base: base, pageShift: nil)) == nil)
        #expect(
            kernel.geometry(of: MemoryMap(base: base, pageShift: 16))
                == MemoryMapGeometry(
                    vmemmapBase: base, vmemmapPageShift: 16, pageByteCount: 65536, structPageByteCount: 64))
    }
}
