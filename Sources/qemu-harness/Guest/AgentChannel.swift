// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import Glibc
import SystemPackage

/// The control channel to the agent: QEMU's socket behind the guest's hvc1.
///
/// A thread reads, since a read waits; what it reads is kept here until somebody asks for it.
actor AgentChannel {
    /// What the agent said that nobody has asked for yet.
    private var answers: [UInt64: ControlLine] = [:]
    private var announcements: [ControlLine] = []
    private(set) var nonsenseCount = 0
    private(set) var isClosed = false

    private let descriptor: FileDescriptor
    private var nextIdentifier: UInt64 = 1
    private var assembler = LineAssembler(maximumByteCount: ControlLine.maximumByteCount)

    /// How many announcements are kept; a guest that chatters fills no memory.
    private static let announcementLimit = 64

    /// Connects to the socket, which QEMU made before the domain was said to run.
    init(socket path: FilePath) throws {
        descriptor = try Self.connected(to: path)
    }

    /// Starts to read; called once.
    func start() {
        let descriptor = descriptor
        let (chunks, continuation) = AsyncStream<[UInt8]>.makeStream(bufferingPolicy: .bufferingOldest(256))
        let reader = Thread {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = buffer.withUnsafeMutableBytes { (try? descriptor.read(into: $0)) ?? 0 }
                guard count > 0 else { break }
                continuation.yield(Array(buffer[..<count]))
            }
            continuation.finish()
        }
        reader.name = "agent-channel"
        reader.start()
        Task {
            for await chunk in chunks { take(chunk) }
            isClosed = true
            try? descriptor.close()
        }
    }

    /// Ends the connection; the reading thread ends with it.
    func close() {
        guard !isClosed else { return }
        shutdown(descriptor.rawValue, Int32(SHUT_RDWR))
    }

    /// Sends a request and returns its identifier.
    func send(_ verb: StaticString) throws -> UInt64 {
        guard !isClosed else { throw HarnessError.infrastructure("the control channel to the agent is closed") }
        let identifier = nextIdentifier
        nextIdentifier += 1
        // A line is far shorter than the socket's buffer, so this does not wait unless the guest stopped reading.
        try descriptor.writeAll(ControlLine(identifier: identifier, verb: verb).encoded)
        return identifier
    }

    /// The answer to a request, once it is there.
    func takeAnswer(to identifier: UInt64) -> ControlLine? {
        answers.removeValue(forKey: identifier)
    }

    /// The oldest line that the agent sent of its own accord.
    func takeAnnouncement() -> ControlLine? {
        announcements.isEmpty ? nil : announcements.removeFirst()
    }

    private func take(_ chunk: [UInt8]) {
        for bytes in assembler.append(chunk[...]) where !bytes.isEmpty {
            guard let line = ControlLine(parsing: bytes[...]) else {
                nonsenseCount += 1
                continue
            }
            if line.identifier == 0 {
                if announcements.count < Self.announcementLimit { announcements.append(line) }
            } else if line.identifier < nextIdentifier {
                answers[line.identifier] = line
            } else {
                nonsenseCount += 1
            }
        }
    }

    private static func connected(to path: FilePath) throws -> FileDescriptor {
        var address = sockaddr_un()
        let bytes = Array(path.string.utf8)
        // The root's length was checked against this limit.
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Errno.fileNameTooLong }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        let descriptor = FileDescriptor(rawValue: number)
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let error = Errno(rawValue: errno)
            try? descriptor.close()
            throw error
        }
        return descriptor
    }
}
