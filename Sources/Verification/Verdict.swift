// SPDX-License-Identifier: Apache-2.0

/// What follows from one snapshot.
public struct Verdict: Codable, Equatable, Sendable {
    /// All that is wrong, nothing left out.
    public var findings: [Finding]
    /// Which witnesses spoke, and what each statement rests on.
    public var witnesses: [WitnessStatement]
    /// Which of the kernel's books the verdict rests on.
    public var account: KernelAccount
    /// How many entries that account has.
    public var entryCount: Int
    /// The mirror's entries by the way they came.
    public var provenance: [EntryProvenance: Int]
    /// How many sections are present.
    public var sectionCount: Int
    /// Of those, how many have a block behind every `struct page`.
    public var coveredSectionCount: Int

    /// Whether there was something to verify and all of it was right.
    public var hasPassed: Bool { findings.isEmpty && isConclusive }

    /// Whether the kernel's own account was there to be verified at all: a list that is empty with reason is none.
    public var isConclusive: Bool { witnesses.contains { $0.witness == account.witness && $0.standing == .agrees } }
}

/// Where a statement about the list comes from.
public enum Witness: String, Codable, Sendable, CaseIterable {
    /// The mirror in the shared region.
    case mirror
    /// The kernel's list, walked by the host in guest RAM.
    case kernelList = "kernel-list"
    /// A radix kernel's page tables over its memory map, walked by the host in guest RAM.
    case pageTables = "page-tables"
    /// The guest's report, read through /proc/kcore.
    case report
    /// QEMU's gva2gpa.
    case mmu
    /// The emulator, run over the guest's history.
    case model
}

/// What one witness said.
public struct WitnessStatement: Codable, Equatable, Sendable {
    /// How it stands to the others.
    public enum Standing: String, Codable, Sendable {
        /// It spoke, and nothing speaks against it.
        case agrees
        /// There is a finding about it.
        case contradicts
        /// It was asked and could not say.
        case cannotSay = "cannot-say"
        /// It was not there.
        case absent
    }

    /// The witness.
    public var witness: Witness
    /// How it stands.
    public var standing: Standing
    /// How many of its statements agree with the kernel's account.
    public var agreeingCount: Int
    /// How many could not be made.
    public var unsaidCount: Int
    /// Which faults its agreement rules out, or why it said nothing.
    public var detail: String

    /// Makes a statement.
    public init(witness: Witness, standing: Standing, agreeingCount: Int, unsaidCount: Int, detail: String) {
        self.witness = witness
        self.standing = standing
        self.agreeingCount = agreeingCount
        self.unsaidCount = unsaidCount
        self.detail = detail
    }
}
