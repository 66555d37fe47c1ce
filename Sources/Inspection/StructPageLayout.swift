// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
import HarnessBasics

/// What a kernel's VMCOREINFO tells of `struct page`: offsets of members, numbers of flags, page types
/// (`crash_save_vmcoreinfo_init`, kernel/vmcore_info.c; in older kernels kernel/crash_core.c and kernel/kexec.c). What it does
/// not tell is not known: nothing follows from a kernel's version here.
public struct StructPageLayout: Sendable {
    /// A member of `struct page` whose offset VMCOREINFO can tell.
    public enum Member: String, CaseIterable, Sendable {
        case flags
        case refcount = "_refcount"
        case mapcount = "_mapcount"
        case mapping
        case privateWord = "private"
        case lru
        case compoundHead = "compound_head"
        /// In the first tail page, up to 6.2.
        case compoundOrder = "compound_order"
        /// In the first tail page, up to 6.2.
        case compoundDtor = "compound_dtor"

        /// Its bytes: `list_head` has two words, counters have four bytes, order and destructor one each (since 4.16).
        var byteCount: UInt64 {
            switch self {
            case .lru: 16
            case .flags, .mapping, .privateWord, .compoundHead: 8
            case .refcount, .mapcount: 4
            case .compoundOrder, .compoundDtor: 1
            }
        }
    }

    /// `sizeof(struct page)` in bytes, a multiple of 8.
    public let byteCount: UInt64
    /// The byte order of its words.
    public let order: ByteOrder
    /// Where members are, in bytes from the beginning of a `struct page`; all of each is inside it.
    public let offsets: [Member: UInt64]
    /// The flags that VMCOREINFO numbers, and their bits in `flags`, ascending by bit.
    public let flags: [(name: String, mask: UInt64)]
    /// `PG_head_mask`: the flag of a compound page's head.
    public let headMask: UInt64?
    /// What `_mapcount` holds in a page that has a type, as VMCOREINFO says it.
    public let types: [(name: String, value: UInt32)]
    /// Whether types are told apart by the upper byte alone (`PGTY_… << 24`, since 6.12): what is below it is the owner's.
    public let hasTypesInUpperByte: Bool
    /// `HUGETLB_PAGE_DTOR`: what `compound_dtor` is of a huge page.
    public let hugetlbDestructor: UInt64?
    /// What VMCOREINFO says and no kernel can mean, as a person reads it.
    public let unusable: [String]

    private static let keys: [(member: Member, key: StaticString)] = [
        (.flags, "OFFSET(page.flags)"), (.refcount, "OFFSET(page._refcount)"), (.mapcount, "OFFSET(page._mapcount)"),
        (.mapping, "OFFSET(page.mapping)"), (.privateWord, "OFFSET(page.private)"), (.lru, "OFFSET(page.lru)"),
        (.compoundHead, "OFFSET(page.compound_head)"), (.compoundOrder, "OFFSET(page.compound_order)"),
        (.compoundDtor, "OFFSET(page.compound_dtor)"),
    ]
    /// What members are called in older or newer kernels: before 4.6, and since 7.1 or so. What stands in `compound_info` is the
    /// head's address where the architecture does not optimize the memory map of huge pages (HVO), as powerpc does not.
    private static let otherNames: [Member: StaticString] = [
        .refcount: "OFFSET(page._count)", .compoundHead: "OFFSET(page.compound_info)",
    ]
    private static let flagKeys: [(name: String, key: StaticString)] = [
        ("PG_lru", "NUMBER(PG_lru)"), ("PG_private", "NUMBER(PG_private)"), ("PG_swapcache", "NUMBER(PG_swapcache)"),
        ("PG_swapbacked", "NUMBER(PG_swapbacked)"), ("PG_slab", "NUMBER(PG_slab)"),
        ("PG_hwpoison", "NUMBER(PG_hwpoison)"),
    ]
    private static let typeKeys: [(name: String, key: StaticString)] = [
        ("buddy", "NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)"), ("slab", "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)"),
        ("hugetlb", "NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)"), ("offline", "NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)"),
        ("unaccepted", "NUMBER(PAGE_UNACCEPTED_MAPCOUNT_VALUE)"),
    ]

