// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Libvirt

extension GuestDomain {
    /// Has QEMU's monitor execute a command (qapi/).
    ///
    /// - Parameters:
    ///   - name: the command's.
    ///   - arguments: its arguments.
    ///   - type: what of its answer is wanted.
    /// - Returns: the answer.
    /// - Throws: ``QMPRefusal``, `DecodingError` for another answer, or what libvirt says.
    func execute<Value: Decodable>(
        _ name: String, _ arguments: some Encodable, as type: Value.Type = QMPNothing.self
    ) async throws -> Value {
        let command = String(
            decoding: try JSONEncoder().encode(QMPCommand(execute: name, arguments: arguments)), as: UTF8.self)
        let answer = Data(try await monitor(qmp: command).utf8)
        if let error = try JSONDecoder().decode(QMPError.self, from: answer).error {
            throw QMPRefusal(command: name, reason: error.desc)
        }
        return try JSONDecoder().decode(QMPAnswer<Value>.self, from: answer).return
    }
}

/// QEMU refuses a command.
struct QMPRefusal: Error, Equatable, CustomStringConvertible {
    /// The command.
    let command: String
    /// QEMU's own words.
    let reason: String

    var description: String { "qemu refuses '\(command)': \(reason.utf8.printable)" }
}

/// A command without arguments has these, and one that says nothing answers so.
struct QMPNothing: Codable {}

private struct QMPCommand<Arguments: Encodable>: Encodable {
    let execute: String
    let arguments: Arguments
}

private struct QMPError: Decodable {
    struct Failure: Decodable {
        let desc: String
    }
    let error: Failure?
}

private struct QMPAnswer<Value: Decodable>: Decodable {
    let `return`: Value
}
