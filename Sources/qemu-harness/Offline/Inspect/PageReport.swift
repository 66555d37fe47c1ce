// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
import Inspection
import Verification

/// A page that was asked for, as a program reads it.
struct PageReport: Encodable {
    /// What stands in its `struct page`.
    struct Contents: Encodable {
        var flags: Hex?
        var flagNames: [String]?
        var refcount: Int32?
        /// `_mapcount`, the word.
        var mapcount: Hex?
        /// How often it is mapped; absent where `_mapcount` says something else.
        var mappedCount: Int64?
        /// `buddy` and so on, or `unnamed`.
        var type: String?
        var mapping: Hex?
        var privateWord: Hex?
        var lru: [Hex]?
        var isTail: Bool?
        /// The order of a free block or a compound page.
        var order: UInt64?
        /// Where a tail's head has its `struct page`.
        var headStructPage: Hex?
        /// The page frame of a tail's head.
        var headFrame: UInt64?
        var words: [Hex?]

        private enum CodingKeys: String, CodingKey {
            case flags, flagNames, refcount, mapcount, mappedCount, type, mapping
            case privateWord = "private"
            case lru, isTail, order, headStructPage, headFrame, words
        }
    }

    var frame: UInt64
    var isPresent: Bool
    var structPage: Hex?
    var phys: Hex?
    var window: BackedWindow?
    var contents: Contents?

    init(_ page: InspectedPage) {
        frame = page.frame
        isPresent = page.isPresent
        structPage = Hex(page.location?.structPage)
        phys = Hex(page.location?.backing?.phys)
        window = page.location?.backing?.window
        contents = page.contents.map(Contents.init)
    }
}

extension PageReport.Contents {
    init(_ page: StructPage) {
        flags = Hex(page.flags)
        flagNames = page.flags == nil ? nil : page.flagNames
        refcount = page.refcount
        mapcount = Hex(page.mapcount.map(UInt64.init))
        switch page.use {
        case .mapped(let count): mappedCount = count
        case .typed(let name): type = name
        case .unnamed: type = "unnamed"
        case nil: break
        }
        mapping = Hex(page.mapping)
        privateWord = Hex(page.privateWord)
        lru = page.lru?.map { Hex(wrappedValue: $0) }
        order = page.buddyOrder
        switch page.compound {
        case .none?: isTail = false
        case .head(let order):
            isTail = false
            self.order = self.order ?? order
        case .tail(let head, let frame):
            isTail = true
            headStructPage = Hex(wrappedValue: head)
            headFrame = frame
        case nil: break
        }
        words = page.words.map { Hex($0) }
    }
}

extension Hex {
    fileprivate init?(_ word: UInt64?) {
        guard let word else { return nil }
        self.init(wrappedValue: word)
    }
}

extension InspectionReport {
    /// What became of each page that was asked for; nil where none was.
    var pages: [PageReport]? { inspection.pages.isEmpty ? nil : inspection.pages.map(PageReport.init) }

    /// The same for a person.
    var pageLines: [String] {
        guard !inspection.pages.isEmpty else { return [] }
        var lines = inspection.pages.flatMap { page in
            Terminal.paragraph(place(of: page), indent: "    ")
                + (page.contents.map { Terminal.paragraph("  " + text(of: $0), indent: "    ") } ?? [])
        }
        let untold = inspection.structPageLayout?.untold ?? []
        if !untold.isEmpty {
            lines += Terminal.paragraph(
                "  not told by VMCOREINFO: " + untold.joined(separator: ", "), indent: "    ")
        }
        for text in inspection.structPageLayout?.unusable ?? [] {
            lines += Terminal.paragraph("  not usable in VMCOREINFO: " + text, indent: "    ")
        }
        return lines
    }

    private func place(of page: InspectedPage) -> String {
        let beginning = "page frame \(page.frame)\(page.isPresent ? "" : ", of no present section")"
        guard let location = page.location else { return "\(beginning): no memory map reaches it" }
        let structPage = "\(beginning): struct page at virt \(location.structPage.hexadecimal)"
        guard let backing = location.backing else { return "\(structPage); nothing backs it" }
        let lack = page.contents == nil ? "; not in the \(inspection.source)" : ""
        return "\(structPage), phys \(backing.phys.hexadecimal)\(lack); \(text(backing.window))"
    }

    private func text(of page: StructPage) -> String {
        var parts: [String] = []
        if let flags = page.flags {
            let names = page.flagNames.isEmpty ? "" : " (\(page.flagNames.joined(separator: ", ")))"
            parts.append("flags \(flags.hexadecimal)\(names)")
        }
        if let count = page.refcount { parts.append("refcount \(count)") }
        switch page.use {
        case .mapped(let count): parts.append("mapped \(Self.count(Int(count), "time"))")
        case .typed("buddy"):
            let order = page.buddyOrder.map { "\($0)" } ?? "that cannot be, \((page.privateWord ?? 0).hexadecimal)"
            parts.append("free, in the buddy allocator, of order \(order)")
        case .typed(let name): parts.append("of type \(name)")
        case .unnamed:
            parts.append("of a type that VMCOREINFO does not name, _mapcount \(UInt64(page.mapcount ?? 0).hexadecimal)")
        case nil: break
        }
        switch page.compound {
        case .head(let order?): parts.append("head of a compound page of order \(order)")
        case .head(nil): parts.append("head of a compound page")
        case .tail(let head, let frame):
            let place = frame.map { "page frame \($0)" } ?? "no page frame, at \(head.hexadecimal)"
            parts.append("tail of the compound page of \(place)")
        case nil, .some(.none): break
        }
        if let mapping = page.mapping { parts.append("mapping \(mapping.hexadecimal)") }
        if let word = page.privateWord { parts.append("private \(word.hexadecimal)") }
        if let lru = page.lru { parts.append("lru \(lru.map(\.hexadecimal).joined(separator: ", "))") }
        let missing = page.words.count { $0 == nil }
        if missing > 0 { parts.append("\(missing * 8) bytes of it are not in the \(inspection.source)") }
        return parts.joined(separator: "; ")
    }
}
