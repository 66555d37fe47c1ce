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
    /// - Throws: ``HashTableProblem`` where QEMU gives none, ``MigrationStreamProblem``, `Errno`, or what libvirt says.
    private func table() async throws -> HashedTable {
        let listener = try StreamListener(at: socket)
        try await setSharedMemoryIgnored(true)
        do {
            async let stream = blocking { isCancelled in
                try listener.stream(byteLimit: Self.streamByteLimit, isCancelled: isCancelled)
            }
            try await execute(Command("migrate", ["uri": "unix:\(socket)"]))
            try await waitForMigration()
            let table = try await HashedTable(inStream: stream)
            try await setSharedMemoryIgnored(false)
            return table
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
        try await execute(
            Command("migrate-set-capabilities", Capabilities(capabilities: [.init(state: isIgnored)])))
    }

    /// Waits until QEMU has sent everything, or will not.
    private func waitForMigration() async throws {
        let status = try await waitUntil(within: timeouts.answer) { () async throws -> String? in
            let status = try await execute(Command("query-migrate", [String: String]())).status
            return ["completed", "failed", "cancelled"].contains(status) ? status : nil
        }
        guard status == "completed" else {
            _ = try? await execute(Command("migrate_cancel", [String: String]()))
            throw HashTableProblem.migration(status ?? "not over within \(timeouts.answer)")
        }
    }

    private struct Command<Arguments: Encodable>: Encodable {
        let execute: String
        let arguments: Arguments

        init(_ name: String, _ arguments: Arguments) {
            (execute, self.arguments) = (name, arguments)
        }
    }

    /// What replies have that matters here (qapi/migration.json).
    private struct Reply: Decodable {
        struct Value: Decodable {
            let status: String?
        }
        struct Failure: Decodable {
            let desc: String
        }
        let `return`: Value?
        let error: Failure?
    }

    @discardableResult
    private func execute(_ command: Command<some Encodable>) async throws -> Reply.Value {
        let text = String(decoding: try JSONEncoder().encode(command), as: UTF8.self)
        let reply = try JSONDecoder().decode(Reply.self, from: Data(try await domain.monitor(qmp: text).utf8))
        if let error = reply.error { throw HashTableProblem.refused(command: command.execute, reason: error.desc) }
        return reply.return ?? Reply.Value(status: nil)
    }
}

/// Why QEMU gives no hashed page table.
enum HashTableProblem: Error, Equatable, CustomStringConvertible {
    /// It refuses a command, in its words.
    case refused(command: String, reason: String)
    /// What became of the migration.
    case migration(String)

    var description: String {
        switch self {
        case .refused(let command, let reason): "qemu refuses '\(command)': \(reason.utf8.printable)"
        case .migration(let status): "qemu's migration is \(status)"
        }
    }
}
