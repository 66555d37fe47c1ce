// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import KernelState
import SystemPackage
import TestSupport
import Testing

@testable import MemoryBackends

@Suite struct ImageSymbolsTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let sample = SampleVmcoreinfo()

    /// A kernel of this note; where that is complete, nobody asks for the kernel's file.
    private func kernel(_ sample: SampleVmcoreinfo, image: FilePath = "/nonexistent/vmlinux") throws -> Kernel {
        try Kernel(note: KernelNote(info: sample.parsed, order: .little, addresses: []), image: image)
    }

    private func problem(_ sample: SampleVmcoreinfo) -> String? {
        #expect(throws: Kernel.Problem.self) { try kernel(sample) }.map { "\($0)" }
    }

    @Test func aKeyThatCannotBeUsedIsNamed() {
        #expect(problem(Self.sample.removing("SIZE(page)")) == "VMCOREINFO has no usable SIZE(page)")
        #expect(
            problem(Self.sample.replacing("PAGESIZE", with: "8192"))
                == "VMCOREINFO has PAGESIZE=8192, which no ppc64 kernel has")
    }

    private func kernel(without symbols: [String], image: [UInt8]) throws -> Kernel {
        var sample = Self.sample
        for symbol in symbols { sample = sample.removing("SYMBOL(\(symbol))") }
        return try kernel(sample, image: FilePath(folder.write(image, to: "vmlinux")))
    }

    @Test func theNoteIsAskedFirst() throws {
        var image = SampleImage()
        image.symbols = image.symbols.map { .init(name: $0.name, address: $0.address + 64) }
        let kernel = try kernel(without: [], image: image.bytes)
        #expect(kernel.layout.listHeadAddress == 0xc000_0000_0020_0000)
        #expect(kernel.symbols.prefix(4).allSatisfy { $0.source == .vmcoreinfo })
        #expect(kernel.symbols.prefix(4).allSatisfy { "\($0.source)" == "VMCOREINFO" })
    }

    @Test func whatTheNoteLacksComesFromTheImage() throws {
        var image = SampleImage()
        image.symbols[2] = .init(name: "vmemmap_list", address: 0xc000_0000_0020_0040)
        let kernel = try kernel(without: ["vmemmap_list"], image: image.bytes)
        #expect(kernel.layout.listHeadAddress == 0xc000_0000_0020_0040)
        #expect(
            kernel.symbols.prefix(4).map { "\($0.name): \($0.source)" } == [
                "vmemmap_list: the kernel's file", "mmu_vmemmap_psize: VMCOREINFO", "mmu_psize_defs: VMCOREINFO",
                "swapper_pg_dir: VMCOREINFO",
            ])
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

    private static let freeNodes: [SampleImage.Symbol] = [
        .init(name: "next", address: 0xc000_0000_0020_1000, info: 0x01),
        .init(name: "num_left", address: 0xc000_0000_0020_1008, info: 0x01),
        .init(name: "num_freed", address: 0xc000_0000_0020_100c, info: 0x01),
    ]

    @Test func whereFreeNodesAreComesFromTheImage() throws {
        var image = SampleImage()
        image.symbols += Self.freeNodes
        let kernel = try kernel(without: [], image: image.bytes)
        #expect(
            kernel.freeNodes
                == FreeNodeAddresses(
                    next: 0xc000_0000_0020_1000, leftCount: 0xc000_0000_0020_1008, freedCount: 0xc000_0000_0020_100c))
        #expect(
            kernel.symbols.suffix(3).map { "\($0.name): \($0.source)" }
                == ["next: the kernel's file", "num_left: the kernel's file", "num_freed: the kernel's file"])
    }

    /// Without one of them nothing is read, and it is said why.
    @Test func freeNodesThatTheImageDoesNotTellAreSaid() throws {
        var image = SampleImage()
        image.symbols += Self.freeNodes.dropFirst()
        var partly = try kernel(without: [], image: image.bytes)
        #expect(partly.freeNodes == nil)
        #expect("\(partly.symbols[4].source)" == "nowhere: the kernel's file has none of this name, or several")
        image.symbols += [Self.freeNodes[0], Self.freeNodes[0]]
        image.symbols[image.symbols.count - 1] = .init(name: "next", address: 0xc000_0000_0030_0000, info: 0x01)
        partly = try kernel(without: [], image: image.bytes)
        #expect(partly.freeNodes == nil)
        let none = try kernel(Self.sample)
        #expect(none.freeNodes == nil)
        #expect("\(none.symbols[4].source)".hasPrefix("nowhere: the kernel's file /nonexistent/vmlinux cannot be read"))
    }

    /// What only some guests need is no error, but it is said.
    @Test func aRootPageTableThatNobodyHasIsSaid() throws {
        let kernel = try kernel(without: ["swapper_pg_dir"], image: SampleImage().bytes)
        #expect(kernel.layout.pageTableRootAddress == nil)
        #expect(
            "\(kernel.symbols[3])"
                == #"(name: "swapper_pg_dir", source: nowhere: neither VMCOREINFO nor the kernel's file has it)"#)
    }

    @Test func aSymbolAtAnImpossiblePlaceIsRefused() throws {
        var image = SampleImage()
        image.symbols[2] = .init(name: "vmemmap_list", address: 0x20_0000)
        let error = try #require(throws: Kernel.Problem.self) {
            try kernel(without: ["vmemmap_list"], image: image.bytes)
        }
        #expect("\(error)" == "VMCOREINFO has SYMBOL(vmemmap_list)=2097152, which no ppc64 kernel has")
    }

    /// What the host says where the kernel's memory cannot be read.
    @Test(
        arguments: [
            (.listHead, "vmemmap_list at 0xc000000000200000 is not in guest memory"),
            (.sectionTable, "the kernel's section table leads outside guest memory, to 0xc000000000200000"),
            (.pageSizes, "the kernel's page sizes at 0xc000000000200000 are not in guest memory"),
        ] as [(KernelReadError.Part, String)])
    func whatCannotBeReadIsSaid(part: KernelReadError.Part, text: String) {
        let error = KernelReadError(part: part, cause: .unmapped(0xc000_0000_0020_0000))
        #expect("\(error)" == text)
    }
}
