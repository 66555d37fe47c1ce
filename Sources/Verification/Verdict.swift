// SPDX-License-Identifier: Apache-2.0

public import GuestMemory
public import VmemmapPopulate

/// What follows from one snapshot.
public struct Verdict: Codable, Equatable, Sendable {
    /// All that is wrong, nothing left out.
    public var findings: [Finding]
    /// Which witnesses spoke, and what each statement rests on.
    public var witnesses: [WitnessStatement]
    /// What the witnesses that this guest can give were asked and did not say. Where there is any, the verdict is incomplete.
    public var unsaid: [Unsaid]
    /// Which account of the kernel's the verdict rests on.
    public var account: KernelAccount
    /// How many entries that account has.
    public var entryCount: Int
    /// The mirror's entries by the way they came.
    public var provenance: [Provenance: Int]
    /// How many sections are present.
    public var sectionCount: Int
    /// Of those, how many have a block behind every `struct page`.
    public var coveredSectionCount: Int
    /// Of a radix kernel that keeps no list: where its populates begin, as far as this and every earlier verification tell;
    /// nil when they rule nothing out.
    public var radixStarts: [RadixStart]?

    /// Whether every witness that this guest can give spoke about everything that it was asked, and all of it is right.
    public var hasPassed: Bool { findings.isEmpty && unsaid.isEmpty }

    /// What is unsaid and that nobody excuses. The kernel's own account cannot be excused: without it nothing is verified.
    public func unsaid(excusing witnesses: Set<Witness>) -> [Unsaid] {
        unsaid.filter { $0.witness == account.witness || !witnesses.contains($0.witness) }
    }
}

/// What a witness was asked and did not say, for one reason.
public struct Unsaid: Codable, Equatable, Sendable {
    /// The witness.
    public var witness: Witness
    /// How many entries of the kernel's account, or addresses of windows that are gone, it says nothing about.
    public var count: Int
    /// Why.
    public var reason: String

    /// Notes what was not said.
    public init(_ witness: Witness, count: Int, _ reason: String) {
        self.witness = witness
        self.count = count
        self.reason = reason
    }
}

/// Where a statement about the list comes from.
public enum Witness: String, Codable, Sendable, CaseIterable {
    /// The mirror in the shared region.
    case mirror
    /// The kernel's list, walked by the host in guest RAM.
    case kernelList = "kernel-list"
    /// A radix kernel's page tables over its memory map, walked by the host in guest RAM.
    case pageTables = "page-tables"
    /// A hash guest's hashed page table, as QEMU keeps it.
    case hashTable = "hpt"
    /// What the kernel has written into the `struct page`s themselves, read in guest RAM behind each window.
    case structPages = "struct-pages"
    /// The guest's report, read through /proc/kcore.
    case report
    /// What QEMU reads through the CPU's translation (`memsave`), and gva2gpa for the rest.
    case mmu
    /// The emulator, run over the guest's history.
    case model
    /// The dump-capture kernel's reading of a dead kernel in /proc/vmcore.
    case vmcore
    /// What is loaded for a crash, read by the host in the guest's reservation.
    case crashHeader = "crash-header"

    /// The witnesses that a guest can give, by what its kernel shows when its agent says hello: each of them has to speak.
    ///
    /// A radix kernel has page tables beside its list, or in its place; a hash kernel has its hashed page table, where that can
    /// be had. A kernel's `struct page`s say something where VMCOREINFO tells what they are made of.
    public static func given(
        by account: KernelAccount, _ mmu: MMU, hasHashTable: Bool = false, tellsStructPages: Bool = false
    ) -> [Witness] {
        let accounts: [Witness] =
            switch account {
            case .list: [.kernelList] + (mmu == .radix ? [.pageTables] : hasHashTable ? [.hashTable] : [])
            case .pageTables: [.pageTables]
            }
        return accounts + (tellsStructPages ? [.structPages] : []) + [.mirror, .report, .mmu, .model]
    }

    /// Of the witnesses that a guest could give, those that it can give when its kernel is dead and a dump-capture kernel
    /// runs. The agent of the dead kernel reports nothing any more, and the MMU answers for the other kernel.
    public static func afterCrash(of witnesses: [Witness]) -> [Witness] {
        witnesses.filter { ![.report, .mmu, .hashTable].contains($0) } + [.vmcore]
    }
}

/// What one witness said.
public struct WitnessStatement: Codable, Equatable, Sendable {
    /// How it stands to the others.
    public enum Standing: String, Codable, Sendable {
        /// It spoke about everything that it was asked, and nothing speaks against it.
        case agrees
        /// It spoke about a part of what it was asked, and nothing speaks against it.
        case incomplete
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
    /// How many were not made: what ``Verdict/unsaid`` counts, by its reasons.
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
