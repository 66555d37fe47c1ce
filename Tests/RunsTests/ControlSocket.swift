// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import SystemPackage

/// The machine's end of the socket behind the guest's hvc1: it listens, as QEMU does, and takes one connection.
final class ControlSocket: Sendable {
    private struct State {
        var connection: FileDescriptor?
        /// What the guest said before anybody was connected.
        var unsent: [UInt8] = []
    }

    private let listener: FileDescriptor
    /// Written to when the machine has something else to do.
    private let wakeup: (readEnd: FileDescriptor, writeEnd: FileDescriptor)
    private let state = Mutex(State())

    init(at path: FilePath) throws {
        var address = sockaddr_un()
        let bytes = Array(path.string.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw Errno.fileNameTooLong }
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        listener = FileDescriptor(rawValue: number)
        wakeup = try FileDescriptor.pipe()
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0, listen(number, 1) == 0 else { throw Errno(rawValue: errno) }
    }

    deinit {
        for descriptor in [listener, wakeup.readEnd, wakeup.writeEnd] { try? descriptor.close() }
    }

    /// Ends a ``wait(milliseconds:)``, now or the next one.
    func wake() { _ = try? wakeup.writeEnd.writeAll([0]) }

    /// Waits for something to read, for ``wake()``, or for the time to be over; takes the connection when it comes.
    func wait(milliseconds: Int) {
        let connection = state.withLock { $0.connection }
        var descriptors = [connection ?? listener, wakeup.readEnd].map {
            pollfd(fd: $0.rawValue, events: Int16(POLLIN), revents: 0)
        }
        guard poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds)) > 0 else { return }
        if descriptors[1].revents != 0 {
            var bytes = [UInt8](repeating: 0, count: 64)
            _ = try? bytes.withUnsafeMutableBytes { try wakeup.readEnd.read(into: $0) }
        }
        guard connection == nil, descriptors[0].revents != 0 else { return }
        let number = accept(listener.rawValue, nil, nil)
        guard number >= 0 else { return }
        let unsent = state.withLock { state in
            defer { state.unsent = [] }
            state.connection = FileDescriptor(rawValue: number)
            return state.unsent
        }
        send(unsent)
    }

    /// What the host has said since the last time.
    func receive() -> [UInt8] {
        guard let connection = state.withLock({ $0.connection }) else { return [] }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = recv(connection.rawValue, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return Array(bytes.prefix(max(count, 0)))
    }

    /// Says something to the host: far less than a socket holds.
    func send(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        let connection = state.withLock { state in
            if state.connection == nil { state.unsent += bytes }
            return state.connection
        }
        guard let connection else { return }
        _ = Glibc.send(connection.rawValue, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// Ends the connection, as QEMU's end does.
    func close() {
        let connection = state.withLock { state in
            defer { state.connection = nil }
            return state.connection
        }
        try? connection?.close()
    }
}
