// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import VmemmapPopulate

/// What is true of any good list, whoever read it: its links, its nodes, its entries one against another.
struct ListChecks {
    let subject: Finding.Subject
    let list: ListWalk
    let kernel: KernelFacts

    /// Whether a node can stand at an address of the memory that the list is in.
    let canHoldNode: (UInt64) -> Bool

    /// A list in the kernel's memory.
    init(subject: Finding.Subject, list: ListWalk, kernel: KernelFacts) {
        self.subject = subject
        self.list = list
        self.kernel = kernel
        canHoldNode = {
            LinearMap.physical($0) != nil && ListWalk.canHoldNode($0, pageByteCount: kernel.pageByteCount)
        }
    }

    /// The list in the shared region: its nodes stand in the node pages of the region's layout.
    init(mirror: MirrorSnapshot, layout: SharedRegionLayout?, kernel: KernelFacts) {
        subject = .mirror
        list = mirror.list
        self.kernel = kernel
        canHoldNode = { layout?.slot(ofNodeAt: $0) != nil }
    }

    /// Everything below.
    func findings() -> [Finding] {
        [walkEnd()].compactMap { $0 } + chain() + duplicates()
    }

    /// A walk goes from the head to the first node, and on from each node's link: whoever tells of another one has not
    /// walked this list.
    private func chain() -> [Finding] {
        var findings: [Finding] = []
        func note(_ fault: Finding.Fault, _ message: String) { findings.append(Finding(subject, fault, message)) }
        var link = list.head
        var nodes = AddressIndex(list.entries.map(\.node))
        /// What leads to an entry, or to the end.
        func place(before index: Int) -> String {
            index == 0
                ? "the head" : "the link of node \(list.entries[index - 1].node.hexadecimal), number \(index),"
        }
        for (index, entry) in list.entries.enumerated() {
            var node: String { "node \(entry.node.hexadecimal)" }
            if entry.node != link {
                note(
                    .brokenChain,
                    "\(place(before: index)) leads to \(link.hexadecimal), and number \(index + 1) is \(node)")
            }
            if !nodes.isFirst(index, of: entry.node) { note(.brokenChain, "\(node) is told of twice") }
            if !canHoldNode(entry.node) {
                note(.misplacedNode, "\(node), number \(index + 1), is where no node can stand")
            }
            link = entry.list
        }
        if !isEnd(link, nodes.contains(link)) {
            note(
                .brokenChain,
                "\(place(before: list.entries.count)) is \(link.hexadecimal), and the list is said to end '\(list.end.name)' at "
                    + list.endLink.hexadecimal)
        }
        return findings
    }

    /// Whether a walk ends at this link in the way that is told.
    private func isEnd(_ link: UInt64, _ isNode: Bool) -> Bool {
        switch list.end {
        case .terminated: link == 0 && list.endLink == 0
        case .cycle: link == list.endLink && isNode
        case .misplaced:
            link == list.endLink && !ListWalk.canHoldNode(link, pageByteCount: kernel.pageByteCount)
        // Any word of the node.
        case .unreadable: list.endLink &- link < VmemmapBacking.byteCount
        // Agents of older records tell of none.
        case .limitReached: link != 0 && [0, link].contains(list.endLink)
        // What stands behind the last entry is not told.
        case .truncated: true
        }
    }

    /// A list ends at NULL.
    private func walkEnd() -> Finding? {
        let place =
            list.entries.last.map { "the link of node \($0.node.hexadecimal), number \(list.entries.count)," }
            ?? "the head"
        let link = list.endLink.hexadecimal
        switch list.end {
        case .terminated: return nil
        case .cycle:
            return Finding(subject, .cycle, "\(place) leads back to node \(link)")
        case .misplaced:
            return Finding(
                subject, .misplacedNode,
                "\(place) leads to \(link), which is no multiple of \(VmemmapBacking.byteCount) bytes into a page of "
                    + "\(kernel.pageByteCount) bytes")
        case .unreadable where subject == .vmcore:
            return Finding(subject, .notInDump, "\(place) leads to \(link), which is not in the dump")
        case .unreadable:
            return Finding(subject, .linkOutsideMemory, "\(place) leads to \(link), where no memory is")
        case .limitReached:
            return Finding(
                subject, .tooLong, "the list has more than \(list.entries.count) nodes, which memory cannot need")
        case .truncated:
            return Finding(subject, .truncated, "the \(subject) holds no more than \(list.entries.count) entries")
        }
    }

    /// A window has one entry.
    private func duplicates() -> [Finding] {
        guard !AddressIndex(list.entries.map(\.virtAddr)).isDistinct else { return [] }
        var seen: [UInt64: ListEntry] = [:]
        return list.entries.compactMap { entry in
            guard let other = seen.updateValue(entry, forKey: entry.virtAddr) else { return nil }
            return Finding(
                subject, .duplicateVirtual,
                "virt \(entry.virtAddr.hexadecimal) is in node \(other.node.hexadecimal) (phys "
                    + "\(other.phys.hexadecimal)) and in node \(entry.node.hexadecimal) (phys \(entry.phys.hexadecimal))"
            )
        }
    }
}
