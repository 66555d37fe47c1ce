// SPDX-License-Identifier: Apache-2.0

import Foundation
import Guests
import HarnessBasics
import Libvirt
import Plans
import RunRecord
import SystemPackage

/// Where runs take place: the folders outside the record, and what dead runs left in them.
struct Workplace {
    /// The parent of the private roots: short, because libvirt's socket paths have to fit 108 bytes.
    static let rootParent: FilePath = "/tmp"
    /// Where guests' memory lies.
    static let memoryParent: FilePath = "/dev/shm"

    let runsDirectory: URL
    let cache: URL
    private let environment: [String: String]

    init(runsDirectory: URL, environment: [String: String]) {
        self.runsDirectory = runsDirectory
        self.environment = environment
        cache = GuestImages.cache(environment)
    }

    /// Runs in a root of its own, which is removed afterwards unless the guest is kept.
    ///
    /// Throws only when there can be no record.
    func run(_ runner: Runner, interrupts: Interrupts, commandLine: [String]) async throws -> Runner.Report {
        await Self.removeLeftovers()
        try MemoryDemand(runner.configuration).check(
            memoryFolder: runner.connection.memoryFolder(environment: environment))
        let identifier = Self.identifier()
        let record: RunDirectory
        do {
            record = try RunDirectory(parent: runsDirectory, identifier: identifier, startedAt: Date())
        } catch {
            throw HarnessError.infrastructure(
                "cannot make a record in \(runsDirectory.path): \(error.localizedDescription)")
        }
        return await runner.run(
            record: record, interrupts: interrupts, commandLine: commandLine,
            openRoot: { try Self.makeRoot(identifier: identifier, cache: cache) },
            closeRoot: { root in
                try await root.endGuests()
                try root.remove()
            })
    }

    /// Removes what dead runs left, and says so; what cannot be removed is no reason not to run.
    private static func removeLeftovers() async {
        let removal = await prune()
        for identifier in removal.removed { QemuHarness.tell("removed what the dead run \(identifier) left") }
        for (identifier, error) in removal.failures {
            QemuHarness.tell("cannot remove all that the dead run \(identifier) left: \(error)")
        }
    }

    /// Ends and removes what runs left behind whose process has died.
    static func prune(includingKept: Bool = false, isDryRun: Bool = false) async -> LeftoverRemoval {
        await EmbeddedRoot.removeAbandoned(
            parent: rootParent, memoryParent: memoryParent, includingKept: includingKept, isDryRun: isDryRun)
    }

    /// Makes a private root for libvirt's embedded driver.
    static func makeRoot(identifier: String = identifier(), cache: URL) throws -> EmbeddedRoot {
        do {
            return try EmbeddedRoot(
                runID: identifier, parent: rootParent, memoryParent: memoryParent,
                capabilitiesCache: FilePath(cache.appending(path: "capabilities").path))
        } catch {
            throw HarnessError.infrastructure("cannot make the run's private root: \(error)")
        }
    }

    /// How much can still be written to a folder's file system, nil when that cannot be told.
    static func freeByteCount(of folder: FilePath) -> UInt64? {
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: existing(folder).string)
        return (attributes?[.systemFreeSize] as? NSNumber)?.uint64Value
    }

    /// A folder, or the nearest one above it that there is: libvirt makes what is missing.
    static func existing(_ folder: FilePath) -> FilePath {
        var folder = folder
        while !FileManager.default.fileExists(atPath: folder.string), !folder.components.isEmpty {
            folder.removeLastComponent()
        }
        return folder
    }

    /// Eight random letters and digits: unique on this machine, short enough for a socket's path.
    static func identifier() -> String {
        String((0..<8).map { _ in "abcdefghijkmnpqrstuvwxyz23456789".randomElement() ?? "x" })
    }
}
