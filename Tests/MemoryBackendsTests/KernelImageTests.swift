// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import SystemPackage
import TestSupport
import Testing

@testable import MemoryBackends

@Suite struct KernelImageTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let wanted = ["vmemmap_list", "mmu_vmemmap_psize", "mmu_psize_defs"]

    private func file(_ bytes: [UInt8]) throws -> FilePath {
        FilePath(try folder.write(bytes, to: "vmlinux"))
    }

    private func addresses(_ image: SampleImage) throws -> [String: UInt64] {
        try KernelImage(file(image.bytes)).addresses(ofGlobal: Self.wanted)
    }

    @Test(arguments: [ByteOrder.little, .big]) func symbolsAreFoundInEitherByteOrder(order: ByteOrder) throws {
        let image = try KernelImage(file(SampleImage(order: order).bytes))
        #expect(image.order == order)
        #expect(
            try image.addresses(ofGlobal: Self.wanted) == [
                "vmemmap_list": 0xc000_0000_0020_0000, "mmu_vmemmap_psize": 0xc000_0000_0020_000c,
            ])
    }

    @Test func whatIsNoGlobalVariableOfTheKernelIsLeftOut() throws {
        var image = SampleImage()
        // Local (STB_LOCAL), and undefined (SHN_UNDEF).
        image.symbols = [
            .init(name: "vmemmap_list", address: 8, info: 0x01),
            .init(name: "mmu_vmemmap_psize", address: 8, section: 0),
        ]
        #expect(try addresses(image) == [:])
        // A local one beside the global one is another variable.
        image.symbols.append(.init(name: "vmemmap_list", address: 16))
        #expect(try addresses(image) == ["vmemmap_list": 16])
        image.symbols.append(.init(name: "vmemmap_list", address: 24))
        #expect(try addresses(image) == [:])
    }

    @Test func localVariablesAreFoundWhereTheyAreAskedFor() throws {
        var image = SampleImage()
        // STT_OBJECT, and STT_FUNC, which is none.
        image.symbols += [
            .init(name: "next", address: 32, info: 0x01), .init(name: "num_left", address: 40, info: 0x02),
        ]
        let found = try KernelImage(file(image.bytes))
            .addresses(ofGlobal: ["vmemmap_list", "next"], local: ["next", "num_left", "mmu_vmemmap_psize"])
        #expect(found == ["vmemmap_list": 0xc000_0000_0020_0000, "next": 32])
        image.symbols.append(.init(name: "next", address: 48, info: 0x01))
        #expect(try KernelImage(file(image.bytes)).addresses(ofGlobal: [], local: ["next"]) == [:])
    }

    @Test func aStrippedImageSaysSo() throws {
        let path = try file(SampleImage(tableType: 3).bytes)
        #expect(throws: KernelImageError.noSymbolTable(path)) { try KernelImage(path) }
        #expect("\(KernelImageError.noSymbolTable("a/vmlinux"))" == "the kernel's file a/vmlinux has no symbol table")
    }

    @Test func whatIsNoFileIsSaid() {
        #expect(throws: KernelImageError.cannotRead("/nonexistent", .noSuchFileOrDirectory)) {
            try KernelImage("/nonexistent")
        }
    }

    /// A change at an offset, and what is thrown for it.
    struct Damage: CustomTestStringConvertible {
        let testDescription: String
        let offset: Int
        let bytes: [UInt8]
        let error: @Sendable (FilePath) -> KernelImageError

        init(
            _ title: String, _ offset: Int, _ bytes: [UInt8],
            _ error: @escaping @Sendable (FilePath) -> KernelImageError
        ) {
            (testDescription, self.offset, self.bytes, self.error) = (title, offset, bytes, error)
        }
    }

    private static let size = UInt64(SampleImage().bytes.count)
    private static let all: [UInt8] = [255, 255, 255, 255, 255, 255, 255, 255]

    @Test(arguments: [
        Damage("no ELF", 0, [0x7e]) { .noImage($0) },
        Damage("32 bits", 4, [1]) { .noImage($0) },
        Damage("no byte order", 5, [3]) { .noImage($0) },
        Damage("sections at no place", 40, all) { .cutOff($0, byteCount: size) },
        Damage("sections that wrap around", 40, [0xf0] + all.dropFirst()) { .cutOff($0, byteCount: size) },
        Damage("section headers of another size", 58, [63]) { .noSymbolTable($0) },
        Damage("no sections", 60, [0]) { .noSymbolTable($0) },
        Damage("more sections than bytes", 60, [255, 255]) { .cutOff($0, byteCount: size) },
        Damage("names in no section", 128 + 40, [3]) { .noSymbolTable($0) },
        Damage("names in the last section there can be", 128 + 40, [255, 255, 255, 255]) { .noSymbolTable($0) },
        Damage("symbols at no place", 128 + 24, all) { .cutOff($0, byteCount: size) },
        Damage("symbols behind the end", 128 + 25, [0xff]) { .cutOff($0, byteCount: size) },
        Damage("symbols without end", 128 + 32, all) { .tooLarge($0, byteCount: .max) },
        Damage("more symbols than bytes", 128 + 34, [0xff]) { .cutOff($0, byteCount: size) },
        Damage("names at no place", 192 + 24, all) { .cutOff($0, byteCount: size) },
        Damage("names without end", 192 + 32, all) { .tooLarge($0, byteCount: .max) },
        Damage("a byte more of names than there is", 192 + 32, [80]) { .cutOff($0, byteCount: size) },
    ])
    func damageIsNamed(damage: Damage) throws {
        var bytes = SampleImage().bytes
        bytes.replaceSubrange(damage.offset..<damage.offset + damage.bytes.count, with: damage.bytes)
        let path = try file(bytes)
        #expect(throws: damage.error(path)) { try KernelImage(path).addresses(ofGlobal: Self.wanted) }
    }

    /// Whatever stands in the file, reading it ends, with addresses or with an error of the image's.
    @Test func anyDamageEnds() throws {
        let good = SampleImage().bytes
        var generator = SeededGenerator(seed: 0x1d3a)
        for round in 0..<500 {
            var bytes = good
            if round % 4 == 0 {
                bytes.removeLast(Int.random(in: 1...good.count, using: &generator))
            } else {
                for _ in 0..<(round % 4) {
                    bytes[Int.random(in: 0..<good.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
            }
            let path = try file(bytes)
            do {
                let found = try KernelImage(path).addresses(ofGlobal: Self.wanted)
                #expect(Set(found.keys).isSubset(of: Self.wanted), "round \(round)")
            } catch is KernelImageError {
                continue
            }
        }
    }
}
