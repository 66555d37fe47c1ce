// SPDX-License-Identifier: Apache-2.0

import AgentProtocol
import HarnessBasics

/// The first line of a dump-capture kernel's agent: what it found in /proc/vmcore.
struct CaptureHello: Equatable {
    /// How many PT_LOADs the dump has.
    let loadCount: UInt64
    /// What they hold, in bytes.
    let dumpByteCount: UInt64

    /// Reads the line; throws an infrastructure error that names the field which is missing or impossible.
    init(_ line: ControlLine) throws {
        func number(_ key: StaticString) throws -> UInt64 {
            guard let value = line.number(key) else {
                throw HarnessError.infrastructure("the dump-capture kernel's hello has no number '\(key)'")
            }
            return value
        }
        // A guest that starts anew instead has no dump.
        guard line.text("role")?.elementsEqual("capture".utf8) == true else {
            throw HarnessError.infrastructure("the guest has started anew, with no dump: its agent said hello")
        }
        let version = try number("protocol")
        guard version == Hello.protocolVersion else {
            throw HarnessError.infrastructure(
                "the dump-capture kernel's agent speaks protocol \(version), this program \(Hello.protocolVersion)")
        }
        loadCount = try number("loads")
        dumpByteCount = try number("dump-bytes")
    }
}
