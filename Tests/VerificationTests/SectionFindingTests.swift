// SPDX-License-Identifier: Apache-2.0

import Testing
import Verification

/// Sections, memory blocks and the machine's memory against each other. A block has 16 sections here.
@Suite struct SectionFindingTests {
    private static let stale = Array(repeating: "list-stale-entry", count: 4)

    static let changes: [Change] = [
        Change("another base", ["sections-base-differs"]) { $0.sections[3].vmemmapBase += 65536 },
        Change("section without memory", ["sections-section-without-memory"]) { $0.memory[1].byteCount -= 16 << 20 },
        Change("memory without section", ["sections-memory-without-section", "sections-block-differs"]) {
            $0.removeSections(127..<128)
        },
        Change("memory without any section", ["sections-memory-without-section", "sections-block-differs"] + stale) {
            $0.removeSections(112..<128)
        },
        Change("memory in two places without section", Array(repeating: "sections-memory-without-section", count: 2)) {
            $0.report = nil
            $0.removeSections(20..<21)
            $0.removeSections(100..<101)
        },
        Change("memory that no section could be listed for", ["sections-memory-without-section"]) {
            $0.memory.append(MemoryRange(name: "ua-dimm2", base: 1 << 50, byteCount: 1 << 50))
        },
        Change("a section twice", ["sections-block-differs"]) { $0.sections.insert($0.sections[20], at: 20) },

        Change("no memory map", ["sections-flags"]) { $0.sections[3].flags = 0xd },
        Change("flags that nobody knows", ["sections-flags"]) { $0.sections[3].flags = 0x80f },
        Change("memory that is told to be a device's", ["sections-flags"]) { $0.sections[3].flags = 0x1f },
        Change("boot memory that is not early", ["sections-flags"]) { $0.sections[3].flags = 0x7 },
        Change("hot-added memory that is early", ["sections-flags"]) { $0.sections[100].flags = 0xf },
        Change("a sub-section less", ["sections-subsections"]) { $0.sections[3].subsections = 0x7f },
        Change("a sub-section too many", ["sections-subsections"]) { $0.sections[100].subsections = 0x1ff },
        Change("a usage that leads nowhere", ["sections-subsections"]) { $0.sections[100].subsections = 0 },

        Change("block missing", ["sections-block-differs"]) { $0.report?.blocks.remove(at: 3) },
        Change("block without sections", ["sections-block-differs"]) {
            $0.report?.blocks.append(.init(index: 8, state: "online"))
        },
        Change("block with the highest number", ["sections-block-differs"]) {
            $0.report?.blocks.append(.init(index: .max, state: "offline"))
        },
        Change("block online, a section offline", ["sections-block-differs"]) { $0.takeOffline(64..<65) },
        Change("block offline, sections online", ["sections-block-differs"]) { $0.report?.blocks[4].state = "offline" },
        Change("block offline, a section online", ["sections-block-differs"]) {
            $0.takeOffline(64..<79)
            $0.report?.blocks[4].state = "offline"
        },
        Change("blocks of no size", ["sections-block-differs"]) { $0.report?.blockByteCount = 0 },
        Change("blocks smaller than a section", ["sections-block-differs"]) { $0.report?.blockByteCount = 8 << 20 },
        Change("blocks of no whole sections", ["sections-block-differs"]) { $0.report?.blockByteCount = .max },
        Change("blocks of half the address space", Array(repeating: "sections-block-differs", count: 8)) {
            $0.report?.blockByteCount = 1 << 63
        },
    ]

    @Test(arguments: changes) func findsExactly(change: Change) throws {
        let verdict = try Verifier.verdict(on: change.snapshot())
        #expect(verdict.findings.map(\.name) == change.names)
        #expect(!verdict.hasPassed)
    }

    /// Boot memory that went and came is early no more, or still: the kernel forgets it with the section's last part.
    @Test(arguments: [0x7, 0xf]) func bootMemoryThatCameAgain(flags: UInt64) throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.history?.note(.removed, 3 << 24..<4 << 24)
        snapshot.history?.note(.added, 3 << 24..<4 << 24)
        snapshot.sections[3].flags = flags
        #expect(try Verifier.verdict(on: snapshot).findings.filter { $0.subject == .sections } == [])
    }

    /// Of a section that the kernel was adding when it died, nothing has to be as it becomes.
    @Test func aSectionThatIsBeingAdded() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.interruptedAdd = snapshot.memory[1]
        snapshot.witnesses = Witness.afterCrash(of: snapshot.witnesses)
        (snapshot.report, snapshot.translations) = (nil, [])
        (snapshot.sections[100].flags, snapshot.sections[100].subsections) = (0x5, 0x3)
        #expect(try Verifier.verdict(on: snapshot).findings.filter { $0.subject == .sections } == [])
    }

    @Test func saysHowManyAndWhere() throws {
        var snapshot = GoodSnapshot.hash()
        snapshot.removeSections(100..<102)
        #expect(
            try Verifier.verdict(on: snapshot).findings.map(\.message) == [
                "2 of the 64 sections of ua-dimm1 at 0x40000000 are not present, the first at 0x64000000",
                "memory block 6 exists, and 14 of its 16 sections are present",
            ])
    }
}
