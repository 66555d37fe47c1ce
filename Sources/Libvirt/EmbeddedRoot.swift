// SPDX-License-Identifier: Apache-2.0

internal import Foundation
internal import Synchronization
public import SystemPackage

/// A private root for libvirt's embedded driver: its settings, sockets and logs, and a folder for guests' memory.
///
/// A process can hold one root only, and uses it for all its guests, one after another. While this object lives, its
/// lock file tells other processes that the root is not a dead process's leftover.
public final class EmbeddedRoot: Sendable {
    /// What the root's folders and files are named after.
    public let runID: String
    /// The root itself.
    public let path: FilePath
    /// Where QEMU puts the files of RAM and DIMMs.
    public let memoryDirectory: FilePath
    private let memoryParent: FilePath
    private let capabilitiesCache: FilePath
    private let lock: FileDescriptor
    /// libvirt starts a driver with the connection that comes first, and another one with the next that comes when all
    /// are closed: so the first is kept for as long as the root is used.
    private let opened = Mutex<Connection?>(nil)

    /// Makes a root `parent/qh-<runID>` and a memory folder `memoryParent/qh-<runID>`, for this user only.
    ///
    /// - Parameters:
    ///   - runID: Letters, digits and hyphens; new for every run.
    ///   - parent: A folder with a short path, such as `$XDG_RUNTIME_DIR` or `/tmp`.
    ///   - memoryParent: A folder in a file system in memory.
    ///   - capabilitiesCache: A folder that carries what libvirt found out about QEMU from run to run, which saves
    ///     seconds; made if it is not there.
    /// - Throws: `EmbeddedRootError` if the paths will not do or the operating system refuses.
    public init(
        runID: String,
        parent: FilePath,
        memoryParent: FilePath = "/dev/shm",
        capabilitiesCache: FilePath
    ) throws(EmbeddedRootError) {
        guard Self.isRunID(runID) else { throw .badRunID(runID) }
        let root = parent.appending(Self.prefix + runID)
        let memory = memoryParent.appending(Self.prefix + runID)
        for path in [root, memory] where !path.string.unicodeScalars.allSatisfy(Self.isCarried) {
            throw .badPath(path)
        }
        let longest = root.string.utf8.count + Self.longestSocketSuffix.utf8.count
        guard longest <= Self.socketPathLimit else {
            throw .socketPathTooLong(root: root, byteCount: longest, limit: Self.socketPathLimit)
        }

        // The root first: a pruner finds a dead run's other files by it.
        lock = try Self.claim(root, draft: parent.appending("." + Self.prefix + runID))
        do throws(EmbeddedRootError) {
            try makeFolder(memory)
            try Self.furnish(root, memory: memory, capabilities: capabilitiesCache)
        } catch {
            try? lock.close()
            removeTree(root)
            removeTree(memory)
            throw error
        }
        self.runID = runID
        self.path = root
        self.memoryDirectory = memory
        self.memoryParent = memoryParent
        self.capabilitiesCache = capabilitiesCache
    }

