// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Libvirt
package import RunFixture
package import SystemPackage

/// Where a run's guest is started, and what becomes of all that was made for it: the fixture in a run, and in tests
/// whatever stands in for libvirt and QEMU.
package protocol GuestHost: Sendable {
    /// The run, after which everything is named.
    var id: RunID { get }
    /// Where the control socket of the guest's agent goes.
    var controlSocket: FilePath { get }

    /// Makes ready to start a guest; called once.
    func open(libvirtLog: FilePath?) async throws
    /// The version of libvirt; throws before ``open(libvirtLog:)``.
    func libvirtVersion() throws -> String
    /// Throws `LibvirtError` when the domain, or one of the devices that are to be attached later, would be refused.
    func validate(domain xml: String, devices: [String]) async throws
    /// Makes the file that the guest shares with the host, all zeros.
    func makeSharedRegionFile(byteCount: UInt64) async throws
    /// Makes the file of ``RunID/dumpAreaFile``, all zeros.
    func makeDumpAreaFile(byteCount: UInt64) async throws
    /// Makes the file of ``RunID/initramfsFile``.
    func makeInitramfs(_ content: Data) async throws
    /// Starts the guest.
    func start(domain xml: String) async throws -> any GuestDomain

    /// Removes all that was made, what was made last first.
    func remove() async -> RunFixture.Removal
    /// Leaves everything as it is, the guest running.
    func keep() throws
    /// Kills the guest, and does not wait for its end.
    func killGuests()
}

extension GuestHost {
    /// Where QEMU's migration stream is taken.
    var streamSocket: FilePath { controlSocket.removingLastComponent().appending("stream.sock") }
}

extension RunFixture: GuestHost {
    package func libvirtVersion() throws -> String { "\(try Connection.libraryVersion())" }

    package func start(domain xml: String) async throws -> any GuestDomain {
        let (domain, process) = try await startDomain(xml: xml)
        return LibvirtDomain(domain: domain, process: process)
    }
}
