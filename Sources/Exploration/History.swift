// SPDX-License-Identifier: Apache-2.0

import GuestMemory
import HarnessBasics
import Plans

/// Where a history's DIMMs go. Those without a place of their own lie in the first part, whatever unplugs come to: QEMU takes
/// the lowest place that is free, so they reach no further than all of them together.
enum HistoryRoom {
    /// What all DIMMs without a place of their own come to at most, those that went included.
    static let automatic: UInt64 = 8 << 30
    /// Addresses behind that, for those that have one.
    static let chosen: UInt64 = 4 << 30
    /// All of it.
    static let byteCount = automatic + chosen
    /// The most that is plugged at once, should every unplug succeed.
    static let plugged: UInt64 = 3 << 30
}

/// A history as it is made, with what is known of its guest by then.
struct History {
    private(set) var steps: [Plan.Step] = [.verify]

    private let guest: Plan.Guest
    private let isStarved: Bool
    private var draw: Draw
    private var numbers = DIMMNumbers()
    private var dimms: [DIMM] = []
    /// Where DIMMs go, should every unplug succeed.
    private var memory: DeviceMemory
    /// What those without a place of their own came to.
    private var automaticByteCount: UInt64 = 0
    /// Places of their own, each of which is given once.
    private var chosen: DeviceMemory
    /// Whether an unplug was asked for: only what was placed before lies where it is thought to lie.
    private var hasAskedForUnplug = false
    private var isHolding = false
    /// Whether the kernel was left little memory.
    private var isShort = false
    /// Whether a load is on.
    private var isLoaded = false
    private var offlineBlocks: [UInt64] = []
    private var removedBlocks: [UInt64] = []
    private var rebootCount = 0

    private var hasMovableDIMMs: Bool { guest.append?.contains("online_movable") == true }

    /// A DIMM that may be there.
    private struct DIMM {
        let number: Int
        let place: Range<UInt64>
        /// Whether it is known to lie there.
        let isPlaceKnown: Bool
        /// Whether the guest may have refused it: then an unplug has no end.
        let isDoubtful: Bool
        /// Whether its unplug was asked for, so that it may be gone.
        var isAsked = false
        /// Whether the guest may have given up an LMB of it by itself: then an unplug has no end either.
        var isTorn = false

        var byteCount: UInt64 { place.upperBound - place.lowerBound }
    }

    private enum Change: CaseIterable {
        case plug, unplug, hold, release, online, offline
        case removeLMB, addLMB, probe, leaveFree, load, endLoad, settle, reboot
    }

    /// Names of findings that are the kernel's right.
    private enum Refusal {
        static let plug = "plug-refused"
        static let action = "guest-refused"
        /// An unplug of what is gone already.
        static let gone = "plan-unmet"
    }

    init(in guest: Plan.Guest, isStarved: Bool, _ draw: Draw) {
        self.guest = guest
        self.isStarved = isStarved
        self.draw = draw
        let bootMemory = guest.memory ?? PlanLimits.leastMemory
        memory = DeviceMemory(bootMemory: bootMemory, maximumMemory: bootMemory + HistoryRoom.byteCount)
        let start = memory.range.lowerBound + HistoryRoom.automatic
        chosen = DeviceMemory(bootMemory: start, maximumMemory: start + HistoryRoom.chosen)
    }

    /// Changes something that can be changed, and verifies.
    mutating func change() {
        let change = draw.one(of: Change.allCases, weights: Change.allCases.map(weight)) ?? .settle
        switch change {
        case .plug: plug()
        case .unplug: unplug()
        case .hold: hold()
        case .release: release()
        case .online: setBlock(isOnline: true)
        case .offline: setBlock(isOnline: false)
        case .removeLMB: removeLMB()
        case .addLMB: addLMB()
        case .probe: probe()
        case .leaveFree: leaveFree()
        case .load: load()
        case .endLoad: endLoad()
        case .settle: steps.append(.wait(.settled))
        case .reboot: reboot()
        }
        steps.append(draw.isTrue(oneIn: 10) ? .verifyAllStructPages : .verify)
    }