    deinit {
        // Gives up the lock as well; there is nobody to tell if it fails.
        try? lock.close()
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
    public func connect(emulator: FilePath? = nil) async throws -> Connection {
        if let connection = opened.withLock({ $0 }) { return connection }
        let connection = try await reaping {
            let connection = try await Connection.open(uri: self.uri)
            try await connection.probe(emulator: emulator)
            return connection
        }
        opened.withLock { $0 = connection }
        return connection
    }

    /// Lets libvirt start QEMUs that may end again before anybody watches them.
    ///
    /// They end up as this process's children, as guests do, and are reaped here; libvirt would wait 40 seconds for each
    /// otherwise. A ``QemuProcess`` that lives at the same time may not be told how its process ended.
    public func reaping<Value: Sendable>(_ body: () async throws -> Value) async rethrows -> Value {
        let reaper = Task.detached {
            while !Task.isCancelled {
                Self.reapProbes()
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
        defer { reaper.cancel() }
        return try await body()
    }

    /// Reaps the QEMUs that have ended, whatever they are called: dead children which are daemons, and so were not started
    /// by this process itself, which would reap its own.
    private static func reapProbes() {
        // Only a look: most of the time no child is dead, and then /proc need not be read.
        // A structure that lives for the length of the call, which fills it in.
        var child = unsafe siginfo_t()
        guard unsafe waitid(P_ALL, 0, &child, WEXITED | WNOHANG | WNOWAIT) == 0,
            unsafe child._sifields._sigchld.si_pid != 0
        else { return }
        for entry in names(in: "/proc") {
            guard let processID = Int32(entry),
                let status = FileManager.default.contents(atPath: "/proc/\(processID)/stat")
            else { continue }
            // The name in parentheses, then state, parent, process group and session.
            let text = String(decoding: status, as: UTF8.self)
            guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else { continue }
            let fields = text[close...].split(separator: " ")
            // libvirt forks a daemon by way of a child in a session of its own, which still has this program's name, and
            // waits for that child itself.
            guard !text[open...].hasPrefix("(qemu-harness"), fields.count > 4, fields[1] == "Z",
                fields[2] == "\(getpid())", fields[4] != "\(getsid(0))"
            else { continue }
            waitpid(processID, nil, WNOHANG)
        }
    }

    /// Where a guest's control socket goes.
    public var controlSocket: FilePath { path.appending("control.sock") }

    /// The name of this run's file shared with the guest, as ``DomainDescription/SharedMemory`` wants it.
    public var sharedMemoryName: String { Self.sharedMemoryName(runID: runID) }

    /// The path of that file: QEMU puts it into /dev/shm, wherever RAM goes.
    public var sharedMemoryFile: FilePath { Self.sharedMemoryFile(runID: runID) }

    /// The name of this run's domain.
    public var domainName: String { Self.domainName(runID: runID) }

    /// Marks the root as kept on purpose: ``removeAbandoned(parent:memoryParent:includingKept:)`` passes it over.
    ///
    /// - Throws: `EmbeddedRootError.file` if the mark cannot be made.
    public func keep() throws(EmbeddedRootError) {
        try writeFile(path.appending(Self.keptName), "")
    }

    /// Keeps what libvirt found out about QEMU for the next run, and removes the root and every memory file.
    ///
    /// Call it when the run's domains are gone. What is not there is no error.
    ///
    /// - Throws: `EmbeddedRootError.file` for what cannot be removed, after the rest is gone.
    public func remove() throws(EmbeddedRootError) {
        opened.withLock { $0 = nil }
        copyFiles(from: path.pushing(Self.capabilities), to: capabilitiesCache)
        try Self.remove(runID: runID, root: path, memoryDirectory: memoryDirectory)
    }
}

extension EmbeddedRoot {
    /// What the root's name starts with, and those of the memory folder and the shared file.
    static let prefix = "qh-"

    /// A name that nobody else gives a file, because folders that hold it are removed.
    static let lockName = "qemu-harness.lock"

    static let keptName = "kept"

    /// libvirt's longest socket path below a root: its monitor socket, named after the domain's number and at most 20
    /// characters of its name.
    static let longestSocketSuffix = "/lib/qemu/domain-4294967295-12345678901234567890/monitor.sock"

    /// What fits into `sockaddr_un`, its closing NUL not counted.
    static let socketPathLimit = 107

    /// Where libvirt keeps what it found out about QEMU.
    static let capabilities: FilePath = "cache/qemu/capabilities"

    static let sharedMemoryFolder: FilePath = "/dev/shm"

    static func sharedMemoryName(runID: String) -> String { prefix + runID + ".shared" }

    static func sharedMemoryFile(runID: String) -> FilePath {
        sharedMemoryFolder.appending(sharedMemoryName(runID: runID))
    }

    static func domainName(runID: String) -> String { prefix + runID }

    static func isRunID(_ text: String) -> Bool {
        !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
    }

    /// Makes a root that is locked from the first moment at which it can be seen under its name.
    ///
    /// It is made as a draft and renamed once its lock is held. A pruner takes a draft without a held lock for a dead
    /// process's; should it be this process's, the draft is made again.
    private static func claim(_ root: FilePath, draft: FilePath) throws(EmbeddedRootError) -> FileDescriptor {
        for _ in 0..<claimAttemptLimit {
            guard let lock = try? lockedFolder(draft) else { continue }
            // Onto a folder with files in it a folder cannot be renamed.
            guard unsafe rename(draft.string, root.string) == 0 else {
                try? lock.close()
                removeTree(draft)
                throw .inUse(root)
            }
            if isSame(lock, root.appending(lockName)) { return lock }
            try? lock.close()
            removeTree(root)
        }
        throw .file(root, reason: "could not be made in \(claimAttemptLimit) attempts")
    }

    private static let claimAttemptLimit = 8

    private static func lockedFolder(_ folder: FilePath) throws(EmbeddedRootError) -> FileDescriptor {
        try makeFolder(folder)
        do throws(EmbeddedRootError) {
            return try lockFile(folder.appending(lockName), options: [.create, .exclusiveCreate])
        } catch {
            removeTree(folder)
            throw error
        }
    }

    /// Removes a run's files; the root's lock last and only when nothing else is left, because a pruner knows a root by it.
    static func remove(
        runID: String,
        root: FilePath,
        memoryDirectory: FilePath
    ) throws(EmbeddedRootError) {
        let inside = names(in: root).filter { $0 != lockName }.map { root.appending($0) }
        let failures = ([memoryDirectory, sharedMemoryFile(runID: runID)] + inside).compactMap { removeTree($0) }
        if let failure = failures.first ?? removeTree(root) { throw failure }
    }

    /// Whether libvirt's settings, which know no escapes, can carry a character.
    private static func isCarried(_ scalar: Unicode.Scalar) -> Bool {
        scalar != "\"" && scalar.properties.generalCategory != .control
    }

    /// Writes the driver's settings, and hands it what earlier runs found out about QEMU.
    private static func furnish(
        _ root: FilePath,
        memory: FilePath,
        capabilities cache: FilePath
    ) throws(EmbeddedRootError) {
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
