// SPDX-License-Identifier: Apache-2.0

package import HotplugAgent

/// The tracefs of a made-up guest.
package struct FakeTrace {
    package enum File: Hashable {
        case events, pipe, marker, size, enable
    }

    /// Functions that may not be probed, and with which error.
    package var refused: [String: UInt64] = [:]
    /// Files that cannot be opened.
    package var missing: Set<File> = []
    package var hasInstances = true
    /// Whether what is written into the trace comes back out of it.
    package var echoes = true
    /// The probes by name, and the functions that they are in.
    package private(set) var probes: [String: String] = [:]
    package private(set) var definitions: [String] = []
    package private(set) var isEnabled = false
    package private(set) var bufferKibibytes: String?
    package private(set) var instance: String?
    package private(set) var instanceCount = 0
    /// What the kernel counts: `overrun`, `dropped events`, and hits that a probe missed.
    package var overrunCount = 0
    package var droppedCount = 0
    package var missCount = 0

    private var text: [UInt8] = []
    private static let top = "/sys/kernel/tracing/"

    package init(refused: [String: UInt64] = [:]) {
        self.refused = refused
    }

    private var folder: String { instance.map { $0 + "/" } ?? Self.top }

    package var hasText: Bool { !text.isEmpty }

    // MARK: What the kernel does

    /// Puts a line into the trace.
    package mutating func line(_ line: String) {
        text += Array((line + "\n").utf8)
    }

    /// A hit of a probe.
    package mutating func hit(_ event: String, task: Int = 77, processor: Int = 0, at microseconds: UInt64) {
        let name = "kworker/\(processor):1-p".padding(to: 16)
        let fraction = String(microseconds % 1_000_000)
        let time = "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - fraction.count) + fraction
        line("\(name)-\(task)      [00\(processor)] .....    \(time): \(event)")
    }

    /// A call of `vmemmap_populate` that gets these blocks.
    package mutating func populate(
        start: UInt64, end: UInt64, blocks: [(virtAddr: UInt64, byteCount: UInt64, pointer: UInt64)], task: Int = 77,
        at time: UInt64
    ) {
        hit(Self.populate(start, end), task: task, at: time)
        for block in blocks {
            hit(Self.allocated(block.pointer), task: task, at: time)
            hit(Self.map(block.virtAddr, block.byteCount, block.pointer - 0xc000_0000_0000_0000), task: task, at: time)
        }
        hit(Self.populated(0), task: task, at: time)
    }

    /// A call of `vmemmap_free`, which takes one block off the list, or none.
    package mutating func free(start: UInt64, end: UInt64, virtAddr: UInt64?, at time: UInt64) {
        hit("qh_free: (vmemmap_free+0x8/0x40) start=0x\(hex(start)) end=0x\(hex(end))", at: time)
        guard let virtAddr else { return }
        hit("qh_unmap: (hash__vmemmap_remove_mapping+0x8/0x90) virt=0x\(hex(virtAddr)) bytes=0x10000", at: time)
    }

    package static func populate(_ start: UInt64, _ end: UInt64) -> String {
        "qh_populate: (vmemmap_populate+0x8/0x40) start=0x\(hex(start)) end=0x\(hex(end)) node=0x0 altmap=0x0"
    }

    package static func allocated(_ pointer: UInt64) -> String {
        "qh_allocated: (__vmemmap_populate+0x100/0x300 <- vmemmap_alloc_block_buf) pointer=0x\(hex(pointer))"
    }

    package static func map(_ virtAddr: UInt64, _ byteCount: UInt64, _ phys: UInt64) -> String {
        "qh_map: (hash__vmemmap_create_mapping+0x8/0xf0) virt=0x\(hex(virtAddr)) bytes=0x\(hex(byteCount)) "
            + "phys=0x\(hex(phys))"
    }

    package static func populated(_ result: Int64) -> String {
        "qh_populated: (__populate_section_memmap+0x9c/0x100 <- vmemmap_populate) "
            + "result=0x\(hex(UInt64(bitPattern: result)))"
    }

    // MARK: What the agent does

    package mutating func makeInstance(_ path: String) -> Bool {
        guard hasInstances, path.hasPrefix(Self.top + "instances/") else { return false }
        instance = path
        instanceCount += 1
        return true
    }

    /// As the kernel does it: an instance whose events are on is not empty.
    package mutating func removeInstance(_ path: String) {
        if instance == path, !isEnabled { instance = nil }
    }

    package func file(_ path: String, _ mode: OpenMode) -> File? {
        let file: File
        switch (path, mode) {
        case (Self.top + "kprobe_events", .write): file = .events
        case (folder + "trace_pipe", .readNonblocking): file = .pipe
        case (folder + "trace_marker", .write): file = .marker
        case (folder + "buffer_size_kb", .write): file = .size
        case (folder + "events/qemu_harness/enable", .write) where !probes.isEmpty: file = .enable
        default: return nil
        }
        return missing.contains(file) ? nil : file
    }

    package mutating func put(_ content: String, into file: File, at time: UInt64) -> UInt64 {
        switch file {
        case .events:
            return define(content)
        case .marker:
            if echoes { hit("tracing_mark_write: " + content.dropLast(), task: 1, at: time) }
        case .size: bufferKibibytes = content
        case .enable: isEnabled = content == "1"
        case .pipe: return 9
        }
        return 0
    }

    private mutating func define(_ line: String) -> UInt64 {
        let words = line.split(whereSeparator: \.isWhitespace)
        guard let name = words[0].split(separator: "/").last.map(String.init) else { return 22 }
        if line.hasPrefix("-:") { return isEnabled ? 16 : probes.removeValue(forKey: name) == nil ? 2 : 0 }
        let function = String(words[1])
        if let errno = refused[function] { return errno }
        probes[name] = function
        definitions.append(line)
        return 0
    }

    package mutating func read(byteCount: Int) -> ReadResult {
        guard !text.isEmpty else { return .nothingYet }
        // Lines come in pieces when the reader's buffer ends in the middle of one.
        let piece = Array(text.prefix(min(byteCount, 100)))
        text.removeFirst(piece.count)
        return .bytes(piece)
    }

    package func names(in path: String) -> [String] {
        path == folder + "per_cpu" ? ["cpu0", "cpu1"] : []
    }

    package func content(_ path: String) -> [UInt8]? {
        switch path {
        case folder + "per_cpu/cpu0/stats":
            Array("entries: 0\noverrun: \(overrunCount)\ncommit overrun: 0\nbytes: 88\ndropped events: 0\n".utf8)
        case folder + "per_cpu/cpu1/stats":
            Array("entries: 0\noverrun: 0\ncommit overrun: 0\ndropped events: \(droppedCount)\nread events: 9\n".utf8)
        case Self.top + "kprobe_profile":
            Array(
                "  qh_populate                      64        \(missCount)\n  somebody_elses          3          5\n"
                    .utf8)
        default: nil
        }
    }
}

private func hex(_ number: UInt64) -> String { String(number, radix: 16) }

extension String {
    fileprivate func padding(to count: Int) -> String {
        String(repeating: " ", count: Swift.max(0, count - self.count)) + self
    }
}
