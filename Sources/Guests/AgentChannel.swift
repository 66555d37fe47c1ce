// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import Foundation
import Glibc
import Synchronization
import SystemPackage

/// The control channel to the agent: QEMU's socket behind the guest's hvc1.
///
/// A thread reads, since a read waits; what it has read is sorted when somebody asks.
actor AgentChannel {
    private var inbox = AgentInbox()
    private let unread = Unread()
    private var isClosed = false

    private let socket: Socket
    private var nextIdentifier: UInt64 = 1

    /// Connects to the socket, which QEMU made before the domain was said to run.
    init(socket path: FilePath) throws {
        socket = Socket(try UnixSocket.connected(to: path))
    }

    deinit { socket.shutDown() }

    /// What the operating system knows the socket by.
    nonisolated var inode: UInt64? { socket.inode }

    /// Starts to read; called once.
    func start() {
        let reader = Thread { [socket, unread] in
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                // SAFETY: the file is read into the array's own buffer, and no further than that reaches.
                let count = unsafe buffer.withUnsafeMutableBytes { unsafe (try? socket.descriptor.read(into: $0)) ?? 0 }
                guard count > 0, unread.append(buffer[..<count]) else { break }
            }
            // Only a closed socket keeps the QEMU of a guest that writes on and on from waiting for a reader.
            socket.shutDown()
            unread.end()
        }
        reader.name = "agent-channel"
        reader.start()
    }

    /// Ends the connection; the reading thread ends with it.
    func close() {
        socket.shutDown()
    }

    /// Sends a request and returns its identifier. Throws `Errno` when the channel is closed.
    func send(_ request: ControlLine) throws -> UInt64 {
        sort()
        guard !isClosed else { throw Errno.brokenPipe }
        let identifier = nextIdentifier
        nextIdentifier += 1
        inbox.expect(identifier)
        // A line is far shorter than the socket's buffer: a guest that reads nothing is an error and no wait.
        var request = request
        request.identifier = identifier
        var rest = request.encoded[...]
        while !rest.isEmpty {
            // SAFETY: the slice's own bytes, for the length of the call.
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(
                    socket.descriptor.rawValue, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
            }
            guard count >= 0 || errno == EINTR else { throw Errno(rawValue: errno) }
            rest = rest.dropFirst(max(count, 0))
        }
        return identifier
    }

    /// The answer to a request, once it is there.
    func takeAnswer(to identifier: UInt64) -> ControlLine? {
        sort()
        return inbox.takeAnswer(to: identifier)
    }

    /// The oldest line that the agent sent of its own accord.
    func takeAnnouncement() -> ControlLine? {
        sort()
        return inbox.takeAnnouncement()
    }

    /// Whether the guest has said more than it may.
    func isFlooded() -> Bool {
        sort()
        return inbox.isFlooded
    }

    /// What was wrong with the guest's lines, nil when nothing was.
    func complaint() -> String? {
        sort()
        return inbox.complaint
    }

    private func sort() {
        let (bytes, hasEnded) = unread.take()
        inbox.take(bytes)
        if inbox.isFlooded { close() }
        if hasEnded { isClosed = true }
    }
}

/// A socket that two have, the channel and its reading thread: it is closed when neither has it any more, so that nobody can
/// use another file of the same number.
private final class Socket: Sendable {
    let descriptor: FileDescriptor

    init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    deinit { try? descriptor.close() }

    /// Ends the connection: whoever reads or writes finds it closed.
    func shutDown() { shutdown(descriptor.rawValue, Int32(SHUT_RDWR)) }

    var inode: UInt64? {
        var status = stat()
        // SAFETY: the status lives for the length of the call, which fills it in.
        return unsafe fstat(descriptor.rawValue, &status) == 0 ? UInt64(status.st_ino) : nil
    }
}

/// What the reading thread has read and nobody has sorted yet.
private final class Unread: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var hasEnded = false
    }

    private let state = Mutex(State())

    /// Adds bytes; false when there are more than an inbox takes, and nothing more is to be read.
    func append(_ bytes: ArraySlice<UInt8>) -> Bool {
        state.withLock { state in
            state.bytes += bytes
            return state.bytes.count <= 2 * AgentInbox.unaskedByteLimit
        }
    }

    func end() {
        state.withLock { $0.hasEnded = true }
    }

    func take() -> (bytes: [UInt8], hasEnded: Bool) {
        state.withLock { state in
            defer { state.bytes = [] }
            return (state.bytes, state.hasEnded)
        }
    }
}
