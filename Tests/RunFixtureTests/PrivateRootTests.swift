// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import RunFixture

@Suite struct PrivateRootTests {
    /// A folder of the test's own.
    private let folder: FilePath
    private let memory: FilePath
    private let cache: FilePath
    private let id: RunID
    private var folders: RunFolders { RunFolders(roots: folder, memory: memory) }

    init() throws {
        folder = FilePath("/tmp/qt" + UUID().uuidString.prefix(8))
        memory = folder.appending("m")
        cache = folder.appending("c")
        id = try RunID("run-1")
        try FileManager.default.createDirectory(atPath: memory.string, withIntermediateDirectories: true)
    }

    private func withRoot(_ body: (PrivateRoot) throws -> Void) throws {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        try body(PrivateRoot(id: id, folders: folders, capabilitiesCache: cache))
    }

    private func exists(_ path: FilePath) -> Bool { FileManager.default.fileExists(atPath: path.string) }

    private func permissions(_ path: FilePath) -> Int? {
        let attributes = try? FileManager.default.attributesOfItem(atPath: path.string)
        return (attributes?[.posixPermissions] as? NSNumber)?.intValue
    }

    @Test func makesPrivateFolders() throws {
        try withRoot { root in
            #expect(root.path == folder.appending("qh-run-1"))
            #expect(root.memoryFolder == memory.appending("qh-run-1"))
            for path in [root.path, root.memoryFolder, cache] { #expect(permissions(path) == 0o700) }
            #expect(root.uri == "qemu:///embed?root=\(root.path)")
            #expect(root.libvirtLog == nil)
        }
    }

    @Test func writesTheDriversSettings() throws {
        try withRoot { root in
            let settings = try String(contentsOfFile: root.path.appending("etc/qemu.conf").string, encoding: .utf8)
            let lines = settings.split(separator: "\n")
            #expect(lines.contains("stdio_handler = \"file\""))
            #expect(lines.contains("security_driver = \"none\""))
            #expect(lines.contains("user = \"+\(geteuid())\""))
            #expect(lines.contains("memory_backing_dir = \"\(root.memoryFolder)\""))
            #expect(lines.count == 9)
        }
    }

    @Test func isNotMadeTwice() throws {
        try withRoot { root in
            #expect(throws: RunFixtureError.self) {
                try PrivateRoot(id: id, folders: folders, capabilitiesCache: cache)
            }
            #expect(exists(root.path.appending(RootLock.name)))
            #expect(exists(root.memoryFolder))
        }
    }

