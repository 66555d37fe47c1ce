// SPDX-License-Identifier: Apache-2.0

package import Foundation
internal import HarnessBasics
package import Libvirt
internal import Synchronization
package import SystemPackage

/// Owns everything that a run has outside of its record: the private root with its lock, sockets and memory folder, the
/// connection to libvirt, the file that the guest shares with the host, and the guest's domain and QEMU.
///
/// All of it is named after the run's ID, and noted here when it is made. Who opens a fixture ends it with ``remove()`` or
/// ``keep()`` on every way out, also when ``open(libvirtLog:)`` has failed half-way. What a process leaves that dies before
/// is found by ``prune(in:includingKept:isDryRun:)``.
package final class RunFixture: Sendable {
    /// The run.
    package let id: RunID
    /// Where the guest's control socket goes.
    package let controlSocket: FilePath
    private let rootPath: FilePath
    private let rootSource: RootSource
    private let target: ConnectionTarget
    private let emulator: FilePath?
    private let state = Mutex(State())

    private enum RootSource {
        case own(folders: RunFolders, capabilitiesCache: FilePath)
        case shared(PrivateRoot)
    }

    private struct State {
        /// The private root, from its making to its removal.
        var root: PrivateRoot?
        var connection: Connection?
        /// In the order in which they were made.
        var resources: [Resource] = []
    }

    private struct Resource: Sendable {
        let name: String
        let remove: @Sendable () async throws -> Void
    }

    /// The fixture of a run in a private root of its own. Nothing is made yet.
    ///
    /// - Parameters:
    ///   - id: The run's.
    ///   - folders: Where root and memory folder go.
    ///   - capabilitiesCache: The folder that carries what libvirt found out about QEMU from run to run.
    ///   - connection: Which libvirt runs the guest.
    ///   - emulator: The QEMU that is to run it; libvirt chooses if nil.
    package init(
        id: RunID, folders: RunFolders = .standard, capabilitiesCache: FilePath, connection: ConnectionTarget,
        emulator: FilePath?
    ) {
        self.id = id
        rootSource = .own(folders: folders, capabilitiesCache: capabilitiesCache)
        rootPath = folders.root(of: id)
        controlSocket = PrivateRoot.controlSocket(in: rootPath)
        target = connection
        self.emulator = emulator
    }

    /// The fixture of one of several runs, one after another, in a root that outlives them, with the embedded driver: a
    /// process can hold one root only.
    package init(sharing root: PrivateRoot) {
        id = root.id
        rootSource = .shared(root)
        rootPath = root.path
        controlSocket = PrivateRoot.controlSocket(in: rootPath)
        target = .embedded
        emulator = nil
    }

    // MARK: - Making

    /// Makes the private root and connects to libvirt.
    ///
    /// - Parameter libvirtLog: Where libvirt's own log goes, warnings and worse; nowhere if nil. What libvirt was told
    ///   first in a process holds.
    /// - Throws: `HarnessError.infrastructure` if there can be no root, `LibvirtError` if libvirt does not start.
    package func open(libvirtLog: FilePath? = nil) async throws {
        let root = try makeRoot(libvirtLog: libvirtLog)
        try becomeSubreaper()
        try LibvirtRuntime.start(log: root.libvirtLog)
        let connection =
            switch target {
            case .embedded: try await root.connect(emulator: emulator)
            case .daemon(let uri): try await Connection.open(uri: uri)
            }
        state.withLock { $0.connection = connection }
        own("connection to libvirt") { [weak self] in self?.state.withLock { $0.connection = nil } }
    }

    private func makeRoot(libvirtLog: FilePath?) throws -> PrivateRoot {
        let root: PrivateRoot
        switch rootSource {
        case .shared(let shared): root = shared
        case .own(let folders, let cache):
            do throws(RunFixtureError) {
                root = try PrivateRoot(id: id, folders: folders, capabilitiesCache: cache, libvirtLog: libvirtLog)
            } catch {
                throw HarnessError.infrastructure("cannot make the run's private root: \(error)")
            }
        }
        state.withLock { $0.root = root }
        return root
    }

    /// Has libvirt judge the run's domain, and each of its devices, and starts nothing.
    ///
    /// - Throws: `LibvirtError` with what libvirt refuses.
    package func validate(domain xml: String, devices: [String]) async throws {
        let connection = try connected()
        // libvirt may have to ask its QEMU first.
        try await reapingProbes { try await connection.validate(domain: xml, devices: devices) }
    }

    /// Makes the file that the guest shares with the host, all zeros: for this user only and in full size, because QEMU
    /// would make it readable for all.
    ///
    /// - Throws: `Errno` if the operating system refuses, also because the file is there already.
    package func makeSharedRegionFile(byteCount: UInt64) async throws {
        try await makeSharedFile(id.sharedRegionFile, "shared-region file", byteCount: byteCount)
    }

    /// Makes the file through which dumps leave the guest, likewise.
    ///
    /// - Throws: `Errno` if the operating system refuses, also because the file is there already.
    package func makeDumpAreaFile(byteCount: UInt64) async throws {
        try await makeSharedFile(id.dumpAreaFile, "file for dumps", byteCount: byteCount)
    }

    private func makeSharedFile(_ file: FilePath, _ name: String, byteCount: UInt64) async throws {
        let owner = try await emulatorOwner()
        let descriptor = try FileDescriptor.open(
            file, .readWrite, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        own(name) { try removeTree(file) }
        try descriptor.closeAfter {
            try descriptor.resize(to: Int64(byteCount))
            // A daemon may run QEMU as another user; only root can give it the file, and only root reads its memory.
            if let owner, owner.user != geteuid(), fchown(descriptor.rawValue, owner.user, owner.group) != 0 {
                throw Errno(rawValue: errno)
            }
        }
    }

    /// Makes the file that the guest's initramfs is loaded from, where the run has one of its own.
    ///
    /// - Throws: `Errno` if the operating system refuses, also because the file is there already.
    package func makeInitramfs(_ content: Data) async throws {
        let owner = try await emulatorOwner()
        let file = id.initramfsFile
        let descriptor = try FileDescriptor.open(
            file, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        own("initramfs") { try removeTree(file) }
        try descriptor.closeAfter {
            _ = try descriptor.writeAll(content)
            if let owner, owner.user != geteuid(), fchown(descriptor.rawValue, owner.user, owner.group) != 0 {
                throw Errno(rawValue: errno)
            }
        }
    }

    /// Whom a daemon runs QEMU as. The embedded driver is not asked: it would probe every emulator for its answer, which
    /// takes seconds, and it runs QEMU as this user.
    private func emulatorOwner() async throws -> (user: UInt32, group: UInt32)? {
        switch target {
        case .embedded: nil
        case .daemon: try await connected().emulatorOwner()
        }
    }

    /// Starts the run's guest.
    ///
    /// - Parameter xml: The domain, with the names that this fixture and its ID give.
    /// - Returns: The domain, which libvirt forgets when it ends, and its QEMU, watched.
    /// - Throws: `LibvirtError` if libvirt refuses, `RunFixtureError.noEmulator` if QEMU has ended already.
    package func startDomain(xml: String) async throws -> (domain: Domain, process: QemuProcess) {
        let connection = try connected()
        let (socket, emulators) = (controlSocket, RunEmulators(id: id, root: rootPath))
        own("control socket") { try removeTree(socket) }
        own("QEMU") { try await blocking { try emulators.end() } }
        let domain = try await reapingProbes { try await connection.createTransient(xml: xml) }
        own("domain") {
            // One that has ended is gone. Whether it can be destroyed tells the end of QEMU, which comes next.
            guard (try? await domain.state()) != nil else { return }
            try? await reapingProbes { try await domain.destroy() }
        }
        return (domain, try await QemuProcess(of: domain))
    }

    private func connected() throws -> Connection {
        guard let connection = state.withLock({ $0.connection }) else { throw RunFixtureError.notConnected }
        return connection
    }

    /// Notes something of the run's that is there now, or is about to be, and how it is removed.
    func own(_ name: String, removal: @escaping @Sendable () async throws -> Void) {
        state.withLock { $0.resources.append(Resource(name: name, remove: removal)) }
    }

    // MARK: - The end

    /// What became of what a fixture owned.
    package struct Removal: Sendable {
        /// What is gone, in the order in which it was removed.
        package var removed: [String] = []
        /// What is left, and why.
        package var failures: [(resource: String, error: any Error)] = []

        /// Nothing was owned.
        package init() {}
    }

    /// Removes all that the run has, what was made last first; what stands in the way of one keeps no other from it. Does
    /// nothing where that has happened already.
    ///
    /// The private root goes last, and its lock only when nothing is left that a pruner has to find by it. A root that is
    /// shared stays.
    package func remove() async -> Removal {
        let (resources, root) = state.withLock { state in
            defer { (state.resources, state.root) = ([], nil) }
            return (state.resources, state.root)
        }
        var removal = Removal()
        for resource in resources.reversed() {
            do {
                try await resource.remove()
                removal.removed.append(resource.name)
            } catch {
                removal.failures.append((resource.name, error))
            }
        }
        guard case .own = rootSource, let root else { return removal }
        let isRestGone = removal.failures.isEmpty
        do {
            try await blocking { try root.remove(includingLock: isRestGone) }
            if isRestGone { removal.removed.append("private root") }
        } catch {
            removal.failures.append(("private root", error))
        }
        return removal
    }

    /// Leaves everything as it is, the guest running, and marks the root so that nobody takes it for a dead run's.
    ///
    /// - Throws: `RunFixtureError.file` if the mark cannot be made: then the next run removes what is left.
    package func keep() throws(RunFixtureError) {
        let root = state.withLock { state in
            defer { (state.resources, state.root) = ([], nil) }
            return state.root
        }
        try root?.keep()
    }

    /// Kills every QEMU of this run, for a run that is to end whatever libvirt is doing. Does not wait for it.
    package func killGuests() {
        let emulators = RunEmulators(id: id, root: rootPath)
        // Who ends the run waits for its guest, and tells what is left of it.
        detached { try? emulators.end() }
    }
}
