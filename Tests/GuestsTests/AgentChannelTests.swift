// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Guests

/// The control channel as a socket.
@Suite struct AgentChannelTests {
    /// Whether this process has a socket open.
    private static func isOpen(_ inode: UInt64) -> Bool {
        let files = FileManager.default
        let numbers = (try? files.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return numbers.contains {
            (try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == "socket:[\(inode)]"
        }
    }

    /// A soak has a channel for each of its guests: one that stayed open would be one file too many after a night.
    @Test(arguments: [true, false]) func isGoneWithItsGuest(isClosedFirst: Bool) async throws {
        let folder = try TemporaryFolder()
        let path = FilePath(folder.path("s"))
        let listener = try UnixSocket.listening(at: path)
        defer { try? listener.close() }
        var channel: AgentChannel? = try AgentChannel(socket: path)
        let inode = try #require(channel?.inode)
        #expect(Self.isOpen(inode))
        await channel?.start()
        if isClosedFirst { await channel?.close() }
        channel = nil
        while Self.isOpen(inode) { try await Task.sleep(for: .milliseconds(10)) }
    }
}
