// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Libvirt
import MemoryBackends
import SystemPackage

/// Reads a paused guest's hashed page table. No command of QEMU's shows it; QEMU's migration stream has the whole of it, and
/// nothing of memory that is in shared files (`x-ignore-shared`). The guest goes nowhere, and runs on afterwards.
struct HashTableReader: Sendable {
    let domain: any GuestDomain
    let socket: FilePath
    let timeouts: Timeouts

    /// The most that a stream may have, in bytes: a table's, and what QEMU keeps of memory outside of files.
    private static let streamByteLimit = (1 << HashedTable.largestShift) + (256 << 20)

    /// What becomes of the question.
    enum Answer: Sendable {
        case table(HashedTable)
        /// Why there is none.
        case problem(String)
    }

    /// Reads the table of a guest that is paused. Throws `CancellationError` alone.
    func answer() async throws -> Answer {
        do {
            return .table(try await table())
        } catch let error as CancellationError {
            throw error
        } catch {
            return .problem("\(error)")
        }
    }

    /// Reads the table of a guest that is paused.
    ///
    /// - Throws: ``QMPRefusal`` or ``MigrationFailure`` where QEMU gives none, ``MigrationStreamProblem``, `Errno`, or what
    ///   libvirt says.
    private func table() async throws -> HashedTable {
        let listener = try StreamListener(at: socket)
        try await setSharedMemoryIgnored(true)
        do {
            async let table = blocking { isCancelled in
                try HashedTable(
                    inStream: listener.stream(byteLimit: Self.streamByteLimit, isCancelled: isCancelled))
            }
            _ = try await domain.execute("migrate", ["uri": "unix:\(socket)"])
            try await waitForMigration()
            let whole = try await table
            try await setSharedMemoryIgnored(false)
            return whole
        } catch {
            // Whoever migrates the guest later is to get its memory.
            try? await setSharedMemoryIgnored(false)
            throw error
        }
    }

    private func setSharedMemoryIgnored(_ isIgnored: Bool) async throws {
        struct Capabilities: Encodable {
            struct Capability: Encodable {
                let capability = "x-ignore-shared"
                let state: Bool
            }
            let capabilities: [Capability]
        }
        _ = try await domain.execute(
            "migrate-set-capabilities", Capabilities(capabilities: [.init(state: isIgnored)]))
    }

    /// `MigrationInfo`, qapi/migration.json.
    private struct Migration: Decodable {
        let status: String?
    }

    /// Waits until QEMU has sent everything, or will not.
    private func waitForMigration() async throws {
        let status = try await waitUntil(within: timeouts.answer) { () async throws -> String? in
            let status = try await domain.execute("query-migrate", QMPNothing(), as: Migration.self).status
            return ["completed", "failed", "cancelled"].contains(status) ? status : nil
        }
        guard status == "completed" else {
            _ = try? await domain.execute("migrate_cancel", QMPNothing())
            throw MigrationFailure(status: status ?? "not over within \(timeouts.answer)")
        }
    }
}

/// What became of a migration that has not come to its end.
struct MigrationFailure: Error, Equatable, CustomStringConvertible {
    let status: String

    var description: String { "qemu's migration is \(status)" }
}
