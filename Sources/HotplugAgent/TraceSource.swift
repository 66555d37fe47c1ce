// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// Kprobe events as an event source, read from trace_pipe a line at a time (Documentation/trace/ftrace.rst).
struct TraceSource<System: AgentSystem> {
    /// What of it the kernel does not offer.
    struct Refused: Error {
        let refusals: [SourceTrial.Refusal]
    }

    /// What a read gave.
    enum Reading: Equatable {
        /// The next hit.
        case hit(ProbeHit)
        /// So many events were overwritten before they were read.
        case lost(eventCount: UInt64)
        /// No more for now.
        case nothingYet
    }

    /// trace_pipe.
    let descriptor: Int
    private let system: System
    private let folder: Folder
    private let markerDescriptor: Int
    private var input: [UInt8] = []
    private var position = 0
    /// The kernel's count of lost events when it was last looked at, and what trace_pipe has said of them since.
    private var notedLossCount: UInt64 = 0

    /// A line is longer than this only when it is not one of ours.
    private static var lineByteCountLimit: Int { 4096 }

    /// Where the trace is kept: an instance of the agent's own, where no other tracer interferes, or the one that every
    /// kernel has.
    private enum Folder {
        case instance, top

        /// The instance's folder: making it makes the instance.
        static var instancePath: StaticString { "/sys/kernel/tracing/instances/qemu-harness" }

        func path(_ name: StaticString) -> [UInt8] {
            var path = bytes(self == .instance ? Self.instancePath : "/sys/kernel/tracing")
            path.append(0x2f)
            path.append(text: name)
            return path
        }

        /// The processors' folders.
        var processors: StaticString {
            self == .instance
                ? "/sys/kernel/tracing/instances/qemu-harness/per_cpu" : "/sys/kernel/tracing/per_cpu"
        }
    }

    /// Sets the probes and starts tracing. Every probe has to be accepted, and a mark has to come back.
    ///
    /// - Parameters:
    ///   - system: the guest.
    ///   - probes: the ones to set.
    ///   - bufferKibibytes: the size of each processor's ring.
    /// - Throws: what the kernel refuses, with neither probes nor an instance left of it.
    init(system: System, probes: [Probe], bufferKibibytes: UInt64) throws(Refused) {
        var refusals = Self.add(probes, system: system)
        // An instance is a ring for each processor: a kernel that does not take the probes makes none.
        let folder: Folder = refusals.isEmpty && system.makeFolder(Folder.instancePath) ? .instance : .top
        let pipe = refusals.isEmpty ? system.open(folder.path("trace_pipe"), .readNonblocking) : nil
        let marker = refusals.isEmpty ? system.open(folder.path("trace_marker"), .write) : nil
        if refusals.isEmpty {
            // A kernel that has less memory to give keeps its own size: what is lost then is noticed.
            var size: [UInt8] = []
            size.append(decimal: bufferKibibytes)
            _ = Self.put(size, into: folder.path("buffer_size_kb"), system: system)
            refusals += Self.put(bytes("1"), into: folder.path("events/qemu_harness/enable"), system: system)
            if pipe == nil { refusals.append(.init(bytes("trace_pipe"))) }
            if marker == nil { refusals.append(.init(bytes("trace_marker"))) }
        }
        self.system = system
        self.folder = folder
        descriptor = pipe ?? -1
        markerDescriptor = marker ?? -1
        if refusals.isEmpty, !answers() { refusals.append(.init(bytes("trace_pipe"))) }
        guard refusals.isEmpty else {
            if let pipe { system.close(pipe) }
            if let marker { system.close(marker) }
            Self.remove(probes, from: folder, system: system)
            if folder == .instance { system.removeFolder(Folder.instancePath) }
            throw Refused(refusals: refusals)
        }
        notedLossCount = kernelLossCount()
    }

    /// Writes a mark into the trace; false when the kernel does not take it.
    func write(marker: UInt64) -> Bool {
        var line = bytes(KernelMessage.markerPrefix)
        line.append(decimal: marker)
        line.append(0x0a)
        return system.write(markerDescriptor, line)
    }

