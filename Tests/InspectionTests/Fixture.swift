// SPDX-License-Identifier: Apache-2.0

import Foundation
import HarnessBasics
import Testing
import Verification

/// The reduced dumps beside these tests, each in a folder of its own (docs/fixtures.md).
struct Fixture: Sendable, CustomTestStringConvertible {
    let name: String
    /// Whether the kernel keeps a list; else its page tables are the account.
    var hasList = true

    var testDescription: String { name }

    /// Every one that scripts/make-fixtures makes.
    static let all = [
        Fixture(name: "6.1-hash-64k"), Fixture(name: "6.1-radix-64k"), Fixture(name: "6.1-hash-64k-replug"),
        Fixture(name: "6.12-radix-64k", hasList: false), Fixture(name: "6.12-radix-4k", hasList: false),
        Fixture(name: "6.12-hash-4k"), Fixture(name: "6.12-hash-16m"), Fixture(name: "6.1-be-hash-64k"),
        Fixture(name: "6.1-be-radix-64k"),
    ]

    static func file(_ name: String) throws -> URL {
        try #require(Bundle.module.url(forResource: "Fixtures/\(name)", withExtension: nil))
    }

    static func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: file(name))) }

    /// The dump.
    var dump: URL { get throws { try Self.file("\(name)/dump.elf") } }

    /// The lines of a text beside it.
    func lines(_ file: String) throws -> [String] {
        try String(contentsOf: Self.file("\(name)/\(file)"), encoding: .utf8).split(separator: "\n").map(String.init)
    }

    /// What the host has read in guest RAM.
    func expected() throws -> InspectionFacts {
        try JSONDecoder().decode(InspectionFacts.self, from: Data(contentsOf: Self.file("\(name)/expected.json")))
    }
}

/// What an inspection's JSON says of a kernel, whoever was asked.
struct InspectionFacts: Decodable, Equatable {
    struct Verdict: Decodable, Equatable {
        let account: KernelAccount
        let entryCount: Int
        let sectionCount: Int
        let coveredSectionCount: Int
        let findings: [Finding]
    }

    struct Translation: Decodable, Equatable {
        @Hex var address: UInt64
        let frame: UInt64?
        let structPage: Hex?
        let phys: Hex?
        let window: BackedWindow?
    }

    let kernel: KernelFacts
    let outcome: String
    let verdict: Verdict
    let sections: [PresentSection]
    let entries: [BackedWindow]
    let translations: [Translation]
}
