// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import TestSupport
import VmemmapPopulate

@testable import Reports
@testable import RunRecord
@testable import Verification

/// Records that reports are made of in tests.
enum SampleRecord {
    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "RunRecordTests/Fixtures")

    /// The recorded runs of real guests.
    static let names: [String] =
        (try? FileManager.default.contentsOfDirectory(atPath: fixtures.path))?.filter { $0.hasPrefix("run-") }.sorted()
        ?? []

    static func fixture(_ name: String) -> URL { fixtures.appending(path: name) }

    /// What somebody says who would have a browser do something.
    static let hostileTexts = [
        "</script><script>document.title='taken'</script>",
        "\"><img src=\"http://taken.invalid/\" onerror=\"alert(1)\">",
        "' onmouseover='alert(1)", "<!--", "]]>", "--></style><style>*{display:none}</style>",
        "<a href=\"javascript:alert(1)\">x</a>", "&lt;b&gt;&#60;i&#62;", "\u{202e}txet\u{2066}",
        "\u{0}\u{1b}[31m\u{9b}",
        "<svg/onload=alert(1)>", "\\u003cscript\\u003e", "\u{2028}\u{2029}", "{{7*7}}${7*7}", "0x10000<b>0x20000",
    ]

    /// What stands in the place of any words.
    static let hostileText = hostileTexts.joined(separator: " ")

    /// A copy of a record in which everything that anyone can fill says hostile things, and nothing else is changed.
    static func hostile(_ name: String, in folder: TemporaryFolder) throws -> URL {
        let record = folder.url.appending(path: "hostile")
        try FileManager.default.copyItem(at: fixture(name), to: record)
        for file in try FileManager.default.contentsOfDirectory(atPath: record.path) {
            let url = record.appending(path: file)
            let data = try Data(contentsOf: url)
            switch url.pathExtension {
            case "json":
                let document = try JSONSerialization.jsonObject(with: data)
                try JSONSerialization.data(withJSONObject: spoiled(document, key: "")).write(to: url)
            case "jsonl":
                var lines = Data()
                for line in data.split(separator: 0x0a) {
                    let event = try JSONSerialization.jsonObject(with: line)
                    lines += try JSONSerialization.data(withJSONObject: spoiled(event, key: "")) + Data([0x0a])
                }
                try lines.write(to: url)
            default:
                let text = String(decoding: data, as: UTF8.self).split(separator: "\n")
                    .map { "\($0) \(hostileText)\n" }.joined()
                try Data(text.utf8).write(to: url)
            }
        }
        return record
    }

    /// Fields whose words the program knows, and that a reader refuses otherwise.
    private static let knownWords: Set<String> = [
        "outcome", "witness", "witnesses", "standing", "subject", "fault", "account", "change", "kind", "ending", "end",
        "mmu", "startedAt", "finishedAt", "digests", "expectedFindings", "expectedUnsaid", "allowedUnsaid", "state",
        "field",
        "reasonOf", "origin", "radixStarts", "name", "provenance",
    ]

    private static func spoiled(_ value: Any, key: String) -> Any {
        switch value {
        case let text as String:
            let isWord = text.isEmpty || text.hasPrefix("0x") || knownWords.contains(key)
            return isWord ? text : "\(text) \(hostileText)"
        case let object as [String: Any]:
            // A machine's piece of memory has a name, and a finding has one of those that there are.
            let isMemory = object["base"] != nil && object["name"] != nil
            return object.reduce(into: [String: Any]()) { result, member in
                result[member.key] =
                    isMemory && member.key == "name"
                    ? "\(member.value) \(hostileText)" : spoiled(member.value, key: member.key)
            }
        case let array as [Any]: return array.map { spoiled($0, key: key) }
        default: return value
        }
    }

    /// A run of a hash guest with 4 KiB pages, so many windows, and blocks in no order.
    static func run(entryCount: UInt64, change: (inout Snapshot) -> Void = { _ in }) -> RecordedRun {
        let base: UInt64 = 0xc000_3f00_0000_0000
        let node: UInt64 = 0xc000_0000_0200_0000
        let entries = (0..<entryCount).map { index in
            ListEntry(
                node: node + index * 24, list: index + 1 < entryCount ? node + (index + 1) * 24 : 0,
                phys: 0x1000_0000 + (index * 7919 % entryCount) * 4096, virtAddr: base + (entryCount - 1 - index) * 4096
            )
        }
        let byteCount = entryCount << 18
        var snapshot = Snapshot(
            witnesses: [.kernelList],
            kernel: KernelFacts(
                release: "6.12.0", isBigEndian: false, pageByteCount: 4096, sectionSizeBits: 24,
                structPageByteCount: 64, vmemmapPageShift: 12, vmemmapBase: base, mmu: .hash),
            memory: [MemoryRange(name: "boot", base: 0, byteCount: byteCount)],
            sections: (0..<byteCount >> 24).map { PresentSection(number: $0, vmemmapBase: base, isOnline: true) },
            kernelList: ListWalk(head: node, entries: entries, end: .terminated, endLink: 0),
            peakEntryCount: Int(entryCount))
        change(&snapshot)
        var budget = StepMemory.Budget()
        var step = StepResult(number: 2, title: "verify", seconds: 1, outcome: .passed)
        step.verdict = Verdict(
            findings: [],
            witnesses: [
                WitnessStatement(
                    witness: .kernelList, standing: .agrees, agreeingCount: Int(entryCount), unsaidCount: 0,
                    detail: "links")
            ],
            unsaid: [], account: .list, entryCount: Int(entryCount), provenance: [:],
            sectionCount: Int(byteCount >> 24), coveredSectionCount: Int(byteCount >> 24))
        return RecordedRun(
            directory: URL(filePath: "/runs/large"), information: nil, problems: [],
            results: RunResults(run: "large", outcome: .passed, error: nil, steps: [step]),
            memory: [2: StepMemory(snapshot, &budget)], events: EventLog(), console: nil, log: nil, plan: nil)
    }
}
