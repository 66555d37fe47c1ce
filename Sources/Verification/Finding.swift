// SPDX-License-Identifier: Apache-2.0

/// One thing that is wrong with the guest.
public struct Finding: Codable, Equatable, Sendable {
    /// Whose statement is judged.
    public enum Subject: String, Codable, Sendable, CaseIterable {
        /// The kernel's list in guest RAM.
        case list
        /// A radix kernel's page tables in guest RAM.
        case pageTables = "page-tables"
        /// The mirror in the shared region.
        case mirror
        /// The hashed page table.
        case hashTable = "hpt"
        /// The guest's report.
        case report
        /// The MMU.
        case mmu
        /// What the emulator makes of the guest's history.
        case model
        /// The `struct page`s of online memory.
        case structPages = "struct-pages"
        /// `mem_section`, the memory blocks and the machine's memory.
        case sections
        /// The dead kernel as the dump-capture kernel reads it.
        case vmcore
        /// The reaction to a plug.
        case plug
        /// The reaction to an unplug.
        case unplug
        /// The guest's kernel itself, and its reaction to what the agent did on request.
        case guest
        /// What is loaded for a crash.
        case crashHeader = "crash-header"
        /// What a plan expects.
        case plan
    }

    /// What is wrong with it.
    public enum Fault: String, Codable, Sendable, CaseIterable {
        /// A link leads back into the list.
        case cycle
        /// A link leads to where no memory is.
        case linkOutsideMemory = "link-outside-memory"
        /// A link leads to where no node can stand in its page.
        case misplacedNode = "misplaced-node"
        /// A walk that contradicts itself: a node is not where the link before it leads, or the end is not what the last
        /// link says.
        case brokenChain = "broken-chain"
        /// More nodes than memory can need.
        case tooLong = "too-long"
        /// The report has no room for the whole list.
        case truncated
        /// More node pages than the peak number of entries needs.
        case nodePages = "node-pages"
        /// A node of the list is free as well: the next block that is added takes it.
        case freeNode = "free-node"
        /// What the kernel keeps of its free nodes contradicts itself.
        case freeChain = "free-chain"
        /// Nodes that are neither on the list nor free.
        case lostNode = "lost-node"
        /// A window's address is not a multiple of the vmemmap page.
        case misalignedVirtual = "misaligned-virt"
        /// A window's address lies below the memory map.
        case virtualOutsideVmemmap = "virt-outside-vmemmap"
        /// Two entries have the same window.
        case duplicateVirtual = "duplicate-virt"
        /// A block's address is not a multiple of the vmemmap page.
        case misalignedPhysical = "misaligned-phys"
        /// A block lies outside present memory.
        case physicalOutsideMemory = "phys-outside-memory"
        /// Two blocks share memory.
        case overlap
        /// A node, or a page table, stands outside present memory.
        case outsideMemory = "outside-memory"
        /// A node, or a page table, stands in the memory of a block; or a node in a page table.
        case placeInBlock = "in-block"
        /// A present section's `struct page`s have no block.
        case hole = "coverage-hole"
        /// An entry describes no memory at all.
        case staleEntry = "stale-entry"
        /// A base page for memory that never came, which the kernel's populate of what came behind it has left: nothing
        /// takes it back.
        case leakedEntry = "leaked-entry"
        /// A block in the altmap of memory that it does not describe.
        case otherAltmap = "other-altmap"
        /// A kernel of this kind has a list, and it is empty.
        case empty
        /// A page table entry is neither valid nor clear.
        case notValid = "not-valid"
        /// A page table entry leads to a table of a size that no table has there.
        case tableSize = "table-size"
        /// A page table entry leads to a table that is not aligned to its size.
        case misalignedTable = "misaligned-table"
        /// A page table entry is of a kind that has no place at its level.
        case wrongLevel = "wrong-level"
        /// An entry of the hashed page table stands in a group in which it is never found.
        case misplacedEntry = "misplaced-entry"
        /// Memory of the kernel's is mapped as its own data is not: read-only, uncached, for a user, or to be evicted.
        case attributes
        /// It holds the list where the kernel's account is its page tables, or the other way round.
        case otherAccount = "other-account"
        /// A header word is not what it must be.
        case header
        /// The report area holds no report.
        case unreadable
        /// An entry of the kernel's list is missing.
        case missingEntry = "missing-entry"
        /// An entry that the kernel's list does not have.
        case extraEntry = "extra-entry"
        /// The same window with another block.
        case wrongPhysical = "wrong-phys"
        /// The same window with another size.
        case wrongSize = "wrong-size"
        /// The same entry in another node, or with another link; or another head. With page tables: in another entry.
        case otherNode = "other-node"
        /// The same entries in another order.
        case order
        /// What only another rule explains than the one that the kernel has shown before.
        case otherRule = "other-rule"
        /// What the guest says of its past cannot have happened.
        case history
        /// An entry whose origin is unknown.
        case origin
        /// The MMU translates a window to another block.
        case contradiction
        /// The MMU does not translate a window that the list has.
        case unmapped
        /// Sections encode different memory maps.
        case baseDiffers = "base-differs"
        /// A section is present where the machine has no memory, or none that the guest has taken.
        case sectionWithoutMemory = "section-without-memory"
        /// The machine has memory where no section is present.
        case memoryWithoutSection = "memory-without-section"
        /// Sections and memory blocks do not agree.
        case blockDiffers = "block-differs"
        /// A `struct page` of online memory that the kernel has not made.
        case notInitialised = "not-initialised"
        /// A `struct page` that says another NUMA node than the machine.
        case otherNUMANode = "other-numa-node"
        /// A `struct page` with a number of users that no page has.
        case impossibleCount = "impossible-count"
        /// A `struct page` that says that it is another page's.
        case otherPage = "other-page"
        /// The kernel's allocator has it for free.
        case inFreeMemory = "in-free-memory"
        /// A section has flags that it cannot have, or lacks one.
        case sectionFlags = "flags"
        /// A present section lacks a part of its memory.
        case subsections
        /// The dump has other sections than guest RAM.
        case otherSections = "other-sections"
        /// The guest refused memory, or an action.
        case refused
        /// The guest has said nothing for too long.
        case silent
        /// The kernel has warned of itself.
        case warning
        /// The kernel has found a bug in itself.
        case bug
        /// An exception in the kernel that nothing handles.
        case oops
        /// An access that KASAN has caught.
        case kasan
        /// Undefined behaviour that UBSAN has caught.
        case ubsan
        /// A processor or a workqueue that gets no further.
        case lockup
        /// RCU that gets no further.
        case rcuStall = "rcu-stall"
        /// A task that gets no further.
        case hungTask = "hung-task"
        /// The kernel has given up.
        case panic
        /// Memory that a dump would not have.
        case missingMemory = "missing-memory"
        /// Memory that a dump would have to have, and that the machine has no more.
        case memoryGone = "memory-gone"
        /// A piece of a dump is of a size that none can have.
        case loadSize = "load-size"
        /// A dump would not have what the kernel's account says, or where it stands.
        case notInDump = "not-in-dump"
        /// The VMCOREINFO note is missing, damaged, or another kernel's.
        case note
        /// The crash kernel would look for a hashed page table of another size.
        case hashTableSize = "hpt-size"
        /// An expectation was not met.
        case unmet
    }

