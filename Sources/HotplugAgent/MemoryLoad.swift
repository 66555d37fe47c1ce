// SPDX-License-Identifier: Apache-2.0

import GuestMemory

/// Memory pressure on purpose: a process of the agent's that fills and frees memory until it is ended, a ``LoadProgram``.
///
/// It is a process of its own for two reasons. The agent mirrors and answers on, however long the kernel has whoever wants
/// memory wait for it. And a kernel that has no memory left kills a process for it (mm/oom_kill.c): this one asks to be the
/// first, and the agent, which is PID 1, is never one.
final class MemoryLoad<System: AgentSystem> {
    private let system: System
    private var program: RunningProgram?
    /// What the process has filled in all, in bytes.
    private var filledByteCount: UInt64 = 0
    /// How much it fills at most, in bytes; 0 where there is no load.
    private(set) var byteCount: UInt64 = 0

    /// What stays free beside it when it starts: memory that comes takes memory of the kernel's own.
    private static var reserveByteCount: UInt64 { 128 << 20 }
    /// How long it may take to fill its first piece, in microseconds.
    private static var startLimit: UInt64 { 60_000_000 }
    /// How many reads follow each other, each of a page of what it has said.
    private static var readLimit: Int { 64 }

    init(system: System) {
        self.system = system
    }

    /// Starts a load of so many bytes, and returns when its first piece is filled.
    ///
    /// Refused with `ENOMEM` and the largest load that there can be when the kernel has less free, with `EBUSY` while another one
    /// is on, and with `ESRCH` or `ETIMEDOUT` when it ends, or takes too long, before anything is filled.
    func start(byteCount: UInt64) throws(ActionRefusal) {
        guard byteCount >= LoadProgram.pieceByteCount else { throw .invalid }
        guard program == nil else { throw .busy }
        let free = Meminfo.byteCount("MemFree:", system: system)
        let limit = free - min(free, Self.reserveByteCount)
        guard byteCount <= limit else { throw ActionRefusal(errno: ActionRefusal.outOfMemory.errno, number: limit) }
        var digits: [UInt8] = []
        digits.append(decimal: byteCount)
        guard let started = system.start([bytes("/proc/self/exe"), bytes("load"), digits]) else { throw .outOfMemory }
        system.close(started.errors)
        program = started
        (self.byteCount, filledByteCount) = (byteCount, 0)
        let deadline = system.microseconds() + Self.startLimit
        while filledByteCount == 0 {
            let goesOn = read()
            guard filledByteCount == 0 else { return }
            guard goesOn, system.microseconds() < deadline else {
                _ = try end()
                throw .timedOut
            }
            _ = system.wait(for: [started.output], milliseconds: 1000)
        }
    }

    /// Reads what the process has said, so that it has room for more.
    func look() {
        _ = read()
    }

    /// Ends the load, and returns what it has filled in all, in bytes.
    ///
    /// Refused with `ENOENT` where there is none, and with `ESRCH` and what it had filled where it has ended by itself: a
    /// kernel without memory kills it.
    func end() throws(ActionRefusal) -> UInt64 {
        guard let ended = program else { throw .missing }
        let hasEndedEarly = system.end(of: ended.identifier, mayWait: false) != nil
        if !hasEndedEarly {
            system.kill(ended.identifier)
            _ = system.end(of: ended.identifier, mayWait: true)
        }
        _ = read()
        system.close(ended.output)
        (program, byteCount) = (nil, 0)
        guard !hasEndedEarly else { throw ActionRefusal(errno: ActionRefusal.gone.errno, number: filledByteCount) }
        return filledByteCount
    }

    /// Reads what the process has said; false when it will say nothing more.
    private func read() -> Bool {
        guard let program else { return false }
        for _ in 0..<Self.readLimit {
            switch system.read(program.output, byteCount: 4096) {
            case .bytes(let pieces): filledByteCount += UInt64(pieces.count) * LoadProgram.pieceByteCount
            case .nothingYet: return true
            case .end, .overwritten, .failed: return false
            }
        }
        return true
    }
}
