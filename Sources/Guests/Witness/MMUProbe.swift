// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Libvirt
import Verification

/// Asks QEMU's MMU where an effective address of the paused guest leads (`gva2gpa`).
struct MMUProbe {
    let domain: any GuestDomain

    /// Why the first CPU cannot be asked now, or nil when it can.
    ///
    /// With translation off the answer would be wrong and no error; in user mode, kernel addresses are refused.
    func obstacle() async throws -> String? {
        let registers = try await domain.monitor(hmp: "info registers")
        guard let range = registers.range(of: "MSR "),
            let msr = UInt64(registers[range.upperBound...].prefix { $0.isHexDigit }, radix: 16)
        else { return "qemu shows no MSR" }
        // Power ISA, MSR: SF is bit 0, PR bit 49, DR bit 59, counted from the most significant.
        if msr & (1 << 63) == 0 { return "the CPU is in 32-bit mode" }
        if msr & (1 << 14) != 0 { return "the CPU is in user mode" }
        if msr & (1 << 4) == 0 { return "the CPU's data translation is off" }
        return nil
    }

    /// Translates addresses. QEMU answers one a command, which takes a millisecond or two; ``MemoryMapReader`` has all of
    /// them at once.
    func translations(of virtAddrs: [UInt64]) async throws -> [Translation] {
        var translations: [Translation] = []
        for virtAddr in virtAddrs {
            try Task.checkCancellation()
            translations.append(Translation(virtAddr: virtAddr, answer: try await answer(about: virtAddr)))
        }
        return translations
    }

    /// Whether one address of each group is translated.
    func reaches(oneOfEach groups: [[UInt64]]) async throws -> Bool {
        for group in groups {
            var isReached = false
            for virtAddr in group where !isReached {
                if case .physical = try await answer(about: virtAddr) { isReached = true }
            }
            if !isReached { return false }
        }
        return true
    }

    private func answer(about virtAddr: UInt64) async throws -> Translation.Answer {
        Self.parse(try await domain.monitor(hmp: "gva2gpa " + virtAddr.hexadecimal))
    }

    /// Reads `gpa: 0x…` or `Unmapped`.
    static func parse(_ answer: String) -> Translation.Answer {
        let text = answer.prefix { !$0.isNewline }
        if text == "Unmapped" { return .unmapped }
        if text.hasPrefix("gpa: "), let address = UInt64(hexadecimal: text.dropFirst(5)) { return .physical(address) }
        return .cannotSay("qemu answered '\(text.prefix(80))'")
    }
}
