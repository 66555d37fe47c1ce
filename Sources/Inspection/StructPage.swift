// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import Verification

/// What stands in a page's `struct page`, as far as VMCOREINFO tells what that is. What it does not tell, and what is not in
/// memory, is nil.
public struct StructPage: Equatable, Sendable {
    /// What `_mapcount` counts or says (include/linux/page-flags.h).
    public enum Use: Equatable, Sendable {
        /// How often the page is in page tables: `_mapcount` and one.
        case mapped(Int64)
        /// A type that VMCOREINFO names: `buddy`, `slab`, `hugetlb`, `offline`, `unaccepted`.
        case typed(String)
        /// A type that VMCOREINFO does not name.
        case unnamed
    }

    /// What a page is to a compound one.
    public enum Compound: Equatable, Sendable {
        /// Neither head nor tail.
        case none
        /// The head; its order is nil where it is not told, or cannot be.
        case head(order: UInt64?)
        /// A tail: where its head's `struct page` is said to be, and which page frame that describes, if any.
        case tail(of: UInt64, frame: UInt64?)
    }

    /// Its words, in the kernel's byte order; nil where memory lacks one.
    public let words: [UInt64?]
    /// `flags`.
    public let flags: UInt64?
    /// The flags that are set and that VMCOREINFO numbers. Of a tail page only PG_hwpoison: the head's say the others, and in
    /// the first tail's `flags` stands something else.
    public let flagNames: [String]
    /// `_refcount`.
    public let refcount: Int32?
    /// `_mapcount`, the word.
    public let mapcount: UInt32?
    /// What that says.
    public let use: Use?
    /// The order of a free block (`private` of a buddy page); nil of other pages, and where it cannot be one.
    public let buddyOrder: UInt64?
    /// `mapping`.
    public let mapping: UInt64?
    /// `private`.
    public let privateWord: UInt64?
    /// `lru`: next and previous.
    public let lru: [UInt64]?
    /// Whether it is part of a compound page; nil where that is not told.
    public let compound: Compound?

    /// Whether memory has nothing of it.
    public var isAbsent: Bool { words.allSatisfy { $0 == nil } }

    /// Reads the `struct page` of a page frame.
    ///
    /// - Parameters:
    ///   - location: where it is.
    ///   - layout: what VMCOREINFO tells of it.
    ///   - index: the kernel's account, which says where its words are, and where those of the next page.
    ///   - memory: by physical address.
    public init(
        at location: TranslationIndex.PageLocation, _ layout: StructPageLayout, _ index: TranslationIndex,
        in memory: borrowing some PhysicalMemory
    ) {
        let words = Self.words(at: location.structPage, layout, index, in: memory)
        self.words = words
        let flags = layout.number(.flags, in: words)
        self.flags = flags
        refcount = layout.number(.refcount, in: words).map { Int32(truncatingIfNeeded: $0) }
        mapping = layout.number(.mapping, in: words)
        privateWord = layout.number(.privateWord, in: words)
        let links = [0, 1].compactMap { layout.number(.lru, half: $0, in: words) }
        lru = links.count == 2 ? links : nil
        let word = layout.number(.mapcount, in: words).map { UInt32(truncatingIfNeeded: $0) }
        mapcount = word

        let pointer = layout.number(.compoundHead, in: words)
        let isTail = pointer.map { $0 & 1 == 1 }
        let isHead = (flags ?? 0) & (layout.headMask ?? 0) != 0
        var next: [UInt64?] = []
        if isTail == false, isHead {
            let (address, overflows) = location.structPage.addingReportingOverflow(layout.byteCount)
            if !overflows { next = Self.words(at: address, layout, index, in: memory) }
        }
        compound =
            switch (isTail, pointer) {
            case (true?, let pointer?):
                .tail(of: pointer - 1, frame: index.frame(whoseStructPageIsAt: pointer - 1))
            case (false?, _) where isHead:
                .head(order: layout.order(ofHead: location.frame, next))
            case (false?, _) where flags != nil && layout.headMask != nil: Compound.none
            default: nil
            }

        let named = layout.flags.filter { name, mask in
            (flags ?? 0) & mask != 0 && (isTail != true || name == "PG_hwpoison")
        }
        flagNames = named.map(\.name)
        // A slab page has something of its own in that word (__dump_page, mm/debug.c).
        let isSlab = isTail != true && named.contains { $0.name == "PG_slab" }
        let destructor = layout.number(.compoundDtor, in: next)
        let isHuge = destructor != nil && destructor == layout.hugetlbDestructor
        use =
            if isSlab {
                .typed("slab")
            } else if isHuge {
                .typed("hugetlb")
            } else if let word {
                Self.use(word, layout)
            } else {
                nil
            }
        buddyOrder = use == .typed("buddy") ? privateWord.flatMap { $0 < 64 ? $0 : nil } : nil
    }

