// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import ArgumentParser
import Foundation
import RunRecord
import Testing
import Verification

@testable import OfflineCommands
@testable import Reports

/// What is told of findings: of each, and as the program prints it.
@Suite struct ExplainTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private func text(_ arguments: String...) throws -> String {
        try #require(ExplainCommand.parseAsRoot(arguments) as? ExplainCommand).text()
    }

    /// A finding that nothing is told of, one that cannot be, and two texts for one.
    @Test func everyFindingHasOneText() {
        let names = Explanation.all.map(\.name)
        #expect(Set(names) == Finding.names)
        #expect(names.count == Finding.names.count)
        #expect(SubjectText.all.map(\.subject.rawValue).sorted() == Finding.Subject.allCases.map(\.rawValue).sorted())
    }

    /// Texts that say something, in a form in which they can be put together.
    @Test func everyTextIsWhole() {
        for explanation in Explanation.all {
            let sentences = explanation.compared + [explanation.dump] + explanation.next
            #expect(sentences.allSatisfy { $0.hasSuffix(".") }, "\(explanation.name)")
            #expect(!explanation.summary.isEmpty && !explanation.summary.hasSuffix("."), "\(explanation.name)")
            #expect(explanation.causes.allSatisfy { !$0.hasSuffix(".") }, "\(explanation.name)")
            #expect(explanation.kernel.allSatisfy { $0.contains(".c: ") || $0.contains(".c (") }, "\(explanation.name)")
            #expect(explanation.subject == .guest || !explanation.causes.isEmpty, "\(explanation.name)")
        }
    }

    /// An example begins as a text in the sources does; what a kernel says of itself, as this program knows it.
    @Test func everyExampleIsTheProgramsOwn() throws {
        let reported = Set(KernelFault.allCases.map(\.finding))
        let literals = try ["Verification", "Runs", "Guests", "Inspection", "MemoryBackends"].flatMap { module in
            let folder = Self.root.appending(path: "Sources/\(module)")
            let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
            return try files.compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }.flatMap {
                StringLiteral.all(in: try String(contentsOf: $0, encoding: .utf8))
            }
        }.filter { $0.pieces.reduce(0) { $0 + $1.count } >= 10 }
        #expect(literals.count > 500)
        for explanation in Explanation.all {
            if explanation.subject == .guest, reported.contains(explanation.fault) {
                var reader = KernelFaultReader()
                guard case .began(let fault, _) = reader.take(Array(explanation.example.utf8)[...]) else {
                    Issue.record("\(explanation.name): no report begins so: \(explanation.example)")
                    continue
                }
                #expect(fault.finding == explanation.fault)
            } else if !literals.contains(where: { $0.begins(explanation.example) }) {
                Issue.record("\(explanation.name): nothing prints \(explanation.example)")
            }
        }
    }

    @Test func literalsAreReadFromSources() {
        let source = #"""
            // "no \(text)"
            note("virt \(virt("a", [1])) is" + other, "a \"b\"" // "c"
                + "\(x) d")
            """#
        #expect(StringLiteral.all(in: source).map(\.pieces) == [["virt ", " is"], ["a \"b\""], ["", " d"]])
        #expect(StringLiteral(pieces: ["virt ", " is", ""]).begins("virt 0x1 is here"))
        #expect(!StringLiteral(pieces: ["virt ", " is"]).begins("virt 0x1 was"))
        #expect(!StringLiteral(pieces: ["virt"]).begins("a virt"))
    }

    @Test func oneIsExplained() throws {
        #expect(
            try text("page-tables-not-valid") == """
                page-tables-not-valid: an entry that is neither valid nor clear

                compared
                  A radix kernel's page tables over the memory map, walked by the host in
                    guest RAM from swapper_pg_dir while the guest is paused (by 'inspect': in
                    the dump).
                  The valid bit of each entry on the way, against its other bits. The kernel
                    writes an entry whole and clears it whole.
                in a dump
                  None where the window is gone; else as for page-tables-coverage-hole.
                causes
                  something that wrote over the entry
                  the kernel: an entry that was cleared in part
                kernel
                  arch/powerpc/mm/book3s64/radix_pgtable.c: radix__vmemmap_free,
                    remove_pmd_table
                look at
                  snapshot-N.json: pageTables (windows, faults, tables); 'qemu-harness inspect
                    RUN --list' and '--translate ADDRESS'.
                example
                  page-tables-not-valid: the page table entry at 0x1f3a0008 for virt
                    0xc00c000000200000 maps nothing, and is not clear (it is 0x18f)

                """)
    }

    @Test func everyLineFits() throws {
        for explanation in Explanation.all {
            for line in explanation.text(isColored: false).split(separator: "\n") {
                #expect(line.count <= 80, "\(line)")
            }
            let title = "\u{1b}[1m\(explanation.name)\u{1b}[0m"
            #expect(
                explanation.text(isColored: true).replacing(title, with: explanation.name)
                    == explanation.text(isColored: false))
        }
        let lines = try text().split(separator: "\n")
        #expect(lines.count == Finding.names.count)
        for line in lines { #expect(line.count <= 80, "\(line)") }
        for line in ExplanationDocument.text.split(separator: "\n") where !line.hasPrefix("|") {
            #expect(line.count <= 120, "\(line)")
        }
    }

    private struct Entry: Decodable {
        let name, subject, fault, summary, dump, example: String
        let compared, causes, kernel, next: [String]
    }

    @Test func aProgramReadsThem() throws {
        let all = try JSONDecoder().decode([Entry].self, from: Data(text("--json").utf8))
        #expect(Set(all.map(\.name)) == Finding.names)
        #expect(all.allSatisfy { $0.name == "\($0.subject)-\($0.fault)" })
        let one = try JSONDecoder().decode(Entry.self, from: Data(text("--json", "report-order").utf8))
        #expect(one.example == "the report has the kernel's entries in another order from number 3 on")
    }

    @Test(arguments: [
        ("list-cylce", "list-cycle"), ("LIST-CYCLE", "list-cycle"), ("coverage-hole", "list-coverage-hole"),
        ("page-tables-not-vaild", "page-tables-not-valid"), ("leaked", "page-tables-leaked-entry"),
        ("mirror-wrong-physical", "mirror-wrong-phys"), ("hash-table-misplaced-entry", "hpt-misplaced-entry"),
        ("step 4: guest-panic: Kernel panic", "guest-panic"),
    ])
    func anUnknownNameHasNearOnes(name: String, near: String) {
        #expect(Explanation.names(near: name).contains(near))
    }

    @Test func nearNamesAreFew() {
        for name in ["", "-", "x", String(repeating: "list-cycle", count: 100_000), "\u{1b}[31m"] {
            #expect(Explanation.names(near: name).count == 5)
        }
    }

    /// The committed file is what `qemu-harness explain --markdown` prints.
    @Test func theDocumentIsCurrent() throws {
        let file = try String(contentsOf: Self.root.appending(path: "docs/findings.md"), encoding: .utf8)
        // Not compared by #expect, which would print both.
        let isCurrent = try file == text("--markdown")
        #expect(isCurrent, "make docs/findings.md anew: scripts/run explain --markdown > docs/findings.md")
    }
}
