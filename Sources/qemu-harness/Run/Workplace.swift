// SPDX-License-Identifier: Apache-2.0

import Foundation
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

    init(runsDirectory: URL, environment: [String: String]) {
        self.runsDirectory = runsDirectory
        cache = GuestImages.cache(environment)
    }

    /// Runs in a root of its own, which is removed afterwards unless the guest is kept.
    func run(_ runner: Runner, interrupts: Interrupts, commandLine: [String]) async throws -> Runner.Report {
        try Self.check(
            need: runner.configuration.sharedMemoryByteCount, free: Self.freeByteCount(of: Self.memoryParent))
        let identifier = Self.identifier()
        let record: RunDirectory
        do {
            record = try RunDirectory(parent: runsDirectory, identifier: identifier, startedAt: Date())
        } catch {
            throw HarnessError.infrastructure(
                "cannot make a record in \(runsDirectory.path): \(error.localizedDescription)")
        }
        let root = try Self.makeRoot(identifier: identifier, cache: cache)
        interrupts.onInsistence { root.killGuests() }
        let report: Runner.Report
        do {
            report = try await runner.run(
                record: record, root: root, interrupts: interrupts, commandLine: commandLine)
        } catch {
            try? root.remove()
            throw error
        }
        if runner.keepsGuest {
            try root.keep()
        } else {
            try root.remove()
        }
        return report
    }

    /// Ends and removes what runs left behind whose process has died; returns their identifiers.
    static func prune(includingKept: Bool = false, isDryRun: Bool = false) throws -> [String] {
        do {
            return try EmbeddedRoot.removeAbandoned(
                parent: rootParent, memoryParent: memoryParent, includingKept: includingKept, isDryRun: isDryRun)
        } catch {
            throw HarnessError.infrastructure("cannot remove what a dead run left: \(error)")
        }
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

    /// Refuses to start a guest whose memory the file system cannot hold: the guest would die of SIGBUS in the middle.
    ///
    /// A file system that does not tell its free space is left to try.
    static func check(need: UInt64, free: UInt64?) throws {
        guard let free, free < need else { return }
        throw HarnessError.infrastructure(
            "the guest's memory, its plugs and the shared region take up to \(ByteCount(need).text), and "
                + "\(memoryParent) has \(ByteCount(free).text) free: plug less, or make room there")
    }

    /// How much can still be written to a folder's file system, nil when that cannot be told.
    static func freeByteCount(of folder: FilePath) -> UInt64? {
        let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder.string)
        return (attributes?[.systemFreeSize] as? NSNumber)?.uint64Value
    }

    /// Eight random letters and digits: unique on this machine, short enough for a socket's path.
    static func identifier() -> String {
        String((0..<8).map { _ in "abcdefghijkmnpqrstuvwxyz23456789".randomElement() ?? "x" })
    }
}