    private static func use(_ word: UInt32, _ layout: StructPageLayout) -> Use? {
        if let type = layout.type(of: word) { return .typed(type) }
        let count = Int64(Int32(bitPattern: word)) + 1
        guard count < 0 else { return .mapped(count) }
        return layout.types.isEmpty ? nil : .unnamed
    }

    /// The words at an effective address of the memory map. Each is looked up: a `struct page` may stand in two windows.
    private static func words(
        at start: UInt64, _ layout: StructPageLayout, _ index: TranslationIndex,
        in memory: borrowing some PhysicalMemory
    ) -> [UInt64?] {
        var words: [UInt64?] = []
        for offset in stride(from: 0, to: layout.byteCount, by: 8) {
            let (address, overflows) = start.addingReportingOverflow(offset)
            var word: UInt64?
            if !overflows, let window = index.window(of: address) {
                let (phys, wraps) = window.phys.addingReportingOverflow(address - window.virtAddr)
                if !wraps { word = try? memory.storedWord(at: PhysicalAddress(phys)) }
            }
            words.append(word.map(layout.order.value(ofStored:)))
        }
        return words
    }
}

extension StructPageLayout {
    /// The order of a compound page, from its first tail: a byte of its own, or the low byte of its `flags` in kernels that
    /// tell huge pages by their type (makedumpfile's rule; `folio_order`, include/linux/mm.h). Nil where neither is told, and
    /// where no page of such an order begins at that frame.
    fileprivate func order(ofHead frame: UInt64, _ tail: [UInt64?]) -> UInt64? {
        let order: UInt64? =
            if offsets[.compoundOrder] != nil {
                number(.compoundOrder, in: tail)
            } else if types.contains(where: { $0.name == "hugetlb" }) {
                number(.flags, in: tail).map { $0 & 0xff }
            } else {
                nil
            }
        guard let order, 1..<64 ~= order, frame % (1 << order) == 0 else { return nil }
        return order
    }
}

extension TranslationIndex {
    /// The page frame whose `struct page` begins at an effective address; nil where none does.
    func frame(whoseStructPageIsAt virtAddr: UInt64) -> UInt64? {
        guard let frame = frame(describedAt: virtAddr), structPage(ofFrame: frame) == virtAddr else { return nil }
        return frame
    }
}

/// A page that was asked for by its page frame number.
public struct InspectedPage: Equatable, Sendable {
    /// The page frame number.
    public let frame: UInt64
    /// Whether a present section holds it: the `struct page`s of other memory mean nothing.
    public let isPresent: Bool
    /// Where its `struct page` is; nil where no memory map reaches.
    public let location: TranslationIndex.PageLocation?
    /// What stands there; nil where nothing backs it, and where memory has nothing of it.
    public let contents: StructPage?

    /// Looks a page up.
    ///
    /// - Parameters:
    ///   - frame: any page frame number.
    ///   - isPresent: whether a present section holds it.
    ///   - layout: what VMCOREINFO tells of `struct page`.
    ///   - index: the kernel's account.
    ///   - memory: by physical address.
    public init(
        frame: UInt64, isPresent: Bool, _ layout: StructPageLayout, _ index: TranslationIndex,
        in memory: borrowing some PhysicalMemory
    ) {
        self.frame = frame
        self.isPresent = isPresent
        location = index.location(ofFrame: frame)
        if let location, location.backing != nil {
            let page = StructPage(at: location, layout, index, in: memory)
            contents = page.isAbsent ? nil : page
        } else {
            contents = nil
        }
    }
}