    /// Reads the next line.
    mutating func next() -> Reading {
        while true {
            if let end = input[position...].firstIndex(of: 0x0a) {
                let line = input[position..<end]
                position = end + 1
                return reading(of: line)
            }
            // A line may come in pieces.
            input.removeFirst(position)
            position = 0
            if input.count > Self.lineByteCountLimit {
                input.removeAll()
                return .lost(eventCount: 1)
            }
            guard case .bytes(let more) = system.read(descriptor, byteCount: 65536) else { return .nothingYet }
            input += more
        }
    }

    /// How many events the kernel has counted as lost since the last time, beyond those that trace_pipe told of.
    ///
    /// trace_pipe may tell of a loss behind the kernel's count of it. So each time begins at the count, and what was
    /// told twice hides nothing later.
    mutating func takeUntoldLosses() -> UInt64 {
        let count = kernelLossCount()
        defer { notedLossCount = count }
        return count > notedLossCount ? count - notedLossCount : 0
    }

    // MARK: - Reading

    private mutating func reading(of line: ArraySlice<UInt8>) -> Reading {
        if let hit = ProbeHit(parsing: line) { return .hit(hit) }
        // `CPU:N [LOST COUNT EVENTS]`, or without the count when the kernel does not know it; whatever else cannot be
        // read may have been an event, which the kernel does not count as lost.
        var rest = line
        guard rest.skip("CPU:"), rest.takeNumber(radix: 10) != nil, rest.skip(" [LOST "),
            let count = rest.takeNumber(radix: 10), rest.equals(" EVENTS]")
        else { return .lost(eventCount: 1) }
        notedLossCount &+= count
        return .lost(eventCount: count)
    }

    /// What the kernel writes into the trace is there at once.
    private mutating func answers() -> Bool {
        guard write(marker: 0) else { return false }
        // As many hits as may have come before it.
        for _ in 0..<65536 {
            switch next() {
            case .hit(let hit): if hit.event == .marker(0) { return true }
            case .lost: continue
            case .nothingYet: return false
            }
        }
        return false
    }

    /// Events that the rings had no room for, and hits for which a probe was busy, since boot.
    private func kernelLossCount() -> UInt64 {
        var count: UInt64 = 0
        for processor in system.names(in: folder.processors) {
            let path = folder.path("per_cpu/") + processor + bytes("/stats")
            for line in (system.content(path) ?? []).split(separator: 0x0a) {
                var rest = line
                guard rest.skip("overrun: ") || rest.skip("dropped events: ") else { continue }
                count &+= rest.takeNumber(radix: 10) ?? 0
            }
        }
        for line in (system.content("/sys/kernel/tracing/kprobe_profile") ?? []).split(separator: 0x0a) {
            // NAME HITS MISSES, in columns.
            let columns = line.split(separator: 0x20)
            guard columns.count == 3, Probe.Kind.allCases.contains(where: { columns[0].equals($0.name) }) else {
                continue
            }
            count &+= columns[2].number ?? 0
        }
        return count
    }

    // MARK: - Setting up

    private static func add(_ probes: [Probe], system: System) -> [SourceTrial.Refusal] {
        guard let events = system.open("/sys/kernel/tracing/kprobe_events", .write) else {
            return [.init(bytes("kprobe_events"))]
        }
        defer { system.close(events) }
        var refusals: [SourceTrial.Refusal] = []
        for probe in probes {
            let errno = system.put(events, probe.definition)
            let what = bytes(probe.function)
            if errno != 0, !refusals.contains(where: { $0.what == what }) { refusals.append(.init(what, errno: errno)) }
        }
        return refusals
    }

    private static func remove(_ probes: [Probe], from folder: Folder, system: System) {
        _ = put(bytes("0"), into: folder.path("events/qemu_harness/enable"), system: system)
        guard let events = system.open("/sys/kernel/tracing/kprobe_events", .write) else { return }
        defer { system.close(events) }
        // One that was refused is not there to be removed.
        for probe in probes { _ = system.write(events, probe.removal) }
    }

    private static func put(_ content: [UInt8], into path: [UInt8], system: System) -> [SourceTrial.Refusal] {
        guard let descriptor = system.open(path, .write) else { return [.init(path)] }
        defer { system.close(descriptor) }
        let errno = system.put(descriptor, content)
        return errno == 0 ? [] : [.init(path, errno: errno)]
    }
}
