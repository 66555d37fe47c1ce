// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// A line of trace_pipe (kernel/trace/trace_output.c): who, when, what.
struct ProbeHit: Equatable {
    /// The task's id: calls of several tasks may be under way at once, on one processor or on several.
    let task: UInt64
    /// Since boot.
    let microseconds: UInt64
    /// What it says.
    let event: ProbeEvent
}

extension ProbeHit {
    /// The width of a task's name, which is padded to it and may hold anything.
    private static let nameByteCount = 16

    /// Reads `NAME-TASK [CPU] FLAGS SECONDS.MICROSECONDS: EVENT: …`; nil when the line is of another form.
    init?(parsing line: ArraySlice<UInt8>) {
        guard line.count > Self.nameByteCount else { return nil }
        var rest = line.dropFirst(Self.nameByteCount)
        guard rest.skip("-"), let task = rest.takeNumber(radix: 10), rest.skipSpaces(), rest.skip("["),
            rest.takeNumber(radix: 10) != nil, rest.skip("]"), rest.skipSpaces()
        else { return nil }
        _ = rest.takeField(until: 0x20)
        _ = rest.skipSpaces()
        guard let seconds = rest.takeNumber(radix: 10), rest.skip(".") else { return nil }
        let digitCount = rest.count
        guard let fraction = rest.takeNumber(radix: 10), digitCount - rest.count == 6, rest.skip(": ") else {
            return nil
        }
        let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflows, whole <= .max - fraction, let event = ProbeEvent(parsing: rest) else { return nil }
        self.task = task
        microseconds = whole + fraction
        self.event = event
    }
}

/// What a hit of a probe means.
enum ProbeEvent: Equatable {
    /// `vmemmap_populate(start, end, node, altmap)` was called.
    case populate(start: UInt64, end: UInt64, node: UInt64, altmap: UInt64)
    /// It returned 0, or an error as a positive number.
    case populated(errno: UInt64)
    /// `vmemmap_alloc_block_buf(size, node, altmap)` was called.
    case allocate(byteCount: UInt64, altmap: UInt64)
    /// `vmemmap_alloc_block_buf` returned a block's kernel address, or NULL.
    case allocated(pointer: UInt64)
    /// `hash__vmemmap_create_mapping(start, page_size, phys)`: the block is on the list.
    case map(virtAddr: UInt64, byteCount: UInt64, phys: UInt64)
    /// `hash__vmemmap_remove_mapping(start, page_size)`: the block was taken off the list.
    case unmap(virtAddr: UInt64, byteCount: UInt64)
    /// `vmemmap_free(start, end)` was called.
    case free(start: UInt64, end: UInt64)
    /// The agent's own mark.
    case marker(UInt64)
    /// Somebody else's event.
    case other

    /// Reads `NAME: (WHERE) KEY=0xVALUE …`; nil when one of our probes does not say what it was told to say.
    init?(parsing text: ArraySlice<UInt8>) {
        var rest = text
        let name = rest.takeField(until: 0x3a)
        guard !name.isEmpty, rest.skip(" ") else { return nil }
        // The mark's event has the name of the kernel function that wrote it, whichever that is.
        if rest.skip(KernelMessage.markerPrefix) {
            guard let marker = rest.number else { return nil }
            self = .marker(marker)
            return
        }
        guard let kind = Probe.Kind.allCases.first(where: { name.equals($0.name) }) else {
            self = .other
            return
        }
        guard rest.skip("("), rest.contains(0x29) else { return nil }
        _ = rest.takeField(until: 0x29)
        guard let event = Self.event(kind, &rest), rest.isEmpty else { return nil }
        self = event
    }

    private static func event(_ kind: Probe.Kind, _ rest: inout ArraySlice<UInt8>) -> ProbeEvent? {
        switch kind {
        case .populate:
            guard let start = rest.takeWord(" start=0x"), let end = rest.takeWord(" end=0x"),
                let node = rest.takeWord(" node=0x"), let altmap = rest.takeWord(" altmap=0x")
            else { return nil }
            return .populate(start: start, end: end, node: node, altmap: altmap)
        case .populated:
            guard let result = rest.takeWord(" result=0x") else { return nil }
            return .populated(errno: 0 &- result)
        case .allocate:
            guard let byteCount = rest.takeWord(" bytes=0x"), let altmap = rest.takeWord(" altmap=0x") else {
                return nil
            }
            return .allocate(byteCount: byteCount, altmap: altmap)
        case .allocated:
            guard let pointer = rest.takeWord(" pointer=0x") else { return nil }
            return .allocated(pointer: pointer)
        case .map:
            guard let virtAddr = rest.takeWord(" virt=0x"), let byteCount = rest.takeWord(" bytes=0x"),
                let phys = rest.takeWord(" phys=0x")
            else { return nil }
            return .map(virtAddr: virtAddr, byteCount: byteCount, phys: phys)
        case .unmap:
            guard let virtAddr = rest.takeWord(" virt=0x"), let byteCount = rest.takeWord(" bytes=0x") else {
                return nil
            }
            return .unmap(virtAddr: virtAddr, byteCount: byteCount)
        case .free:
            guard let start = rest.takeWord(" start=0x"), let end = rest.takeWord(" end=0x") else { return nil }
            return .free(start: start, end: end)
        }
    }
}

extension ArraySlice<UInt8> {
    /// Removes a key and the hexadecimal number behind it from the front; nil when they are not there.
    fileprivate mutating func takeWord(_ key: StaticString) -> UInt64? {
        skip(key) ? takeNumber(radix: 16) : nil
    }

    /// Removes spaces from the front; false when there is none.
    fileprivate mutating func skipSpaces() -> Bool {
        let rest = drop { $0 == 0x20 }
        defer { self = rest }
        return rest.count < count
    }
}
