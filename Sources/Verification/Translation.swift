// SPDX-License-Identifier: Apache-2.0

public import HarnessBasics

/// One question to the MMU (QEMU's `gva2gpa`) and its answer.
public struct Translation: Codable, Equatable, Sendable {
    /// What the MMU said.
    public enum Answer: Codable, Equatable, Sendable {
        /// The address translates to this one.
        case physical(UInt64)
        /// It does not translate.
        case unmapped
        /// The CPU was in no state to translate kernel addresses.
        case cannotSay(String)
    }

    /// The effective address that was asked.
    @Hex public var virtAddr: UInt64
    /// The answer.
    public var answer: Answer

    /// Makes a translation.
    public init(virtAddr: UInt64, answer: Answer) {
        self.virtAddr = virtAddr
        self.answer = answer
    }
}

extension Translation.Answer {
    /// Reads `0x…`, `unmapped`, or a reason why the MMU cannot say.
    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        if text == "unmapped" {
            self = .unmapped
        } else if let address = UInt64(hexadecimal: text) {
            self = .physical(address)
        } else {
            self = .cannotSay(text)
        }
    }

    /// Writes the same.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .physical(let address): try container.encode(address.hexadecimal)
        case .unmapped: try container.encode("unmapped")
        case .cannotSay(let reason): try container.encode(reason)
        }
    }
}