    /// Whose statement is judged.
    public var subject: Subject
    /// What is wrong.
    public var fault: Fault
    /// What differed, in words, with the numbers.
    public var message: String

    /// Makes a finding.
    public init(_ subject: Subject, _ fault: Fault, _ message: String) {
        self.subject = subject
        self.fault = fault
        self.message = message
    }

    /// The finding's own name, as in `list-cycle`.
    public var name: String { "\(subject.rawValue)-\(fault.rawValue)" }

    /// Every name that a finding can have: those that the program can come to, and no others.
    public static let names = Set(
        Fault.allCases.flatMap { fault in fault.subjects.map { Finding($0, fault, "").name } })

    private enum CodingKeys: String, CodingKey {
        case name, subject, fault, message
    }

    /// Reads a finding; the name follows from the rest. Throws for one that the program cannot come to.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        subject = try container.decode(Subject.self, forKey: .subject)
        fault = try container.decode(Fault.self, forKey: .fault)
        guard fault.subjects.contains(subject) else {
            throw DecodingError.dataCorruptedError(
                forKey: .fault, in: container,
                debugDescription: "there is no finding '\(subject.rawValue)-\(fault.rawValue)'")
        }
        message = try container.decode(String.self, forKey: .message)
    }

    /// Writes a finding with its name.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(subject, forKey: .subject)
        try container.encode(fault, forKey: .fault)
        try container.encode(message, forKey: .message)
    }
}