    /// Takes what a note tells. Nothing is an error: what cannot be is left out, and in ``unusable``.
    ///
    /// - Parameters:
    ///   - info: the note.
    ///   - order: its byte order.
    ///   - byteCount: `SIZE(page)`, checked by ``KernelLayout``.
    public init(_ info: Vmcoreinfo, order: ByteOrder, byteCount: UInt64) {
        self.order = order
        self.byteCount = byteCount
        var unusable: [String] = []
        /// A key's number, if it can be one.
        func number<Number>(_ key: StaticString, _ use: (Int64) -> Number?) -> Number? {
            guard let text = info.value(key) else { return nil }
            if let number = Int64(String(decoding: text, as: UTF8.self)).flatMap(use) { return number }
            unusable.append("\(key)=\(text.prefix(24).printable)")
            return nil
        }
        var offsets: [Member: UInt64] = [:]
        for (member, key) in Self.keys {
            func offset(_ key: StaticString) -> UInt64? {
                number(key) { Self.offset(of: member, $0, in: byteCount) }
            }
            offsets[member] = info.value(key) != nil ? offset(key) : Self.otherNames[member].flatMap(offset)
        }
        self.offsets = offsets
        flags = Self.flagKeys.compactMap { name, key in
            number(key) { 0..<64 ~= $0 ? 1 << UInt64($0) : nil }.map { (name, $0) }
        }.sorted { $0.mask < $1.mask }
        headMask = number("NUMBER(PG_head_mask)") { $0 > 0 ? UInt64($0) : nil }
        // The kernel prints an int, or an unsigned one.
        let types: [(name: String, value: UInt32)] = Self.typeKeys.compactMap { name, key in
            number(key) { $0 < 0 ? Int32(exactly: $0).map(UInt32.init(bitPattern:)) : UInt32(exactly: $0) }
                .map { (name, $0) }
        }
        self.types = types
        hasTypesInUpperByte = !types.isEmpty && types.allSatisfy { $0.value >= 0xf000_0000 && $0.value << 8 == 0 }
        hugetlbDestructor = number("NUMBER(HUGETLB_PAGE_DTOR)") { 0..<256 ~= $0 ? UInt64($0) : nil }
        self.unusable = unusable
    }

    private static func offset(of member: Member, _ offset: Int64, in byteCount: UInt64) -> UInt64? {
        guard let offset = UInt64(exactly: offset), offset % min(member.byteCount, 8) == 0,
            offset <= byteCount, byteCount - offset >= member.byteCount
        else { return nil }
        return offset
    }

    /// What a person may miss, and VMCOREINFO does not tell: `page.flags`, `PG_lru`, and so on.
    public var untold: [String] {
        // The first tail page's are of some kernels only.
        let members = Member.allCases.filter { $0 != .compoundOrder && $0 != .compoundDtor && offsets[$0] == nil }
        let names = Self.flagKeys.map(\.name).filter { name in
            !flags.contains { $0.name == name } && (name != "PG_slab" || !types.contains { $0.name == "slab" })
        }
        return members.map { "page.\($0.rawValue)" } + names + (headMask == nil ? ["PG_head"] : [])
            + (types.isEmpty ? ["page types"] : [])
    }

    /// What the `_mapcount` of a page says that has a type; nil where that is none of those that VMCOREINFO names.
    func type(of word: UInt32) -> String? {
        types.first { hasTypesInUpperByte ? word >> 24 == $0.value >> 24 : word == $0.value }?.name
    }

    /// A member's number in the words of a `struct page`, or the half of one; nil where the word is not there.
    func number(_ member: Member, half: UInt64 = 0, in words: [UInt64?]) -> UInt64? {
        guard let start = offsets[member] else { return nil }
        let (offset, byteCount) = (start + half * 8, min(member.byteCount, 8))
        guard offset / 8 < words.count, let word = words[Int(offset / 8)] else { return nil }
        let place = offset % 8
        let shift = 8 * (order == .little ? place : 8 - place - byteCount)
        return byteCount == 8 ? word : word >> shift & (1 << (byteCount * 8) - 1)
    }
}
