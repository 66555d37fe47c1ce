// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One way from bytes into the program, with what has to be true on it.
struct Harness: Sendable {
    /// Its name, which is its corpus's as well.
    let name: String
    /// The longest input that says more than shorter ones do, in bytes.
    let byteLimit: Int
    private let body: @Sendable ([UInt8]) throws -> Void

    init(_ name: String, byteLimit: Int, _ body: @escaping @Sendable ([UInt8]) throws -> Void) {
        (self.name, self.byteLimit, self.body) = (name, byteLimit, body)
    }

    /// Runs it. An error is an answer to a bad input like any other; only a trap, a hang and a property that does not hold are not.
    func run(_ bytes: [UInt8]) {
        try? body(bytes)
    }

    static let all =
        documents + snapshots + kernels + memories + regions + agentLines + agentFiles + files
}

/// Ends the process where a property does not hold, or its question has no answer, which libFuzzer then reports with the input.
func require(_ holds: @autoclosure () throws -> Bool, _ property: @autoclosure () -> String) {
    let reason: String
    do {
        guard try !holds() else { return }
        reason = property()
    } catch {
        reason = "\(property()): \(error)"
    }
    FileHandle.standardError.write(Data("fuzz: this does not hold: \(reason)\n".utf8))
    abort()
}
