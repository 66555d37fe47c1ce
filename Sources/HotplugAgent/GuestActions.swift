// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import GuestMemory

/// What the agent does in the guest because the harness asks for it, beside mirroring.
///
/// | verb | fields | what it does |
/// |---|---|---|
/// | `block` | `index`, `online` (0 or 1) | sets a memory block's state |
/// | `dlpar` | `text` | writes a line to /sys/kernel/dlpar |
/// | `probe` | `start` | adds the memory block at a physical address |
/// | `read` | `path`, `offset` | answers with the next bytes of a file: `content`, none at its end |
/// | `hold` | `start`, `end` | holds memory in a physical range, so that the kernel cannot give it up; answers `pages` |
/// | `leave` | `free` | holds memory until the kernel has no more than so many bytes for itself; answers `free` |
/// | `correct-hpt-size` | | sets `ibm,pft-size` in the device tree to the hashed page table's size; answers `order` |
/// | `release` | | gives back what is held |
/// | `load` | `bytes` | fills and frees so many bytes of memory again and again, in a process of its own |
/// | `end-load` | | ends that; answers `filled`, the bytes that were filled in all |
///
/// What the kernel refuses is an `error` with the reason `refused` and the kernel's error number as `errno`; `number` is
/// there where a number says more: see ``MemoryLoad``.
final class GuestActions<System: AgentSystem> {
    private let system: System
    private let held: HeldMemory<System>
    private let load: MemoryLoad<System>

    /// How many bytes of a file go into one answer: three times as many fit a line, should all be escaped.
    private static var contentByteCount: Int { 512 }

    init(system: System) {
        self.system = system
        held = HeldMemory(system: system)
        load = MemoryLoad(system: system)
    }

    /// Takes notice of what goes on by itself.
    func look() {
        load.look()
    }

    /// Answers a request, or returns nil for any other.
    func answer(to request: ControlLine) -> ControlLine? {
        let reply = ControlLine(identifier: request.identifier, verb: "ok")
        do throws(ActionRefusal) {
            if request.has(verb: "block") {
                try setBlock(request)
            } else if request.has(verb: "dlpar") {
                guard let text = request.bytes("text"), !text.isEmpty else { throw .invalid }
                try put(text, into: bytes("/sys/kernel/dlpar"))
            } else if request.has(verb: "probe") {
                guard let start = request.number("start") else { throw .invalid }
                var address: [UInt8] = []
                address.append(decimal: start)
                try put(address, into: bytes("/sys/devices/system/memory/probe"))
            } else if request.has(verb: "read") {
                return reply.with("content", encoding: try content(request))
            } else if request.has(verb: "hold") {
                guard let start = request.number("start"), let end = request.number("end"), start < end else {
                    throw .invalid
                }
                return reply.with("pages", try held.hold(start..<end, sparing: load.byteCount))
            } else if request.has(verb: "leave") {
                guard let byteCount = request.number("free"), byteCount > 0 else { throw .invalid }
                return reply.with("free", try held.hold(allBut: byteCount, sparing: load.byteCount))
            } else if request.has(verb: "correct-hpt-size") {
                return reply.with("order", try HashTableSize.correct(system: system))
            } else if request.has(verb: "release") {
                held.release()
            } else if request.has(verb: "load") {
                guard let byteCount = request.number("bytes") else { throw .invalid }
                try load.start(byteCount: byteCount)
            } else if request.has(verb: "end-load") {
                return reply.with("filled", try load.end())
            } else {
                return nil
            }
            return reply
        } catch {
            let refusal = ControlLine(identifier: request.identifier, verb: "error")
                .with("reason", text: bytes("refused")).with("errno", error.errno)
            return error.number.map { refusal.with("number", $0) } ?? refusal
        }
    }

    private func setBlock(_ request: ControlLine) throws(ActionRefusal) {
        guard let index = request.number("index"), let online = request.number("online"), online <= 1 else {
            throw .invalid
        }
        var path = bytes("/sys/devices/system/memory/memory")
        path.append(decimal: index)
        path.append(text: "/state")
        try put(online == 1 ? bytes("online") : bytes("offline"), into: path)
    }

    private func put(_ content: [UInt8], into path: [UInt8]) throws(ActionRefusal) {
        let errno = system.put(content, into: path)
        if errno != 0 { throw ActionRefusal(errno: errno) }
    }

    private func content(_ request: ControlLine) throws(ActionRefusal) -> [UInt8] {
        guard let path = request.bytes("path"), path.first == 0x2f, !path.contains(0),
            let offset = request.number("offset"), offset < 1 << 40
        else { throw .invalid }
        switch system.take(from: path, at: offset, byteCount: Self.contentByteCount) {
        case .bytes(let content): return content
        case .end, .nothingYet: return []
        case .overwritten: throw ActionRefusal(errno: 32)
        case .failed(let errno): throw ActionRefusal(errno: errno)
        }
    }
}

/// The kernel's error number for what it does not do.
public struct ActionRefusal: Error {
    /// Not 0.
    public let errno: UInt64
    /// A number that belongs to it, in bytes; nil for most.
    let number: UInt64?

    /// Passes on a system call's error.
    public init(errno: UInt64) {
        self.init(errno: errno, number: nil)
    }

    /// An error with a number that says more.
    init(errno: UInt64, number: UInt64?) {
        self.errno = errno
        self.number = number
    }

    /// `EINVAL`: the request is not of its form.
    static var invalid: ActionRefusal { ActionRefusal(errno: 22) }
    /// `ENOENT`.
    static var missing: ActionRefusal { ActionRefusal(errno: 2) }
    /// `ENOMEM`.
    static var outOfMemory: ActionRefusal { ActionRefusal(errno: 12) }
    /// `EBUSY`.
    static var busy: ActionRefusal { ActionRefusal(errno: 16) }
    /// `ESRCH`: a process is not there any more.
    static var gone: ActionRefusal { ActionRefusal(errno: 3) }
    /// `ETIMEDOUT`.
    static var timedOut: ActionRefusal { ActionRefusal(errno: 110) }
}
