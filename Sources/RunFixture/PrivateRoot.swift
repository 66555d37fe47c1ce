// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Libvirt
internal import Synchronization
package import SystemPackage

/// A private root for libvirt's embedded driver: its settings, sockets and logs, and a folder for guests' memory.
///
/// A process can hold one root only, and uses it for all its guests, one after another. While this object lives, its
/// lock file tells other processes that the root is not a dead process's leftover.
package final class PrivateRoot: Sendable {
    /// The run that root and memory folder are named after.
    package let id: RunID
    /// The root itself.
    package let path: FilePath
    /// Where QEMU puts the files of RAM and DIMMs.
    let memoryFolder: FilePath
    /// What libvirt is told to be its log, a link that leads to the real one; nil where there is none.
    let libvirtLog: FilePath?
    private let capabilitiesCache: FilePath
    private let lock: RootLock
    /// libvirt starts a driver with the connection that comes first, and another one with the next that comes when all
    /// are closed: so the first is kept for as long as the root is used.
    private let opened = Mutex<Connection?>(nil)

    /// Makes a run's root and its folder for memory, for this user only.
    ///
    /// - Parameters:
    ///   - id: New for every run.
    ///   - folders: Where they go.
    ///   - capabilitiesCache: A folder that carries what libvirt found out about QEMU from run to run, which saves
    ///     seconds; made if it is not there.
    ///   - libvirtLog: Where libvirt's log goes, at any path: the root holds a link to it, because libvirt's setting of
    ///     log outputs knows no escapes for the blanks and colons between them. The QEMUs that libvirt starts open the
    ///     log anew through it.
    /// - Throws: `RunFixtureError` if the paths will not do or the operating system refuses.
    package init(
        id: RunID, folders: RunFolders = .standard, capabilitiesCache: FilePath, libvirtLog: FilePath? = nil
    ) throws(RunFixtureError) {
        let (root, memory) = (folders.root(of: id), folders.memory(of: id))
        for path in [root, memory] where !path.string.unicodeScalars.allSatisfy(Self.isCarried) {
            throw .badPath(path)
        }
        let longest = root.string.utf8.count + Self.longestSocketSuffix.utf8.count
        guard longest <= Self.socketPathLimit else {
            throw .socketPathTooLong(root: root, byteCount: longest, limit: Self.socketPathLimit)
        }

        // The root first: a pruner finds a dead run's other files by it.
        lock = try RootLock.claim(root, draft: folders.draft(of: id))
        do throws(RunFixtureError) {
            try makeFolder(memory)
            try Self.furnish(root, memory: memory, capabilities: capabilitiesCache)
            if let libvirtLog { try makeLink(root.appending(Self.libvirtLogName), to: libvirtLog) }
        } catch {
            try? removeTree(memory)
            try? removeTree(root)
            throw error
        }
        self.id = id
        self.path = root
        self.memoryFolder = memory
        self.libvirtLog = libvirtLog.map { _ in root.appending(Self.libvirtLogName) }
        self.capabilitiesCache = capabilitiesCache
    }

    /// libvirt's name for the embedded driver under this root.
    var uri: String {
        let allowed = CharacterSet.urlPathAllowed.subtracting(CharacterSet(charactersIn: "&+;="))
        // A path is valid text, and so can always be encoded.
        return "qemu:///embed?root=" + (path.string.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")
    }

    /// Starts libvirt's embedded driver under this root, in this process.
    ///
    /// Without carried-over capabilities libvirt runs QEMU a few times to see what it can do.
    ///
    /// - Parameter emulator: The QEMU that is to run guests; libvirt chooses if nil.
    /// - Returns: The connection, its driver ready to start guests.
    /// - Throws: `LibvirtError` if the driver does not start.
    func connect(emulator: FilePath?) async throws -> Connection {
        if let connection = opened.withLock({ $0 }) { return connection }
        let connection = try await reapingProbes {
            let connection = try await Connection.open(uri: self.uri)
            try await connection.probe(emulator: emulator)
            return connection
        }
        opened.withLock { $0 = connection }
        return connection
    }

    /// Marks the root as kept on purpose: a pruner passes it over.
    ///
    /// - Throws: `RunFixtureError.file` if the mark cannot be made.
    func keep() throws(RunFixtureError) {
        try writeFile(path.appending(Self.keptName), "")
    }

    /// Keeps what libvirt found out about QEMU for the next run, ends what is left of the run's QEMUs, and removes the
    /// root with everything in it and every memory file. Blocks.
    ///
    /// Call it when the run's domains are gone. What is not there is no error.
    ///
    /// - Parameter includingLock: Whether nothing else of the run is left: what a pruner has to find, it finds by the lock.
    /// - Throws: `RunFixtureError` for what cannot be removed, after the rest is gone.
    package func remove(includingLock: Bool = true) throws(RunFixtureError) {
        opened.withLock { $0 = nil }
        copyFiles(from: path.pushing(Self.capabilities), to: capabilitiesCache)
        try removeRun(id, root: path, files: [memoryFolder], includingLock: includingLock)
    }
}

extension PrivateRoot {
    /// The file that marks a root as kept on purpose.
    static let keptName = "kept"

    /// Where the control socket goes of the guest that runs in a root.
    static func controlSocket(in root: FilePath) -> FilePath { root.appending("control.sock") }

    private static let libvirtLogName = "libvirt.log"

    /// libvirt's longest socket path below a root: its monitor socket, named after the domain's number and at most 20
    /// characters of its name.
    static let longestSocketSuffix = "/lib/qemu/domain-4294967295-12345678901234567890/monitor.sock"

    /// What fits into `sockaddr_un`, its closing NUL not counted.
    static let socketPathLimit = 107

    /// Where libvirt keeps what it found out about QEMU.
    private static let capabilities: FilePath = "cache/qemu/capabilities"

    /// Whether libvirt's settings, which know no escapes, can carry a character.
    private static func isCarried(_ scalar: Unicode.Scalar) -> Bool {
        scalar != "\"" && scalar.properties.generalCategory != .control
    }

    /// Writes the driver's settings, and hands it what earlier runs found out about QEMU.
    private static func furnish(
        _ root: FilePath,
        memory: FilePath,
        capabilities cache: FilePath
    ) throws(RunFixtureError) {
        try makeFolder(root.appending("etc"))
        // No virtlogd, no confinement and no ownership changes: QEMU runs as whoever runs the harness, on files that
        // are that user's own.
        let settings = """
            stdio_handler = "file"
            security_driver = "none"
            namespaces = []
            cgroup_controllers = []
            remember_owner = 0
            dynamic_ownership = 0
            user = "+\(geteuid())"
            group = "+\(getegid())"
            memory_backing_dir = "\(memory)"

            """
        try writeFile(root.appending("etc").appending("qemu.conf"), settings)

        // With each monitor command libvirt writes the domain's status anew and waits for the disk: there are thousands
        // of commands in a run, so that belongs into memory.
        try makeFolder(memory.appending("run"))
        try makeLink(root.appending("run"), to: memory.appending("run"))

        try makePrivateFolders(cache)
        guard owner(of: cache) == geteuid() else { throw .foreignCache(cache) }
        let capabilities = root.pushing(capabilities)
        try makePrivateFolders(capabilities)
        copyFiles(from: cache, to: capabilities)
    }
}
