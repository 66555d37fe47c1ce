// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics
import VmemmapPopulate

extension MirrorSnapshot {
    /// The header's words of which only harness and agent know what they have to be.
    public static let statedFields: [SharedRegionLayout.Field] = [
        .regionByteCount, .head, .freedCount, .eventCount, .lossCount, .healCount, .mmu, .vmemmapPageShift,
        .eventSource,
    ]
}

/// The header of the shared region against the region's format, the mirrored list, and what harness and agent say.
struct MirrorHeaderChecks {
    private let mirror: MirrorSnapshot
    private let kernel: KernelFacts
    private let values: [String: UInt64]
    private let statements: [String: MirrorSnapshot.Statement]

    /// A value that a word must have, and who says so.
    private typealias Expectation = (value: UInt64, source: String)

    /// The words that an agent changes as it works: one that died meanwhile has left them anywhere.
    private static let movingNames = Set(
        [
            SharedRegionLayout.Field.head, .generation, .state, .freedCount, .eventCount, .lossCount, .healCount,
            .liveCount,
            .nodePagesUsed, .nodesLeft,
        ].map { "\($0)" })
    private let isInterrupted: Bool

    init(mirror: MirrorSnapshot, kernel: KernelFacts, isInterrupted: Bool) {
        self.mirror = mirror
        self.kernel = kernel
        self.isInterrupted = isInterrupted
        values = Dictionary(mirror.header.map { ($0.field, $0.value) }) { first, _ in first }
        statements = Dictionary(mirror.statements.map { ($0.field, $0) }) { first, _ in first }
    }

    /// The names of all words, in order.
    static let names =
        SharedRegionLayout.Field.allCases.map { "\($0)" }
        + (0..<SharedRegionLayout.releaseByteCount / 8).map { "release[\($0)]" }

    func findings() -> [Finding] {
        guard mirror.header.map(\.field) == Self.names else {
            return [misfit(mirror.header.map(\.field), Self.names, "the words of the header")]
        }
        var findings: [Finding] = []
        let stated = MirrorSnapshot.statedFields.map { "\($0)" }
        if mirror.statements.map(\.field) != stated {
            findings.append(misfit(mirror.statements.map(\.field), stated, "what is stated of the header's words"))
        }
        if mirror.list.head != value(.head) {
            findings.append(
                Finding(
                    .mirror, .header,
                    "header word head is \(value(.head).hexadecimal); the list was walked from "
                        + mirror.list.head.hexadecimal))
        }
        findings += otherKernel()
        let expectations = expectations()
        return findings
            + mirror.header.compactMap { word in
                if isInterrupted, Self.movingNames.contains(word.field) { return nil }
                guard let expected = expectations[word.field] else {
                    return Finding(.mirror, .header, "nothing says what header word \(word.field) has to be")
                }
                guard word.value != expected.value else { return nil }
                return Finding(
                    .mirror, .header,
                    "header word \(word.field) is \(word.value.hexadecimal); \(expected.source) says "
                        + expected.value.hexadecimal)
            }
    }

    /// The agent and the host read the same kernel. Either may not know.
    private func otherKernel() -> [Finding] {
        let pairs: [(SharedRegionLayout.Field, UInt64)] = [
            (.mmu, kernel.mmu == .unknown ? 0 : kernel.mmu.rawValue), (.vmemmapPageShift, kernel.vmemmapPageShift ?? 0),
        ]
        return pairs.compactMap { field, value in
            guard value != 0, let stated = statements["\(field)"], stated.value != 0, stated.value != value else {
                return nil
            }
            return Finding(
                .mirror, .header,
                "\(stated.source) says \(stated.value.hexadecimal) of \(field), and the host reads \(value.hexadecimal)"
            )
        }
    }

    private func misfit(_ found: [String], _ expected: [String], _ what: String) -> Finding {
        let index = zip(found, expected).enumerated().first { $1.0 != $1.1 }?.offset ?? min(found.count, expected.count)
        func name(_ names: [String]) -> String { index < names.count ? "'\(names[index].prefix(80))'" : "nothing" }
        return Finding(
            .mirror, .header,
            "\(what): not those of the region's format: number \(index + 1) is \(name(found)), not \(name(expected))")
    }

    private func expectations() -> [String: Expectation] {
        var expected: [SharedRegionLayout.Field: Expectation] = [
            .magic: (SharedRegionLayout.magic, "the region's format"),
            .state: (AgentState.ready.rawValue, "a mirror at rest"), .epoch: (1, "the first kernel's agent"),
            // Any even number: an odd one stands there while the agent changes something.
            .generation: (value(.generation) & ~1, "a mirror at rest"),
            .vmemmapBase: (kernel.vmemmapBase, "the kernel's mem_section"),
        ]
        for (field, word) in statements {
            guard let known = MirrorSnapshot.statedFields.first(where: { "\($0)" == field }) else { continue }
            expected[known] = (word.value, word.source)
        }
        if let layout {
            for (field, value) in layout.fixedFields() where field != .regionByteCount {
                expected[field] = (value, "the region's format")
            }
            for (field, value) in counts(layout) { expected[field] = (value, "the number of nodes") }
        }
        var named = Dictionary(uniqueKeysWithValues: expected.map { ("\($0)", $1) })
        for (index, word) in releaseWords().enumerated() { named["release[\(index)]"] = (word, "VMCOREINFO") }
        return named
    }

    /// The region's layout as host and agent compute it; nil when no region has this size.
    var layout: SharedRegionLayout? {
        statements["\(SharedRegionLayout.Field.regionByteCount)"].flatMap {
            try? SharedRegionLayout(regionByteCount: $0.value, pageByteCount: kernel.pageByteCount)
        }
    }

    private func value(_ field: SharedRegionLayout.Field) -> UInt64 { values["\(field)"] ?? 0 }

    /// The allocator hands out whole pages, so their number and what is left follow from the number of nodes. Freed ones are
    /// stacked for reuse: so many came out of those pages too.
    private func counts(_ layout: SharedRegionLayout) -> [(SharedRegionLayout.Field, UInt64)] {
        let liveCount = UInt64(mirror.list.entries.count)
        let freedCount = min(statements["\(SharedRegionLayout.Field.freedCount)"]?.value ?? 0, layout.nodeCapacity)
        let handedOut = liveCount + freedCount
        let pages = (handedOut + layout.nodesPerPage - 1) / layout.nodesPerPage
        return [
            (.liveCount, liveCount), (.nodePagesUsed, pages), (.nodesLeft, pages * layout.nodesPerPage - handedOut),
        ]
    }

    /// `OSRELEASE` of VMCOREINFO, eight bytes a word in memory order, cut and padded with zeros.
    private func releaseWords() -> [UInt64] {
        let text = Array(kernel.release.utf8.prefix(Int(SharedRegionLayout.releaseByteCount) - 1))
        return (0..<Int(SharedRegionLayout.releaseByteCount / 8)).map { index in
            text.dropFirst(index * 8).prefix(8).enumerated().reduce(0) {
                $0 | UInt64($1.element) << UInt64($1.offset * 8)
            }
        }
    }
}
