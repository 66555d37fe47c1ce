// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
public import KernelState
import VmemmapPopulate

extension Snapshot {
    /// Takes over the free nodes of a kernel that keeps a list.
    public mutating func add(_ nodes: FreeNodes?) {
        freeNodes = account == .list ? nodes : nil
    }
}

/// What is true of the nodes that a good list does not have. Each node of the pages that nodes come out of is one of three
/// things: on the list, freed, or not handed out yet. What is wrong here shows on the list only with the next block.
struct FreeNodeChecks {
    let snapshot: Snapshot
    let nodes: FreeNodes

    private var pageByteCount: UInt64 { snapshot.kernel.pageByteCount }
    private var nodesPerPage: Int { Int(pageByteCount / VmemmapBacking.byteCount) }
    private var entries: [ListEntry] { snapshot.kernelList.entries }

    /// Of a kernel that died while it added memory nothing is judged: it may have been between `next` and `num_left`.
    func findings() -> [Finding] {
        guard snapshot.interruptedAdd == nil else { return [] }
        let chain = chain()
        guard chain.isEmpty else { return chain }
        let live = liveNodes()
        return live.isEmpty ? lostNodes() : live
    }

    /// The places that were never handed out; empty where there are none.
    private var unusedNodes: Range<UInt64> {
        let end = nodes.unused &+ UInt64(max(0, nodes.leftCount)) &* VmemmapBacking.byteCount
        return nodes.unused <= end ? nodes.unused..<end : 0..<0
    }

    /// `next` leads to as many freed nodes as `num_freed` says, each of them once, and on to the rest of a page, which has as many
    /// as `num_left` says.
    private func chain() -> [Finding] {
        guard 0..<nodesPerPage ~= nodes.leftCount, nodes.freedCount >= 0 else {
            return [
                Finding(
                    .list, .freeChain,
                    "num_left is \(nodes.leftCount) and num_freed \(nodes.freedCount); a page has \(nodesPerPage) nodes"
                )
            ]
        }
        guard nodes.freed.first ?? nodes.unused == nodes.next, nodes.freed.count == nodes.freedCount else {
            return [
                Finding(
                    .list, .freeChain,
                    "num_freed is \(nodes.freedCount), and from next (\(nodes.next.hexadecimal)) on \(nodes.freed.count) freed "
                        + "nodes can be followed; behind them stands \(nodes.unused.hexadecimal)")
            ]
        }
        var freed = AddressIndex(nodes.freed)
        guard freed.isDistinct, !nodes.freed.contains(where: unusedNodes.contains) else {
            return [
                Finding(
                    .list, .freeChain,
                    "the freed nodes from next (\(nodes.next.hexadecimal)) on lead back to one that is free already")
            ]
        }
        if let node = nodes.freed.first(where: { !isNodePlace($0) }) {
            return [Finding(.list, .freeChain, "the free node \(node.hexadecimal) is where no node can stand")]
        }
        // Behind the last node of a page, or nothing: before the first page, and behind one that could not be had.
        let place = nodes.unused % pageByteCount
        let isPlaceOfRest =
            place == UInt64(nodesPerPage - nodes.leftCount) * VmemmapBacking.byteCount
            && (nodes.leftCount == 0 || isNodePlace(nodes.unused))
        guard isPlaceOfRest || (nodes.leftCount == 0 && nodes.unused == 0), !freed.contains(0) else {
            return [
                Finding(
                    .list, .freeChain,
                    "num_left is \(nodes.leftCount), and the next node that was never handed out is "
                        + "\(nodes.unused.hexadecimal), which has another number of nodes behind it in its page")
            ]
        }
        return []
    }

    private func isNodePlace(_ node: UInt64) -> Bool {
        LinearMap.physical(node) != nil && ListWalk.canHoldNode(node, pageByteCount: pageByteCount)
    }

    /// A node on the list is not free.
    private func liveNodes() -> [Finding] {
        var freed = AddressIndex(nodes.freed)
        let unused = unusedNodes
        return entries.compactMap { entry in
            let isFreed = freed.contains(entry.node)
            guard isFreed || unused.contains(entry.node) else { return nil }
            return Finding(
                .list, .freeNode,
                "node \(entry.node.hexadecimal) of virt \(entry.virtAddr.hexadecimal) is on the list, and "
                    + (isFreed
                        ? "among the \(nodes.freed.count) freed nodes"
                        : "was never handed out: those from \(nodes.unused.hexadecimal) on are left"))
        }
    }

    /// No node of a page is missing.
    private func lostNodes() -> [Finding] {
        guard snapshot.kernelList.end == .terminated else { return [] }
        let known = AddressIndex(entries.map(\.node) + nodes.freed)
        var pages = Set(known.distinct.map { $0 / pageByteCount })
        if nodes.leftCount > 0 { pages.insert(nodes.unused / pageByteCount) }
        let lostCount = pages.count * nodesPerPage - known.distinct.count - nodes.leftCount
        guard lostCount > 0 else { return [] }
        let handedOut = Set(known.distinct)
        let unused = unusedNodes
        let first = pages.sorted().lazy.flatMap { page in
            (0..<UInt64(nodesPerPage)).lazy.map { page * pageByteCount + $0 * VmemmapBacking.byteCount }
        }.first { !handedOut.contains($0) && !unused.contains($0) }
        return first.map {
            Finding(
                .list, .lostNode,
                "node \($0.hexadecimal)\(lostCount > 1 ? " and \(lostCount - 1) more" : ""), of \(pages.count) node pages, is "
                    + "neither on the list (\(entries.count)), nor freed (\(nodes.freed.count)), "
                    + "nor left (\(nodes.leftCount))")
        }.map { [$0] } ?? []
    }
}