    private func weight(of change: Change) -> Int {
        func weight(_ weight: Int, if isPossible: Bool) -> Int { isPossible ? weight : 0 }
        return switch change {
        case .plug: weight(isShort ? 40 : 12, if: !sizes.isEmpty)
        case .unplug: weight(9, if: !toUnplug.isEmpty)
        // What is held is no movable memory: a guest whose DIMMs are dies of the search for it.
        case .hold: weight(3, if: !hasMovableDIMMs && !toHold.isEmpty)
        case .release: weight(4, if: isHolding || isShort)
        case .online: weight(4, if: !offlineBlocks.isEmpty)
        case .offline: weight(4, if: !toHold.isEmpty)
        case .removeLMB: weight(isStarved ? 0 : 2, if: !toHold.isEmpty)
        case .addLMB: weight(2, if: !removedBlocks.isEmpty)
        case .probe: weight(3, if: !removedBlocks.isEmpty)
        case .leaveFree: weight(12, if: isStarved && !isShort && !sizes.isEmpty)
        // A guest that is short of memory is to lack it for its plugs.
        case .load: weight(5, if: !isStarved && !isLoaded)
        case .endLoad: weight(3, if: isLoaded)
        case .settle: weight(1, if: hasAskedForUnplug)
        case .reboot: weight(1, if: rebootCount < 2)
        }
    }

    // MARK: - DIMMs

    /// What can be plugged next, in LMBs.
    private var sizes: [UInt64] {
        guard numbers.count < PlanLimits.slots else { return [] }
        let plugged = dimms.filter { !$0.isAsked }.reduce(0) { $0 + $1.byteCount }
        let room = min(
            HistoryRoom.plugged - min(plugged, HistoryRoom.plugged), HistoryRoom.automatic - automaticByteCount)
        // A guest that is short of memory is short of it for a DIMM of some size.
        let counts: [UInt64] = isShort ? [4, 5, 6, 8] : [1, 1, 1, 2, 2, 3, 4, 6]
        return counts.filter { $0 * LMB.byteCount <= room }
    }

    private mutating func plug() {
        guard let count = draw.one(of: sizes) else { return }
        let size = count * LMB.byteCount
        let node = guest.numaNodes.flatMap { count in draw.isTrue(oneIn: 2) ? draw.number(in: 0...count - 1) : nil }
        let base = draw.isTrue(oneIn: 5) ? chosenBase(for: size) : nil
        guard let place = base.map({ $0..<$0 + size }) ?? memory.place(for: size) else { return }
        if base == nil { automaticByteCount += size }
        memory.take(place)
        numbers.plug()
        dimms.append(
            DIMM(
                number: numbers.count, place: place, isPlaceKnown: base != nil || !hasAskedForUnplug,
                isDoubtful: isShort))
        steps.append(.plug(size: size, node: node, base: base))
        if isStarved { allow([Refusal.plug]) }
    }

    private mutating func chosenBase(for size: UInt64) -> UInt64? {
        let starts = chosen.free.flatMap { range in
            stride(from: range.lowerBound, to: range.upperBound, by: Int(LMB.byteCount)).filter {
                $0 + size <= range.upperBound
            }
        }
        guard let start = draw.one(of: starts) else { return nil }
        chosen.take(start..<start + size)
        return start
    }

    /// Of those whose unplug was asked for some may be there still.
    private var toUnplug: [DIMM] { dimms.filter { !$0.isDoubtful && !$0.isTorn } }

    private mutating func unplug() {
        // The newest as often as any other.
        let candidates = toUnplug
        guard let dimm = draw.isTrue(oneIn: 2) ? candidates.last : draw.one(of: candidates) else { return }
        steps.append(.unplug(.number(dimm.number)))
        if dimm.isAsked { allow([Refusal.gone]) }
        hasAskedForUnplug = true
        memory.release(dimm.place)
        update(dimm.number) { $0.isAsked = true }
        // One that is refused may be asked for again; others are most likely gone.
        if !isHolding, !draw.isTrue(oneIn: 4) { dimms.removeAll { $0.number == dimm.number } }
    }