extension Finding.Fault {
    /// Whose fault it can be.
    public var subjects: Set<Finding.Subject> {
        switch self {
        case .cycle, .misplacedNode, .brokenChain: [.list, .mirror, .report, .vmcore]
        case .tooLong: [.list, .pageTables, .mirror, .report, .vmcore]
        case .duplicateVirtual: [.list, .hashTable, .mirror, .report, .vmcore]
        case .misplacedEntry: [.hashTable]
        case .attributes: [.pageTables, .hashTable, .report, .vmcore]
        case .outsideMemory, .placeInBlock: [.list, .pageTables]
        case .linkOutsideMemory: [.list, .pageTables, .mirror, .report]
        case .misalignedVirtual, .nodePages, .freeNode, .freeChain, .lostNode, .empty: [.list]
        case .virtualOutsideVmemmap, .misalignedPhysical, .physicalOutsideMemory, .hole: [.list, .pageTables]
        case .overlap: [.list, .pageTables, .crashHeader]
        case .staleEntry: [.list, .pageTables, .hashTable, .mmu]
        case .leakedEntry, .otherAltmap: [.pageTables]
        case .notValid, .tableSize, .misalignedTable, .wrongLevel: [.pageTables, .report, .vmcore]
        case .truncated: [.report, .vmcore]
        case .unreadable: [.report, .crashHeader, .vmcore]
        case .otherAccount: [.list, .report, .vmcore]
        case .header, .origin: [.mirror]
        case .missingEntry: [.pageTables, .hashTable, .mirror, .report, .model, .vmcore]
        case .extraEntry: [.pageTables, .mirror, .report, .model, .vmcore]
        case .wrongPhysical: [.pageTables, .hashTable, .mirror, .report, .vmcore]
        case .wrongSize: [.hashTable, .mirror, .report, .vmcore]
        case .otherNode: [.report, .model, .vmcore]
        case .order: [.mirror, .report, .model, .vmcore]
        case .otherRule, .history: [.model]
        case .contradiction, .unmapped: [.mmu]
        case .notInitialised, .otherNUMANode, .impossibleCount, .otherPage: [.structPages]
        case .inFreeMemory: [.list, .pageTables]
        case .baseDiffers, .sectionFlags, .subsections, .sectionWithoutMemory, .memoryWithoutSection, .blockDiffers:
            [.sections]
        case .notInDump: [.crashHeader, .vmcore]
        case .otherSections: [.vmcore]
        case .refused: [.plug, .guest]
        case .silent: [.unplug, .vmcore]
        case .warning, .bug, .oops, .kasan, .ubsan, .lockup, .rcuStall, .hungTask, .panic: [.guest]
        case .missingMemory, .memoryGone, .loadSize, .hashTableSize: [.crashHeader]
        case .note: [.guest, .crashHeader]
        case .unmet: [.plan]
        }
    }
}
