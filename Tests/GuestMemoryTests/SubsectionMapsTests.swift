// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import TestSupport
import Testing

/// Where a section's map of sub-sections is, learned from sections that are whole.
struct SubsectionMapsTests {
    private static let root: UInt64 = 0xc000_0000_0031_0000
    private static let usages: UInt64 = 0xc000_0000_0060_0000
    private let layout: KernelLayout
    private let sections = (0..<3).map { MemorySection(number: $0, vmemmapBase: 0, flags: [.present]) }

    init() throws {
        layout = try KernelLayout(SampleVmcoreinfo().parsed)
    }

    /// Three sections, each with a usage of these words.
    private func kernel(_ usage: [UInt64]) -> SparseWords {
        var kernel = SparseWords([layout.sectionRootsAddress: Self.root])
        for section in UInt64(0)..<3 {
            kernel.content[Self.root + section * 32 + 8] = Self.usages + section * 64
            for (index, word) in usage.enumerated() {
                kernel.content[Self.usages + section * 64 + UInt64(index) * 8] = word
            }
        }
        return kernel
    }

    /// At the beginning, behind an `rcu_head`, in both places, in neither, and in no memory.
    @Test(
        arguments: [
            ([0xff, 0x1234, 0x5678], true), ([0, 0, 0xff], true), ([0xff, 0, 0xff], false), ([0x7f, 0, 0], false),
            ([0, 0], false), ([], false),
        ] as [([UInt64], Bool)])
    func theOnePlaceIsLearned(usage: [UInt64], isLearned: Bool) {
        let kernel = kernel(usage)
        let maps = SubsectionMaps(learnedFrom: sections, layout: layout, in: kernel)
        #expect((maps != nil) == isLearned)
        #expect(maps.map { $0.map(of: sections[2], layout: layout, in: kernel) } == (isLearned ? 0xff : nil))
    }

    @Test func whatIsSpoiltLaterIsRead() throws {
        var kernel = kernel([0, 0, 0xff])
        let maps = try #require(SubsectionMaps(learnedFrom: sections, layout: layout, in: kernel))
        kernel.content[Self.usages + 64 + 16] = 0x7f
        #expect(maps.map(of: sections[1], layout: layout, in: kernel) == 0x7f)
        kernel.content[Self.root + 32 + 8] = 0
        #expect(maps.map(of: sections[1], layout: layout, in: kernel) == nil)
    }

    @Test func oneSectionThatIsNotWholeTeachesNothing() {
        var kernel = kernel([0, 0, 0xff])
        kernel.content[Self.usages + 64 + 16] = 0xfe
        #expect(SubsectionMaps(learnedFrom: sections, layout: layout, in: kernel) == nil)
        #expect(SubsectionMaps(learnedFrom: [], layout: layout, in: kernel) == nil)
    }

    @Test func aWholeMapHasABitForEach2MiB() {
        #expect(SubsectionMaps.whole(sectionSizeBits: 24) == 0xff)
        #expect(SubsectionMaps.whole(sectionSizeBits: 21) == 1)
        #expect(SubsectionMaps.whole(sectionSizeBits: 26) == 0xffff_ffff)
        #expect(SubsectionMaps.whole(sectionSizeBits: 20) == nil)
        #expect(SubsectionMaps.whole(sectionSizeBits: 27) == nil)
    }
}
