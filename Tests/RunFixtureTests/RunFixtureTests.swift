// SPDX-License-Identifier: Apache-2.0

import Foundation
import Libvirt
import SystemPackage
import Testing

@testable import RunFixture

/// What a run has outside of its record, with libvirt's driver for tests, which runs no QEMU.
@Suite struct RunFixtureTests {
    private let folder: FilePath
    private let folders: RunFolders
    private let id = RunID.random()

    init() throws {
        folder = FilePath("/tmp/qt" + UUID().uuidString.prefix(8))
        folders = RunFolders(roots: folder, memory: folder.appending("m"))
        try FileManager.default.createDirectory(atPath: folders.memory.string, withIntermediateDirectories: true)
    }

    private func removeFolder() {
        try? FileManager.default.removeItem(atPath: folder.string)
    }

    private func fixture(uri: String = "test:///default") -> RunFixture {
        RunFixture(
            id: id, folders: folders, capabilitiesCache: folder.appending("c"), connection: .daemon(uri: uri),
            emulator: nil)
    }

    private func exists(_ path: FilePath) -> Bool { FileManager.default.fileExists(atPath: path.string) }

    /// A domain of libvirt's driver for tests.
    private var domain: String {
        "<domain type='test'><name>\(id.name)</name><memory>1024</memory><os><type>hvm</type></os></domain>"
    }

    /// What was made last goes first, all of it once.
    @Test func removesInReverseOrder() async throws {
        defer { removeFolder() }
        let fixture = fixture()
        try await fixture.open()
        try await fixture.makeSharedRegionFile(byteCount: 1 << 16)
        let attributes = try FileManager.default.attributesOfItem(atPath: id.sharedRegionFile.string)
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)
        #expect((attributes[.size] as? NSNumber)?.intValue == 1 << 16)
        #expect(exists(folders.root(of: id)) && exists(folders.memory(of: id)))
        // The domain starts, and has no QEMU.
        let error = await #expect(throws: RunFixtureError.self) { _ = try await fixture.startDomain(xml: domain) }
        guard case .noEmulator? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // What stands where QEMU makes the guest's control socket.
        try writeFile(fixture.controlSocket, "")

        let removal = await fixture.remove()
        #expect(
            removal.removed == [
                "domain", "QEMU", "control socket", "shared-region file", "connection to libvirt", "private root",
            ])
        #expect(removal.failures.isEmpty)
        for path in [folders.root(of: id), folders.memory(of: id), id.sharedRegionFile] { #expect(!exists(path)) }

        let second = await fixture.remove()
        #expect(second.removed.isEmpty && second.failures.isEmpty)
        await #expect(throws: RunFixtureError.notConnected) { _ = try await fixture.startDomain(xml: domain) }
    }

    /// A domain that a run could not watch is gone with the run.
    @Test func aDomainThatIsNotWatchedIsDestroyed() async throws {
        defer { removeFolder() }
        let watcher = try await Connection.open(uri: "test:///default")
        for _ in 0..<2 {
            let fixture = fixture()
            try await fixture.open()
            await #expect(throws: RunFixtureError.self) { _ = try await fixture.startDomain(xml: domain) }
            #expect(await fixture.remove().removed.first == "domain")
        }
        // Its name is free again.
        try await watcher.createTransient(xml: domain).destroy()
    }

    /// A run whose fixture cannot be made whole leaves nothing of the part that was.
    @Test func whatIsMadeHalfGoesAsWell() async throws {
        defer { removeFolder() }
        let fixture = fixture(uri: "test:///nonexistent")
        await #expect(throws: LibvirtError.self) { try await fixture.open() }
        #expect(exists(folders.root(of: id)))
        #expect(await fixture.remove().removed == ["private root"])
        #expect(!exists(folders.root(of: id)) && !exists(folders.memory(of: id)))
    }

    /// What cannot be removed is said; the rest goes, but for the lock by which a pruner finds what is left.
    @Test func whatCannotBeRemovedIsSaid() async throws {
        defer { removeFolder() }
        let root = folders.root(of: id)
        let stuck = RunFixtureError.guest(processID: 7, reason: "it stays")
        do {
            let fixture = fixture()
            try await fixture.open()
            fixture.own("stuck") { throw stuck }
            try await fixture.makeSharedRegionFile(byteCount: 1 << 16)
            let removal = await fixture.remove()
            #expect(removal.removed == ["shared-region file", "connection to libvirt"])
            #expect(removal.failures.map(\.resource) == ["stuck"])
            #expect(removal.failures.first?.error as? RunFixtureError == stuck)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: root.string) == [RootLock.name])
        #expect(!exists(folders.memory(of: id)))
        #expect(try await pruned() == [id])
        #expect(!exists(root))
    }

    /// What a pruner removes once the run's lock is free. A program that another test starts has a copy of the lock's
    /// descriptor until it is executed, and holds the lock so long.
    private func pruned(includingKept: Bool = false) async throws -> [RunID] {
        for _ in 0..<3000 {
            let removed = await RunFixture.prune(in: folders, includingKept: includingKept).removed
            if !removed.isEmpty { return removed }
            try await Task.sleep(for: .milliseconds(10))
        }
        return []
    }

    /// A run that is kept stays as it is until somebody prunes what was kept.
    @Test func aKeptRunStays() async throws {
        defer { removeFolder() }
        do {
            let fixture = fixture()
            try await fixture.open()
            try await fixture.makeSharedRegionFile(byteCount: 1 << 16)
            try await fixture.makeDumpAreaFile(byteCount: 1 << 16)
            try await fixture.makeInitramfs(Data([1, 2]))
            try fixture.keep()
            let removal = await fixture.remove()
            #expect(removal.removed.isEmpty && removal.failures.isEmpty)
        }
        let files = [folders.root(of: id), id.sharedRegionFile, id.dumpAreaFile, id.initramfsFile]
        for file in files { #expect(exists(file), "\(file)") }
        #expect(await RunFixture.prune(in: folders).removed == [])
        #expect(try await pruned(includingKept: true) == [id])
        for file in files { #expect(!exists(file), "\(file)") }
    }

    /// libvirt gets a link to its log, which may lie at any path.
    @Test func libvirtsLogIsALink() async throws {
        defer { removeFolder() }
        let root = try PrivateRoot(
            id: id, folders: folders, capabilitiesCache: folder.appending("c"), libvirtLog: "/a b:c/libvirt.log")
        let link = try #require(root.libvirtLog)
        #expect(link == root.path.appending("libvirt.log"))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link.string) == "/a b:c/libvirt.log")
        try root.remove()
    }
}
