// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import HarnessBasics
public import KernelState
public import VmemmapPopulate

/// Everything that the witnesses said at one moment of rest. A verdict follows from this and from nothing else.
///
/// Its JSON is a document of its own, which schemas/snapshot.schema.json describes.
public struct Snapshot: Codable, Equatable, Sendable, VersionedDocument {
    /// The versions of the document's form. 2 has rows one by one where 3 has columns.
    public static let knownSchemas = 2...3

    /// The version, as it is written.
    public private(set) var schema = SchemaVersion<Snapshot>()
    /// The witnesses that this guest can give, settled when its agent said hello: each of them has to speak. An
    /// emulator gives its list and its model.
    public var witnesses: [Witness]
    /// The kernel's constants, as the host read them in guest RAM.
    public var kernel: KernelFacts
    /// The machine's memory, as libvirt describes it.
    public var memory: [MemoryRange]
    /// The sections that are present, as the host read them in guest RAM.
    @Columns public var sections: [PresentSection]
    /// Witness 2: the kernel's list, walked by the host in guest RAM.
    public var kernelList: ListWalk
    /// The nodes that the kernel's list does not have; nil where nothing tells of them, and where the kernel keeps no list.
    public var freeNodes: FreeNodes?
    /// Witness 2 on radix: the kernel's page tables over the memory map, walked by the host in guest RAM; nil on hash, and
    /// where the kernel does not say where they are.
    public var pageTables: WalkedTables?
    /// On hash: the hashed page table's entries for the memory map; nil on radix, and where it cannot be had.
    public var hashTable: HashTableSnapshot?
    /// Why a hash guest's hashed page table cannot be had; nil where it can, or was not asked for.
    public var hashTableProblem: String?
    /// The most entries that the kernel's list ever had in this run, this moment included.
    public var peakEntryCount: Int
    /// Witness 1: the mirror, read in the shared region.
    public var mirror: MirrorSnapshot?
    /// Witness 3: the guest's report.
    public var report: ReportSnapshot?
    /// Why the report area holds no report, nil when it does or was not asked for.
    public var reportProblem: String?
    /// Witness 4: what QEMU read of the memory map through the MMU; nil where it did not.
    public var readBack: ReadBack?
    /// Why QEMU did not read the memory map, though the MMU could be asked; nil when it did.
    public var readBackProblem: String?
    /// What the MMU says of single addresses: those that could not be read; without ``readBack`` the first and last 4 KiB of
    /// each window.
    @Columns public var translations: [Translation]
    /// The windows that were in the kernel's account at the verification before, and that nothing backs any more.
    @Columns public var formerWindows: [BackedWindow]
    /// What the MMU still translates of those.
    @Columns public var formerTranslations: [Translation]
    /// What the `struct page`s of online memory say; nil where they were not looked at.
    public var structPages: StructPagesSnapshot?
    /// What witness 5, the model, predicts from; nil when nothing is known of it.
    public var history: HotplugHistory?
    /// Of a radix kernel that keeps no list: where its populates begin, as far as the verifications before tell; nil when
    /// they rule nothing out.
    public var radixStarts: [RadixStart]?
    /// Of a kernel that is dead: what the dump-capture kernel read of it.
    public var vmcore: VmcoreSnapshot?
    /// Why the dump-capture kernel has read nothing that can be used; nil when it has, or was not asked.
    public var vmcoreProblem: String?
    /// Of a kernel that died while it added memory: the DIMM; nil for any other.
    public var interruptedAdd: MemoryRange?
    /// What is wrong with the kernel's VMCOREINFO note, in which every dump tool looks first; nil where it is as it was at hello.
    public var noteProblem: String?
    /// What is loaded for a crash; nil where nothing is.
    public var crashHeader: CrashHeaderSnapshot?

    /// Puts a snapshot together.
    public init(
        witnesses: [Witness], kernel: KernelFacts, memory: [MemoryRange], sections: [PresentSection],
        kernelList: ListWalk, pageTables: WalkedTables? = nil, peakEntryCount: Int, mirror: MirrorSnapshot? = nil,
        report: ReportSnapshot? = nil, reportProblem: String? = nil, translations: [Translation] = [],
        formerWindows: [BackedWindow] = [], formerTranslations: [Translation] = [], history: HotplugHistory? = nil,
        crashHeader: CrashHeaderSnapshot? = nil
    ) {
        self.witnesses = witnesses
        self.kernel = kernel
        self.memory = memory
        self.sections = sections
        self.kernelList = kernelList
        self.pageTables = pageTables
        self.peakEntryCount = peakEntryCount
        self.mirror = mirror
        self.report = report
        self.reportProblem = reportProblem
        self.translations = translations
        self.formerWindows = formerWindows
        self.formerTranslations = formerTranslations
        self.history = history
        self.crashHeader = crashHeader
    }

