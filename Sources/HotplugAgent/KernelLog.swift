// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// The kernel's log as an event source, read from /dev/kmsg a record at a time.
struct KernelLog<System: AgentSystem> {
    /// What a read gave.
    enum Reading: Equatable {
        /// The next record.
        case record(KernelRecord)
        /// So many records were overwritten before they were read; the next one follows.
        case lost(recordCount: UInt64, then: KernelRecord)
        /// No more for now.
        case nothingYet
        /// The log cannot be read any more.
        case failed
    }

    /// /dev/kmsg.
    let descriptor: Int
    private let system: System
    private var expectedSequence: UInt64?

    /// The largest record that the kernel gives (`PRINTKRB_RECORD_MAX` of its reader, with room to spare).
    private static var recordByteCount: Int { 8192 }

    /// More records than the largest log holds, and an end to reading one that grows as fast as it is read.
    private static var pastLimit: Int { 1 << 20 }

    /// Opens the log at its oldest record; nil when there is none.
    init?(system: System) {
        guard let descriptor = system.open("/dev/kmsg", .readWriteNonblocking) else { return nil }
        self.descriptor = descriptor
        self.system = system
    }

    /// Reads all that is in the log by now. Returns how many records were overwritten before they were read: the kernel
    /// counts from 0.
    mutating func readPast(_ body: (KernelRecord) -> Void) -> UInt64 {
        var lostCount: UInt64 = 0
        expectedSequence = 0
        for _ in 0..<Self.pastLimit {
            switch next() {
            case .record(let record): body(record)
            case .lost(let recordCount, let record):
                lostCount &+= recordCount
                body(record)
            case .nothingYet, .failed: return lostCount
            }
        }
        return lostCount
    }

    /// Asks the kernel to log every populate and free with its addresses. Returns what of that it refuses.
    ///
    /// By file and not by function: the functions' names have changed, the file's has not. The kernel takes a query that
    /// matches nothing as well (messages compiled out, or another file's), so it is asked what came of it.
    func enableDynamicDebug() -> [SourceTrial.Refusal] {
        let name = bytes("dynamic_debug/control")
        guard let control = system.open(Self.debugControl, .write) else { return [SourceTrial.Refusal(name)] }
        let errno = system.put(control, bytes("file arch/powerpc/mm/init_64.c +p"))
        system.close(control)
        guard errno == 0 else { return [SourceTrial.Refusal(name, errno: errno)] }
        var isOn = false
        let isReadable = system.readLines(of: Self.debugControl) { line in
            isOn = Self.isEnabledMessage(line)
            return !isOn
        }
        guard isReadable else { return [SourceTrial.Refusal(name)] }
        return isOn ? [] : [SourceTrial.Refusal(bytes("messages-of-init_64.c"))]
    }

    private static var debugControl: StaticString { "/sys/kernel/debug/dynamic_debug/control" }

    /// Whether a line says that a message of the file is printed, `_` standing for no flags:
    /// `arch/powerpc/mm/init_64.c:298 [init_64]vmemmap_free =p "vmemmap_free %lx...%lx\012"`.
    static func isEnabledMessage(_ line: ArraySlice<UInt8>) -> Bool {
        var rest = line
        guard rest.skip("arch/powerpc/mm/init_64.c:"), rest.takeNumber(radix: 10) != nil, rest.skip(" [") else {
            return false
        }
        // The module and the function.
        _ = rest.takeField(until: 0x20)
        return rest.skip("=") && rest.takeField(until: 0x20).contains(0x70)
    }

    /// Writes a marker into the log; false when the kernel does not take it.
    func write(marker: UInt64) -> Bool {
        var line = bytes("<7>")
        line.append(text: KernelMessage.markerPrefix)
        line.append(decimal: marker)
        line.append(0x0a)
        return system.write(descriptor, line)
    }

    /// Reads the next record.
    mutating func next() -> Reading {
        var isOverwritten = false
        while true {
            switch system.read(descriptor, byteCount: Self.recordByteCount) {
            case .bytes(let bytes):
                // A record of another format is not ours to judge; its number is then missing below.
                guard let record = KernelRecord(parsing: bytes) else { continue }
                defer { expectedSequence = record.sequence &+ 1 }
                if let expectedSequence, record.sequence > expectedSequence {
                    return .lost(recordCount: record.sequence - expectedSequence, then: record)
                }
                // Before the first record there is no number to count from: at least one is gone.
                return isOverwritten ? .lost(recordCount: 1, then: record) : .record(record)
            case .overwritten: isOverwritten = true
            case .nothingYet: return .nothingYet
            case .end, .failed: return .failed
            }
        }
    }
}
