// SPDX-License-Identifier: Apache-2.0

import VmemmapPopulate

/// What is true of any good list, whoever read it: its links, its nodes, its entries one against another.
struct ListChecks {
    let subject: Finding.Subject
    let list: WalkedList
    let kernel: KernelFacts

    /// Everything below.
    func findings() -> [Finding] {
        [walkEnd()].compactMap { $0 } + duplicates()
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
        case .unreadable:
            return Finding(subject, .linkOutsideMemory, "\(place) leads to \(link), where no memory is")
        case .limitReached:
            return Finding(
                subject, .tooLong, "the list has more than \(list.entries.count) nodes, which memory cannot need")
        case .truncated:
            return Finding(subject, .truncated, "the report holds no more than \(list.entries.count) entries")
        }
    }

    /// A window has one entry.
    private func duplicates() -> [Finding] {
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