    /// Whether it is of a kernel that has crashed, with a dump-capture kernel to tell of it.
    public var isOfCrash: Bool { witnesses.contains(.vmcore) }
}

/// What has to be known of a kernel to judge its list.
public struct KernelFacts: Codable, Equatable, Sendable {
    /// `OSRELEASE` of VMCOREINFO.
    public var release: String
    /// Whether the kernel is big-endian.
    public var isBigEndian: Bool
    /// The page size in bytes.
    public var pageByteCount: UInt64
    /// log2 of a section in bytes.
    public var sectionSizeBits: UInt64
    /// `sizeof(struct page)`.
    public var structPageByteCount: UInt64
    /// log2 of a vmemmap page, nil when the kernel's own value is not valid.
    public var vmemmapPageShift: UInt64?
    /// Where the memory map starts, from the first present section; 0 when there is none.
    @Hex public var vmemmapBase: UInt64
    /// The MMU mode, as VMCOREINFO says it; as the guest says it where that does not.
    public var mmu: MMU

    /// Collects the facts.
    public init(
        release: String, isBigEndian: Bool, pageByteCount: UInt64, sectionSizeBits: UInt64,
        structPageByteCount: UInt64, vmemmapPageShift: UInt64?, vmemmapBase: UInt64, mmu: MMU
    ) {
        self.release = release
        self.isBigEndian = isBigEndian
        self.pageByteCount = pageByteCount
        self.sectionSizeBits = sectionSizeBits
        self.structPageByteCount = structPageByteCount
        self.vmemmapPageShift = vmemmapPageShift
        self.vmemmapBase = vmemmapBase
        self.mmu = mmu
    }

    /// The memory map's arithmetic; nil without a vmemmap page size.
    public var geometry: MemoryMapGeometry? {
        vmemmapPageShift.map {
            MemoryMapGeometry(
                vmemmapBase: vmemmapBase, vmemmapPageShift: $0, pageByteCount: pageByteCount,
                structPageByteCount: structPageByteCount)
        }
    }
}

/// A piece of the machine's memory.
public struct MemoryRange: Codable, Equatable, Sendable {
    /// `boot`, or the DIMM's alias.
    public var name: String
    /// Guest physical address.
    @Hex public var base: UInt64
    /// Size in bytes.
    public var byteCount: UInt64
    /// Its NUMA node; nil where nothing says that.
    public var node: UInt64?

    /// Describes a piece of memory.
    public init(name: String, base: UInt64, byteCount: UInt64, node: UInt64? = nil) {
        self.name = name
        self.base = base
        self.byteCount = byteCount
        self.node = node
    }

    /// Its guest physical addresses.
    public var range: Range<UInt64> { base..<(base + byteCount) }
}

/// A present entry of `mem_section`.
public struct PresentSection: Codable, Equatable, Sendable {
    /// Physical address shifted right by the section size bits.
    public var number: UInt64
    /// The memory map's start as this section encodes it.
    @Hex public var vmemmapBase: UInt64
    /// `SECTION_IS_ONLINE`.
    public var isOnline: Bool
    /// All of its flags (``SectionFlags``); nil in a snapshot of before they were read.
    public var flags: UInt64?
    /// Its `subsection_map`, a bit for each 2 MiB; 0 where its `usage` leads to no memory, or is another section's as well, nil
    /// where nothing tells where the map is.
    public var subsections: UInt64?

    /// Describes a section.
    public init(
        number: UInt64, vmemmapBase: UInt64, isOnline: Bool, flags: UInt64? = nil, subsections: UInt64? = nil
    ) {
        self.number = number
        self.vmemmapBase = vmemmapBase
        self.isOnline = isOnline
        self.flags = flags
        self.subsections = subsections
    }

    /// Whether some of it is a device's memory (`SECTION_TAINT_ZONE_DEVICE`).
    var isDeviceMemory: Bool { flags.map { SectionFlags(rawValue: $0).contains(.deviceMemory) } ?? false }
}