    @Test func leavesNothingBehindWhenItCannotBeMade() throws {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        // A file where the cache should go.
        try Data().write(to: URL(filePath: cache.string))
        #expect(throws: RunFixtureError.self) {
            try PrivateRoot(id: id, folders: folders, capabilitiesCache: cache.appending("x"))
        }
        #expect(!exists(folder.appending("qh-run-1")))
        #expect(!exists(memory.appending("qh-run-1")))
    }

    @Test func refusesRootsWhoseSocketsWouldNotFit() throws {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        let folders = RunFolders(roots: folder.appending(String(repeating: "p", count: 60)), memory: memory)
        let root = folders.roots.appending("qh-run-1")
        let expected = RunFixtureError.socketPathTooLong(
            root: root,
            byteCount: root.string.utf8.count + PrivateRoot.longestSocketSuffix.utf8.count,
            limit: 107
        )
        #expect(throws: expected) {
            try PrivateRoot(id: id, folders: folders, capabilitiesCache: cache)
        }
        #expect("\(expected)".contains("at most 107 fit"))
    }

    @Test(arguments: ["", "a/b", "..", "a.b", "a b", "ä"])
    func refusesRunIDsThatAreNotNames(text: String) {
        #expect(throws: RunFixtureError.badRunID(text)) { try RunID(text) }
        #expect(RunID(rootName: "qh-" + text) == nil)
    }

    /// Everything that a run has outside of its record begins with the same name.
    @Test func namesFollowFromTheID() {
        #expect(id.name == "qh-run-1")
        #expect(id.sharedRegionName == "qh-run-1.shared")
        #expect(id.sharedRegionFile == "/dev/shm/qh-run-1.shared")
        #expect(RunID(rootName: id.name) == id)
        #expect(RunID(rootName: "other-run-1") == nil)
        #expect(RunID.random() != RunID.random())
    }

    @Test func refusesPathsThatSettingsCannotCarry() {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        #expect(throws: RunFixtureError.badPath("/m\"/qh-run-1")) {
            try PrivateRoot(id: id, folders: RunFolders(roots: folder, memory: "/m\""), capabilitiesCache: cache)
        }
    }

    @Test func carriesCapabilitiesFromRunToRun() throws {
        try withRoot { root in
            let found = root.path.appending("cache/qemu/capabilities/one.xml")
            try Data("<qemuCaps/>".utf8).write(to: URL(filePath: found.string))
            try root.remove()
            let next = try PrivateRoot(id: RunID("run-2"), folders: folders, capabilitiesCache: cache)
            let carried = next.path.appending("cache/qemu/capabilities/one.xml").string
            #expect(try String(contentsOfFile: carried, encoding: .utf8) == "<qemuCaps/>")
        }
    }

    @Test func removesEverything() throws {
        try withRoot { root in
            try root.remove()
            #expect(!exists(root.path))
            #expect(!exists(root.memoryFolder))
            try root.remove()
        }
    }

    @Test func tellsDeadRunsFromLiveOnes() throws {
        try withRoot { root in
            // What a killed process leaves: the folders, and a lock that nobody holds.
            let dead = folder.appending("qh-dead")
            let deadMemory = memory.appending("qh-dead")
            for path in [dead, deadMemory] { try makeFolder(path) }
            try writeFile(dead.appending(RootLock.name), "")
            // What one leaves that was killed while it made its root.
            let draft = folder.appending(".qh-draft")
            try makeFolder(draft)
            try writeFile(draft.appending(RootLock.name), "")
            let empty = folder.appending(".qh-empty")
            try makeFolder(empty)
            // Somebody else's, by its content.
            let foreign = folder.appending("qh-foreign")
            try makeFolder(foreign)
            try writeFile(foreign.appending("notes"), "")
            // What was left running on purpose.
            let kept = folder.appending("qh-kept")
            try makeFolder(kept)
            try writeFile(kept.appending(RootLock.name), "")
            try writeFile(kept.appending("kept"), "")

            func abandoned(_ includingKept: Bool, isDryRun: Bool) -> [String] {
                let removal = removeAbandoned(includingKept: includingKept, isDryRun: isDryRun)
                #expect(removal.failures.isEmpty, "\(removal.failures)")
                return removal.removed.map(\.description)
            }
            #expect(abandoned(true, isDryRun: true) == ["draft", "dead", "kept"])
            #expect(exists(dead) && exists(draft) && exists(kept))
            #expect(abandoned(false, isDryRun: false) == ["draft", "dead"])
            #expect(!exists(dead) && !exists(deadMemory) && !exists(draft) && !exists(empty))
            #expect(exists(kept) && exists(foreign))
            #expect(abandoned(true, isDryRun: false) == ["kept"])
            #expect(!exists(kept))
            #expect(exists(root.path))
        }
    }

    private func removeAbandoned(includingKept: Bool = false, isDryRun: Bool = false) -> LeftoverRemoval {
        RunFixture.pruneNow(in: folders, includingKept: includingKept, isDryRun: isDryRun)
    }

    /// What a killed process leaves: a root, and a lock that nobody holds.
    private func makeDeadRoot(_ runID: String) throws -> FilePath {
        let root = folder.appending("qh-" + runID)
        try makeFolder(root)
        try writeFile(root.appending(RootLock.name), "")
        return root
    }

    /// One that cannot be removed is told, in a person's words, and keeps no other from it; it can be tried again.
    @Test func whatCannotBeRemovedStaysAndTheRestGoes() throws {
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        let (first, stuck, last) = (try makeDeadRoot("a"), try makeDeadRoot("b"), try makeDeadRoot("c"))
        let inner = stuck.appending("inner")
        try makeFolder(inner)
        try writeFile(inner.appending("file"), "")
        let stuckMemory = memory.appending("qh-b")
        try makeFolder(stuckMemory)

        let removal = try withoutPrivileges(beside: inner) { removeAbandoned() }
        #expect(removal.removed.map(\.description) == ["a", "c"])
        try #require(removal.failures.count == 1)
        #expect(removal.failures[0].id.description == "b")
        let message = "\(removal.failures[0].error)"
        #expect(message.hasPrefix("'\(inner)") && message.hasSuffix("': Permission denied"), "\(message)")
        #expect(!exists(first) && !exists(last) && !exists(stuckMemory))
        #expect(exists(inner.appending("file")) && exists(stuck.appending(RootLock.name)))

        #expect(removeAbandoned().removed.map(\.description) == ["b"])
        #expect(!exists(stuck))
    }

    /// Runs a body to whom a folder is closed, and all others of the test's are open: the tests may run as root, to whom
    /// no folder is.
    private func withoutPrivileges<Value>(beside closed: FilePath, _ body: () throws -> Value) throws -> Value {
        let files = FileManager.default
        let isRoot = geteuid() == 0
        for case let item as URL in files.enumerator(at: URL(filePath: folder.string), includingPropertiesForKeys: nil)
            ?? .init()
        where isRoot {
            let permissions = item.lastPathComponent == RootLock.name ? 0o666 : 0o777
            try files.setAttributes([.posixPermissions: permissions], ofItemAtPath: item.path)
        }
        if isRoot { try files.setAttributes([.posixPermissions: 0o777], ofItemAtPath: folder.string) }
        try files.setAttributes([.posixPermissions: 0o500], ofItemAtPath: closed.string)
        defer { try? files.setAttributes([.posixPermissions: 0o700], ofItemAtPath: closed.string) }
        // The user as whom this thread, and no other, meets files; Swift's Glibc lacks setfsuid(2).
        let symbol = try #require(dlsym(nil, "setfsuid"))
        let setFileUser = unsafeBitCast(symbol, to: (@convention(c) (UInt32) -> Int32).self)
        if isRoot { _ = setFileUser(65534) }
        defer { if isRoot { _ = setFileUser(geteuid()) } }
        return try body()
    }
}
