// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// A record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg).
struct KernelRecord: Equatable {
    /// Counts all records of the kernel's log.
    let sequence: UInt64
    /// Since boot.
    let microseconds: UInt64
    /// Whether the kernel wrote it. What a program writes into the log has a facility of its own (`LOG_USER`), which the
    /// kernel does not let it set to its own, 0 (`devkmsg_write`).
    let isKernels: Bool
    /// What it says, without the lines of key-value pairs behind it.
    let text: [UInt8]

    /// Reads `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,…];TEXT`; the priority is the facility times 8, and the level.
    init?(parsing record: [UInt8]) {
        var rest = record[...]
        var header = rest.takeField(until: 0x3b)
        guard let priority = header.takeField(until: 0x2c).number,
            let sequence = header.takeField(until: 0x2c).number,
            let microseconds = header.takeField(until: 0x2c).number
        else { return nil }
        self.sequence = sequence
        self.microseconds = microseconds
        isKernels = priority >> 3 == 0
        text = Array(rest.takeField(until: 0x0a))
    }

    /// What it means: a message counts only when it is the kernel's, a mark only when it is not.
    var message: KernelMessage {
        let message = KernelMessage(parsing: text[...])
        if case .marker = message { return isKernels ? .other : message }
        return isKernels ? message : .other
    }
}

/// What a kernel message means to the mirror.
enum KernelMessage: Equatable {
    /// arch/powerpc/mm/init_64.c: `vmemmap_populate START..END, node N`.
    case populate(start: UInt64, end: UInt64, node: UInt64)
    /// `      * START..END allocated at POINTER`: a block and its list entry.
    case block(start: UInt64, end: UInt64, pointer: UInt64)
    /// `…: Unable to create vmemmap mapping: -ERRNO`.
    case mappingFailed(errno: UInt64)
    /// `vmemmap_free START...END`.
    case free(start: UInt64, end: UInt64)
    /// platforms/pseries/hotplug-memory.c: `Memory at ADDRESS (drc index INDEX) was hot-added`.
    case lmbAdded(base: UInt64, drcIndex: UInt64)
    /// `Memory at ADDRESS was hot-removed`.
    case lmbRemoved(base: UInt64)
    /// `… failed, removing any added LMBs` or `… failed, adding any removed LMBs`.
    case hotplugFailed(AgentEvent.HotplugFailure)
    /// The agent's own mark.
    case marker(UInt64)
    /// Anything else.
    case other

    /// What the agent writes into the log to know how far it has read.
    static let markerPrefix: StaticString = "qemu-harness sync "

    init(parsing text: ArraySlice<UInt8>) {
        self =
            Self.parsePopulate(text) ?? Self.parseBlock(text) ?? Self.parseFree(text)
            ?? Self.parseMappingFailure(text) ?? Self.parseHotplug(text) ?? Self.parseMarker(text) ?? .other
    }

    private static func parsePopulate(_ text: ArraySlice<UInt8>) -> KernelMessage? {
        var rest = text
        guard rest.skip("vmemmap_populate "), let start = rest.takeNumber(radix: 16), rest.skip(".."),
            let end = rest.takeNumber(radix: 16), rest.skip(", node ")
        else { return nil }
        // NUMA_NO_NODE is -1.
        let node = rest.skip("-1") ? UInt64.max : rest.takeNumber(radix: 10)
        guard let node, rest.isEmpty else { return nil }
        return .populate(start: start, end: end, node: node)
    }

    private static func parseBlock(_ text: ArraySlice<UInt8>) -> KernelMessage? {
        var rest = text
        guard rest.skip("      * "), let start = rest.takeNumber(radix: 16), rest.skip(".."),
            let end = rest.takeNumber(radix: 16), rest.skip(" allocated at ")
        else { return nil }
        _ = rest.skip("0x")
        // A pointer that is not printed (`(____ptrval____)`) becomes NULL: the block is there, and its address is not known.
        guard let pointer = rest.takeNumber(radix: 16), rest.isEmpty else {
            return .block(start: start, end: end, pointer: 0)
        }
        return .block(start: start, end: end, pointer: pointer)
    }

    private static func parseFree(_ text: ArraySlice<UInt8>) -> KernelMessage? {
        var rest = text
        guard rest.skip("vmemmap_free "), let start = rest.takeNumber(radix: 16), rest.skip("..."),
            let end = rest.takeNumber(radix: 16), rest.isEmpty
        else { return nil }
        return .free(start: start, end: end)
    }

    private static func parseMappingFailure(_ text: ArraySlice<UInt8>) -> KernelMessage? {
        var rest = text
        // The message begins with the name of the function, which has changed.
        _ = rest.takeField(until: 0x3a)
        guard rest.skip(" Unable to create vmemmap mapping: -"), let errno = rest.takeNumber(radix: 10) else {
            return nil
        }
        return .mappingFailed(errno: errno)
    }

    private static func parseHotplug(_ text: ArraySlice<UInt8>) -> KernelMessage? {
        var rest = text
        guard rest.skip("pseries-hotplug-mem: Memory ") else { return nil }
        if rest.skip("hot-add failed") || rest.skip("indexed-count-add failed") { return .hotplugFailed(.add) }
        if rest.skip("hot-remove failed") || rest.skip("indexed-count-remove failed") {
            return .hotplugFailed(.remove)
        }
        guard rest.skip("at "), let base = rest.takeNumber(radix: 16) else { return nil }
        // A removal by count does not say the index.
        if rest.equals(" was hot-removed") { return .lmbRemoved(base: base) }
        guard rest.skip(" (drc index "), let drcIndex = rest.takeNumber(radix: 16) else { return nil }
        if rest.equals(") was hot-removed") { return .lmbRemoved(base: base) }
        return rest.equals(") was hot-added") ? .lmbAdded(base: base, drcIndex: drcIndex) : nil
    }

    private static func parseMarker(_ text: ArraySlice<UInt8>) -> KernelMessage? {
        var rest = text
        guard rest.skip(markerPrefix), let marker = rest.number else { return nil }
        return .marker(marker)
    }
}
