// SPDX-License-Identifier: Apache-2.0

import Foundation
import GuestMemory
import HarnessBasics
import Inspection
import Reports
import RunRecord
import Verification
import VmemmapPopulate

/// What an inspection comes to, as a person and as a program reads it.
struct InspectionReport {
    let inspection: Inspection
    let path: String
    let listsEntries: Bool
    /// The addresses that were asked for.
    let translated: [UInt64]

    private static let findingLimit = 32

    private var snapshot: Snapshot { inspection.snapshot }
    private var verdict: Verdict { inspection.verdict }

    /// For a terminal, what matters most last.
    var text: String {
        [kernelLines, entryLines, translationLines, pageLines, findingLines, verdictLines].filter { !$0.isEmpty }
            .map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    private var kernelLines: [String] {
        let kernel = snapshot.kernel
        let order = kernel.isBigEndian ? ", big-endian" : ""
        let vmemmap =
            verdict.account == .list
            ? kernel.vmemmapPageShift.map { ", \(ByteCount(1 << $0).text) vmemmap pages" } : nil
        let online = snapshot.sections.count { $0.isOnline }
        var lines = Terminal.paragraph(
            "Linux \(kernel.release)\(order), \(kernel.mmu.name) MMU (\(inspection.mmuSource)), "
                + "\(ByteCount(kernel.pageByteCount).text) pages\(vmemmap ?? "")")
        lines += Terminal.paragraph(
            "memory: \(ByteCount(inspection.memoryByteCount).text) in the \(inspection.source); \(snapshot.sections.count) sections "
                + "of \(ByteCount(1 << kernel.sectionSizeBits).text), \(online) online")
        lines += Terminal.paragraph(
            "memory map: at \(kernel.vmemmapBase.hexadecimal)\(Self.layout(kernel)), struct page of \(kernel.structPageByteCount) bytes"
        )
        lines += Terminal.paragraph(accountText)
        return lines
    }

    /// Whose layout a memory map's place is, where it is not that of today's kernels.
    private static func layout(_ kernel: KernelFacts) -> String {
        switch (kernel.vmemmapBase, kernel.mmu) {
        case (LinearMap.oldHashMemoryMapBase, _): " (a region of its own, as in hash kernels before 5.2)"
        case (LinearMap.oldRadixMemoryMapBase, .radix): " (as in radix kernels before 5.2)"
        default: ""
        }
    }

    private var accountText: String {
        let entries = snapshot.accountEntries
        switch verdict.account {
        case .list:
            let pages = Set(entries.map { $0.place / snapshot.kernel.pageByteCount }).count
            return
                "vmemmap_list: \(Self.count(entries.count, "entry", "entries")) in \(Self.count(pages, "node page")), head "
                + snapshot.kernelList.head.hexadecimal
        case .pageTables:
            let sizes = Dictionary(grouping: entries, by: \.byteCount).mapValues(\.count).sorted { $0.key > $1.key }
            let text = sizes.map { "\($0.value) of \(ByteCount($0.key).text)" }.joined(separator: ", ")
            return
                "no list: page tables with \(Self.count(entries.count, "leaf", "leaves"))\(text.isEmpty ? "" : ", \(text)")"
        }
    }

    private var entryLines: [String] {
        guard listsEntries else { return [] }
        let place = verdict.account == .list ? "node" : "page table entry"
        let rows = snapshot.accountEntries.map {
            [$0.virtAddr.hexadecimal, $0.phys.hexadecimal, "\($0.byteCount)", $0.place.hexadecimal]
        }
        return TextTable([.left(), .left(), .right, .left()], [["virt", "phys", "bytes", place]] + rows)
            .lines(indent: 2, width: Terminal.width)
    }

    private var translationLines: [String] {
        translations.flatMap { Terminal.paragraph("\($0.address.hexadecimal): \($0.text)", indent: "    ") }
    }

    private var findingLines: [String] {
        let findings = verdict.findings
        guard !findings.isEmpty else { return [] }
        let lines = findings.prefix(Self.findingLimit).flatMap {
            Terminal.paragraph("  \($0.name): \($0.message)", indent: "    ")
        }
        let rest = findings.count - Self.findingLimit
        return ["findings"] + lines + (rest > 0 ? ["  … and \(rest) more (--json)"] : [])
    }

    private var verdictLines: [String] {
        let found = Self.count(verdict.findings.count, "finding")
        var lines = Terminal.paragraph(
            "\(inspection.outcome.rawValue): \(found); \(verdict.coveredSectionCount) of \(verdict.sectionCount) sections have a "
                + "block behind each struct page")
        for statement in verdict.witnesses where statement.witness == .structPages && snapshot.structPages != nil {
            lines += Terminal.paragraph("  struct pages: \(statement.detail)", indent: "    ")
        }
        for unsaid in verdict.unsaid {
            lines += Terminal.paragraph("  not said: \(unsaid.witness.rawValue): \(unsaid.reason)", indent: "    ")
        }
        for reason in inspection.unjudged { lines += Terminal.paragraph("  not judged: \(reason)", indent: "    ") }
        return lines + Terminal.paragraph("inspected: \(path)")
            + [Explanation.pointer(to: verdict.findings.map(\.name))].compactMap { $0 }
    }

    // MARK: - Translations

    /// What became of an address.
    private struct Translation: Encodable {
        @Hex var address: UInt64
        /// The page frame that it is of, or whose struct page it is in.
        var frame: UInt64?
        /// Where that page's struct page is.
        var structPage: Hex?
        /// The physical address that an address of the memory map has, or that the struct page has.
        var phys: Hex?
        /// The entry that says so.
        var window: BackedWindow?
        /// What a person reads.
        var text: String

        private enum CodingKeys: String, CodingKey {
            case address, frame, structPage, phys, window
        }
    }

    /// What says where a window is, as a person reads it.
    func text(_ window: BackedWindow) -> String {
        let place = verdict.account == .list ? "node" : "page table entry"
        return
            "\(place) \(window.place.hexadecimal) (virt \(window.virtAddr.hexadecimal) → phys \(window.phys.hexadecimal))"
    }

    private var translations: [Translation] {
        guard !translated.isEmpty else { return [] }
        let index = TranslationIndex(snapshot)
        return translated.map { address in
            if let frame = index.frame(describedAt: address) {
                guard let window = index.window(of: address) else {
                    return Translation(
                        address: address, frame: frame,
                        text: "in the memory map, of page frame \(frame); nothing backs it")
                }
                let phys = window.phys &+ (address - window.virtAddr)
                return Translation(
                    address: address, frame: frame, phys: Hex(wrappedValue: phys), window: window,
                    text: "phys \(phys.hexadecimal), the struct page of page frame \(frame); \(text(window))")
            }
            // An address of the linear map is that of the memory behind it.
            guard let location = index.location(ofPageAt: LinearMap.physical(address)?.rawValue ?? address) else {
                return Translation(address: address, text: "no memory map reaches it")
            }
            let structPage = Hex(wrappedValue: location.structPage)
            let beginning = "page frame \(location.frame), struct page at virt \(location.structPage.hexadecimal)"
            guard let backing = location.backing else {
                return Translation(
                    address: address, frame: location.frame, structPage: structPage,
                    text: "\(beginning); nothing backs it")
            }
            return Translation(
                address: address, frame: location.frame, structPage: structPage,
                phys: Hex(wrappedValue: backing.phys), window: backing.window,
                text: "\(beginning), phys \(backing.phys.hexadecimal); \(text(backing.window))")
        }
    }

    // MARK: - For programs

    /// One line for each entry.
    var csv: String {
        (["virt,phys,bytes,\(verdict.account == .list ? "node" : "entry")"]
            + snapshot.accountEntries.map {
                "\($0.virtAddr.hexadecimal),\($0.phys.hexadecimal),\($0.byteCount),\($0.place.hexadecimal)"
            }).joined(separator: "\n") + "\n"
    }

    private struct Document: Encodable {
        let schema = 1
        let source: String
        let memoryByteCount: UInt64
        let kernel: KernelFacts
        let mmuSource: String
        let outcome: Outcome
        let verdict: Verdict
        let unjudged: [String]
        let sections: [PresentSection]?
        let entries: [BackedWindow]?
        let translations: [Translation]?
        let pages: [PageReport]?
    }

    func json() throws -> String {
        let document = Document(
            source: inspection.source, memoryByteCount: inspection.memoryByteCount, kernel: snapshot.kernel,
            mmuSource: inspection.mmuSource, outcome: inspection.outcome, verdict: verdict,
            unjudged: inspection.unjudged, sections: listsEntries ? snapshot.sections : nil,
            entries: listsEntries ? snapshot.accountEntries : nil,
            translations: translated.isEmpty ? nil : translations, pages: pages)
        return String(decoding: try RunDirectory.json(document), as: UTF8.self)
    }

    // MARK: - Form

    static func count(_ count: Int, _ one: String, _ many: String? = nil) -> String {
        "\(count) \(count == 1 ? one : many ?? one + "s")"
    }
}

extension Inspection {
    /// What it comes to, as a step's verdict does.
    var outcome: Outcome {
        guard verdict.findings.isEmpty else { return .failed }
        return verdict.unsaid.isEmpty && isWhole ? .passed : .incomplete
    }
}