    /// Those that are there for sure, and whole.
    private var toHold: [DIMM] { dimms.filter { !$0.isAsked && !$0.isDoubtful && !$0.isTorn } }

    private mutating func update(_ number: Int, _ body: (inout DIMM) -> Void) {
        for index in dimms.indices where dimms[index].number == number { body(&dimms[index]) }
    }

    // MARK: - The agent

    /// Has the agent do what the kernel may refuse.
    private mutating func act(_ action: Plan.Action) {
        steps.append(.guest(action))
        allow([Refusal.action])
    }

    private mutating func allow(_ findings: [String]) {
        var expectation = Plan.Expectation()
        expectation.allowed = findings
        steps.append(.expect(expectation))
    }

    private mutating func hold() {
        guard let dimm = draw.one(of: toHold) else { return }
        act(.hold(.number(dimm.number)))
        isHolding = true
    }

    private mutating func release() {
        steps.append(.guest(.release))
        (isHolding, isShort) = (false, false)
    }

    private mutating func leaveFree() {
        act(.leaveFree(UInt64(draw.number(in: 4...14)) << 21))
        isShort = true
    }

    /// What is filled has room in the boot memory, beside what the kernel takes of that for all DIMMs: no unplug is without
    /// a place for what it has to move. The kernel may refuse it even so, or end it where memory runs out.
    private mutating func load() {
        act(.load(UInt64(draw.number(in: guest.memory ?? 0 < 1 << 30 ? 1...3 : 1...12)) << 25))
        isLoaded = true
    }

    private mutating func endLoad() {
        act(.endLoad)
        isLoaded = false
    }

    private mutating func setBlock(isOnline: Bool) {
        if isOnline {
            guard let block = draw.one(of: offlineBlocks) else { return }
            act(.online(block))
            offlineBlocks.removeAll { $0 == block }
        } else if let block = block(of: draw.one(of: toHold)) {
            act(.offline(block))
            offlineBlocks.append(block)
        }
    }

    /// One of a DIMM's blocks, which are its LMBs.
    private mutating func block(of dimm: DIMM?) -> UInt64? {
        dimm.map { dimm in
            let last = Int(dimm.byteCount / LMB.byteCount) - 1
            return dimm.place.lowerBound / LMB.byteCount + UInt64(draw.number(in: 0...last))
        }
    }

    /// One LMB by its index, or any.
    private mutating func removeLMB() {
        let known = toHold.filter(\.isPlaceKnown)
        if let dimm = draw.one(of: known), let block = block(of: dimm), !draw.isTrue(oneIn: 4) {
            act(.dlpar("memory remove index \(LMB.drcIndex(of: block * LMB.byteCount).hexadecimal)"))
            update(dimm.number) { $0.isTorn = true }
            removedBlocks.append(block)
        } else {
            act(.dlpar("memory remove count 1"))
            for index in dimms.indices { dimms[index].isTorn = true }
        }
    }

    private mutating func addLMB() {
        guard let block = draw.one(of: removedBlocks) else { return }
        act(
            .dlpar(
                draw.isTrue(oneIn: 3)
                    ? "memory add count 1"
                    : "memory add index \(LMB.drcIndex(of: block * LMB.byteCount).hexadecimal)"))
    }

    private mutating func probe() {
        guard let block = draw.one(of: removedBlocks) else { return }
        act(.probe(block))
        removedBlocks.removeAll { $0 == block }
        offlineBlocks.append(block)
    }

    /// Another kernel: it has all memory that the machine has, holds none, and has no load.
    private mutating func reboot() {
        steps.append(.reboot)
        rebootCount += 1
        (isHolding, isShort, isLoaded) = (false, false, false)
        (offlineBlocks, removedBlocks) = ([], [])
        for index in dimms.indices { dimms[index].isTorn = false }
    }
}
